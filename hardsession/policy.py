"""When a session is over, and how its times move. Pure functions of a header and the time.

A session is over when ``now >= limit``, for the idle timeout (OWASP ASVS 5.0, 7.3.1) and the absolute one (7.3.2) at
once. Activity moves the first and never the second; only a new login starts both again (NIST SP 800-63B-4, 5.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

import msgspec

from .crypto.ids import Lineage
from .errors import Refusal, Staleness, TokenRefused
from .record import Header, Metadata

MAX_SKEW = 30
"""Seconds that another instance's clock may be ahead of ours."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_METHOD = re.compile(r"[!#-\[\]-~]+")  # what RFC 6749 makes a scope of: it goes into a header


class Timeout(StrEnum):
    """Which clock ran out."""

    IDLE = "idle_timeout"
    ABSOLUTE = "absolute_timeout"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a session lasts, in whole seconds.

    Args:
        idle: without activity; None: as long as the absolute timeout.
        absolute: from its start.
        touch: activity is written down at most this often. The session can end that much early, never late.
    """

    idle: int | None
    absolute: int
    touch: int

    @classmethod
    def of(cls, idle: int | None, absolute: int, touch: int | None = None) -> Timeouts:
        """Timeouts with the usual touch interval: a minute, or a twentieth of a shorter idle timeout."""
        return cls(idle, absolute, touch if touch is not None else min(_MINUTE, (idle or absolute) // 20))

    def shortened_to(self, lifetime: int, *, sliding: bool) -> Timeouts:
        """These for a permanent session, which Flask's `PERMANENT_SESSION_LIFETIME` shortens and never extends.

        Flask slides that lifetime with `SESSION_REFRESH_EACH_REQUEST`, which makes it an idle timeout; else it counts
        from the start.
        """
        if not sliding:
            return replace(self, absolute=min(self.absolute, lifetime))
        idle = lifetime if self.idle is None else min(self.idle, lifetime)
        return replace(self, idle=idle, touch=min(self.touch, idle // 20))


PROFILES: Mapping[str, Timeouts] = {
    "standard": Timeouts.of(30 * _MINUTE, 12 * _HOUR),
    "aal1": Timeouts.of(None, 30 * _DAY),  # NIST SP 800-63B-4, 2.1.3
    "aal2": Timeouts.of(_HOUR, 24 * _HOUR),  # 2.2.3
    "aal3": Timeouts.of(15 * _MINUTE, 12 * _HOUR),  # 2.3.3
    "pci": Timeouts.of(15 * _MINUTE, 12 * _HOUR),  # PCI DSS 4.0, 8.2.8; the absolute timeout is ours
    "high": Timeouts.of(5 * _MINUTE, 4 * _HOUR),  # OWASP Session Management Cheat Sheet, high-value applications
}
"""Presets by the name that `SESSION_PROFILE` takes."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How recently a user must have proved who he is, in whole seconds, and by which of some methods; None: by any."""

    max_age: int
    methods: frozenset[str] | None = None

    @classmethod
    def of(cls, max_age: timedelta | float, methods: Iterable[str] | None = None) -> Freshness:
        """What an application asks for. TypeError or ValueError for what no login could ever satisfy.

        A fraction of a second is dropped, so that nothing is fresh for longer than it was asked to be.
        """
        seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError("max_age is no duration. Give a timedelta or seconds.")
        if not 1 <= seconds <= 400 * _DAY:
            raise ValueError("max_age is no duration from 1 second to 400 days. Choose one within these bounds.")
        return cls(int(seconds), None if methods is None else _methods(methods))


def stale(header: Header | None, wanted: Freshness, now: int) -> Staleness | None:
    """Why a session is not as fresh as it is wanted, if it is not.

    A proof is too old when ``now >= limit``. One from the future, beyond what clocks may differ by, is not believed: a
    clock that was put back would keep it fresh.
    """
    if header is None or header.metadata.owner is None:
        return Staleness.ANONYMOUS
    if not header.authenticated_at:
        return Staleness.UNPROVEN
    proved_at = header.authenticated_at
    if wanted.methods is not None:
        times = [time for method, time in header.metadata.methods.items() if method in wanted.methods]
        if not times:
            return Staleness.WRONG_METHOD
        proved_at = max(times)
    return None if proved_at - MAX_SKEW <= now < proved_at + wanted.max_age else Staleness.TOO_OLD


def limits(header: Header, timeouts: Timeouts) -> tuple[int, int]:
    """When the idle and the absolute clock run out, in Unix seconds.

    The session keeps the end it was created with: a longer timeout extends none, a shorter one ends those that exceed
    it.
    """
    absolute = min(header.expires_at, header.created_at + timeouts.absolute)
    return (absolute if timeouts.idle is None else header.seen_at + timeouts.idle), absolute


def over(header: Header, timeouts: Timeouts, now: int) -> Timeout | None:
    """Which clock has run out, if one has. TokenRefused for a session from the future: its times cannot be judged."""
    if max(header.created_at, header.seen_at) > now + MAX_SKEW:
        raise TokenRefused(Refusal.FUTURE)
    idle, absolute = limits(header, timeouts)
    if now >= absolute:
        return Timeout.ABSOLUTE
    return Timeout.IDLE if now >= idle else None


def begin(timeouts: Timeouts, now: int, *, permanent: bool) -> Header:
    """A new session: a new lineage, both clocks at their start, nobody logged in."""
    return Header(now, now, now + timeouts.absolute, 0, now, 0, Lineage.new(), permanent)


def touch_due(header: Header, timeouts: Timeouts, now: int) -> bool:
    """Whether activity is to be written down."""
    return now - header.seen_at >= timeouts.touch


def touch(header: Header, now: int) -> Header:
    """Activity. It never goes backwards, and stays inside the session's life."""
    return replace(header, seen_at=max(header.seen_at, min(now, header.expires_at - 1)))


def regenerate(header: Header, now: int) -> Header:
    """The same session under a new id: the clocks run on."""
    return replace(header, generation=header.generation + 1, renewed_at=now, confirmed=True)


def renewal_due(header: Header, interval: int, now: int) -> bool:
    """Whether an id has been in use for so long that it gets a successor. One that nobody has used yet gets none."""
    return header.confirmed and now - header.renewed_at >= interval


def renew(header: Header, now: int) -> Header:
    """The same session under a new id, which nobody is known to have."""
    return replace(header, generation=header.generation + 1, renewed_at=now, confirmed=False)


def confirm(header: Header, now: int) -> Header:
    """An id has been used by its own token, so its predecessor has had its day."""
    return replace(header, renewed_at=now, confirmed=True)


def authenticate(
    header: Header | None, timeouts: Timeouts, now: int, *, owner: str | None, method: str | None, permanent: bool
) -> Header:
    """A login: both clocks start again, under a new id.

    It is a new session, with a new public handle, unless the same user proves again who he is: whoever planted an
    anonymous session must not hold the handle of what comes after.

    Args:
        owner: the user's id, None where only the application knows it.
        method: how the user proved it; None: he did not (a remembered login), and the session is not fresh.
    """
    fresh = begin(timeouts, now, permanent=permanent)
    methods = {} if method is None else {method: now}
    if header and owner and owner == header.metadata.owner:
        methods = {**header.metadata.methods, **methods} if methods else {}
        fresh = replace(fresh, lineage=header.lineage, generation=header.generation + 1)
    authenticated_at = 0 if method is None else now
    return replace(fresh, authenticated_at=authenticated_at, metadata=Metadata(owner=owner, methods=methods))


def deauthenticate(header: Header, now: int) -> Header:
    """A logout after which the session goes on for nobody: a new lineage, and clocks that run on."""
    return replace(regenerate(header, now), lineage=Lineage.new(), authenticated_at=0, metadata=Metadata())


def demote(header: Header, now: int) -> Header:
    """A new id for the same owner, who is no longer known to be the one who logged in."""
    metadata = msgspec.structs.replace(header.metadata, methods={})
    return replace(regenerate(header, now), authenticated_at=0, metadata=metadata)


def _methods(methods: Iterable[str]) -> frozenset[str]:
    if isinstance(methods, str) or not isinstance(methods, Iterable):
        raise TypeError("methods is no collection of texts. Write a set, such as {'webauthn'}, even for a single one.")
    names = tuple(methods)
    if not all(isinstance(name, str) for name in names):
        raise TypeError("methods holds something that is no text. Name methods as login(method=...) does.")
    if not names:
        raise ValueError("methods is empty, so nothing would ever be fresh. Leave it out to accept every method.")
    if not all(map(_METHOD.fullmatch, names)):
        raise ValueError("A method is named in visible ASCII without spaces, quotes and backslashes. Rename it.")
    return frozenset(names)
