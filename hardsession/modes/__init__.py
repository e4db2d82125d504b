"""What the value of a token means: one module per mode, and what they share with the interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..devices import UNKNOWN, Device

if TYPE_CHECKING:
    from ..crypto.ids import Lineage, SessionSecret
    from ..crypto.keys import KeyRing
    from ..errors import Refusal
    from ..record import Header, Record
    from ..registry import Admission
    from ..stores import Version


@dataclass(frozen=True, slots=True)
class Row:
    """Where a session stands in a store, and which write of it was seen.

    `stale`: its token has an older key's seal. `followed`: the request brought an id that was renewed, so its browser
    has yet to learn this one.
    """

    secret: SessionSecret
    row_id: bytes
    version: Version
    expires_at: int
    stale: bool
    followed: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What a token came to: a session, or why there is none any more.

    `late` marks an id that another request gave up a moment ago, whose successor the browser is about to learn. A row
    may be there without a session: it is over or does not open, and can still be ended. So may a `header`, of a session
    in a cookie that can be ended. `cloned` is the session of an id that came though its successor had been in use for
    long.
    """

    record: Record | None = None
    row: Row | None = None
    ended: str | None = None
    late: bool = False
    refused: Refusal | None = None
    cloned: Lineage | None = None
    header: Header | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a request made of its session.

    Args:
        opened: what its token came to.
        record: what is to be stored; None: nothing.
        touch: nothing but its activity is new.
        new_id: it is to stand under a new id.
        may_renew: an id that has been in use for long may be replaced: the request is activity, and can set a token.
        ends: what was opened is logged out.
        logs_in: the request itself logged somebody in.
        began: when the request began, in Unix seconds: what happened before could have been known to it.
        admission: what the user's list said when somebody logged in.
        device: where this request comes from, for that list.
        again: what stands in the row now is not what was opened, so it is read again before anything is written.
        rebase: this request's changes on top of what another one stored meanwhile. It may raise ConflictError, and
            TokenRefused for what cannot be read.
    """

    opened: Opened
    record: Record | None
    touch: bool = False
    new_id: bool = False
    may_renew: bool = False
    ends: bool = False
    logs_in: bool = False
    began: int = 0
    admission: Admission | None = None
    device: Device = UNKNOWN
    again: bool = False
    rebase: Callable[[Record], Record] = lambda theirs: theirs


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a change: the record as it was written, the token to set, or neither since the write was lost.

    `row` is where a record stands that kept its id, which may be another than was opened; `renewed` tells of a new id
    that time alone brought.
    """

    record: Record | None = None
    token: str | None = None
    refused: bool = False
    row: Row | None = None
    renewed: bool = False


class Mode(Protocol):
    """What the interface asks of a mode."""

    def open(self, token: str, ring: KeyRing, now: int) -> Opened:
        """What a token comes to; TokenRefused for whatever is none of ours."""

    def admit(self, header: Header, ring: KeyRing, now: int) -> Admission | None:
        """A login begins, with this header. Raise SessionLimitError where its user may have no more sessions."""

    def save(self, change: Change, ring: KeyRing, now: int) -> Saved:
        """Carry out a change. Raise StoreError or ConflictError where that cannot be done; then no token is set."""
