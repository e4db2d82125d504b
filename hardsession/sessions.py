"""What `flask.session` is: a mapping over what was stored, and what the view asked of the session beside it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any

from flask.sessions import SessionMixin

from . import identity, policy
from .errors import HardSessionError, Staleness, StoreError
from .merge import is_same

if TYPE_CHECKING:
    from flask import Request

    from .errors import Refusal
    from .modes import Opened, Row
    from .policy import Timeouts
    from .record import Header, Record
    from .registry import Admission


@dataclass(frozen=True, slots=True)
class Rules:
    """What a session must know of the settings.

    `unplantable` tells whether the cookie's name keeps a sibling site from planting one (a `__Host-` prefix).
    """

    timeouts: Timeouts
    permanent: bool = False
    sliding: bool = True
    identity_keys: tuple[str, ...] = identity.IDENTITY_KEYS
    privilege_keys: tuple[str, ...] = identity.PRIVILEGE_KEYS
    unplantable: bool = True
    csrf_key: str = "csrf_token"

    def timeouts_for(self, *, permanent: bool, lifetime: int) -> Timeouts:
        """`lifetime` is Flask's `PERMANENT_SESSION_LIFETIME` in seconds, as it stands in this request."""
        return self.timeouts.shortened_to(lifetime, sliding=self.sliding) if permanent else self.timeouts


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a request's token came to. Without a record the session starts empty, and the rest says why."""

    lifetime: int
    began: int
    opened: Opened
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    token_came: bool = False
    refused: Refusal | None = None
    ended: str | None = None
    log_name: str | None = None
    outage: StoreError | None = None
    rewritten: bool = False
    """Whether this request wrote the row since: the version that stands there is not the one that it read."""

    @property
    def record(self) -> Record | None:
        """The session that lives, if one does."""
        return self.opened.record


class Session(SessionMixin):
    """One visitor's session during one request.

    It is loaded when first touched. Times, id and owner stand beside the mapping and never in it, so a session that
    holds nothing is false, whoever it belongs to.

    `header` is what would be sealed now: a login, a logout or a new id change it at once, and saving compares it with
    what was loaded. None stands for a session that has yet to begin.

    `by_header` tells whether its token travels in the header of API clients, and `unsaved` whether the view changed
    anything since it was last written.
    """

    def __init__(
        self,
        request: Request,
        load: Callable[[Session], None],
        rules: Rules,
        admit: Callable[[Header], Admission | None],
        *,
        by_header: bool = False,
    ) -> None:
        """`load` fills it when it is first touched; `admit` is asked of every login."""
        self.request = request
        self.rules = rules
        self.by_header = by_header
        self.unsaved: bool = False
        self.merged: dict[str, Any] | None = None
        self.loaded: Loaded | None = None
        self.header: Header | None = None
        self.logged_out: bool = False
        self.failed: BaseException | None = None
        self.modified: bool = False
        self.admission: Admission | None = None
        self.outage: StoreError | None = None
        self._load = load
        self._admit = admit
        self._lock = RLock()
        self._accessed = False
        self._permanent = rules.permanent
        self._named_at_login: dict[str, Any] = {}
        self._data_when_loaded: dict[str, Any] = {}
        self._cleared = False
        self._failure: BaseException | None = None
        self.logs_in: bool = False
        self._admitted: list[Callable[[str], bool]] = []
        self._written: set[str] = set()
        self._data: dict[str, Any] = {}

    # The mapping

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.data[key] = value
        self._written.add(key)
        self.modified = self.unsaved = True

    def __delitem__(self, key: str) -> None:
        del self.data[key]
        self.modified = self.unsaved = True

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # what it holds is nobody's business in a log or a traceback

    def copy(self) -> dict[str, Any]:
        """The data as a plain dict."""
        return dict(self.data)

    def clear(self) -> None:
        """End this session, which is how Flask's tutorial logs out. What is stored afterwards begins a new one.

        Flask-Login's order to forget its remember cookie stays until Flask-Login takes it, in the same request: without
        it `logout_user()` before this would be followed by another login.
        """
        forgets = self.data.get("_remember") == "clear"
        self.data.clear()
        self.header = None
        self.logged_out = True
        self.modified = self.unsaved = True
        self._cleared = True
        self._admitted.append(_nothing)
        self._permanent = self.rules.permanent
        self.logs_in = False
        self.admission = None
        if forgets:
            self["_remember"] = "clear"

    # What the view asks of it

    def login(self, user_id: object, *, method: str | None = "password", keep: Iterable[str] | None = None) -> None:
        """Say who this session belongs to from now on: a new id, and both clocks start again (OWASP ASVS 5.0, 7.2.4).

        What one user left in the session never reaches another; what an anonymous visitor stored is kept.

        Args:
            user_id: the user's id. Its text counts: 7 and "7" are one user.
            method: how the user proved it, such as "password" or "webauthn". None: he did not (a remembered login),
                and the session is not fresh.
            keep: of what was stored before this request, keep these keys and no others.

        Raises:
            SessionLimitError: the user has `SESSION_MAX_PER_USER` sessions, and `SESSION_OVERFLOW` is "refuse".
            StoreError: the user's list of sessions cannot be read.
        """
        owner = identity.user_id(user_id)
        permanent = self.permanent
        if self.outage:
            raise self.outage
        header = policy.authenticate(
            self.header, self.rules.timeouts, _now(), owner=owner, method=method, permanent=permanent
        )
        try:
            self.admission = self._admit(header)
        except StoreError as outage:
            self.outage = outage
            raise
        self._become(owner, keep=keep)
        self.header = header
        self.logs_in = self.unsaved = True
        self._named_at_login = {key: self._data[key] for key in self.rules.identity_keys if key in self._data}

    def logout(self) -> None:
        """End this session and forget what it holds, except Flask-Login's order to forget its remember cookie."""
        self.clear()

    def regenerate(self) -> None:
        """Give this session a new id, for instance when its user gains a right. Data and clocks stay."""
        if self._header:
            self.header = policy.regenerate(self._header, _now())
            self.unsaved = True
        elif self.outage:
            raise self.outage

    def doubt(self) -> None:
        """Take away freshness: something says that this may not be who logged in."""
        if self._header and self._header.authenticated_at:
            self.header = policy.demote(self._header, _now())

    def is_fresh(self, max_age: timedelta | float, *, methods: Iterable[str] | None = None) -> bool:
        """Whether its user proved who he is so recently, as `fresh_required` judges it; for templates, say.

        Args:
            max_age: a timedelta or seconds; the proof must be younger.
            methods: by one of these, as `login(method=...)` names them; None: by any.
        """
        return self.stale(policy.Freshness.of(max_age, methods)) is None

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser; `PERMANENT_SESSION_LIFETIME` then shortens the session."""
        self._open()
        return self.header.permanent if self.header else self._permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self._open()
        self._permanent = bool(value)
        if self.header:
            self.header = replace(self.header, permanent=bool(value))

    # What is known of it

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether no session came with this request."""
        self._open()
        return self.loaded is None or self.loaded.record is None

    @property
    def created_at(self) -> datetime | None:
        """When this session began; a login begins it anew."""
        return _moment(self._header.created_at if self._header else 0)

    @property
    def last_seen_at(self) -> datetime | None:
        """The last activity that was written down, at most a touch interval ago."""
        return _moment(self._header.seen_at if self._header else 0)

    @property
    def authenticated_at(self) -> datetime | None:
        """When its user last proved who he is. None for an anonymous or a remembered one."""
        return _moment(self._header.authenticated_at if self._header else 0)

    @property
    def expires_in(self) -> timedelta | None:
        """What is left until the nearer of both timeouts, if nothing more happens."""
        if self._header is None:
            return None
        return timedelta(seconds=max(0, min(policy.limits(self._header, self.timeouts)) - _now()))

    @property
    def handle(self) -> str | None:
        """The session's public name, for a list of devices. It opens nothing, and stays over changes of the id."""
        return self._header.lineage.handle if self._header else None

    @property
    def owner(self) -> str | None:
        """The id of the user whom this session belongs to, as text. None while that is known to nobody here.

        It comes from `login()`, from Flask-Login, or from the keys `_user_id` and `user_id`.
        """
        return self._header.metadata.owner if self._header else None

    @property
    def ended(self) -> str | None:
        """Why the session that this request brought is over, or None: "idle_timeout", "absolute_timeout", "logged_out".

        Other requests end one as "regenerated" when they log in, and a store as "expired" when it holds it no more.
        """
        self._open()
        return self.loaded.ended if self.loaded else None

    @property
    def sid(self) -> str | None:
        """Flask-session's name for what is a key in the store there. Use `handle`."""
        warnings.warn("session.sid is no key in the store here, and never secret. Use session.handle.", stacklevel=2)
        return self.handle

    # For the interface

    @property
    def accessed(self) -> bool:
        """Whether the view touched `flask.session`. Flask sets it, which loads the session."""
        return self._accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        self._open()
        self._accessed = value

    @property
    def data(self) -> dict[str, Any]:
        """The mapping itself."""
        self._open()
        return self._data

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts that count for this session in this request."""
        lifetime = self.loaded.lifetime if self.loaded else 0
        return self.rules.timeouts_for(permanent=self.permanent, lifetime=lifetime)

    def fill(self, loaded: Loaded) -> None:
        """Take what was loaded. The mark that it was comes last: another thread may look without the lock."""
        self._data = loaded.data
        self._data_when_loaded = {**loaded.data}
        record = loaded.record
        self.header = record.header if record else None
        self.outage = loaded.outage
        self.loaded = loaded

    def written(self, loaded: Loaded, record: Record | None, row: Row | None) -> None:
        """Go on from what `hard.save()` wrote: this session's data, or what a merge made of it; None: its end."""
        opened = replace(loaded.opened, record=record, row=row)
        self.loaded = replace(loaded, opened=opened, rewritten=record is not None)
        if record is not None:
            self.header = record.header
        if self.merged is not None:
            # The view may hold a list that stands here, and append to it again.
            mine = self._data
            kept = {key for key, value in self.merged.items() if key in mine and is_same(mine[key], value)}
            self._data = {key: mine[key] if key in kept else value for key, value in self.merged.items()}
        self.unsaved = False

    def stale(self, wanted: policy.Freshness) -> Staleness | None:
        """Why it is not as fresh as it is wanted, if it is not.

        Who was logged in or out by a key alone, in this very request, gains nothing from the proof of whoever was there
        before; saving draws the same conclusion.
        """
        header = self._header
        change = self._change(self._named_at_login if self.logs_in else self._data_when_loaded)
        if change is identity.Change.LOGOUT:
            return Staleness.ANONYMOUS
        if change is identity.Change.IDENTITY and not self.logs_in:
            return Staleness.UNPROVEN
        return policy.stale(header, wanted, _now())

    @property
    def continues(self) -> bool:
        """Whether what is saved goes on from what was loaded, rather than beginning after its end."""
        return not self._cleared

    def settle(self, before: Mapping[str, Any], now: int) -> None:
        """Draw the conclusions from what the application wrote into its own keys.

        Args:
            before: what was loaded.
        """
        if self.header is None:
            self.logs_in = identity.somebody(self._data, self.rules.identity_keys)
            self.header = policy.authenticate(
                None,
                self.rules.timeouts,
                now,
                owner=identity.owner(self._data),
                method=None,
                permanent=self._permanent,
            )
        elif self.logs_in:
            # Logged in, and out again by the keys that the login left.
            if self._change(self._named_at_login) is identity.Change.LOGOUT:
                self.logs_in = False
                self._compare(self.header, self._named_at_login, now)
        else:
            self._compare(self.header, before, now)

    def _change(self, before: Mapping[str, Any]) -> identity.Change:
        keys = self.rules
        return identity.change(before, self._data, identity=keys.identity_keys, privilege=keys.privilege_keys)

    def _compare(self, header: Header, before: Mapping[str, Any], now: int) -> None:
        change = self._change(before)
        emptied = bool(before) and not self._data
        match change:
            case identity.Change.LOGOUT if not emptied:
                self.logged_out = True
                self.header = policy.deauthenticate(header, now)
            case identity.Change.IDENTITY:
                self._enter(header, before, now)
            case _ if emptied and (change is identity.Change.LOGOUT or header.metadata.owner is None):
                self.clear()
            case identity.Change.PRIVILEGE:
                self.header = policy.regenerate(header, now)

    def _enter(self, header: Header, before: Mapping[str, Any], now: int) -> None:
        """Somebody was logged in by a key alone. Nothing says how he proved himself, so he is not fresh."""
        owner = identity.owner(self._data)
        if owner == identity.owner(before):
            owner = header.metadata.owner
        if owner and owner == header.metadata.owner:
            self.header = policy.demote(header, now)
        elif owner is None and identity.somebody(before, self.rules.identity_keys):
            # Perhaps another user, perhaps the same with another name: nothing says that anybody proved anything, so
            # the clocks run on.
            self._become(None)
            self.header = policy.deauthenticate(header, now)
        else:
            self._become(owner)
            self.logs_in = True
            self.header = policy.authenticate(
                header, self.rules.timeouts, now, owner=owner, method=None, permanent=header.permanent
            )

    def inherited(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What of the data that stood there before may reach the one whom this session belongs to now."""
        return {key: value for key, value in data.items() if all(admits(key) for admits in self._admitted)}

    def _become(self, owner: str | None, *, keep: Iterable[str] | None = None) -> None:
        """Leave behind what must not reach the owner: what this request assigned is his, the rest was there before."""
        before = self._header.metadata.owner if self._header else None
        if keep is not None:
            self._admitted.append(frozenset(keep).__contains__)
        elif before is None:
            # Whoever planted an anonymous cookie knows the token in it, and would forge requests with it later.
            self._admitted.append(_all_but(() if self.rules.unplantable else ("csrf_token", self.rules.csrf_key)))
        elif before != owner:
            self._admitted.append(_nothing)
        for key in self.data.keys() - self._written - self.inherited(self.data).keys():
            del self._data[key]

    @property
    def _header(self) -> Header | None:
        self._open()
        return self.header

    def _open(self) -> None:
        """Load first, mark loaded last, under a lock: a copied request context shares this object between threads.

        What failed once fails at once the second time: the page for the error may want the session too.
        """
        if self.loaded is None:
            with self._lock:
                if self._failure:
                    raise self._failure
                if self.loaded is None:
                    try:
                        self._load(self)
                    except HardSessionError as failure:
                        self._failure = failure
                        raise


def _all_but(keys: Collection[str]) -> Callable[[str], bool]:
    return lambda key: key not in keys


def _nothing(_key: str) -> bool:
    return False


def _moment(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _now() -> int:
    return int(time.time())
