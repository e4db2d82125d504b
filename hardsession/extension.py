"""`HardSession(app)`: builds the graph, and is the one place that knows every part."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeVar, cast
from weakref import ref

from flask import Flask, current_app, has_app_context, session

from . import signals, stores
from .audit import Audit
from .contrib import flask_login
from .errors import ConfigError, Problem
from .interface import HardSessionInterface, Parts
from .key_sources import FileKeys, FixedKeys
from .modes.cookie import CookieMode
from .modes.server_side import ServerSideMode
from .record import PayloadFormat
from .sessions import Rules, Session
from .settings import MEANINGLESS, Settings, Watch

if TYPE_CHECKING:
    from .modes import Mode
    from .serializers import Serializer, Serializers

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


def _unwrapped(proxy: T) -> T:
    current: T = proxy._get_current_object()  # type: ignore[attr-defined]  # what each of Flask's proxies has
    return current


def _session() -> Session:
    current = _unwrapped(session)
    if not isinstance(current, Session):
        raise RuntimeError("This application has no sessions. Set SESSION_SECRET_KEYS, and call HardSession(app).")
    return current


def read_settings(app: Flask) -> Settings | None:
    """An application's settings; None without any key. An app may have its `secret_key` as a class attribute."""
    return Settings.read({**app.config, "SECRET_KEY": app.secret_key}, lenient=app.debug or app.testing)


def _build(app: Flask, serializers: Serializers) -> Parts | None:
    settings = read_settings(app)
    if settings is None:
        return None
    keys, mode = _keys(app, settings), _mode(app, settings)
    settings.write_back(app.config)
    _log_what_is_odd(settings)
    Audit(settings.app_id).listen(app)
    flask_login.connect(app)
    formats: dict[PayloadFormat, Serializer] = {
        PayloadFormat.JSON: serializers.json,
        PayloadFormat.MESSAGE_PACK: serializers.message_pack,
    }
    chosen = PayloadFormat.MESSAGE_PACK if settings.message_pack else PayloadFormat.JSON
    if settings.serializer is not None:
        chosen = PayloadFormat.CUSTOM
        formats[chosen] = settings.serializer
    return Parts(
        carrier=settings.cookie,
        mode=mode,
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
        keep_oversize=settings.keep_oversize,
        refuses_conflicts=settings.refuses_conflicts,
        anonymous_in_outage=settings.anonymous_in_outage,
        watch=Watch(app.config),
    )


def _keys(app: Flask, settings: Settings) -> FixedKeys | FileKeys:
    if settings.keys_file is None:
        return FixedKeys(settings.keys)
    sender = ref(app)

    def refuse(problem: Problem) -> None:
        _log.error("%s The keys read before stay in force.", problem)
        signals.keys_refused.send(sender(), session=None, reason=problem.fault)

    return FileKeys(settings.keys_file, refuse)


def _mode(app: Flask, settings: Settings) -> Mode:
    app_id, carrier, compress, pad_to = settings.app_id, settings.cookie.binding, settings.compress, settings.pad_to
    spec = settings.store
    if spec is None:
        return CookieMode(app_id=app_id, carrier=carrier, compress=compress, pad_to=pad_to)
    try:
        with _current(app):
            store = spec.store or stores.build(spec.name, spec.options)
    except (ImportError, ValueError) as error:
        setting = "SESSION_TYPE" if spec.options.url is None else "SESSION_STORE"
        raise ConfigError([Problem(setting, f"{error}.", "Then start again.")]) from error
    return ServerSideMode(
        store, key_prefix=settings.key_prefix, app_id=app_id, carrier=carrier, compress=compress, pad_to=pad_to
    )


def _current(app: Flask) -> AbstractContextManager[object]:
    """Make the application current, since Flask-SQLAlchemy tells its engines to nobody else.

    Where it is already, as in a request, nothing is done: what the application does at the end of a context would be
    done twice.
    """
    return nullcontext() if has_app_context() and _unwrapped(current_app) is app else app.app_context()


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
