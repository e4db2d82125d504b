"""Server-side mode: the token is a sealed reference to a row in a store.

A row holds a `record`, once the session is over its tombstone, and once its id was renewed the successor's secret,
sealed with the row's own key: whoever brings the old token is led on, and nobody else. Its name is a hash of the
token's secret, and its key needs both that secret and the server's key. Ending writes the tombstone over the version
that was read, and nothing is ever written over what was not read, so no request in flight brings a session back.

Any process can die between two writes. The order of writes is chosen so that what is left then is at worst a row that
nobody has a token for.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from .. import policy
from ..crypto.encoding import from_text, to_text
from ..crypto.ids import SessionSecret
from ..crypto.keys import KeyRing
from ..crypto.seal import Purpose, Sealer
from ..errors import ConflictError, Refusal, StoreError, TokenRefused
from ..patience import Patience
from ..record import Ended, EndReason, Header, Moved, Record, Reference
from ..registry import Admission, Registry
from ..revocation import EpochOfAll
from ..stores import Outcome, Stored
from . import Change, Opened, Row, Saved
from .rows import SPARE, Rows

LATE = 60
"""Seconds for which a request may still bring an id that was replaced."""

MOVED_FOR = 86400
"""Seconds for which a renewed id leads to its successor at most."""


class ServerSideMode:
    """Opens and makes references, and keeps their rows.

    Args:
        rows: where they are.
        registry: the users' lists; None: there are none.
        epoch: the epoch of all; None: there is none.
        app_id: `SESSION_APP_ID`.
        carrier: what the token travels in; part of what is authenticated.
        renewal_interval: seconds for which an id is in use.
        revokes_clones: end a session of which a copy was used; otherwise that is only reported.
        compress, pad_to: as `Record.pack` takes them.
    """

    def __init__(
        self,
        rows: Rows,
        registry: Registry | None = None,
        epoch: EpochOfAll | None = None,
        *,
        app_id: str,
        carrier: str,
        renewal_interval: int = 3600,
        revokes_clones: bool = False,
        compress: bool = False,
        pad_to: int | None = None,
    ) -> None:
        self._rows = rows
        self._registry = registry
        self._epoch = epoch
        self._references = Sealer(Purpose.REFERENCE, app_id=app_id, carrier=carrier)
        self._records = Sealer(Purpose.RECORD, app_id=app_id)
        self._moves = Sealer(Purpose.MOVED, app_id=app_id)
        self._renewal_interval = renewal_interval
        self._revokes_clones = revokes_clones
        self._compress = compress
        self._pad_to = pad_to

    def open(self, token: str, ring: KeyRing, now: int) -> Opened:
        """The session that a token names, in one look at the store; none at all for a token that is not ours.

        The look at a renewed id is followed by one at its successor.
        """
        try:
            blob = from_text(token)
        except ValueError:
            raise TokenRefused(Refusal.ENCODING) from None
        reference = Reference.unpack(self._references.open(blob, ring))
        return self._at(reference, ring, now, stale=blob[4:8] != ring.sealing.id)

    def _at(self, reference: Reference, ring: KeyRing, now: int, *, stale: bool, followed: bool = False) -> Opened:
        row_id = reference.secret.row_id
        stored = self._rows.get(row_id)
        if stored is None:
            return Opened(ended=_name_of(EndReason.EXPIRED))
        row = Row(reference.secret, row_id, stored.version, reference.expires_at, stale, followed)
        if stored.value[3:4] != _RECORD:
            if ended := self._rows.tombstone(stored, row_id, ring):
                return Opened(row=row, ended=_name_of(ended.reason), late=_is_recent(ended, now))
            if moved := self._moved(stored, row, ring):
                return self._followed(moved, row, reference, ring, now)
        try:
            record = self._record(stored, row, ring)
        except TokenRefused as refused:
            return Opened(row=row, refused=refused.reason)
        if (record.header.created_at, record.header.expires_at) != (reference.created_at, reference.expires_at):
            return Opened(row=row, refused=Refusal.HEADER)
        if self._epoch and record.header.metadata.all_epoch != self._epoch.current(ring, now):
            return Opened(row=row, ended=_name_of(EndReason.REVOKED))
        return Opened(record, row)

    def _followed(self, moved: Moved, row: Row, reference: Reference, ring: KeyRing, now: int) -> Opened:
        """What an id comes to that was renewed: its session, whose browser may not have heard of the next id yet.

        Once the next one has been in use for a while nobody should have the old one any more. One whose successor was
        renewed as well is older still, unless the request was under way all the time.
        """
        if row.followed:
            return Opened(row=row, ended=_RENEWED, late=now < moved.when - LATE)
        if (moved.created_at, moved.expires_at) != (reference.created_at, reference.expires_at):
            return Opened(row=row, refused=Refusal.HEADER)
        opened = self._at(replace(reference, secret=moved.successor), ring, now, stale=row.stale, followed=True)
        if opened.record is None:
            return self._copied(row, ring, now) if opened.ended == _RENEWED and not opened.late else opened
        header = opened.record.header
        return self._copied(row, ring, now) if header.confirmed and now - header.renewed_at > LATE else opened

    def _copied(self, row: Row, ring: KeyRing, now: int) -> Opened:
        """A renewed id that somebody kept. Whose copy it is cannot be known, so it opens nothing."""
        found = self._tip(row, ring)
        try:
            record = found and self._record(found[1], found[0], ring)
        except TokenRefused:
            record = None
        if found is None or record is None:
            return Opened(row=row, ended=_RENEWED)
        if self._revokes_clones:
            self._bury(found[0], row, Ended(now, EndReason.CLONED), ring, now)
        return Opened(row=row, ended=_name_of(EndReason.CLONED), cloned=record.header.lineage)

    def admit(self, header: Header, ring: KeyRing, now: int) -> Admission | None:
        """What the registry says of a login that begins."""
        return self._registry.admit(header, ring, now) if self._registry else None

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
        if change.may_renew and policy.renewal_due(change.opened.record.header, self._renewal_interval, now):
            return self._renew(change, row, record, ring, now)
        return self._replace(change, row, record, ring, now)

    def _begin(self, change: Change, record: Record, ring: KeyRing, now: int) -> Saved:
        """A session that goes on from nothing.

        A logout before it comes first, so that a crash leaves nobody logged in; its tombstone names what begins, so
        that requests under way know that they are late. The answer to a late one must not overwrite its successor's
        cookie.
        """
        if change.opened.late and not (change.logs_in or change.ends):
            return Saved(refused=True)
        new = _secret(change)
        if change.ends and change.opened.row is not None:
            self._end(change, change.opened.row, ring, now, successor=new.row_id)
        record = _with_epoch(record, self._epoch_for(change, ring, now))
        self._add(record, new, ring, now)
        if not self._is_enrolled(change, record, new, ring, now):
            self._rows.delete(new.row_id)
            return Saved(refused=True)
        return Saved(record, self._token(record, new, ring))

    def _replace(self, change: Change, row: Row, record: Record, ring: KeyRing, now: int) -> Saved:
        """Write over the version that was read. Somebody else's write is merged with; an ended session stays ended.

        Mere activity is not worth a second look.
        """
        patience = Patience()
        if change.again:
            caught_up = self._rebased(change, row, ring)
            if caught_up is None:
                return Saved(refused=not change.touch)
            record, row = caught_up
        while True:
            value = self._sealed(record, row.secret, row.row_id, ring)
            outcome = self._rows.replace(row.row_id, value, _ttl(record, now), row.version)
            if outcome is Outcome.DONE:
                token = self._token(record, row.secret, ring) if _is_due(change, row, record) else None
                return Saved(record, token, row=row)
            if change.touch:
                return Saved()
            rebased = self._rebased(change, row, ring) if outcome is Outcome.CONFLICT else None
            if rebased is None:
                return Saved(refused=True)
            record, row = rebased
            patience.wait()

    def _renew(self, change: Change, row: Row, record: Record, ring: KeyRing, now: int) -> Saved:
        """Give a session a new id for its age: the new row first, then its user's list, then the old row leads on.

        Nothing is lost where that cannot be: whoever is not in the list is written to where it stands, and of two who
        renew at once the second writes to the successor of the first.
        """
        new = SessionSecret.new()
        renewed = _renewed(record, now)
        self._add(renewed, new, ring, now)
        if not self._is_enrolled(change, renewed, new, ring, now):
            self._rows.delete(new.row_id)
            return self._replace(change, row, record, ring, now)
        moved = Moved(record.header.created_at, record.header.expires_at, new, now).pack()
        value = self._moves.seal(moved, ring.sealing, secret=row.secret, binding=row.row_id)
        ttl, patience = min(_ttl(record, now), MOVED_FOR), Patience()
        try:
            while (outcome := self._rows.replace(row.row_id, value, ttl, row.version)) is Outcome.CONFLICT:
                rebased = self._rebased(change, row, ring)
                if rebased is None:
                    break
                record, row = rebased
                if row.followed:
                    self._rows.delete(new.row_id)
                    return self._replace(change, row, record, ring, now)
                renewed = _renewed(record, now)
                if not self._rewrite(renewed, new, ring, now):
                    break
                patience.wait()
        except ConflictError:
            self._rows.delete(new.row_id)
            raise
        if outcome is Outcome.DONE:
            return Saved(renewed, self._token(renewed, new, ring), renewed=True)
        self._rows.delete(new.row_id)
        return Saved(refused=not change.touch)

    def _move(self, change: Change, row: Row, record: Record, ring: KeyRing, now: int) -> Saved:
        """Give a session a new id: the new row first, then its user's list, then the old row's end, then the token.

        Whoever wrote to the old row meanwhile is merged with. Whoever ended it has won, except over a second login of
        the same click: then both have a session, and the browser keeps the later cookie.
        """
        new, epoch = _secret(change), self._epoch_for(change, ring, now)
        record = _with_epoch(record, epoch)
        self._add(record, new, ring, now)
        if not self._is_enrolled(change, record, new, ring, now):
            self._rows.delete(new.row_id)
            return Saved(refused=True)
        ended, patience = Ended(now, _reason(change), new.row_id), Patience()
        try:
            while True:
                outcome = self._rows.bury(row.row_id, row.version, ended, row.expires_at, ring)
                if outcome is Outcome.DONE:
                    return Saved(record, self._token(record, new, ring))
                rebased = self._rebased(change, row, ring) if outcome is Outcome.CONFLICT else None
                if rebased is None:
                    break
                record, row = _with_epoch(rebased[0], epoch), rebased[1]
                if not self._rewrite(record, new, ring, now):
                    break
                patience.wait()
        except ConflictError:
            self._rows.delete(new.row_id)
            raise
        if change.logs_in and self._is_double_click(change, row, ring):
            return Saved(record, self._token(record, new, ring))
        if change.ends:
            self._end(change, row, ring, now)
        self._rows.delete(new.row_id)
        return Saved(refused=True)

    def _end(self, change: Change, row: Row, ring: KeyRing, now: int, *, successor: bytes | None = None) -> None:
        """Log out: end the row, or the one that took its place a moment ago. It needs no key to read what it ends."""
        last = row if change.opened.record else self._last(row, ring, change.began)
        self._bury(last, row, Ended(now, EndReason.LOGGED_OUT, successor), ring, change.began)

    def _bury(self, last: Row | None, row: Row, ended: Ended, ring: KeyRing, began: int) -> None:
        """Write a tombstone over what stands for an id, however often that changes meanwhile."""
        patience = Patience()
        while last is not None:
            if self._rows.bury(last.row_id, last.version, ended, row.expires_at, ring) is Outcome.DONE:
                return
            patience.wait()
            last = self._last(row, ring, began)

    def _last(self, row: Row, ring: KeyRing, began: int) -> Row | None:
        """The row that now stands for an id, following those renewed, and those given up a moment ago.

        None where the session is over.
        """
        found = self._tip(row, ring)
        while found is not None and (ended := self._rows.tombstone(found[1], found[0].row_id, ring)):
            if ended.reason not in _CONTINUED or not _is_recent(ended, began) or ended.successor is None:
                return None
            # A tombstone tells no secret, so from here on only tombstones can be followed.
            found = self._tip(replace(row, row_id=ended.successor), ring)
        return found and found[0]

    def _tip(self, row: Row, ring: KeyRing) -> tuple[Row, Stored] | None:
        """What stands in a row, or where its renewals lead; None where nothing does.

        Each id was renewed later than the one before, so nobody is led in a circle.
        """
        stored, since = self._rows.get(row.row_id), -1
        while stored is not None and (moved := self._moved(stored, row, ring)) and moved.when > since:
            since, secret = moved.when, moved.successor
            row = replace(row, secret=secret, row_id=secret.row_id, followed=True)
            stored = self._rows.get(row.row_id)
        return None if stored is None else (replace(row, version=stored.version), stored)

    def _is_double_click(self, change: Change, row: Row, ring: KeyRing) -> bool:
        """Whether the old id was given up for another login a moment ago, and that one stands."""
        stored = self._rows.get(row.row_id)
        ended = stored and self._rows.tombstone(stored, row.row_id, ring)
        if not ended or ended.reason is not EndReason.LOGGED_IN or ended.successor is None:
            return False
        successor = replace(row, row_id=ended.successor)
        return _is_recent(ended, change.began) and self._last(successor, ring, change.began) is not None

    def _rebased(self, change: Change, row: Row, ring: KeyRing) -> tuple[Record, Row] | None:
        """This request's changes on top of what stands in the row now, or where its renewal leads.

        None where that is over or does not open.
        """
        found = self._tip(row, ring)
        if found is None:
            return None
        row, stored = found
        try:
            return change.rebase(self._record(stored, row, ring)), row
        except TokenRefused:
            return None

    # Single steps

    def _is_enrolled(self, change: Change, record: Record, new: SessionSecret, ring: KeyRing, now: int) -> bool:
        """List the new id of a user's session; False where it was revoked meanwhile."""
        if self._registry is None:
            return True
        login = change.logs_in or change.opened.record is None
        return self._registry.enroll(
            record.header, new.row_id, ring, now, login=login, admission=change.admission, device=change.device
        )

    def _epoch_for(self, change: Change, ring: KeyRing, now: int) -> int | None:
        """The epoch of all for a new id. Only a login gets a later one than the session before had."""
        if self._epoch is None:
            return None
        if change.logs_in:
            return self._epoch.for_login(ring, now)
        before = change.opened.record
        return before.header.metadata.all_epoch if before else self._epoch.current(ring, now)

    def _add(self, record: Record, secret: SessionSecret, ring: KeyRing, now: int) -> None:
        value = self._sealed(record, secret, secret.row_id, ring)
        if not self._rows.add(secret.row_id, value, _ttl(record, now)):
            raise StoreError("The store already holds a row under a name that was just drawn at random.")

    def _rewrite(self, record: Record, secret: SessionSecret, ring: KeyRing, now: int) -> bool:
        """Write a row of our own a second time. Its version is read first, since `add` tells none."""
        row_id = secret.row_id
        stored = self._rows.get(row_id)
        if stored is None:
            return False
        value = self._sealed(record, secret, row_id, ring)
        return self._rows.replace(row_id, value, _ttl(record, now), stored.version) is Outcome.DONE

    def _moved(self, stored: Stored, row: Row, ring: KeyRing) -> Moved | None:
        """Where a row leads whose id was renewed, if it was."""
        if stored.value[3:4] != _MOVED:
            return None
        try:
            return Moved.unpack(self._moves.open(stored.value, ring, secret=row.secret, binding=row.row_id))
        except TokenRefused:
            return None

    def _record(self, stored: Stored, row: Row, ring: KeyRing) -> Record:
        return Record.unpack(self._records.open(stored.value, ring, secret=row.secret, binding=row.row_id))

    def _sealed(self, record: Record, secret: SessionSecret, row_id: bytes, ring: KeyRing) -> bytes:
        plaintext = record.pack(compress=self._compress, pad_to=self._pad_to)
        return self._records.seal(plaintext, ring.sealing, secret=secret, binding=row_id)

    def _token(self, record: Record, secret: SessionSecret, ring: KeyRing) -> str:
        reference = Reference(record.header.created_at, record.header.expires_at, secret)
        return to_text(self._references.seal(reference.pack(), ring.sealing))


_RECORD, _MOVED = bytes([Purpose.RECORD]), bytes([Purpose.MOVED])
_RENEWED = "renewed"
_CONTINUED = (EndReason.REGENERATED, EndReason.LOGGED_IN)
"""Reasons for which an id goes on under another."""


def _reason(change: Change) -> EndReason:
    if change.ends:
        return EndReason.LOGGED_OUT
    return EndReason.LOGGED_IN if change.logs_in else EndReason.REGENERATED


def _secret(change: Change) -> SessionSecret:
    """The new id's secret: the one that has a slot in the user's list already, or a new one."""
    return (change.admission and change.admission.secret) or SessionSecret.new()


def _renewed(record: Record, now: int) -> Record:
    return replace(record, header=policy.renew(record.header, now))


def _with_epoch(record: Record, epoch: int | None) -> Record:
    metadata = msgspec.structs.replace(record.header.metadata, all_epoch=epoch)
    return replace(record, header=replace(record.header, metadata=metadata))


def _name_of(reason: EndReason) -> str:
    return reason.name.lower()


def _is_recent(ended: Ended, began: int) -> bool:
    """Whether an id was given up for another so shortly before a request began that the browser may not have known."""
    return ended.successor is not None and began - ended.when < LATE


def _ttl(record: Record, now: int) -> int:
    """The rest of the session's life and a minute: neither skew nor a coarse clock of the store ends it early."""
    return max(1, record.header.expires_at - now + SPARE)


def _is_due(change: Change, row: Row, record: Record) -> bool:
    """Whether a write that keeps its id needs its token set: under the newest key, for another lifetime, or at all."""
    before = change.opened.record
    return row.stale or row.followed or (before is not None and before.header.permanent != record.header.permanent)
