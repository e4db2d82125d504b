"""The request's way in and out: `app.session_interface`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from flask.sessions import SecureCookieSessionInterface

from . import policy, signals
from .carriers import MAX_COOKIE_SIZE, CookieCarrier, host_of
from .errors import Refusal, SessionTooLargeError, TokenRefused
from .modes.cookie import CookieMode
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
    mode: CookieMode
    ring: Callable[[int], KeyRing]
    rules: Rules
    serializers: Mapping[PayloadFormat, Serializer]
    format: PayloadFormat
    passive_endpoints: frozenset[str]
    keep_oversize: bool
    watch: Callable[[], None]
    """Looks whether a setting was changed too late."""


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
            response.vary.add("Cookie")
        if session.failed:  # Flask calls again for the page of the error that saving raised
            self._finish_logout(app, self._parts, session, session.loaded, response)
            return
        try:
            self._save(app, self._parts, session, session.loaded, response)
        except BaseException:
            session.failed = True
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
        parts.watch()
        loaded = _read(app, parts, session.request, now)
        session.fill(loaded)
        if loaded.refused:
            signals.session_rejected.send(app, session=None, reason=loaded.refused.value)
        if loaded.ended:
            signals.session_expired.send(app, session=loaded.log_name, reason=loaded.ended.value)

    def _save(self, app: Flask, parts: Parts, session: Session, loaded: Loaded, response: Response) -> None:
        now = int(time.time())
        if loaded.refused is Refusal.DUPLICATE:
            parts.carrier.expire_pair(session.request, response)
        record = _next_record(parts, session, loaded, now)
        token = record and parts.mode.seal(record, parts.ring(now))
        if record and token and _fits(app, parts, session, token):
            expires_at = policy.limits(record.header, session.timeouts)[1] if record.header.permanent else None
            parts.carrier.set(response, token, now=now, expires_at=expires_at)
            self._warn_of_plain_http(parts, session.request)
        else:
            record = None
            if session.logged_out and loaded.token_came:
                parts.carrier.delete(response)
        _announce(app, session, loaded.record, record)

    def _finish_logout(self, app: Flask, parts: Parts, session: Session, loaded: Loaded, response: Response) -> None:
        """A logout counts though what was stored after it could not be saved."""
        if session.logged_out and loaded.token_came:
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


def _read(app: Flask, parts: Parts, request: Request, now: int) -> Loaded:
    """What the request's token comes to, in the order of the token format's section on reading."""
    lifetime = int(app.permanent_session_lifetime.total_seconds())
    try:
        token = parts.carrier.read(request)
        if token is None:
            return Loaded(lifetime)
        record = parts.mode.open(token, parts.ring(now))
        header = record.header
        timeouts = parts.rules.timeouts_for(permanent=header.permanent, lifetime=lifetime)
        if ended := policy.over(header, timeouts, now):
            return Loaded(lifetime, token_came=True, ended=ended, log_name=header.lineage.log_name)
        return Loaded(lifetime, record, payload_of(record, parts.serializers), token_came=True)
    except TokenRefused as refused:
        return Loaded(lifetime, token_came=True, refused=refused.reason)


def payload_of(record: Record, serializers: Mapping[PayloadFormat, Serializer]) -> dict[str, Any]:
    """What the application stored. TokenRefused for what its serializers do not read."""
    serializer = serializers.get(record.format)
    if serializer is None:
        raise TokenRefused(Refusal.PAYLOAD)
    try:
        return serializer.loads(record.payload)
    except Exception:  # whatever a serializer or a tag of the application raises; its message might quote the payload
        raise TokenRefused(Refusal.PAYLOAD) from None


def _next_record(parts: Parts, session: Session, loaded: Loaded, now: int) -> Record | None:
    """What is to be sealed: None where nothing is."""
    if session.header is None and not session:
        return None
    record, dumps = loaded.record, parts.serializers[parts.format].dumps
    active = session.request.endpoint not in parts.passive_endpoints
    payload = dumps(session.data)
    if record and payload == record.payload and session.header == record.header:
        due = active and policy.touch_due(record.header, session.timeouts, now)
        return Record(policy.touch(record.header, now), payload, record.format) if due else None
    session.settle(payload_of(record, parts.serializers) if record else {}, now)
    if session.header is None:
        return None
    header = policy.touch(session.header, now) if active else session.header
    return Record(header, dumps(session.data), parts.format)


def _fits(app: Flask, parts: Parts, session: Session, token: str) -> bool:
    size = len(parts.carrier.name) + len(token)
    if size <= MAX_COOKIE_SIZE:
        return True
    dumps = parts.serializers[parts.format].dumps
    sizes = {str(key): len(dumps({key: value})) for key, value in session.items()}
    error = SessionTooLargeError(size, MAX_COOKIE_SIZE, dict(sorted(sizes.items(), key=lambda s: -s[1])[:3]))
    lineage = session.header and session.header.lineage
    signals.session_too_large.send(app, session=lineage and lineage.log_name, size=size, kept=parts.keep_oversize)
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


def _id(header: Header) -> tuple[bytes, int]:
    return header.lineage.value, header.generation
