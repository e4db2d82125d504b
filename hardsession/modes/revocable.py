"""Cookie mode with a revocation store: the token is the session, and a store knows which tokens are over.

The store holds a value for each session that was ended or renewed, each user's list with his epoch, and the epoch of
all. Both epochs are sealed in the token, so a store that lost its values ends sessions and revives none.

Whatever happens in a request, its token keeps the lineage and the epochs that it came with, unless somebody logs in: so
a token that is issued while its session is revoked is revoked as well.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from ..crypto.keys import KeyRing
from ..record import EndReason, Header, Record
from ..registry import Admission, Registry
from ..revocation import SUPERSEDED, EpochOfAll, Lineages, Recent
from . import Change, Opened, Saved
from .cookie import CookieMode


class RevocableCookieMode:
    """Opens and makes self-contained tokens that can be ended.

    Args:
        cookies: what opens and makes them.
        lineages: what ends one session.
        epoch: what ends all.
        registry: what ends those of a user, by the epoch in his list; None: there are no lists.
        staleness: seconds for which what was read of a user's epoch counts. Where a token is to be issued, never.
    """

    def __init__(
        self,
        cookies: CookieMode,
        lineages: Lineages,
        epoch: EpochOfAll,
        registry: Registry | None = None,
        *,
        staleness: int = 0,
    ) -> None:
        self._cookies = cookies
        self._lineages = lineages
        self._epoch = epoch
        self._registry = registry
        self._users: Recent[int | None] = Recent(staleness)

    def open(self, token: str, ring: KeyRing, now: int) -> Opened:
        """The session in a token, unless it was ended; TokenRefused for whatever is not one."""
        record = self._cookies.record(token, ring)
        if ended := self._ended(record.header, ring, now):
            return Opened(header=record.header, ended=ended.name.lower())
        return Opened(record, header=record.header)

    def admit(self, header: Header, ring: KeyRing, now: int) -> Admission | None:
        """What the registry says of a login that begins."""
        return self._registry.admit(header, ring, now) if self._registry else None

    def save(self, change: Change, ring: KeyRing, now: int) -> Saved:
        """Carry out a change: what has to end is ended before a token is made."""
        before, record = change.opened.record, change.record
        if record is None:
            self._end(change, ring, now)
            return Saved()
        if before is None or (change.ends and not change.new_id):
            return self._begin(change, record, ring, now)
        if not (change.logs_in or change.ends) and self._ended(before.header, ring, now, fresh=True):
            return Saved(refused=not change.touch)
        if change.new_id:
            return self._move(change, before.header, record, ring, now)
        return self._cookies.save(change, ring, now)

    def _begin(self, change: Change, record: Record, ring: KeyRing, now: int) -> Saved:
        """A session that goes on from nothing. A logout before it comes first."""
        if change.ends:
            self._end(change, ring, now)
        admission, record = self._admitted(change, record, ring, now)
        if not self._is_enrolled(change, record.header, admission, ring, now, login=True):
            return Saved(refused=True)
        return self._cookies.save(replace(change, record=record), ring, now)

    def _move(self, change: Change, before: Header, record: Record, ring: KeyRing, now: int) -> Saved:
        """A new id: its user's list first, then the end of the old one, then the token.

        Whoever ended the session meanwhile has won. So has whoever gave it a new id, except over a login.
        """
        admission = None
        if change.logs_in:
            admission, record = self._admitted(change, record, ring, now)
        else:
            record = _with_epochs(record, record.header.metadata.user_epoch, before.metadata.all_epoch)
        if not self._is_enrolled(change, record.header, admission, ring, now, login=change.logs_in):
            return Saved(refused=True)
        if self._give_up(change, before, record.header, ring, now):
            return self._cookies.save(replace(change, record=record), ring, now)
        if change.logs_in and record.header.lineage != before.lineage:
            # It is in its user's list, and nobody will have its token.
            self._lineages.finish(record.header.lineage, EndReason.EXPIRED, record.header.expires_at, ring, now)
        if change.ends:
            self._end(change, ring, now)
        return Saved(refused=True)

    def _give_up(self, change: Change, before: Header, after: Header, ring: KeyRing, now: int) -> bool:
        """End the old id; False: another request has done that, and this one has lost."""
        expires_at = max(before.expires_at, after.expires_at)
        if change.ends:
            reason, at_most = EndReason.LOGGED_OUT, before.generation
            return self._lineages.finish(before.lineage, reason, expires_at, ring, now, at_most=at_most)
        least = after.generation if after.lineage == before.lineage else SUPERSEDED
        at_most = least if change.logs_in else before.generation
        return self._lineages.renew(before.lineage, least, expires_at, ring, now, at_most=at_most)

    def _end(self, change: Change, ring: KeyRing, now: int) -> None:
        """Log out. An older token of the session will do: its browser may not have had the answer with the new one."""
        header = change.opened.header
        if header is not None:
            self._lineages.finish(header.lineage, EndReason.LOGGED_OUT, header.expires_at, ring, now)

    def _admitted(self, change: Change, record: Record, ring: KeyRing, now: int) -> tuple[Admission | None, Record]:
        """A session that begins, with the epochs as they stand in the store."""
        owner, admission = record.header.metadata.owner, change.admission
        if self._registry and owner is not None:
            admission = admission or self._registry.note(owner, ring, now)
        user_epoch = admission.epoch if admission else None
        return admission, _with_epochs(record, user_epoch, self._epoch.for_cookie(ring, now))

    def _is_enrolled(
        self, change: Change, header: Header, admission: Admission | None, ring: KeyRing, now: int, *, login: bool
    ) -> bool:
        """List the new id of a user's session; False where it was revoked meanwhile."""
        if self._registry is None:
            return True
        return self._registry.enroll(header, None, ring, now, login=login, admission=admission, device=change.device)

    def _ended(self, header: Header, ring: KeyRing, now: int, *, fresh: bool = False) -> EndReason | None:
        """Why a session is over, though its times are not, if it is."""
        standing = self._lineages.standing(header.lineage, ring, now, fresh=fresh)
        if header.generation < standing.least:
            return standing.reason
        all_epoch, user_epoch = header.metadata.all_epoch, header.metadata.user_epoch
        if all_epoch is None or all_epoch != self._epoch.current(ring, now, fresh=fresh):
            return EndReason.REVOKED
        registry, owner = self._registry, header.metadata.owner
        if registry is None or owner is None:
            return None
        if user_epoch is None or user_epoch != self._users.get(
            owner, now, lambda: registry.epoch(owner, ring), fresh=fresh
        ):
            return EndReason.REVOKED
        return None


def _with_epochs(record: Record, user_epoch: int | None, all_epoch: int | None) -> Record:
    metadata = msgspec.structs.replace(record.header.metadata, user_epoch=user_epoch, all_epoch=all_epoch)
    return replace(record, header=replace(record.header, metadata=metadata))
