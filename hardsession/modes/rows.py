"""The rows of sessions in a store, as far as they can be handled without the secret of a token."""

from __future__ import annotations

from ..crypto.encoding import to_text
from ..crypto.keys import KeyRing
from ..crypto.seal import Purpose, Sealer
from ..errors import TokenRefused
from ..patience import Patience
from ..record import Ended, EndReason, Entry
from ..stores import Outcome, Store, Stored, Version

SPARE = 60
"""Seconds for which a row outlives its session: neither skew nor a coarse clock of the store ends one early."""


_OVER = (bytes([Purpose.ENDED]), bytes([Purpose.MOVED]))
"""What a row holds that no session stands in: it ended, or is in another row of the same entry."""


class Rows:
    """Names rows, and ends them. It needs no key to end one.

    Args:
        store: where they are.
        key_prefix: what every name in the store begins with.
        app_id: `SESSION_APP_ID`.
    """

    def __init__(self, store: Store, *, key_prefix: str, app_id: str) -> None:
        self._store = store
        self._prefix = key_prefix + "r."
        self._tombstones = Sealer(Purpose.ENDED, app_id=app_id)

    def get(self, row_id: bytes) -> Stored | None:
        """What stands under a row's name."""
        return self._store.get(self._name(row_id))

    def add(self, row_id: bytes, value: bytes, ttl: int) -> bool:
        """Write a row that is not there yet."""
        return self._store.add(self._name(row_id), value, ttl)

    def replace(self, row_id: bytes, value: bytes, ttl: int, version: Version) -> Outcome:
        """Write over the version that was read."""
        return self._store.replace(self._name(row_id), value, ttl, version)

    def delete(self, row_id: bytes) -> None:
        """Remove a row that nobody has a token for."""
        self._store.delete(self._name(row_id))

    def tombstone(self, stored: Stored, row_id: bytes, ring: KeyRing) -> Ended | None:
        """The tombstone that stands in a row, if one does."""
        if stored.value[3:4] != bytes([Purpose.ENDED]):  # spares the opening; what opens is what counts
            return None
        try:
            return Ended.unpack(self._tombstones.open(stored.value, ring, binding=row_id))
        except TokenRefused:
            return None

    def bury(self, row_id: bytes, version: Version, ended: Ended, expires_at: int, ring: KeyRing) -> Outcome:
        """Write a tombstone over the version that was read, for as long as the session could have lasted."""
        value = self._tombstones.seal(ended.pack(), ring.sealing, binding=row_id)
        return self.replace(row_id, value, max(1, expires_at - ended.when + SPARE), version)

    # For the registry

    def lives(self, entry: Entry) -> bool:
        """Whether a session still stands in any of an entry's rows."""
        found = (self.get(row_id) for row_id in entry.rows)
        return any(stored is not None and stored.value[3:4] not in _OVER for stored in found)

    def end(self, entry: Entry, reason: EndReason, ring: KeyRing, now: int) -> None:
        """End whatever stands in an entry's rows, however often somebody writes to it meanwhile."""
        for row_id in entry.rows:
            patience = Patience()
            while (stored := self.get(row_id)) is not None and self.tombstone(stored, row_id, ring) is None:
                if self.bury(row_id, stored.version, Ended(now, reason), entry.expires, ring) is Outcome.DONE:
                    break
                patience.wait()

    def _name(self, row_id: bytes) -> str:
        return self._prefix + to_text(row_id)
