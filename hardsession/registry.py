"""A user's sessions, in one sealed value for each user: list them, end them, cap them.

Built on the four verbs of a store alone. A list is changed by reading it and replacing it under the version that was
read, so what two logins at once make of it is what one after the other would have: a cap holds.

An entry leaves the list only after its session is ended. One that is to be ended is marked first, so that whoever
finds the mark finishes what a process that died had begun.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from typing import Protocol, cast

import msgspec

from .crypto.encoding import to_text
from .crypto.ids import Lineage, SessionSecret
from .crypto.keys import KeyRing
from .crypto.seal import Purpose, Sealer
from .devices import UNKNOWN, Device
from .errors import SessionLimitError, StoreError, TokenRefused
from .patience import Patience
from .record import EndReason, Entry, Header, UserList
from .stores import Outcome, Store, Version

CEILING = 1000
"""Sessions of one user, whatever the settings say."""

_MOST_ROWS = 8
_SLOT = 60
_SPARE = 60


class Ends(Protocol):
    """What can end the session of an entry, and tell whether it lives: another thing in each mode."""

    def lives(self, entry: Entry) -> bool:
        """Whether anything can still be done with it."""

    def end(self, entry: Entry, reason: EndReason, ring: KeyRing, now: int) -> None:
        """End it, whoever writes to it meanwhile."""


@dataclass(frozen=True, slots=True)
class UserSession:
    """One of a user's sessions, as he sees it in a list of his devices.

    `handle` names it and opens nothing. `last_renewed_at` is when it last got a new id: activity alone is not written
    into the list. `label` is the browser and the system in words; `address` is empty unless `SESSION_RECORD_ADDRESS`
    is on. `current` marks the one that asks.
    """

    handle: str
    created_at: datetime
    last_renewed_at: datetime
    expires_at: datetime
    label: str
    address: str = field(repr=False)
    current: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """One of the names that a user's list can stand under, and what was read there."""

    user_key: bytes
    version: Version | None = None
    user: UserList | None = field(default=None, repr=False)


_Read = tuple[UserList | None, list[_Place]]


@dataclass(frozen=True, slots=True)
class Admission:
    """What a user's list said when he logged in: the login counts only if his epoch is still that when it is saved.

    `secret` is of the row that has a slot in the list already, where no login may push another session out.
    """

    epoch: int
    read: _Read | None = field(default=None, repr=False)
    secret: SessionSecret | None = None


class _NotListed(Exception):
    """A session that its user's list does not have, or has as one that ends."""


class Registry:
    """Keeps the lists.

    Args:
        store: where they are.
        key_prefix: what every name in the store begins with.
        app_id: `SESSION_APP_ID`.
        ends: what ends a session.
        most: sessions of one user; None: `CEILING`.
        refuses: whether a login over the cap is refused; otherwise it ends the oldest session.
        least_ttl: seconds for which a list stays at least, for the sake of its epoch.
    """

    def __init__(
        self,
        store: Store,
        *,
        key_prefix: str,
        app_id: str,
        ends: Ends,
        most: int | None = None,
        refuses: bool = False,
        least_ttl: int = 86400,
    ) -> None:
        self._store = store
        self._key_prefix = key_prefix
        self._app_id = app_id
        self._sealer = Sealer(Purpose.USER, app_id=app_id)
        self._ends = ends
        self._most = min(most or CEILING, CEILING)
        self._refuses = refuses
        self._least_ttl = least_ttl

    def admit(self, header: Header, ring: KeyRing, now: int) -> Admission:
        """A login begins: note the user's epoch and, where logins are refused, take a slot.

        Raise SessionLimitError where there is none.
        """
        owner = cast("str", header.metadata.owner)
        if not self._refuses:
            return self.note(owner, ring, now)
        secret = SessionSecret.new()
        entry = msgspec.structs.replace(_entry(header, secret.row_id, UNKNOWN, now), seen=_SLOT_ONLY)
        user = self._change(owner, ring, now, lambda user: self._joined(user, entry, now, refuses=True))
        return Admission(user.epoch, secret=secret)

    def note(self, user_id: str, ring: KeyRing, now: int) -> Admission:
        """A user's epoch. It stands in the store from now on."""
        read = self._read(user_id, ring)
        if read[0]:
            return Admission(read[0].epoch, read)
        return Admission(self._change(user_id, ring, now, lambda user: user).epoch)

    def epoch(self, user_id: str, ring: KeyRing) -> int | None:
        """A user's epoch; None where there is none."""
        user, _ = self._read(user_id, ring)
        return user.epoch if user else None

    def enroll(
        self,
        header: Header,
        row_id: bytes | None,
        ring: KeyRing,
        now: int,
        *,
        login: bool,
        admission: Admission | None = None,
        device: Device = UNKNOWN,
    ) -> bool:
        """List a session's new id, which its user may have from now on; False: it must not be used.

        A login enters the list, and whoever has to leave it for that is ended. Any other new id is one of a session
        that is listed.
        """
        owner = header.metadata.owner
        if owner is None:
            return True
        entry = _entry(header, row_id, device, now)

        def join(user: UserList) -> UserList:
            listed = _find(user.entries, entry.lineage)
            enters = login and not (admission and admission.secret)
            if (admission and user.epoch != admission.epoch) or (listed.ending if listed else not enters):
                raise _NotListed
            return self._joined(user, entry, now)

        try:
            user = self._change(owner, ring, now, join, read=admission.read if admission else None)
        except _NotListed:
            return False
        for other in user.entries:
            if other.ending:
                self._ends.end(other, EndReason.EVICTED, ring, now)
        return True

    def sessions(self, user_id: str, ring: KeyRing, now: int, *, current: str | None = None) -> list[UserSession]:
        """The sessions of a user that live, the newest first."""
        user, _ = self._read(user_id, ring)
        entries = user.entries if user else ()
        live = [entry for entry in entries if not entry.ending and entry.expires > now and self._ends.lives(entry)]
        return [_shown(entry, current) for entry in sorted(live, key=lambda entry: entry.created, reverse=True)]

    def revoke(
        self, user_id: str, ring: KeyRing, now: int, which: Callable[[Entry], bool], *, everything: bool = False
    ) -> list[Lineage]:
        """End the chosen sessions of a user; which those were.

        `everything` also fails every login of the user that is under way.
        """
        revoked: dict[bytes, None] = {}
        patience = Patience()
        while True:
            user, places = self._read(user_id, ring)
            user = user or _new_list(user_id)
            chosen = [entry for entry in user.entries if which(entry)]
            for entry in chosen:
                self._ends.end(entry, EndReason.REVOKED, ring, now)
            revoked |= dict.fromkeys(entry.lineage for entry in chosen)
            epoch = (user.epoch + everything) % 2**32
            after = UserList(epoch, user_id, tuple(entry for entry in user.entries if entry not in chosen))
            if not (chosen or everything) or self._write(places, after, ring, now, user.entries):
                return [Lineage(lineage) for lineage in revoked]
            patience.wait()

    # The list

    def _joined(self, user: UserList, entry: Entry, now: int, *, refuses: bool = False) -> UserList:
        """The list with an entry more, or with one more row of an entry that is there.

        Entries that are over leave, and where that is not enough the oldest ones are marked.
        """
        listed = _find(user.entries, entry.lineage)
        others = [other for other in user.entries if other is not listed and other.expires > now]
        if listed is not None:
            entry = self._with_rows(entry, listed)
        if _count(others) >= self._most:
            others = [other for other in others if _is_slot(other, now) or self._ends.lives(other)]
        surplus = _count(others) + 1 - self._most
        if surplus > 0 and refuses:
            raise SessionLimitError(self._most)
        oldest = sorted((other for other in others if not other.ending), key=lambda other: other.created)
        leaving = {other.lineage for other in oldest[: max(0, surplus)]}
        kept = [msgspec.structs.replace(other, ending=True) if other.lineage in leaving else other for other in others]
        return UserList(user.epoch, user.user_id, (*kept, entry))

    def _with_rows(self, entry: Entry, listed: Entry) -> Entry:
        """One more row of the same session. Those before are kept until known to be over, to be ended with it.

        A session in a cookie has none; what stands there held its slot.
        """
        rows = (*(row for row in listed.rows if entry.rows and row not in entry.rows), *entry.rows)
        if len(rows) > _MOST_ROWS:
            rows = tuple(row for row in rows if row in entry.rows or self._ends.lives(_only(listed, row)))
        device = (entry.label or listed.label, entry.address or listed.address)
        return msgspec.structs.replace(entry, rows=rows, label=device[0], address=device[1])

    def _change(
        self,
        user_id: str,
        ring: KeyRing,
        now: int,
        change: Callable[[UserList], UserList],
        *,
        read: _Read | None = None,
    ) -> UserList:
        """Change a list by what it was read as, again until nobody else came first. `read` is a first look at it."""
        patience = Patience()
        while True:
            user, places = read or self._read(user_id, ring)
            read = None
            after = change(user or _new_list(user_id))
            if after == user or self._write(places, after, ring, now, after.entries):
                return after
            patience.wait()

    def _read(self, user_id: str, ring: KeyRing) -> _Read:
        """A user's list, and where it stands. While keys are rotated that is more than one place."""
        keys = [ring.sealing, *(key for key in ring if key is not ring.sealing)]
        places = [self._place(key.user_key(self._app_id, self._key_prefix, user_id), ring) for key in keys]
        users = [place.user for place in places if place.user is not None]
        if not users:
            return None, places
        entries: dict[bytes, Entry] = {}
        for user in reversed(users):
            for entry in user.entries:
                older = entries.get(entry.lineage)
                entries[entry.lineage] = entry if older is None else _union(older, entry)
        return UserList(_latest(user.epoch for user in users), user_id, tuple(entries.values())), places

    def _place(self, user_key: bytes, ring: KeyRing) -> _Place:
        stored = self._store.get(self._name(user_key))
        if stored is None:
            return _Place(user_key)
        try:
            user = UserList.unpack(self._sealer.open(stored.value, ring, binding=user_key))
        except TokenRefused as refused:
            # It may be sealed with a key that is gone. Writing over it would set sessions free that must be ended.
            raise StoreError("A user's list of sessions does not open under any configured key.") from refused
        return _Place(user_key, stored.version, user)

    def _write(self, places: list[_Place], user: UserList, ring: KeyRing, now: int, entries: Iterable[Entry]) -> bool:
        """Write the list under the first key, and empty those under older ones; False if one is not as it was read."""
        ttl = max([self._least_ttl, *(entry.expires - now + _SPARE for entry in entries)])
        emptied = UserList(user.epoch, user.user_id)
        for place in places:
            what = user if place is places[0] else emptied
            if what is emptied and (place.user is None or not place.user.entries):
                continue
            value = self._sealer.seal(what.pack(), ring.sealing, binding=place.user_key)
            name = self._name(place.user_key)
            if place.version is None:
                done = self._store.add(name, value, ttl)
            else:
                done = self._store.replace(name, value, ttl, place.version) is Outcome.DONE
            if not done:
                return False
        return True

    def _name(self, user_key: bytes) -> str:
        return f"{self._key_prefix}u.{to_text(user_key)}"


_SLOT_ONLY = 0
"""Stands for when it was last seen in an entry whose session has yet to be saved."""


def _entry(header: Header, row_id: bytes | None, device: Device, now: int) -> Entry:
    rows = () if row_id is None else (row_id,)
    return Entry(
        header.lineage.value, rows, header.created_at, now, header.expires_at, False, device.label, device.address
    )


def _shown(entry: Entry, current: str | None) -> UserSession:
    handle = Lineage(entry.lineage).handle
    created, renewed, expires = (
        datetime.fromtimestamp(seconds, UTC) for seconds in (entry.created, entry.seen, entry.expires)
    )
    return UserSession(handle, created, renewed, expires, entry.label, entry.address, handle == current)


def _new_list(user_id: str) -> UserList:
    """Its epoch begins at random, so that a list which was lost is not taken for the one that comes after it."""
    return UserList(int.from_bytes(os.urandom(4)), user_id)


def _find(entries: Iterable[Entry], lineage: bytes) -> Entry | None:
    return next((entry for entry in entries if entry.lineage == lineage), None)


def _count(entries: Iterable[Entry]) -> int:
    return sum(not entry.ending for entry in entries)


def _is_slot(entry: Entry, now: int) -> bool:
    """Whether its login is still under way."""
    return entry.seen == _SLOT_ONLY and entry.created > now - _SLOT


def _only(entry: Entry, row: bytes) -> Entry:
    return msgspec.structs.replace(entry, rows=(row,))


def _union(older: Entry, newer: Entry) -> Entry:
    rows = (*(row for row in older.rows if row not in newer.rows), *newer.rows)
    return msgspec.structs.replace(newer, rows=rows, ending=older.ending or newer.ending)


def _latest(epochs: Iterable[int]) -> int:
    """The epoch that was raised last: they count on past 2^32 to 0 (serial arithmetic, RFC 1982)."""
    return reduce(lambda one, other: other if (other - one) % 2**32 < 2**31 else one, epochs)
