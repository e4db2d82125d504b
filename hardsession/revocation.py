"""What ends sessions that nobody can find one by one: the epoch of all."""

from __future__ import annotations

import os

from .crypto.encoding import to_text
from .crypto.ids import everybody
from .crypto.keys import KeyRing
from .crypto.seal import Purpose, Sealer
from .errors import TokenRefused
from .patience import Patience
from .record import Revocation, RevocationKind
from .stores import Outcome, Store, Stored

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
    """

    def __init__(self, store: Store, *, key_prefix: str, app_id: str) -> None:
        self._store = store
        self._binding = everybody(app_id)
        self._name = f"{key_prefix}x.{to_text(self._binding)}"
        self._sealer = Sealer(Purpose.REVOCATION, app_id=app_id)
        self._seen: tuple[int, int | None] | None = None
        self._kept = False

    def current(self, ring: KeyRing, now: int) -> int | None:
        """The epoch that a session needs to be alive, at most 5 seconds old."""
        seen = self._seen
        return seen[1] if seen and 0 <= now - seen[0] < _CACHED else self._read(ring, now)

    def for_login(self, ring: KeyRing, now: int) -> int | None:
        """The epoch for a session that begins now, as it stands in the store."""
        epoch = self._read(ring, now)
        return self.advance(ring, now) if epoch == _UNKNOWN else epoch

    def advance(self, ring: KeyRing, now: int) -> int:
        """End every session that there is; the epoch of those to come."""
        patience = Patience()
        while True:
            stored = self._store.get(self._name)
            epoch = self._opened(stored, ring) if stored else None
            after = int.from_bytes(os.urandom(4)) if epoch in (None, _UNKNOWN) else (epoch + 1) % 2**32
            if self._written(after, stored, ring):
                self._seen = now, after
                return after
            patience.wait()

    def _read(self, ring: KeyRing, now: int) -> int | None:
        stored = self._store.get(self._name)
        epoch = self._opened(stored, ring) if stored else None
        if stored and epoch != _UNKNOWN and not (self._kept and stored.value[4:8] == ring.sealing.id):
            # Once in each process, so that it outlives every session, and the key that it was sealed with.
            self._written(epoch, stored, ring)
            self._kept = True
        self._seen = now, epoch
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
