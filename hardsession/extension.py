"""`HardSession(app)`: builds the graph, and is the one place that knows every part."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast
from weakref import ref

from flask import Flask, Request, current_app, has_app_context, has_request_context, session

from . import identity, signals, stores
from .audit import Audit
from .contrib import flask_login
from .crypto.ids import Lineage
from .devices import Device, label_of
from .errors import ConfigError, Problem
from .interface import HardSessionInterface, Parts
from .key_sources import FileKeys, FixedKeys
from .modes.cookie import CookieMode
from .modes.revocable import RevocableCookieMode
from .modes.rows import Rows
from .modes.server_side import ServerSideMode
from .record import PayloadFormat
from .registry import Registry, UserSession
from .revocation import EPOCH_TTL, EpochOfAll, Lineages
from .sessions import Rules, Session
from .settings import MEANINGLESS, Settings, StoreSpec, Watch

if TYPE_CHECKING:
    from .crypto.keys import KeyRing
    from .modes import Mode
    from .serializers import Serializer, Serializers
    from .stores import Store

T = TypeVar("T")

_log = logging.getLogger("hardsession")

current_session: Session = cast("Session", session)
"""`flask.session`, typed as what it is under `HardSession`."""


class HardSession:
    """Encrypted, expiring sessions for a Flask application, which keeps using `flask.session`.

    ::

        app = Flask(__name__)
        app.config["SESSION_SECRET_KEYS"] = ["hsk1_…"]    # newest first; `flask hardsession keygen` prints one
        hard = HardSession(app)                           # or HardSession(), and init_app(app) in a factory

    Nothing is read from the configuration before the first request, so it may still change until then; `ready()`
    reads and checks it at once. One object may serve several applications.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self._app: ref[Flask] | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give the application its session interface. A second call on the same application changes nothing."""
        self._app = ref(app)
        app.extensions["hardsession"] = self
        if not isinstance(app.session_interface, HardSessionInterface):
            app.session_interface = HardSessionInterface(_build)

    def ready(self, app: Flask | None = None) -> None:
        """Resolve and check the settings now, as the last line of a factory, instead of in the first request.

        Args:
            app: the application; without it, the one that was given to `HardSession` or `init_app` last.

        Raises:
            ConfigError: with every problem and its remedy.
        """
        app = app or (self._app and self._app()) or _unwrapped(current_app)
        if not isinstance(app.session_interface, HardSessionInterface):
            raise TypeError("This application has another session interface. Call init_app(app) first.")
        app.session_interface.resolve(app)

    def login(self, user_id: object, *, method: str | None = "password", keep: Iterable[str] | None = None) -> None:
        """Log a user in: see `Session.login`. Users of Flask-Login call nothing."""
        _session().login(user_id, method=method, keep=keep)

    def logout(self) -> None:
        """End the current session: see `Session.logout`."""
        _session().logout()

    def regenerate(self) -> None:
        """Give the current session a new id: see `Session.regenerate`."""
        _session().regenerate()

    def sessions(self, user_id: object = None) -> list[UserSession]:
        """The sessions of a user that live, the newest first, for a list of his devices (OWASP ASVS 5.0, 7.5.2).

        Args:
            user_id: the user's id, as it was given to `login`; without one, of whoever is logged in.

        Raises:
            ConfigError: there is no registry: `SESSION_REGISTRY` is off, or sessions are in the cookie and there is no
                `SESSION_REVOCATION_STORE`.
            ValueError: no user id was given, and nobody is logged in.
        """
        desk = _Desk.open()
        return desk.registry.sessions(desk.user(user_id), desk.ring, desk.now, current=desk.handle)

    def revoke(self, handle: str, user_id: object = None) -> bool:
        """End one session of a user, and say whether there was one of this handle.

        Whoever is logged in ends only his own: a handle that a request brings may be anybody's.

        Args:
            handle: as `sessions` and `current_session.handle` give it.
            user_id: as for `sessions`, which raises the same errors.
        """
        desk = _Desk.open()
        return bool(desk.revoke(desk.user(user_id), lambda other: other == handle))

    def revoke_others(self) -> int:
        """End every other session of whoever is logged in, as after a change of the password, and say how many.

        The current one gets a new id: whoever else holds its cookie loses it too (OWASP ASVS 5.0, 7.4.3). The errors
        are those of `sessions`.
        """
        desk = _Desk.open()
        revoked = desk.revoke(desk.user(None), lambda other: other != desk.handle)
        _session().regenerate()
        return len(revoked)

    def revoke_user(self, user_id: object) -> int:
        """End every session of a user, and every login of his that is under way (OWASP ASVS 5.0, 7.4.2); say how many.

        Raises:
            ConfigError: there is no registry.
        """
        desk = _Desk.open()
        return len(desk.revoke(desk.user(user_id), lambda _: True, everything=True))

    def revoke_all(self) -> None:
        """End every session of this application in all its processes (OWASP ASVS 5.0, 7.4.5).

        In a store that takes up to 5 seconds, in cookies `SESSION_REVOCATION_STALENESS`.

        Raises:
            ConfigError: there is no registry.
        """
        desk = _Desk.open()
        desk.epoch.advance(desk.ring)
        signals.session_revoked.send(desk.app, session=None)
        if desk.session is not None:
            desk.session.logout()

    def save(self) -> None:
        """Write the current session to its store now, instead of when the answer is made.

        For websockets and for streamed answers, whose code runs after the session was saved. What other requests
        changed meanwhile is merged, and is in the session afterwards. Without a change nothing is written but, once in
        a touch interval, the activity.

        Raises:
            NotSavedError: `ended`: the session is over, so close what was open for it. Otherwise the change needs a new
                token, which only an answer can set: a new session, a login, a new id, another lifetime; and in cookie
                mode every change.
            StoreError: the store cannot answer. This session can then be saved no more in this request.
            ConflictError: as when the answer is made.
        """
        current = _session()
        app = _unwrapped(current_app)
        cast("HardSessionInterface", app.session_interface).save_now(app, current)


def _unwrapped(proxy: T) -> T:
    current: T = proxy._get_current_object()  # type: ignore[attr-defined]  # what each of Flask's proxies has
    return current


def _session() -> Session:
    current = _unwrapped(session)
    if not isinstance(current, Session):
        raise RuntimeError("This application has no sessions. Set SESSION_SECRET_KEYS, and call HardSession(app).")
    return current


@dataclass(frozen=True, slots=True)
class _Desk:
    """What revoking needs: the registry and the epoch of all, and the session of the request, if there is one."""

    app: Flask
    registry: Registry
    epoch: EpochOfAll
    ring: KeyRing
    now: int
    session: Session | None

    @classmethod
    def open(cls) -> _Desk:
        app, now = _unwrapped(current_app), int(time.time())
        current = _session() if has_request_context() else None
        parts = app.session_interface.resolve(app) if isinstance(app.session_interface, HardSessionInterface) else None
        if parts is None or parts.registry is None or parts.epoch is None:
            remedy = "Switch it on, and set SESSION_STORE, or for sessions in the cookie SESSION_REVOCATION_STORE."
            raise ConfigError([Problem("SESSION_REGISTRY", "there is no list of sessions.", remedy)])
        return cls(app, parts.registry, parts.epoch, parts.ring(now), now, current)

    @property
    def handle(self) -> str | None:
        return None if self.session is None else self.session.handle

    def user(self, user_id: object) -> str:
        """The text of a user's id: of the given one, or of whoever is logged in."""
        if user_id is not None:
            return identity.user_id(user_id)
        owner = None if self.session is None else self.session.owner
        if owner is None:
            raise ValueError("Nobody is logged in. Name the user.")
        return owner

    def revoke(self, user_id: str, which: Callable[[str], bool], *, everything: bool = False) -> list[Lineage]:
        """End sessions of a user; the current one is logged out if it is among them."""
        chosen = self.registry.revoke(
            user_id, self.ring, self.now, lambda entry: which(Lineage(entry.lineage).handle), everything=everything
        )
        for lineage in chosen:
            signals.session_revoked.send(self.app, session=lineage.log_name)
        if self.session is not None and self.handle in [lineage.handle for lineage in chosen]:
            self.session.logout()
        return chosen


def read_settings(app: Flask) -> Settings | None:
    """An application's settings; None without any key. An app may have its `secret_key` as a class attribute."""
    return Settings.read(
        {**app.config, "SECRET_KEY": app.secret_key},
        lenient=app.debug or app.testing,
        flask_login=flask_login.is_used(app),
    )


def _build(app: Flask, serializers: Serializers) -> Parts | None:
    settings = read_settings(app)
    if settings is None:
        return None
    keys = _keys(app, settings)
    store = _store(app, settings.store, "SESSION_STORE")
    revoked = _store(app, settings.revocation_store, "SESSION_REVOCATION_STORE")
    registry: Registry | None
    epoch: EpochOfAll | None
    if revoked is not None:
        registry, epoch, mode = _revocable(settings, revoked, keys.ring)
    else:
        registry, epoch = _registry(settings, store)
        mode = partial(_mode, settings, store, registry=registry, epoch=epoch)
    settings.write_back(app.config)
    _log_what_is_odd(settings)
    Audit(settings.app_id).listen(app)
    watch, listen = Watch(app.config), flask_login.Listener(app)

    def look() -> None:
        watch()
        listen()

    formats: dict[PayloadFormat, Serializer] = {
        PayloadFormat.JSON: serializers.json,
        PayloadFormat.MESSAGE_PACK: serializers.message_pack,
    }
    chosen = PayloadFormat.MESSAGE_PACK if settings.message_pack else PayloadFormat.JSON
    if settings.serializer is not None:
        chosen = PayloadFormat.CUSTOM
        formats[chosen] = settings.serializer
    parts = Parts(
        carrier=settings.cookie,
        mode=mode(settings.cookie.binding),
        ring=keys.ring,
        rules=Rules(
            settings.timeouts,
            permanent=settings.permanent,
            sliding=settings.sliding,
            identity_keys=settings.identity_keys,
            privilege_keys=settings.privilege_keys,
            unplantable=settings.cookie.unplantable,
            csrf_key=settings.csrf_key,
        ),
        serializers=formats,
        format=chosen,
        passive_endpoints=settings.passive_endpoints,
        revokes_clones=settings.revokes_clones,
        keep_oversize=settings.keep_oversize,
        refuses_conflicts=settings.refuses_conflicts,
        anonymous_in_outage=settings.anonymous_in_outage,
        device=partial(_device, records_address=settings.records_address),
        registry=registry,
        epoch=epoch,
        look=look,
    )
    if settings.header is None:
        return parts
    return parts.for_header(settings.header, mode(settings.header.binding))


def _keys(app: Flask, settings: Settings) -> FixedKeys | FileKeys:
    if settings.keys_file is None:
        return FixedKeys(settings.keys)
    sender = ref(app)

    def refuse(problem: Problem) -> None:
        _log.error("%s The keys read before stay in force.", problem)
        signals.keys_refused.send(sender(), session=None, reason=problem.fault)

    return FileKeys(settings.keys_file, refuse)


def _device(request: Request, *, records_address: bool) -> Device:
    return Device(label_of(request.headers.get("User-Agent", "")), request.remote_addr or "" if records_address else "")


def _store(app: Flask, spec: StoreSpec | None, setting: str) -> Store | None:
    if spec is None:
        return None
    try:
        with _current(app):
            return stores.build(spec.name, spec.options) if spec.store is None else spec.store
    except (ImportError, ValueError) as error:
        if setting == "SESSION_STORE" and spec.options.url is None:
            setting = "SESSION_TYPE"
        raise ConfigError([Problem(setting, f"{error}.", "Then start again.")]) from error


def _current(app: Flask) -> AbstractContextManager[object]:
    """Make the application current, since Flask-SQLAlchemy tells its engines to nobody else.

    Where it is already, as in a request, nothing is done: what the application does at the end of a context would be
    done twice.
    """
    return nullcontext() if has_app_context() and _unwrapped(current_app) is app else app.app_context()


def _registry(settings: Settings, store: Store | None) -> tuple[Registry | None, EpochOfAll | None]:
    if store is None or not settings.registry:
        return None, None
    prefix, app_id = settings.key_prefix, settings.app_id
    registry = Registry(
        store,
        key_prefix=prefix,
        app_id=app_id,
        ends=Rows(store, key_prefix=prefix, app_id=app_id),
        most=settings.most_per_user,
        refuses=settings.refuses_overflow,
    )
    return registry, EpochOfAll(store, key_prefix=prefix, app_id=app_id)


def _revocable(
    settings: Settings, store: Store, ring: Callable[[int], KeyRing]
) -> tuple[Registry | None, EpochOfAll, Callable[[str], Mode]]:
    """What cookie mode has with a revocation store: one of each for all carriers."""
    prefix, app_id, staleness = settings.key_prefix, settings.app_id, settings.revocation_staleness
    lineages = Lineages(
        store,
        key_prefix=prefix,
        app_id=app_id,
        ring=ring,
        lifetime=settings.timeouts.absolute,
        cached=staleness,
    )
    epoch = EpochOfAll(store, key_prefix=prefix, app_id=app_id, cached=staleness)
    registry = None
    if settings.registry:
        registry = Registry(
            store,
            key_prefix=prefix,
            app_id=app_id,
            ends=lineages,
            most=settings.most_per_user,
            refuses=settings.refuses_overflow,
            least_ttl=EPOCH_TTL,
        )

    def mode(carrier: str) -> Mode:
        cookies = CookieMode(app_id=app_id, carrier=carrier, compress=settings.compress, pad_to=settings.pad_to)
        return RevocableCookieMode(cookies, lineages, epoch, registry, staleness=staleness)

    return registry, epoch, mode


def _mode(
    settings: Settings, store: Store | None, carrier: str, registry: Registry | None, epoch: EpochOfAll | None
) -> Mode:
    app_id, compress, pad_to = settings.app_id, settings.compress, settings.pad_to
    if store is None:
        return CookieMode(app_id=app_id, carrier=carrier, compress=compress, pad_to=pad_to)
    rows = Rows(store, key_prefix=settings.key_prefix, app_id=app_id)
    return ServerSideMode(
        rows,
        registry,
        epoch,
        app_id=app_id,
        carrier=carrier,
        renewal_interval=settings.renewal_interval,
        revokes_clones=settings.revokes_clones,
        compress=compress,
        pad_to=pad_to,
    )


def _log_what_is_odd(settings: Settings) -> None:
    for name in settings.meaningless:
        _log.warning("%s does nothing here, and can go: %s.", name, MEANINGLESS[name])
    for fault in settings.weak_keys:
        _log.warning(
            "%s It is used because the app is in debug or testing mode, and would be refused elsewhere.", fault
        )
    if settings.plain_http:
        _log.warning(
            "SESSION_ALLOW_PLAIN_HTTP is on: the session cookie travels in the clear. "
            "Behind a proxy that serves https, use werkzeug.middleware.proxy_fix.ProxyFix instead."
        )
