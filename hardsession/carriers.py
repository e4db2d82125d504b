"""What a token travels in: reading, setting and deleting our one cookie (RFC 6265bis), or the header of API clients."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product
from typing import TYPE_CHECKING, ClassVar

from werkzeug.exceptions import BadRequest
from werkzeug.http import dump_cookie, http_date

from .errors import Refusal, TokenRefused

if TYPE_CHECKING:
    from flask import Request, Response

MAX_COOKIE_SIZE = 4096
"""Bytes of name and value together that every browser keeps.

The header keeps to it as well: a proxy that gives the headers of an answer 4 KB in all would drop the answer.
"""

NEW = "new"
"""What a client sends in the header to begin a session there."""

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

    in_the_clear: ClassVar[str] = "A Secure session cookie was set on plain http, where browsers drop it."

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
        return _of_a_length(self.name, values[0]) if values else None

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


@dataclass(frozen=True)
class HeaderCarrier:
    """The header of clients that keep no cookies: of a request, and of the answer, which bears a token only when new.

    Browsers send it of no page's accord, and from another site only where the application's CORS allows it.
    """

    name: str
    secure: bool = True

    in_the_clear: ClassVar[str] = "A session token was sent on plain http, where whoever is on the way can take it."

    @property
    def binding(self) -> str:
        """What is authenticated with a token, so that it is good in this header only."""
        return f"header:{self.name.lower()}"

    def came(self, request: Request) -> bool:
        """Whether a request bears the header, whatever stands in it: then its cookie counts for nothing."""
        return self._key in request.environ

    def read(self, request: Request) -> str | None:
        """The header's value; None where it asks for a new session. TokenRefused for two, or for an odd length."""
        value: str = request.environ[self._key].strip(" \t")
        if value == NEW:
            return None
        if "," in value:  # how servers join two headers of one name (RFC 9110, 5.3)
            raise TokenRefused(Refusal.DUPLICATE)
        return _of_a_length(self.name, value)

    def set(self, response: Response, token: str, *, now: int, expires_at: int | None = None) -> None:  # noqa: ARG002
        """Hand the token to the client, which keeps no time: its requests hear when the session is over."""
        self._answer(response, token)

    def delete(self, response: Response) -> None:
        """Tell the client to forget its token, by an empty header. Who sends that back is nobody."""
        self._answer(response, "")

    def expire_pair(self, request: Request, response: Response) -> None:
        """A client that sends two headers has nothing that could be expired."""

    def _answer(self, response: Response, token: str) -> None:
        response.headers[self.name] = token
        _keep_from_caches(response)

    @cached_property
    def _key(self) -> str:
        return f"HTTP_{self.name.upper().replace('-', '_')}"


def _of_a_length(name: str, token: str) -> str:
    """A token as it came. TokenRefused for a length that none of ours has."""
    if not _SHORTEST_TOKEN <= len(token) <= MAX_COOKIE_SIZE - len(name):
        raise TokenRefused(Refusal.LENGTH)
    return token


def _add(response: Response, cookie: str) -> None:
    """No cache may keep an answer that sets a cookie, and hand it to somebody else (CVE-2023-30861)."""
    response.headers.add("Set-Cookie", cookie)
    _keep_from_caches(response)


def _keep_from_caches(response: Response) -> None:
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
