"""What a token travels in: reading, setting and deleting our one cookie (RFC 6265bis)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product
from typing import TYPE_CHECKING

from werkzeug.exceptions import BadRequest
from werkzeug.http import dump_cookie, http_date

from .errors import Refusal, TokenRefused

if TYPE_CHECKING:
    from flask import Request, Response

MAX_COOKIE_SIZE = 4096
"""Bytes of name and value together that every browser keeps."""

_SHORTEST_TOKEN = 107
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+", re.IGNORECASE)
_MOST_PLACES = 8


@dataclass(frozen=True)
class CookieCarrier:
    """The session cookie: its name, and the attributes it is set and deleted with."""

    name: str
    domain: str | None = None
    path: str = "/"
    secure: bool = True
    httponly: bool = True
    samesite: str = "Lax"
    partitioned: bool = False

    @property
    def binding(self) -> str:
        """What is authenticated with a token, so that it is good in this cookie only."""
        return f"cookie:{self.name}"

    @property
    def unplantable(self) -> bool:
        """Whether browsers refuse a cookie of this name from any other host and from a plain http page."""
        return self.name.startswith("__Host-")

    def read(self, request: Request) -> str | None:
        """Our cookie's value; None without one. TokenRefused for two of our name or a length that none of ours has.

        The header is split here as browsers build it. Werkzeug also strips white space of other alphabets from a
        name, and takes quotes off a value, so a cookie that a browser lets a script plant under an alias could pass
        for ours.
        """
        header = request.environ.get("HTTP_COOKIE", "")
        if self.name not in header:
            return None
        # Without "=" a part is a cookie that has no name (RFC 6265bis), which any sibling site can set.
        parts = (part.partition("=") for part in header.split(";"))
        values = [value.strip(" \t") for name, equals, value in parts if equals and name.strip(" \t") == self.name]
        if len(values) > 1:
            raise TokenRefused(Refusal.DUPLICATE)
        if values and not _SHORTEST_TOKEN <= len(values[0]) <= MAX_COOKIE_SIZE - len(self.name):
            raise TokenRefused(Refusal.LENGTH)
        return values[0] if values else None

    def set(self, response: Response, token: str, *, now: int, expires_at: int | None = None) -> None:
        """Set the cookie: until `expires_at` in Unix seconds, or for the browser's session."""
        lasting = "" if expires_at is None else f"; Expires={http_date(expires_at)}; Max-Age={max(0, expires_at - now)}"
        _add(response, f"{self.name}={token}{lasting}{self._attributes}")

    def delete(self, response: Response) -> None:
        """Delete the cookie. Without the attributes it was set with, a browser keeps a `__Host-` cookie."""
        _add(response, f"{self.name}=; Expires={http_date(0)}; Max-Age=0{self._attributes}")

    def expire_pair(self, request: Request, response: Response) -> None:
        """Answer two cookies of our name by expiring the name wherever a sibling site can have set one.

        The client chooses host and path, so both are checked and counted before they become headers. A name with a
        `__Host-` prefix has one place, but partitioned and not it can stand there twice: after
        `SESSION_COOKIE_PARTITIONED` was changed.
        """
        domains, paths = ([None], ["/"]) if self.unplantable else _places(request)
        for domain, path, partitioned in product(domains, paths, (False, True)):
            if partitioned and not (self.secure and self.unplantable | self.partitioned):
                continue
            cookie = dump_cookie(
                self.name, "", max_age=0, expires=0, path=path, domain=domain, secure=self.secure,
                httponly=self.httponly, samesite=self.samesite, partitioned=partitioned,
            )  # fmt: skip
            _add(response, cookie)

    @cached_property
    def _attributes(self) -> str:
        cookie = dump_cookie(
            self.name,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            httponly=self.httponly,
            samesite=self.samesite,
            partitioned=self.partitioned,
        )
        return cookie.removeprefix(f"{self.name}=")


def _add(response: Response, cookie: str) -> None:
    """No cache may keep an answer that sets a cookie, and hand it to somebody else (CVE-2023-30861)."""
    response.headers.add("Set-Cookie", cookie)
    response.headers["Cache-Control"] = "no-store"


def host_of(request: Request) -> str | None:
    """The request's host; None where the application does not trust it (`TRUSTED_HOSTS`)."""
    try:
        return request.host
    except BadRequest:
        return None


def _places(request: Request) -> tuple[list[str | None], list[str]]:
    """Where a cookie that came with this request can have been set."""
    return [None, *_parent_domains(host_of(request) or "")], [*_parent_paths(request.root_path + request.path)]


def _parent_domains(host: str) -> Iterator[str]:
    name = host.partition(":")[0]
    if _HOST_NAME.fullmatch(name) and not name.rpartition(".")[2].isdigit():
        labels = name.split(".")[-_MOST_PLACES:]
        for start in range(len(labels) - 1):
            yield ".".join(labels[start:])


def _parent_paths(path: str) -> Iterator[str]:
    parts = path.split("/")[1:_MOST_PLACES]
    return accumulate(parts, lambda base, part: f"{base.rstrip('/')}/{part}", initial="/")
