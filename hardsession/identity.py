"""Who a session belongs to, as far as the application's own keys tell: pure functions of what was loaded and is saved.

An application that logs people in by writing `session["user_id"]` asks for nothing, and must get a new id all the same
(session fixation; OWASP ASVS 5.0, 7.2.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

from .errors import SerializationError

IDENTITY_KEYS = ("_user_id", "user_id", "username", "user", "uid", "account_id", "email", "logged_in")
PRIVILEGE_KEYS = ("role", "roles", "permissions", "scopes", "groups", "is_admin", "is_staff", "mfa", "sudo")
MAX_USER_ID = 1024
"""Bytes of a user's id in UTF-8."""

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
    who, who_now = _known(before, identity), _known(after, identity)
    if who != who_now:
        return Change.LOGOUT if who_now.count(None) == len(who_now) else Change.IDENTITY
    rights, rights_now = ([data.get(key, _MISSING) for key in privilege] for data in (before, after))
    return Change.PRIVILEGE if rights != rights_now else Change.NONE


def somebody(data: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether any of the keys names anybody."""
    return any(name is not None for name in _known(data, keys))


def owner(data: Mapping[str, Any]) -> str | None:
    """The user's id as text. Other keys are never taken for one."""
    return next((user_id(name) for name in _known(data, OWNER_KEYS) if name is not None), None)


def user_id(value: object) -> str:
    """The text of a user's id: 7 and "7" are one user. Raise SerializationError for what cannot be one."""
    try:
        text = str(value)
        fits = value is not None and value is not False and 0 < len(text.encode()) <= MAX_USER_ID
    except ValueError:  # a lone surrogate, or more digits than Python writes
        fits = False
    if not fits:
        raise SerializationError(f"cannot belong to this user: an id is a text of 1 to {MAX_USER_ID} bytes.")
    return text


def _known(data: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    """Whom each key names. Zero is a user's id; False and the empty text are nobody's, as if the key were not there."""
    return [None if (name := data.get(key)) is False or name == "" else name for key in keys]


_MISSING = object()
