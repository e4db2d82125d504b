"""Who a session belongs to, as far as the application's own keys tell: pure functions of what was loaded and is saved.

An application that logs people in by writing `session["user_id"]` asks for nothing, and must get a new id all the same
(session fixation; OWASP ASVS 5.0, 7.2.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

IDENTITY_KEYS = ("_user_id", "user_id", "username", "user", "uid", "account_id", "email", "logged_in")
PRIVILEGE_KEYS = ("role", "roles", "permissions", "scopes", "groups", "is_admin", "is_staff", "mfa", "sudo")
OWNER_KEYS = ("_user_id", "user_id")
"""The keys whose value is certainly a user's id: Flask-Login's, and the one of Flask's tutorial."""


class Change(Enum):
    """What a request did to the identity of its session, without saying so."""

    NONE = auto()
    PRIVILEGE = auto()
    IDENTITY = auto()
    LOGOUT = auto()


def change(
    before: Mapping[str, Any], after: Mapping[str, Any], *, identity: Sequence[str], privilege: Sequence[str]
) -> Change:
    """Compare the named keys of what was loaded with those of what is to be saved."""
    if _differs(before, after, identity):
        gone = _somebody(before, identity) and not _somebody(after, identity)
        return Change.LOGOUT if gone else Change.IDENTITY
    return Change.PRIVILEGE if _differs(before, after, privilege) else Change.NONE


def owner(data: Mapping[str, Any]) -> str | None:
    """The user's id as text: 7 and "7" are one user. Other keys are never taken for one."""
    return next((str(data[key]) for key in OWNER_KEYS if _present(data.get(key))), None)


def _differs(before: Mapping[str, Any], after: Mapping[str, Any], keys: Sequence[str]) -> bool:
    return [before.get(key, _MISSING) for key in keys] != [after.get(key, _MISSING) for key in keys]


def _somebody(data: Mapping[str, Any], keys: Sequence[str]) -> bool:
    return any(_present(data.get(key)) for key in keys)


def _present(value: object) -> bool:
    """Zero is a user's id; None, False and the empty text are nobody's."""
    return not (value is None or value is False or value == "")


_MISSING = object()
