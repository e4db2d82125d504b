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
from .carriers import MAX_COOKIE_SIZE, CookieCarrier, host_of
from .errors import ConflictError, Refusal, SessionTooLargeError, StoreError, TokenRefused
from .merge import merge
from .modes import Change, Mode, Opened
from .record import PayloadFormat, Record
from .serializers import Serializer, Serializers
from .sessions import Loaded, Rules, Session

if TYPE_CHECKING:
    from flask import Flask, Request, Response
    from flask.sessions import SessionMixin
    from itsdangerous import URLSafeTimedSerializer

    from .crypto.keys import KeyRing
    from .record import Header

_log = logging.getLogger("hardsession")
_flask_sessions = SecureCookieSessionInterface()


@dataclass(frozen=True)
class Parts:
    """What the interface works with: built from the settings once, when the first request comes."""

    carrier: CookieCarrier
    mode: Mode
    ring: Callable[[int], KeyRing]
    rules: Rules
    serializers: Mapping[PayloadFormat, Serializer]
    format: PayloadFormat
    passive_endpoints: frozenset[str]
    keep_oversize: bool
    refuses_conflicts: bool
    anonymous_in_outage: bool
    look: Callable[[], None]
    """Called whenever a session is loaded: was a setting changed too late, has a neighbour come?"""


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
        return Session(request, partial(self._load, app, parts, int(time.time())), parts.rules)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write what became of the session, if anything did."""
        if not isinstance(session, Session) or session.loaded is None or self._parts is None:
            return  # no session at all after a failed start, or nobody touched it
        if session.accessed:
            _vary(response)
        if session.failed:  # Flask calls again for the page of the error that saving raised
            self._finish_logout(app, self._parts, session, session.loaded, response)
            return
        try:
            self._save(app, self._parts, session, session.loaded, response)
        except BaseException as error:
            session.failed = error
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
        elif loaded.log_name:
            signals.session_expired.send(app, session=loaded.log_name, reason=loaded.ended)
        elif loaded.ended:
            signals.session_use_after_end.send(app, session=None, reason=loaded.ended)

    def _save(self, app: Flask, parts: Parts, session: Session, loaded: Loaded, response: Response) -> None:
        now = int(time.time())
        if loaded.refused is Refusal.DUPLICATE:
            parts.carrier.expire_pair(session.request, response)
        contested: list[str] = []
        change = _change(parts, session, loaded, contested, now)
        if change is None:
            return
        if loaded.outage:
            raise loaded.outage
        saved = parts.mode.save(change, parts.ring(now), now)
        if saved.refused:
            signals.write_refused.send(app, session=_log_name(loaded.record))
        elif contested:
            signals.write_merged.send(app, session=_log_name(loaded.record), keys=sorted(set(contested)))
        if saved.record and saved.token and _fits(app, parts, session, saved.token):
            header = saved.record.header
            expires_at = policy.limits(header, session.timeouts)[1] if header.permanent else None
            parts.carrier.set(response, saved.token, now=now, expires_at=expires_at)
            self._warn_of_plain_http(parts, session.request)
            _announce(app, session, loaded.record, saved.record)
        elif change.ends:
            if loaded.token_came:
                parts.carrier.delete(response)
            _announce(app, session, loaded.record, None)

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
            "A Secure session cookie was set on plain http, where browsers drop it. Behind a proxy, wrap the app in "
            "werkzeug.middleware.proxy_fix.ProxyFix; for development without https set SESSION_ALLOW_PLAIN_HTTP."
        )


def _vary(response: Response) -> None:
    """Say that the answer depends on the cookie. Most answers vary by nothing else, and are spared the parsing."""
    if "Vary" in response.headers:
        response.vary.add("Cookie")
    else:
        response.headers["Vary"] = "Cookie"


def _read(app: Flask, parts: Parts, request: Request, now: int) -> Loaded:
    """What the request's token comes to, in the order of the token format's section on reading."""
    lifetime = int(app.permanent_session_lifetime.total_seconds())
    gone = Opened()
    try:
        token = parts.carrier.read(request)
        if token is None:
            return Loaded(lifetime, now, gone)
        opened = parts.mode.open(token, parts.ring(now), now)
        record, gone = opened.record, Opened(row=opened.row)
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


def _change(parts: Parts, session: Session, loaded: Loaded, contested: list[str], now: int) -> Change | None:
    """What the request made of its session; None: nothing.

    Keys that another request changed too end up in `contested`.
    """
    if session.header is None and not session:
        return _ended(loaded) if session.logged_out else None
    record, dumps = loaded.record, parts.serializers[parts.format].dumps
    active = session.request.endpoint not in parts.passive_endpoints
    payload = dumps(session.data)
    if record and payload == record.payload and session.header == record.header:
        if not active or not policy.touch_due(record.header, session.timeouts, now):
            return None
        touched = Record(policy.touch(record.header, now), payload, record.format)
        return Change(loaded.opened, touched, touch=True, began=loaded.began)
    before = payload_of(record, parts.serializers) if record else {}
    session.settle(before, now)
    if session.header is None:
        return _ended(loaded)
    header = policy.touch(session.header, now) if active else session.header
    new_id = record is not None and _id(header) != _id(record.header) and (session.continues or session.logs_in)
    ends = session.logged_out and not session.logs_in

    def rebase(theirs: Record) -> Record:
        base, stored = session.inherited(before), session.inherited(payload_of(theirs, parts.serializers))
        data, both = merge(base, session.data, stored, stored_wins=session.rules.privilege_keys)
        if both and parts.refuses_conflicts and not ends:
            raise ConflictError(
                "Another request changed the same keys meanwhile. Read the session again, and try again."
            )
        contested.extend(both)
        changed = record is not None and header.permanent != record.header.permanent
        mine = header if changed else replace(header, permanent=theirs.header.permanent)
        joined = mine if new_id else policy.touch(replace(theirs.header, permanent=mine.permanent), header.seen_at)
        return Record(joined, dumps(data), parts.format)

    return Change(
        loaded.opened,
        Record(header, dumps(session.data), parts.format),
        new_id=new_id,
        ends=ends,
        logs_in=session.logs_in,
        began=loaded.began,
        rebase=rebase,
    )


def _ended(loaded: Loaded) -> Change:
    return Change(loaded.opened, None, ends=True, began=loaded.began)


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
