"""Server-side mode: the token is a sealed reference to a row in a store.

A row holds a `record` or, once the session is over, its tombstone. Its name is a hash of the token's secret, and its
key needs both that secret and the server's key. Ending writes the tombstone over the version that was read, and
nothing is ever written over what was not read, so no request in flight brings a session back.

Any process can die between two writes. The order of writes is chosen so that what is left then is at worst a row that
nobody has a token for.
"""

from __future__ import annotations

import random
import time

from ..crypto.encoding import from_text, to_text
from ..crypto.ids import SessionSecret
from ..crypto.keys import KeyRing
from ..crypto.seal import Purpose, Sealer
from ..errors import ConflictError, Refusal, StoreError, TokenRefused
from ..record import Ended, EndReason, Record, Reference
from ..stores import Outcome, Store, Stored, Version
from . import Change, Opened, Row, Saved

LATE = 60
"""Seconds for which a request may still bring an id that was replaced."""

_SPARE = 60
_PAUSE = 0.05


class ServerSideMode:
    """Opens and makes references, and keeps their rows.

    Args:
        store: where rows are.
        key_prefix: what every name in the store begins with.
        app_id: `SESSION_APP_ID`.
        carrier: what the token travels in; part of what is authenticated.
        compress, pad_to: as `Record.pack` takes them.
    """

    def __init__(
        self,
        store: Store,
        *,
        key_prefix: str,
        app_id: str,
        carrier: str,
        compress: bool = False,
        pad_to: int | None = None,
    ) -> None:
        self._store = store
        self._prefix = key_prefix + "r."
        self._references = Sealer(Purpose.REFERENCE, app_id=app_id, carrier=carrier)
        self._records = Sealer(Purpose.RECORD, app_id=app_id)
        self._tombstones = Sealer(Purpose.ENDED, app_id=app_id)
        self._compress = compress
        self._pad_to = pad_to

    def open(self, token: str, ring: KeyRing, now: int) -> Opened:
        """The session that a token names, in one look at the store; none at all for a token that is not ours."""
        try:
            blob = from_text(token)
        except ValueError:
            raise TokenRefused(Refusal.ENCODING) from None
        reference = Reference.unpack(self._references.open(blob, ring))
        row_id = reference.secret.row_id
        stored = self._store.get(self._name(row_id))
        if stored is None:
            return Opened(ended=_name_of(EndReason.EXPIRED))
        row = Row(reference.secret, row_id, stored.version, reference.expires_at, stale=blob[4:8] != ring.sealing.id)
        if ended := self._tombstone(stored, row_id, ring):
            return Opened(row=row, ended=_name_of(ended.reason), late=_is_recent(ended, now))
        try:
            record = self._record(stored, row, ring)
        except TokenRefused as refused:
            return Opened(row=row, refused=refused.reason)
        if (record.header.created_at, record.header.expires_at) != (reference.created_at, reference.expires_at):
            return Opened(row=row, refused=Refusal.HEADER)
        return Opened(record, row)

    def save(self, change: Change, ring: KeyRing, now: int) -> Saved:
        """Carry out a change: each case in the order of writes that loses and revives nothing."""
        row, record = change.opened.row, change.record
        if record is None:
            if row is not None:
                self._end(change, row, ring, now)
            return Saved()
        if row is None or change.opened.record is None or (change.ends and not change.new_id):
            return self._begin(change, record, ring, now)
        if change.new_id:
            return self._move(change, row, record, ring, now)
        return self._replace(change, row, record, ring, now)

    def _begin(self, change: Change, record: Record, ring: KeyRing, now: int) -> Saved:
        """A session that goes on from nothing.

        A logout before it comes first, so that a crash leaves nobody logged in; its tombstone names what begins, so
        that requests under way know that they are late. The answer to a late one must not overwrite its successor's
        cookie.
        """
        if change.opened.late and not (change.logs_in or change.ends):
            return Saved(refused=True)
        new = SessionSecret.new()
        if change.ends and change.opened.row is not None:
            self._end(change, change.opened.row, ring, now, successor=new.row_id)
        self._add(record, new, ring, now)
        return Saved(record, self._token(record, new, ring))

    def _replace(self, change: Change, row: Row, record: Record, ring: KeyRing, now: int) -> Saved:
        """Write over the version that was read. Somebody else's write is merged with; an ended session stays ended.

        Mere activity is not worth a second look.
        """
        version, patience = row.version, _Patience()
        if change.again:
            caught_up = self._rebased(change, row, ring)
            if caught_up is None:
                return Saved(refused=not change.touch)
            record, version = caught_up
        while True:
            value = self._sealed(record, row.secret, row.row_id, ring)
            outcome = self._store.replace(self._name(row.row_id), value, _ttl(record, now), version)
            if outcome is Outcome.DONE:
                return Saved(record, self._token(record, row.secret, ring) if _is_due(change, row, record) else None)
            if change.touch:
                return Saved()
            rebased = self._rebased(change, row, ring) if outcome is Outcome.CONFLICT else None
            if rebased is None:
                return Saved(refused=True)
            record, version = rebased
            patience.wait()

    def _move(self, change: Change, row: Row, record: Record, ring: KeyRing, now: int) -> Saved:
        """Give a session a new id: the new row first, then the old one's end, then the token.

        Whoever wrote to the old row meanwhile is merged with. Whoever ended it has won, except over a second login of
        the same click: then both have a session, and the browser keeps the later cookie.
        """
        new = SessionSecret.new()
        self._add(record, new, ring, now)
        reason, version, patience = _reason(change), row.version, _Patience()
        try:
            while True:
                outcome = self._bury(row.row_id, version, Ended(now, reason, new.row_id), row.expires_at, ring)
                if outcome is Outcome.DONE:
                    return Saved(record, self._token(record, new, ring))
                rebased = self._rebased(change, row, ring) if outcome is Outcome.CONFLICT else None
                if rebased is None or not self._rewrite(rebased[0], new, ring, now):
                    break
                record, version = rebased
                patience.wait()
        except ConflictError:
            self._store.delete(self._name(new.row_id))
            raise
        if change.logs_in and self._is_double_click(change, row, ring):
            return Saved(record, self._token(record, new, ring))
        if change.ends:
            self._end(change, row, ring, now)
        self._store.delete(self._name(new.row_id))
        return Saved(refused=True)

    def _end(self, change: Change, row: Row, ring: KeyRing, now: int, *, successor: bytes | None = None) -> None:
        """Log out: end the row, or the one that took its place a moment ago. It needs no key to read what it ends."""
        last = (row.row_id, row.version) if change.opened.record else self._last(change, row.row_id, ring)
        ended, patience = Ended(now, EndReason.LOGGED_OUT, successor), _Patience()
        while last is not None and self._bury(*last, ended, row.expires_at, ring) is not Outcome.DONE:
            patience.wait()
            last = self._last(change, row.row_id, ring)

    def _last(self, change: Change, row_id: bytes, ring: KeyRing) -> tuple[bytes, Version] | None:
        """The row that now stands for an id, following those given up a moment ago; None where the session is over."""
        stored = self._store.get(self._name(row_id))
        while stored is not None and (ended := self._tombstone(stored, row_id, ring)):
            if ended.reason not in _CONTINUED or not _is_recent(ended, change.began) or ended.successor is None:
                return None
            row_id, stored = ended.successor, self._store.get(self._name(ended.successor))
        return None if stored is None else (row_id, stored.version)

    def _is_double_click(self, change: Change, row: Row, ring: KeyRing) -> bool:
        """Whether the old id was given up for another login a moment ago, and that one stands."""
        stored = self._store.get(self._name(row.row_id))
        ended = stored and self._tombstone(stored, row.row_id, ring)
        if not ended or ended.reason is not EndReason.LOGGED_IN or ended.successor is None:
            return False
        return _is_recent(ended, change.began) and self._last(change, ended.successor, ring) is not None

    def _rebased(self, change: Change, row: Row, ring: KeyRing) -> tuple[Record, Version] | None:
        """This request's changes on top of what stands in the row now; None where that is over or does not open."""
        stored = self._store.get(self._name(row.row_id))
        if stored is None:
            return None
        try:
            return change.rebase(self._record(stored, row, ring)), stored.version
        except TokenRefused:
            return None

    # Single steps

    def _add(self, record: Record, secret: SessionSecret, ring: KeyRing, now: int) -> None:
        value = self._sealed(record, secret, secret.row_id, ring)
        if not self._store.add(self._name(secret.row_id), value, _ttl(record, now)):
            raise StoreError("The store already holds a row under a name that was just drawn at random.")

    def _rewrite(self, record: Record, secret: SessionSecret, ring: KeyRing, now: int) -> bool:
        """Write a row of our own a second time. Its version is read first, since `add` tells none."""
        row_id = secret.row_id
        stored = self._store.get(self._name(row_id))
        if stored is None:
            return False
        value = self._sealed(record, secret, row_id, ring)
        return self._store.replace(self._name(row_id), value, _ttl(record, now), stored.version) is Outcome.DONE

    def _bury(self, row_id: bytes, version: Version, ended: Ended, expires_at: int, ring: KeyRing) -> Outcome:
        value = self._tombstones.seal(ended.pack(), ring.sealing, binding=row_id)
        return self._store.replace(self._name(row_id), value, max(1, expires_at - ended.when + _SPARE), version)

    def _record(self, stored: Stored, row: Row, ring: KeyRing) -> Record:
        return Record.unpack(self._records.open(stored.value, ring, secret=row.secret, binding=row.row_id))

    def _tombstone(self, stored: Stored, row_id: bytes, ring: KeyRing) -> Ended | None:
        if stored.value[3:4] != bytes([Purpose.ENDED]):  # spares the opening; what opens is what counts
            return None
        try:
            return Ended.unpack(self._tombstones.open(stored.value, ring, binding=row_id))
        except TokenRefused:
            return None

    def _sealed(self, record: Record, secret: SessionSecret, row_id: bytes, ring: KeyRing) -> bytes:
        plaintext = record.pack(compress=self._compress, pad_to=self._pad_to)
        return self._records.seal(plaintext, ring.sealing, secret=secret, binding=row_id)

    def _token(self, record: Record, secret: SessionSecret, ring: KeyRing) -> str:
        reference = Reference(record.header.created_at, record.header.expires_at, secret)
        return to_text(self._references.seal(reference.pack(), ring.sealing))

    def _name(self, row_id: bytes) -> str:
        return self._prefix + to_text(row_id)


_CONTINUED = (EndReason.REGENERATED, EndReason.LOGGED_IN)
"""Reasons for which an id goes on under another."""


def _reason(change: Change) -> EndReason:
    if change.ends:
        return EndReason.LOGGED_OUT
    return EndReason.LOGGED_IN if change.logs_in else EndReason.REGENERATED


def _name_of(reason: EndReason) -> str:
    return reason.name.lower()


def _is_recent(ended: Ended, began: int) -> bool:
    """Whether an id was given up for another so shortly before a request began that the browser may not have known."""
    return ended.successor is not None and began - ended.when < LATE


def _ttl(record: Record, now: int) -> int:
    """The rest of the session's life and a minute: neither skew nor a coarse clock of the store ends it early."""
    return max(1, record.header.expires_at - now + _SPARE)


def _is_due(change: Change, row: Row, record: Record) -> bool:
    """Whether a write that keeps its id needs its token set again: under the newest key, or for another lifetime."""
    before = change.opened.record
    return row.stale or (before is not None and before.header.permanent != record.header.permanent)


class _Patience:
    """Waits a little after a conflict: it means that somebody else got through, so this gives up late, and for good."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._tries = 0

    def wait(self) -> None:
        """Pause, or raise ConflictError after 10 seconds, or after 2 and 50 tries."""
        self._tries += 1
        waited = time.monotonic() - self._start
        if waited > 10 or (waited > 2 and self._tries >= 50):
            raise ConflictError("Other requests kept changing this session for too long. Try again.")
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - nothing secret
