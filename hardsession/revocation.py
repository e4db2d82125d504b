"""What ends sessions that nobody can find one by one, or that no store holds: the epoch of all, and lineages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .crypto.encoding import to_text
from .crypto.ids import Lineage, everybody
from .crypto.keys import KeyRing
from .crypto.seal import Purpose, Sealer
from .errors import TokenRefused
from .patience import Patience
from .record import EndReason, Entry, Revocation, RevocationKind
from .stores import Outcome, Store, Stored

V = TypeVar("V")

EPOCH_TTL = 400 * 86400
"""Seconds: no session lives for longer."""

_CACHED = 5
_UNKNOWN = -1


class EpochOfAll:
    """A number that is sealed in every session. Raising it ends them all.

    Until it is raised for the first time it is None, and stands nowhere. One that cannot be opened ends all sessions
    too: it may be one that was raised.

    Args:
        store: where it stands.
        key_prefix: what every name in the store begins with.
        app_id: `SESSION_APP_ID`.
        cached: seconds for which one look at the store counts.
    """

    def __init__(self, store: Store, *, key_prefix: str, app_id: str, cached: int = _CACHED) -> None:
        self._store = store
        self._binding = everybody(app_id)
        self._name = f"{key_prefix}x.{to_text(self._binding)}"
        self._sealer = Sealer(Purpose.REVOCATION, app_id=app_id)
        self._recent: Recent[int | None] = Recent(cached)
        self._kept = False

    def current(self, ring: KeyRing, now: int, *, fresh: bool = False) -> int | None:
        """The epoch that a session needs to be alive; unless it is to be `fresh`, one that was read a moment ago."""
        return self._recent.get(self._name, now, lambda: self._read(ring), fresh=fresh)

    def for_login(self, ring: KeyRing, now: int) -> int | None:
        """The epoch for a session that begins now, as it stands in the store."""
        epoch = self.current(ring, now, fresh=True)
        return self.advance(ring) if epoch == _UNKNOWN else epoch

    def for_cookie(self, ring: KeyRing, now: int) -> int:
        """The epoch for a session in a cookie that begins now.

        It stands from the first one on: a store that lost it has lost what ended sessions too, so all of them are over.
        """
        patience = Patience()
        while (epoch := self.for_login(ring, now)) is None:
            first = int.from_bytes(os.urandom(4))
            if self._written(first, None, ring):
                return first
            patience.wait()
        return epoch

    def advance(self, ring: KeyRing) -> int:
        """End every session that there is; the epoch of those to come."""
        patience = Patience()
        while True:
            stored = self._store.get(self._name)
            epoch = self._opened(stored, ring) if stored else None
            after = int.from_bytes(os.urandom(4)) if epoch in (None, _UNKNOWN) else (epoch + 1) % 2**32
            if self._written(after, stored, ring):
                self._recent.forget(self._name)
                return after
            patience.wait()

    def _read(self, ring: KeyRing) -> int | None:
        stored = self._store.get(self._name)
        epoch = self._opened(stored, ring) if stored else None
        if stored and epoch != _UNKNOWN and not (self._kept and stored.value[4:8] == ring.sealing.id):
            # Once in each process, so that it outlives every session, and the key that it was sealed with.
            self._written(epoch, stored, ring)
            self._kept = True
        return epoch

    def _opened(self, stored: Stored, ring: KeyRing) -> int:
        try:
            return Revocation.unpack(self._sealer.open(stored.value, ring, binding=self._binding)).value
        except TokenRefused:
            return _UNKNOWN

    def _written(self, epoch: int | None, stored: Stored | None, ring: KeyRing) -> bool:
        plaintext = Revocation(RevocationKind.EPOCH, epoch or 0).pack()
        value = self._sealer.seal(plaintext, ring.sealing, binding=self._binding)
        if stored is None:
            return self._store.add(self._name, value, EPOCH_TTL)
        return self._store.replace(self._name, value, EPOCH_TTL, stored.version) is Outcome.DONE


SUPERSEDED = 2**32 - 1
"""The least valid generation of a lineage that another one took the place of when somebody logged in."""

_OVER = 2**32
_SPARE = 60


@dataclass(frozen=True, slots=True)
class Standing:
    """Which cookies of a lineage are good: those of `least` and later generations; and why the others are not."""

    least: int
    reason: EndReason

    @property
    def over(self) -> bool:
        """Whether none is."""
        return self.least == _OVER


class Lineages:
    """Ends self-contained cookies, which no store holds, by one value for each session that was ended or renewed.

    A value says that the session is over, or which generation of its id is the least valid one. It only ever rises, and
    is changed under the version that was read, so that of a new id and an end at once the end wins. One that does not
    open counts as an end: it may be one.

    Args:
        store: where the values are.
        key_prefix: what every name in the store begins with.
        app_id: `SESSION_APP_ID`.
        ring: the keys.
        lifetime: seconds that a session lasts at most. A value outlives every cookie that it speaks of.
        cached: seconds for which one look at the store counts.
    """

    def __init__(
        self,
        store: Store,
        *,
        key_prefix: str,
        app_id: str,
        ring: Callable[[int], KeyRing],
        lifetime: int,
        cached: int = 0,
    ) -> None:
        self._store = store
        self._prefix = key_prefix + "x."
        self._sealer = Sealer(Purpose.REVOCATION, app_id=app_id)
        self._ring = ring
        self._lifetime = lifetime
        self._recent: Recent[Standing] = Recent(cached)

    def standing(self, lineage: Lineage, ring: KeyRing, now: int, *, fresh: bool = False) -> Standing:
        """What stands of a lineage; unless it is to be `fresh`, as it was read a moment ago."""
        return self._recent.get(lineage, now, lambda: self._standing(lineage, self._get(lineage), ring), fresh=fresh)

    def renew(self, lineage: Lineage, least: int, expires_at: int, ring: KeyRing, now: int, *, at_most: int) -> bool:
        """Make a generation the least valid one; False: the least one is beyond `at_most` already, and stays."""
        revocation = Revocation(RevocationKind.LEAST_GENERATION, least)
        return self._raise(lineage, revocation, expires_at, ring, now, at_most=at_most)

    def finish(
        self,
        lineage: Lineage,
        reason: EndReason,
        expires_at: int,
        ring: KeyRing,
        now: int,
        *,
        at_most: int = _OVER,
    ) -> bool:
        """End a lineage; False: its least valid generation is beyond `at_most` already, and stays."""
        return self._raise(lineage, Revocation(RevocationKind.ENDED, reason), expires_at, ring, now, at_most=at_most)

    # For the registry

    def lives(self, entry: Entry) -> bool:
        """Whether a session of a list was saved, and not ended since."""
        now = int(time.time())
        return bool(entry.seen) and not self.standing(Lineage(entry.lineage), self._ring(now), now, fresh=True).over

    def end(self, entry: Entry, reason: EndReason, ring: KeyRing, now: int) -> None:
        """End a session of a list."""
        self.finish(Lineage(entry.lineage), reason, entry.expires, ring, now)

    def _raise(
        self, lineage: Lineage, revocation: Revocation, expires_at: int, ring: KeyRing, now: int, *, at_most: int
    ) -> bool:
        value = self._sealer.seal(revocation.pack(), ring.sealing, binding=lineage.revocation_name)
        # Another request may have logged the session in anew a moment ago: no cookie of it lasts longer than this.
        ttl = max(expires_at - now, self._lifetime) + _SPARE
        patience = Patience()
        while True:
            stored = self._get(lineage)
            before = self._standing(lineage, stored, ring)
            if before.least > at_most or before.least >= _least(revocation):
                self._recent.forget(lineage)
                return before.least <= at_most
            if self._written(lineage, value, ttl, stored):
                self._recent.forget(lineage)
                return True
            patience.wait()

    def _get(self, lineage: Lineage) -> Stored | None:
        return self._store.get(self._name(lineage))

    def _standing(self, lineage: Lineage, stored: Stored | None, ring: KeyRing) -> Standing:
        if stored is None:
            return Standing(0, EndReason.REVOKED)
        try:
            revocation = Revocation.unpack(self._sealer.open(stored.value, ring, binding=lineage.revocation_name))
        except TokenRefused:
            return Standing(_OVER, EndReason.REVOKED)
        return Standing(_least(revocation), _reason(revocation))

    def _written(self, lineage: Lineage, value: bytes, ttl: int, stored: Stored | None) -> bool:
        if stored is None:
            return self._store.add(self._name(lineage), value, ttl)
        return self._store.replace(self._name(lineage), value, ttl, stored.version) is Outcome.DONE

    def _name(self, lineage: Lineage) -> str:
        return self._prefix + to_text(lineage.revocation_name)


class Recent(Generic[V]):
    """Keeps what was read for some seconds; for 0 seconds nothing. Each process has its own."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._kept: dict[Hashable, tuple[int, V]] = {}

    def get(self, key: Hashable, now: int, read: Callable[[], V], *, fresh: bool = False) -> V:
        """What was kept under a key or, if that is too old or it is to be `fresh`, what is read now."""
        kept = None if fresh else self._kept.get(key)
        if kept and 0 <= now - kept[0] < self._seconds:
            return kept[1]
        value = read()
        if self._seconds:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = now, value
        return value

    def forget(self, key: Hashable) -> None:
        """Read it anew the next time."""
        self._kept.pop(key, None)


_MOST_KEPT = 10_000


def _least(revocation: Revocation) -> int:
    return revocation.value if revocation.kind is RevocationKind.LEAST_GENERATION else _OVER


def _reason(revocation: Revocation) -> EndReason:
    if revocation.kind is RevocationKind.LEAST_GENERATION:
        return EndReason.LOGGED_IN if revocation.value == SUPERSEDED else EndReason.REGENERATED
    return EndReason(revocation.value) if revocation.value in list(EndReason) else EndReason.REVOKED
