"""Everything this package raises.

::

    HardSessionError
    ├── ConfigError              settings that cannot work, all of them at once (also a ValueError)
    ├── SerializationError       a value in the session that cannot be stored (also a TypeError)
    ├── StoreError               the store cannot answer; its cause is the driver's error
    ├── ConflictError            a write that others kept changing the session under
    ├── SessionLimitError        a login of a user who has as many sessions as one may have
    ├── NotSavedError            what `hard.save()` cannot write
    ├── SessionTooLargeError     a session that does not fit into a cookie
    ├── ReauthenticationRequired the user must prove again who he is (also werkzeug's Unauthorized, status 401)
    └── TokenRefused             a token that is not ours; never leaves the interface
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized


class HardSessionError(Exception):
    """The base of every error of this package."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the settings, and what to do about it."""

    setting: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.fault} {self.remedy}"


class ConfigError(HardSessionError, ValueError):
    """The settings cannot work. `problems` lists every fault with its remedy."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(["The session settings cannot work.", *(f"  - {p}" for p in self.problems)]))


class SerializationError(HardSessionError, TypeError):
    """A value in the session cannot be stored. `path` names where it stands, never what it is."""

    def __init__(self, fault: str, path: Sequence[object] = ()) -> None:
        self.fault = fault
        self.path: tuple[object, ...] = tuple(path)
        super().__init__(fault, self.path)

    def under(self, key: object) -> SerializationError:
        """The same fault, seen from one container further out."""
        return SerializationError(self.fault, (key, *self.path))

    def __str__(self) -> str:
        return "session" + "".join(f"[{key!r}]" for key in self.path) + f" {self.fault}"


class StoreError(HardSessionError):
    """The store cannot answer. `__cause__` is the driver's error."""


class ConflictError(HardSessionError):
    """A session could not be saved, because other requests kept changing it or `SESSION_CONFLICT` is "raise"."""


class NotSavedError(HardSessionError):
    """`hard.save()` cannot write the session; nothing of it was written.

    `ended` tells whether that is because the session is over: logged out elsewhere, timed out or expired. Otherwise the
    change needs a new token, which only an answer can set.
    """

    def __init__(self, message: str, *, ended: bool = False) -> None:
        self.ended = ended
        super().__init__(message)


class SessionLimitError(HardSessionError):
    """A user has as many sessions as one may have (`SESSION_MAX_PER_USER`). `limit` says how many those are.

    Raised by `login()` where `SESSION_OVERFLOW` is `"refuse"` (OWASP ASVS 5.0, 7.1.2).
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"This user has {limit} sessions, which is the most. End one of them first.")


class SessionTooLargeError(HardSessionError):
    """The sealed session does not fit into one cookie or header (RFC 6265bis: 4096 bytes of name and value).

    `size` and `limit` are bytes, `largest` maps the largest keys to the bytes their values take.
    """

    def __init__(self, size: int, limit: int, largest: Mapping[str, int]) -> None:
        self.size = size
        self.limit = limit
        self.largest: dict[str, int] = dict(largest)
        keys = ", ".join(f"{key!r} ({taken} bytes)" for key, taken in self.largest.items())
        super().__init__(
            f"The session would take {size} bytes of name and value, and {limit} is what a browser keeps in a cookie. "
            f"Store less, or set SESSION_COOKIE_OVERSIZE; the largest keys are {keys}."
        )


class Staleness(StrEnum):
    """Why a session is not fresh enough. A closed set, which the application and the client may know."""

    ANONYMOUS = "anonymous"
    UNPROVEN = "unproven"
    WRONG_METHOD = "wrong_method"
    TOO_OLD = "too_old"


class ReauthenticationRequired(HardSessionError, Unauthorized):
    """The user must prove again who he is, before this view will serve him (OWASP ASVS 5.0, 7.5.1 and 7.5.3).

    An application's own `@app.errorhandler(ReauthenticationRequired)` decides what he sees. Without one the answer has
    status 401, and its `WWW-Authenticate` says in the words of RFC 9470 what is missing, for a program to read.

    `reason` says why the session was not fresh enough, `max_age` is seconds, and `methods` are the ways that would
    have counted, None for any.
    """

    description: str = "Prove again who you are."

    def __init__(self, reason: Staleness, *, max_age: int, methods: frozenset[str] | None = None) -> None:
        self.reason = reason
        self.max_age = max_age
        self.methods = methods
        asked = {"reason": reason.value, "max_age": str(max_age)}
        if methods is not None:
            asked["methods"] = " ".join(sorted(methods))
        # No browser knows this scheme, so none asks for a password in a window of its own.
        challenge = WWWAuthenticate("session", {"error": "insufficient_user_authentication", **asked})
        super().__init__(www_authenticate=challenge)


class Refusal(StrEnum):
    """Why a token was refused. A closed set, for events and the audit log; a client never learns it."""

    DUPLICATE = "duplicate"
    LENGTH = "length"
    ENCODING = "encoding"
    FORMAT = "format"
    PURPOSE = "purpose"
    UNKNOWN_KEY = "unknown_key"
    NOT_AUTHENTIC = "not_authentic"
    HEADER = "header"
    FUTURE = "future"
    PAYLOAD = "payload"


class TokenRefused(HardSessionError):
    """A token or a stored value that does not open. It carries the reason and nothing of the token."""

    def __init__(self, reason: Refusal) -> None:
        self.reason = reason
        super().__init__(reason.value)
