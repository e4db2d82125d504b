"""The request's way in and out: `app.session_interface`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from flask.sessions import SecureCookieSessionInterface

from . import policy, signals
from .carriers import MAX_COOKIE_SIZE, CookieCarrier, HeaderCarrier, host_of
from .devices import Device
from .errors import ConflictError, NotSavedError, Refusal, SessionTooLargeError, StoreError, TokenRefused
from .merge import merge
from .modes import Change, Mode, Opened, Saved
from .modes.server_side import ServerSideMode
from .record import PayloadFormat, Record
from .registry import Registry
from .revocation import EpochOfAll
from .serializers import Serializer, Serializers
from .sessions import Loaded, Rules, Session

if TYPE_CHECKING:
    from flask import Flask, Request, Response
    from flask.sessions import SessionMixin
    from itsdangerous import URLSafeTimedSerializer

    from .crypto.keys import KeyRing
    from .record import Header
    from .registry import Admission

_log = logging.getLogger("hardsession")
_flask_sessions = SecureCookieSessionInterface()


@dataclass(frozen=True)
class Parts:
    """What the interface works with: built from the settings once, when the first request comes."""

    carrier: CookieCarrier | HeaderCarrier
    mode: Mode
    ring: Callable[[int], KeyRing]
    rules: Rules
    serializers: Mapping[PayloadFormat, Serializer]
    format: PayloadFormat
    passive_endpoints: frozenset[str]
    revokes_clones: bool
    keep_oversize: bool
    refuses_conflicts: bool
    anonymous_in_outage: bool
    device: Callable[[Request], Device]
    """Where a request comes from, as far as it is recorded."""

    registry: Registry | None
    epoch: EpochOfAll | None
    look: Callable[[], None]
    """Called whenever a session is loaded: was a setting changed too late, has a neighbour come?"""

    token_header: HeaderCarrier | None = None
    header: Parts | None = None
    """The same for requests that bear the header of API clients."""
    vary: tuple[str, ...] = ("Cookie",)

    def for_header(self, carrier: HeaderCarrier, mode: Mode) -> Parts:
        """These parts, for an application whose API clients bring their token in a header."""
        vary = (carrier.name, *self.vary)
        # No site can plant a header with a visitor, as it can a cookie.
        rules = replace(self.rules, unplantable=True)
        header = replace(self, vary=vary, carrier=carrier, mode=mode, rules=rules)
        return replace(self, vary=vary, token_header=carrier, header=header)


class HardSessionInterface(SecureCookieSessionInterface):
    """Opens a session when the view first touches it, and decides once, at the end, what becomes of it.

    `serializer.register(JSONTag)` teaches it a type of the application's; `get_signing_serializer(app)` stays Flask's
    own, for code that signs other things with it.
    """

    def __init__(self, build: Callable[[Flask, Serializers], Parts | None]) -> None:
        """`build` resolves the settings.

        It gives None while the application has no key: then it has no sessions, as with Flask.
        """
        # What Flask's has, for what Flask's is used for.
        self.serializer: Serializers = Serializers()  # type: ignore[assignment]
        self._build = build
        self._parts: Parts | None = None
        self._lock = Lock()
        self._warned = False

    def open_session(self, app: Flask, request: Request) -> Session | None:  # type: ignore[override]
        """Keep the request and its time. Nothing is read, opened or fetched before the view asks."""
        parts = self._parts or self.resolve(app)
        if parts is None:
            return None
        by_header = parts.token_header is not None and parts.token_header.came(request)
        parts = (by_header and parts.header) or parts
        load, admit = partial(self._load, app, parts, int(time.time())), partial(_admit, parts)
        return Session(request, load, parts.rules, admit, by_header=by_header)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write what became of the session, if anything did."""
        if not isinstance(session, Session) or self._parts is None:
            return  # no session at all after a failed start
        response.call_on_close(partial(_warn_of_lost_change, session))
        if session.loaded is None:
            return  # nobody touched it
        parts = (session.by_header and self._parts.header) or self._parts
        if session.accessed:
            _vary(response, parts.vary)
        # Flask calls again for the page of the error that saving raised.
        save = self._finish_logout if session.failed else self._save
        try:
            save(app, parts, session, session.loaded, response)
        except BaseException as error:
            session.failed = error
            raise
        finally:
            session.unsaved = False

    def save_now(self, app: Flask, session: Session) -> None:
        """Write what became of the session so far, outside of any answer: see `HardSession.save`."""
        if session.failed:
            raise session.failed
        if self._parts is None or session.loaded is None:
            return  # nobody touched it
        parts = (session.by_header and self._parts.header) or self._parts
        try:
            self._save_now(app, parts, session, session.loaded)
        except StoreError as outage:
            # Whether it was written cannot be known, and to append it twice would be as wrong as to lose it.
            session.failed = outage
            raise

    def regenerate(self, session: Session) -> None:
        """Give a session a new id, in flask-session's spelling."""
        session.regenerate()

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        return _flask_sessions.get_signing_serializer(app)

    def resolve(self, app: Flask) -> Parts | None:
        """Read and check the settings, the first time. Raise ConfigError with every problem."""
        with self._lock:
            if self._parts is None:
                self._parts = self._build(app, self.serializer)
            return self._parts

    def _load(self, app: Flask, parts: Parts, now: int, session: Session) -> None:
        parts.look()
        loaded = _read(app, parts, session.request, now)
        session.fill(loaded)
        if loaded.refused:
            signals.session_rejected.send(app, session=None, reason=loaded.refused.value)
        elif loaded.opened.cloned:
            name = loaded.opened.cloned.log_name
            signals.session_cloned.send(app, session=name, revoked=parts.revokes_clones)
        elif loaded.log_name:
            signals.session_expired.send(app, session=loaded.log_name, reason=loaded.ended)
        elif loaded.ended:
            signals.session_use_after_end.send(app, session=None, reason=loaded.ended)

    def _save(self, app: Flask, parts: Parts, session: Session, loaded: Loaded, response: Response) -> None:
        now = int(time.time())
        if loaded.refused is Refusal.DUPLICATE:
            parts.carrier.expire_pair(session.request, response)
        contested: list[str] = []
        change = _change(parts, session, loaded, contested, now, answers=True)
        if change is None:
            return
        if session.outage:
            raise session.outage
        if session.by_header and _begins_unasked(change, loaded):
            signals.write_refused.send(app, session=None)
            return
        saved = _write(app, parts, loaded, change, contested, now)
        if saved.record and saved.token and _fits(app, parts, session, saved.token):
            header = saved.record.header
            expires_at = policy.limits(header, session.timeouts)[1] if header.permanent else None
            parts.carrier.set(response, saved.token, now=now, expires_at=expires_at)
            self._warn_of_plain_http(parts, session.request)
            if saved.renewed:
                signals.session_renewed.send(app, session=header.lineage.log_name)
            elif loaded.record is None or change.new_id or change.ends:
                _announce(app, session, loaded.record, saved.record)
        elif change.ends:
            if loaded.token_came:
                parts.carrier.delete(response)
            _announce(app, session, loaded.record, None)

    def _save_now(self, app: Flask, parts: Parts, session: Session, loaded: Loaded) -> None:
        if not isinstance(parts.mode, ServerSideMode):
            raise NotSavedError(
                "The session is in the cookie, which only an answer sets. Keep sessions on the server (SESSION_TYPE)."
            )
        now = int(time.time())
        contested: list[str] = []
        change = _change(parts, session, loaded, contested, now, answers=False)
        if change is None:
            session.unsaved = False
            return
        if session.outage:
            raise session.outage
        if _needs_a_token(change, loaded):
            raise NotSavedError(
                "A new session, a login, a new id or another lifetime needs a new token, which only an answer sets. "
                "Make this change in a view that answers."
            )
        saved = _write(app, parts, loaded, change, contested, now)
        if saved.refused:
            raise NotSavedError("The session is over. Close what it was open for.", ended=True)
        if change.ends:
            _announce(app, session, loaded.record, None)
        if change.ends or saved.record:
            session.written(loaded, saved.record, saved.row)

    def _finish_logout(self, app: Flask, parts: Parts, session: Session, loaded: Loaded, response: Response) -> None:
        """A logout counts though what was stored after it could not be saved, unless the store is what failed."""
        if session.logged_out and not isinstance(session.failed, StoreError | ConflictError):
            session.failed = StoreError("This was tried before.")
            now = int(time.time())
            parts.mode.save(_ended(loaded), parts.ring(now), now)
            if loaded.token_came:
                parts.carrier.delete(response)
            _announce(app, session, loaded.record, None)

    def _warn_of_plain_http(self, parts: Parts, request: Request) -> None:
        """Withhold no cookie, whatever scheme a server behind a proxy sees; but who forgot ProxyFix hears of it."""
        host = host_of(request)
        if self._warned or not parts.carrier.secure or request.is_secure or host is None or _is_loopback(host):
            return
        self._warned = True
        _log.warning(
            "%s Behind a proxy, wrap the app in werkzeug.middleware.proxy_fix.ProxyFix; for development without https "
            "set SESSION_ALLOW_PLAIN_HTTP.",
            parts.carrier.in_the_clear,
        )


def _vary(response: Response, names: tuple[str, ...]) -> None:
    """Say what the answer depends on. Most answers vary by nothing else, and are spared the parsing."""
    if "Vary" in response.headers:
        response.vary.update(names)
    else:
        response.headers["Vary"] = ", ".join(names)


def _warn_of_lost_change(session: Session) -> None:
    """A generator that streams an answer runs after the session was saved, and so does what is torn down."""
    if session.unsaved:
        session.unsaved = False
        _log.warning(
            "The session was changed after its answer was made, in the endpoint %r, and the change is lost. In a "
            "store, hard.save() writes it.",
            session.request.endpoint,
        )


def _read(app: Flask, parts: Parts, request: Request, now: int) -> Loaded:
    """What the request's token comes to, in the order of the token format's section on reading."""
    lifetime = int(app.permanent_session_lifetime.total_seconds())
    gone = Opened()
    try:
        token = parts.carrier.read(request)
        if token is None:
            return Loaded(lifetime, now, gone)
        opened = parts.mode.open(token, parts.ring(now), now)
        record, gone = opened.record, Opened(row=opened.row, header=opened.header)
        if record is None:
            return Loaded(lifetime, now, opened, token_came=True, ended=opened.ended, refused=opened.refused)
        timeouts = parts.rules.timeouts_for(permanent=record.header.permanent, lifetime=lifetime)
        if ended := policy.over(record.header, timeouts, now):
            return Loaded(lifetime, now, gone, token_came=True, ended=ended.value, log_name=_log_name(record))
        return Loaded(lifetime, now, opened, payload_of(record, parts.serializers), token_came=True)
    except TokenRefused as refused:
        return Loaded(lifetime, now, gone, token_came=True, refused=refused.reason)
    except StoreError as outage:
        signals.store_failed.send(app, session=None)
        if not parts.anonymous_in_outage:
            raise
        return Loaded(lifetime, now, gone, token_came=True, outage=outage)


def payload_of(record: Record, serializers: Mapping[PayloadFormat, Serializer]) -> dict[str, Any]:
    """What the application stored. TokenRefused for what its serializers do not read."""
    serializer = serializers.get(record.format)
    if serializer is None:
        raise TokenRefused(Refusal.PAYLOAD)
    try:
        return serializer.loads(record.payload)
    except Exception:  # whatever a serializer or a tag of the application raises; its message might quote the payload
        raise TokenRefused(Refusal.PAYLOAD) from None


def _admit(parts: Parts, header: Header) -> Admission | None:
    now = int(time.time())
    return parts.mode.admit(header, parts.ring(now), now)


def _change(
    parts: Parts, session: Session, loaded: Loaded, contested: list[str], now: int, *, answers: bool
) -> Change | None:
    """What the request made of its session; None: nothing.

    Keys that another request changed too end up in `contested`. `answers`: it can set a token.
    """
    if session.header is None and not session:
        return _ended(loaded) if session.logged_out else None
    record, data, dumps = loaded.record, session.data, parts.serializers[parts.format].dumps
    active = session.request.endpoint not in parts.passive_endpoints
    payload = dumps(data)
    session.merged = None
    row = loaded.opened.row
    followed = row is not None and row.followed
    if record and payload == record.payload and session.header == record.header:
        confirms = not (record.header.confirmed or followed)
        learns = followed and answers
        if not (confirms or learns or (active and policy.touch_due(record.header, session.timeouts, now))):
            return None

        def touch(theirs: Record) -> Record:
            if policy.over(theirs.header, session.timeouts, now):
                raise TokenRefused(Refusal.HEADER)
            session.merged = payload_of(theirs, parts.serializers)
            return replace(theirs, header=policy.touch(theirs.header, now) if active else theirs.header)

        again = loaded.rewritten or _may_be_over(session, record, now)
        header = policy.touch(record.header, now) if active else record.header
        touched = replace(record, header=policy.confirm(header, now) if confirms else header)
        return Change(
            loaded.opened,
            touched,
            touch=True,
            may_renew=answers and active and not again,
            began=loaded.began,
            device=parts.device(session.request),
            again=again,
            rebase=touch,
        )
    before = payload_of(record, parts.serializers) if record else {}
    session.settle(before, now)
    if session.header is None:
        return _ended(loaded)
    header = policy.touch(session.header, now) if active else session.header
    new_id = record is not None and _id(header) != _id(record.header) and (session.continues or session.logs_in)
    ends = session.logged_out and not session.logs_in
    if not (header.confirmed or followed):
        header = policy.confirm(header, now)
    again = loaded.rewritten or _may_be_over(session, record, now)

    def rebase(theirs: Record) -> Record:
        if policy.over(theirs.header, session.timeouts, now):
            raise TokenRefused(Refusal.HEADER)
        base, stored = session.inherited(before), session.inherited(payload_of(theirs, parts.serializers))
        merged, both = merge(base, data, stored, stored_wins=session.rules.privilege_keys)
        if both and parts.refuses_conflicts and not ends:
            raise ConflictError(
                "Another request changed the same keys meanwhile. Read the session again, and try again."
            )
        contested.extend(both)
        session.merged = merged
        changed = record is not None and header.permanent != record.header.permanent
        mine = header if changed else replace(header, permanent=theirs.header.permanent)
        joined = mine if new_id else policy.touch(replace(theirs.header, permanent=mine.permanent), header.seen_at)
        return Record(joined, dumps(merged), parts.format)

    return Change(
        loaded.opened,
        Record(header, dumps(data), parts.format),
        new_id=new_id,
        may_renew=answers and active and not again,
        ends=ends,
        logs_in=session.logs_in,
        began=loaded.began,
        admission=session.admission,
        device=parts.device(session.request),
        again=again,
        rebase=rebase,
    )


def _may_be_over(session: Session, record: Record | None, now: int) -> bool:
    """Whether what was read is over unless another request kept it alive."""
    return record is not None and now >= min(policy.limits(record.header, session.timeouts))


def _ended(loaded: Loaded) -> Change:
    opened = replace(loaded.opened, record=None) if loaded.rewritten else loaded.opened  # what stands there is unread
    return Change(opened, None, ends=True, began=loaded.began)


def _write(app: Flask, parts: Parts, loaded: Loaded, change: Change, contested: list[str], now: int) -> Saved:
    """Carry out a change, and tell who lost by it."""
    saved = parts.mode.save(change, parts.ring(now), now)
    if saved.refused:
        signals.write_refused.send(app, session=_log_name(loaded.record))
    elif contested:
        signals.write_merged.send(app, session=_log_name(loaded.record), keys=sorted(set(contested)))
    return saved


def _begins_unasked(change: Change, loaded: Loaded) -> bool:
    """Whether a session would begin in place of a token that is none, or none any more.

    A client of the header asks for a session, logs in or has just logged out; what else it sends begins nothing.
    """
    return loaded.token_came and loaded.record is None and not (change.logs_in or change.ends)


def _needs_a_token(change: Change, loaded: Loaded) -> bool:
    """Whether a change is worth nothing unless the client gets another token. A mere end needs none."""
    if change.record is None:
        return False
    before = loaded.record
    return before is None or change.new_id or change.ends or change.record.header.permanent != before.header.permanent


def _fits(app: Flask, parts: Parts, session: Session, token: str) -> bool:
    size = len(parts.carrier.name) + len(token)
    if size <= MAX_COOKIE_SIZE:
        return True
    dumps = parts.serializers[parts.format].dumps
    sizes = {str(key): len(dumps({key: value})) for key, value in session.items()}
    error = SessionTooLargeError(size, MAX_COOKIE_SIZE, dict(sorted(sizes.items(), key=lambda s: -s[1])[:3]))
    name = _log_name(session.loaded.record if session.loaded else None)
    signals.session_too_large.send(app, session=name, size=size, kept=parts.keep_oversize)
    if not parts.keep_oversize:
        raise error
    _log.error("%s The old cookie stays.", error)
    return False


def _announce(app: Flask, session: Session, before: Record | None, after: Record | None) -> None:
    old, new = before and before.header, after and after.header
    if old and session.logged_out:
        signals.session_destroyed.send(app, session=old.lineage.log_name, reason="logged_out")
        old = None
    if new and old is None:
        signals.session_created.send(app, session=new.lineage.log_name)
    elif new and old and _id(new) != _id(old):
        signals.session_regenerated.send(app, session=new.lineage.log_name, previous=old.lineage.log_name)


def _is_loopback(host: str) -> bool:
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in ("localhost", "[::1]") or name.startswith("127.") or name.endswith(".localhost")


def _log_name(record: Record | None) -> str | None:
    return record.header.lineage.log_name if record else None


def _id(header: Header) -> tuple[bytes, int]:
    return header.lineage.value, header.generation
