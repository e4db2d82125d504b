"""Every option, with its type, default and check. No other module reads `app.config`.

Settings are read once, all problems are reported together, and what was resolved is frozen.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar, cast

from . import identity
from .carriers import CookieCarrier, HeaderCarrier
from .crypto.keys import KeyMaterial
from .errors import ConfigError, Problem
from .key_sources import FILE_SETTING, MIN_KEY_BYTES, parse_key, read_keys, weakness
from .policy import PROFILES, Timeouts
from .registry import CEILING
from .serializers import Serializer
from .stores import NOT_ATOMIC, SCHEMES, STORES, Options, Store

T = TypeVar("T")

MEANINGLESS = {
    "SESSION_CLEANUP_N_REQUESTS": "no request cleans up: call the store's purge()",
    "SESSION_FILE_THRESHOLD": "no session that lives is ever pruned",
    "SESSION_ID_LENGTH": "a session's secret always has 256 bits",
    "SESSION_SQLALCHEMY_SEQUENCE": "a row's key is its name, and no number",
    "SESSION_USE_SIGNER": "the cookie is always sealed",
}
"""Settings of flask-session that are accepted and do nothing, and why."""

SETTINGS = frozenset(
    {
        *MEANINGLESS,
        "SESSION_ABSOLUTE_TIMEOUT",
        "SESSION_ALLOW_PLAIN_HTTP",
        "SESSION_APP_ID",
        "SESSION_CACHELIB",
        "SESSION_CLONE_POLICY",
        "SESSION_COMPRESS",
        "SESSION_CONFLICT",
        "SESSION_COOKIE_DOMAIN",
        "SESSION_COOKIE_HTTPONLY",
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_OVERSIZE",
        "SESSION_COOKIE_PARTITIONED",
        "SESSION_COOKIE_PATH",
        "SESSION_COOKIE_SAMESITE",
        "SESSION_COOKIE_SECURE",
        "SESSION_CREATE_TABLES",
        "SESSION_DYNAMODB",
        "SESSION_DYNAMODB_TABLE",
        "SESSION_DYNAMODB_TABLE_NAME",
        "SESSION_FILE_DIR",
        "SESSION_FILE_MODE",
        "SESSION_IDENTITY_KEYS",
        "SESSION_IDLE_TIMEOUT",
        "SESSION_KEY_PREFIX",
        "SESSION_MAX_PER_USER",
        "SESSION_MEMCACHED",
        "SESSION_MONGODB",
        "SESSION_MONGODB_COLLECT",
        "SESSION_MONGODB_DB",
        "SESSION_OVERFLOW",
        "SESSION_PAD_TO",
        "SESSION_PASSIVE_ENDPOINTS",
        "SESSION_PERMANENT",
        "SESSION_PRIVILEGE_KEYS",
        "SESSION_PROFILE",
        "SESSION_PROTECTION",  # Flask-Login's
        "SESSION_RECORD_ADDRESS",
        "SESSION_REDIS",
        "SESSION_REDIS_WAIT",
        "SESSION_REFRESH_EACH_REQUEST",
        "SESSION_REGISTRY",
        "SESSION_RENEWAL_INTERVAL",
        "SESSION_REVOCATION_STALENESS",
        "SESSION_REVOCATION_STORE",
        "SESSION_SECRET_KEYS",
        "SESSION_SECRET_KEYS_FILE",
        "SESSION_SERIALIZATION_FORMAT",
        "SESSION_SERIALIZER",
        "SESSION_SQLALCHEMY",
        "SESSION_SQLALCHEMY_BIND_KEY",
        "SESSION_SQLALCHEMY_SCHEMA",
        "SESSION_SQLALCHEMY_TABLE",
        "SESSION_STORE",
        "SESSION_STORE_OUTAGE",
        "SESSION_STORE_TIMEOUT",
        "SESSION_TOKEN_HEADER",
        "SESSION_TOUCH_INTERVAL",
        "SESSION_TYPE",
    }
)
"""The names that mean something to this version, or to a neighbour of it."""

MAX_LIFETIME = 400 * 86400
"""Seconds: browsers keep no cookie for longer (RFC 6265bis)."""

MIN_RENEWAL_INTERVAL = 120
"""Seconds: twice as long as an id may be brought that was replaced."""

MIN_SECRET_KEY_BYTES = 16
DEFAULT_APP_ID = "app"
FLASK_COOKIE_NAME = "session"

_COOKIE_TYPES = ("null", "cookie")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TAKEN_PREFIXES = (
    *("accept-", "access-control-", "content-", "cross-origin-", "if-", "proxy-", "sec-", "x-csrf", "x-forwarded-"),
    *("x-frame-", "x-http-", "x-original-", "x-xsrf"),
)
_TAKEN_HEADERS = frozenset(
    {
        *("accept", "age", "allow", "alt-svc", "cache-control", "connection", "cookie", "date", "dnt", "early-data"),
        *("etag", "expect", "expires", "forwarded", "from", "host", "keep-alive", "last-modified", "link", "location"),
        *("max-forwards", "origin", "pragma", "priority", "range", "referer", "retry-after", "server", "set-cookie"),
        *("strict-transport-security", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via"),
        *("warning", "www-authenticate", "x-real-ip", "x-request-id", "x-requested-with"),
    }
)
_DOMAIN = re.compile(r"\.?[\w-]+(\.[\w-]+)*")
_PAD_LIMIT = 2048
_log = logging.getLogger("hardsession")


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """Where sessions are kept: a store that the application made, or the name and the options of one to build."""

    name: str
    options: Options
    store: Store | None = None

    @property
    def atomic(self) -> bool:
        """Whether it compares and writes in one step."""
        return self.name not in NOT_ATOMIC if self.store is None else self.store.atomic


@dataclass(frozen=True, slots=True)
class RememberCookie:
    """Flask-Login's remember cookie, which begins a new session after the end of one. `duration` is seconds."""

    duration: float
    secure: bool
    httponly: bool
    samesite: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What the application's configuration comes to. Times are seconds."""

    keys: tuple[KeyMaterial, ...] = field(repr=False)
    keys_file: str | os.PathLike[str] | None
    app_id: str
    profile: str
    timeouts: Timeouts
    sliding: bool
    permanent: bool
    passive_endpoints: frozenset[str]
    renewal_interval: int
    revokes_clones: bool
    identity_keys: tuple[str, ...]
    privilege_keys: tuple[str, ...]
    message_pack: bool
    serializer: Serializer | None
    cookie: CookieCarrier
    header: HeaderCarrier | None
    plain_http: bool
    keep_oversize: bool
    compress: bool
    pad_to: int | None
    store: StoreSpec | None
    key_prefix: str
    refuses_conflicts: bool
    anonymous_in_outage: bool
    registry: bool
    most_per_user: int | None
    refuses_overflow: bool
    records_address: bool
    csrf_key: str = "csrf_token"
    weak_keys: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    meaningless: tuple[str, ...] = ()
    remember: RememberCookie | None = None
    revocation_store: StoreSpec | None = None
    revocation_staleness: int = 0

    @classmethod
    def read(cls, config: Mapping[str, Any], *, lenient: bool = False, flask_login: bool = False) -> Settings | None:
        """The settings of an application; None where it has no key at all, and so no sessions, as with Flask.

        Args:
            config: `app.config`.
            lenient: under `app.debug` and `app.testing` any `SECRET_KEY` will do; `weak_keys` then says what is wrong
                with it.
            flask_login: the application uses Flask-Login, whose remember cookie is then looked at.

        Raises:
            ConfigError: with every problem and its remedy.
        """
        reader = _Reader(config)
        keys_file = reader.path(FILE_SETTING)
        keys, weak = _keys(reader, keys_file, lenient=lenient)
        plain_http = reader.flag("SESSION_ALLOW_PLAIN_HTTP", False)
        profile = reader.choice("SESSION_PROFILE", "standard", PROFILES)
        settings = cls(
            keys=keys,
            keys_file=keys_file,
            weak_keys=weak,
            csrf_key=reader.text("WTF_CSRF_FIELD_NAME", "csrf_token"),
            unknown=tuple(sorted(name for name in config if name.startswith("SESSION_") and name not in SETTINGS)),
            meaningless=tuple(name for name in MEANINGLESS if config.get(name) is not None),
            remember=_remember_cookie(config) if flask_login else None,
            app_id=reader.text("SESSION_APP_ID", DEFAULT_APP_ID),
            profile=profile,
            timeouts=_timeouts(reader, PROFILES[profile]),
            sliding=reader.flag("SESSION_REFRESH_EACH_REQUEST", True),
            permanent=reader.flag("SESSION_PERMANENT", False),
            passive_endpoints=frozenset(reader.names("SESSION_PASSIVE_ENDPOINTS", ())),
            renewal_interval=reader.seconds("SESSION_RENEWAL_INTERVAL", None, least=MIN_RENEWAL_INTERVAL) or 3600,
            revokes_clones=_clone_policy(reader, profile) == "revoke",
            identity_keys=reader.names("SESSION_IDENTITY_KEYS", identity.IDENTITY_KEYS),
            privilege_keys=reader.names("SESSION_PRIVILEGE_KEYS", identity.PRIVILEGE_KEYS),
            message_pack=reader.choice("SESSION_SERIALIZATION_FORMAT", "json", ("json", "msgpack")) == "msgpack",
            serializer=_serializer(reader),
            cookie=_cookie(reader, plain_http=plain_http),
            header=_header(reader, plain_http=plain_http),
            plain_http=plain_http,
            keep_oversize=reader.choice("SESSION_COOKIE_OVERSIZE", "raise", ("raise", "keep")) == "keep",
            compress=reader.flag("SESSION_COMPRESS", False),
            pad_to=reader.whole("SESSION_PAD_TO", None, 2, _PAD_LIMIT),
            store=(store := _store(reader)),
            revocation_store=(revocation_store := _revocation_store(reader, store)),
            revocation_staleness=reader.seconds("SESSION_REVOCATION_STALENESS", None, least=0) or 0,
            key_prefix=_key_prefix(reader),
            refuses_conflicts=reader.choice("SESSION_CONFLICT", "merge", ("merge", "raise")) == "raise",
            anonymous_in_outage=reader.choice("SESSION_STORE_OUTAGE", "raise", ("raise", "anonymous")) == "anonymous",
            registry=(registry := reader.flag("SESSION_REGISTRY", True)),
            most_per_user=_most_per_user(reader, listed=registry and bool(store or revocation_store)),
            refuses_overflow=reader.choice("SESSION_OVERFLOW", "evict_oldest", ("evict_oldest", "refuse")) == "refuse",
            records_address=reader.flag("SESSION_RECORD_ADDRESS", False),
        )
        if reader.problems:
            raise ConfigError(reader.problems)
        return settings if keys else None

    def write_back(self, config: dict[str, Any]) -> None:
        """Put what was resolved where Flask and everybody else reads it."""
        cookie = self.cookie
        config.update(
            SESSION_COOKIE_NAME=cookie.name,
            SESSION_COOKIE_DOMAIN=cookie.domain,
            SESSION_COOKIE_PATH=cookie.path,
            SESSION_COOKIE_SECURE=cookie.secure,
            SESSION_COOKIE_HTTPONLY=cookie.httponly,
            SESSION_COOKIE_SAMESITE=cookie.samesite,
            SESSION_COOKIE_PARTITIONED=cookie.partitioned,
        )


class Watch:
    """Tells of settings that were changed after they were resolved, which has no effect: once for each, in the log."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._look()

    def __call__(self) -> None:
        if len(self._config) == self._size and self._seen.items() <= self._config.items():
            return
        before = self._seen
        self._look()
        changed = sorted(name for name in before.keys() | self._seen.keys() if before.get(name) != self._seen.get(name))
        if changed:
            _log.warning(
                "%s changed without effect: the session settings are resolved. Set them before the first request.",
                ", ".join(changed),
            )

    def _look(self) -> None:
        self._size = len(self._config)
        # A copy of each list, or one that is changed in place would be compared with itself.
        self._seen = {
            name: value[:] if isinstance(value, list) else value
            for name, value in self._config.items()
            if _is_ours(name)
        }


class _Reader:
    """Reads values, and collects what is wrong with them instead of stopping at the first."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.problems: list[Problem] = []

    @cached_property
    def store_timeout(self) -> int:
        """Seconds for a store to answer. What is wrong with it is told once."""
        return self.seconds("SESSION_STORE_TIMEOUT", 2) or 2

    def problem(self, setting: str, fault: str, remedy: str) -> None:
        self.problems.append(Problem(setting, fault, remedy))

    def flag(self, setting: str, default: bool) -> bool:
        return self.checked(setting, default, lambda v: isinstance(v, bool), "is neither True nor False.", "Set one.")

    def text(self, setting: str, default: str) -> str:
        return self.checked(
            setting, default, lambda v: isinstance(v, str) and bool(v) and v.isprintable(), "is no text.", "Set a text."
        )

    def path(self, setting: str) -> str | os.PathLike[str] | None:
        fits = lambda v: isinstance(v, str | os.PathLike) and bool(str(v))  # noqa: E731
        return self.checked(setting, None, fits, "is no path.", "Set the path of a file.")

    def choice(self, setting: str, default: str, options: Collection[str]) -> str:
        remedy = f"Use one of {', '.join(map(repr, options))}."
        fits = lambda v: isinstance(v, str) and v.lower() in options  # noqa: E731
        return self.checked(setting, default, fits, "is not known.", remedy).lower()

    def names(self, setting: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.checked(
            setting,
            default,
            lambda v: isinstance(v, list | tuple | set | frozenset) and all(isinstance(name, str) for name in v),
            "is no list of texts.",
            "Write a list, such as ['user_id'].",
        )
        return tuple(value)

    def whole(self, setting: str, default: int | None, least: int, most: int) -> int | None:
        return self.checked(
            setting,
            default,
            lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v <= most,
            f"is no whole number from {least} to {most}.",
            "Set one, or None.",
        )

    def seconds(self, setting: str, default: int | None, *, least: int = 1) -> int | None:
        """A duration. A fraction of a second is dropped, so that no timeout lasts longer than it was set to."""
        value = self.config.get(setting)
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= MAX_LIFETIME:
            self.problem(
                setting,
                f"is no duration from {least} s to 400 days.",
                "Set seconds or a timedelta within these bounds.",
            )
            return default
        return int(value)

    def checked(self, setting: str, default: T, fits: Callable[[Any], bool], fault: str, remedy: str) -> T:
        value: T | None = self.config.get(setting)
        if value is None:
            return default
        if not fits(value):
            self.problem(setting, fault, remedy)
            return default
        return value


def _is_ours(name: str) -> bool:
    """Whether a setting is one that is frozen; `PERMANENT_SESSION_LIFETIME` is not, it is read in every request."""
    return name.startswith("SESSION_") or name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "APPLICATION_ROOT")


def _keys(
    reader: _Reader, file: str | os.PathLike[str] | None, *, lenient: bool
) -> tuple[tuple[KeyMaterial, ...], tuple[str, ...]]:
    """The configured keys, newest first, and what is wrong with those that were let through."""
    if file is not None:
        if reader.config.get("SESSION_SECRET_KEYS") is not None:
            reader.problem(FILE_SETTING, "stands beside SESSION_SECRET_KEYS.", "Keep one of the two.")
        try:
            return tuple(read_keys(file)), ()
        except ConfigError as error:
            reader.problems += error.problems
            return (), ()
    remedy = "Make one with `flask hardsession keygen`."
    if reader.config.get("SESSION_SECRET_KEYS") is not None:
        values = [("SESSION_SECRET_KEYS", value) for value in _key_list(reader, "SESSION_SECRET_KEYS")]
        return _parsed_keys(reader, values, MIN_KEY_BYTES, remedy, lenient=False)
    if not reader.config.get("SECRET_KEY"):
        return (), ()
    remedy = "Set SESSION_SECRET_KEYS to keys from `flask hardsession keygen`; SECRET_KEY may stay for other uses."
    values = [("SECRET_KEY", reader.config["SECRET_KEY"])]
    values += [("SECRET_KEY_FALLBACKS", value) for value in _key_list(reader, "SECRET_KEY_FALLBACKS")]
    return _parsed_keys(reader, values, MIN_SECRET_KEY_BYTES, remedy, lenient=lenient)


def _key_list(reader: _Reader, setting: str) -> list[object]:
    value = reader.config.get(setting)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        reader.problem(setting, "is no list.", "Write a list of keys, newest first, even for a single one.")
        return []
    if not value and setting == "SESSION_SECRET_KEYS":
        reader.problem(setting, "is empty.", "Make a key with `flask hardsession keygen`.")
    return list(value)


def _parsed_keys(
    reader: _Reader, values: list[tuple[str, object]], min_bytes: int, remedy: str, *, lenient: bool
) -> tuple[tuple[KeyMaterial, ...], tuple[str, ...]]:
    keys: dict[bytes, KeyMaterial] = {}
    weak = []
    for setting, value in values:
        try:
            key = parse_key(value)
        except ValueError as error:
            reader.problem(setting, f"{error}.", remedy)
            continue
        if fault := weakness(key, min_bytes=min_bytes):
            if lenient:
                weak.append(f"{setting}: {fault}.")
            else:
                reader.problem(setting, f"{fault}.", remedy)
        if key.material() in keys:
            reader.problem(setting, "a key stands in it twice.", "Remove one of the two.")
        keys[key.material()] = key
    return tuple(keys.values()), tuple(weak)


def _store(reader: _Reader) -> StoreSpec | None:
    """Where sessions are kept; None: in the cookie."""
    where, options = reader.config.get("SESSION_STORE"), _options(reader)
    if where is not None:
        return _store_at(reader, "SESSION_STORE", where, options)
    name = str(reader.config.get("SESSION_TYPE") or "cookie").lower()
    return None if name in _COOKIE_TYPES else _store_named(reader, "SESSION_TYPE", name, options)


def _revocation_store(reader: _Reader, store: StoreSpec | None) -> StoreSpec | None:
    """Where it stands which cookies are over; None: nowhere."""
    setting = "SESSION_REVOCATION_STORE"
    where, options = reader.config.get(setting), _options(reader)
    if where is None:
        return None
    named = isinstance(where, str) and ":" not in where
    spec = (
        _store_named(reader, setting, where.lower(), options) if named else _store_at(reader, setting, where, options)
    )
    if spec and not spec.atomic:
        reader.problem(
            setting, "does not compare and write in one step, so what it ended can come back.", "Use another store."
        )
    if store is not None:
        remedy = "Remove it, or remove SESSION_TYPE and SESSION_STORE."
        reader.problem(setting, "is for sessions in cookies; those in a store end without it.", remedy)
    return spec


def _most_per_user(reader: _Reader, *, listed: bool) -> int | None:
    most = reader.whole("SESSION_MAX_PER_USER", None, 1, CEILING)
    if most is not None and not listed:
        remedy = "Leave SESSION_REGISTRY on, and set SESSION_TYPE, or for sessions in cookies SESSION_REVOCATION_STORE."
        reader.problem("SESSION_MAX_PER_USER", "counts nothing, since no list of a user's sessions is kept.", remedy)
    return most


def _store_at(reader: _Reader, setting: str, where: object, options: Options) -> StoreSpec:
    """The store that a URL names, or that the application made."""
    if isinstance(where, str):
        scheme = where.partition(":")[0].lower()
        return StoreSpec(SCHEMES.get(scheme, "sqlalchemy"), replace(options, url=where))
    if not all(callable(getattr(where, verb, None)) for verb in ("get", "add", "replace", "delete")):
        reader.problem(setting, "is neither a URL nor a store.", "See hardsession.stores.Store.")
        return StoreSpec("memory", options)
    return StoreSpec(type(where).__name__, options, cast("Store", where))


def _store_named(reader: _Reader, setting: str, name: str, options: Options) -> StoreSpec | None:
    if name in STORES:
        return StoreSpec(name, options)
    choices = ", ".join(map(repr, ("cookie", *STORES) if setting == "SESSION_TYPE" else STORES))
    reader.problem(setting, "is no store that this version has.", f"Use one of {choices}.")
    return None


def _options(reader: _Reader) -> Options:
    own = {name: reader.config[name] for name in reader.config if name.startswith("SESSION_")}
    return Options(None, reader.store_timeout, own)


def _key_prefix(reader: _Reader) -> str:
    return reader.checked(
        "SESSION_KEY_PREFIX",
        "session:",
        lambda v: isinstance(v, str) and len(v) <= 64 and v.isascii() and v.isprintable() and " " not in v,
        "is no text of at most 64 printable ASCII characters without spaces.",
        "Use letters, digits and punctuation.",
    )


def _remember_cookie(config: Mapping[str, Any]) -> RememberCookie:
    """What Flask-Login makes of its own settings. What is wrong with them it says itself."""
    duration = config.get("REMEMBER_COOKIE_DURATION", timedelta(days=365))
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return RememberCookie(
        duration=seconds if isinstance(seconds, int | float) else 0,
        secure=bool(config.get("REMEMBER_COOKIE_SECURE", False)),
        httponly=bool(config.get("REMEMBER_COOKIE_HTTPONLY", True)),
        samesite=str(config.get("REMEMBER_COOKIE_SAMESITE")).lower() in ("lax", "strict"),
    )


def _timeouts(reader: _Reader, profile: Timeouts) -> Timeouts:
    idle = reader.seconds("SESSION_IDLE_TIMEOUT", profile.idle)
    absolute = reader.seconds("SESSION_ABSOLUTE_TIMEOUT", profile.absolute)
    touch = reader.seconds("SESSION_TOUCH_INTERVAL", None, least=0)
    timeouts = Timeouts.of(idle, absolute or profile.absolute, touch)
    if idle is not None and touch is not None and touch * 2 >= idle:
        reader.problem(
            "SESSION_TOUCH_INTERVAL",
            "is not below half of the idle timeout, so active sessions would end.",
            "Leave it out, or set it lower.",
        )
    return timeouts


def _clone_policy(reader: _Reader, profile: str) -> str:
    default = "report" if profile in ("standard", "aal1") else "revoke"
    return reader.choice("SESSION_CLONE_POLICY", default, ("report", "revoke"))


def _serializer(reader: _Reader) -> Serializer | None:
    value: Serializer | None = reader.config.get("SESSION_SERIALIZER")
    if value is None or (callable(getattr(value, "dumps", None)) and callable(getattr(value, "loads", None))):
        return value
    reader.problem(
        "SESSION_SERIALIZER", "has no dumps and loads.", "Give an object as hardsession.serializers.Serializer."
    )
    return None


def _cookie(reader: _Reader, *, plain_http: bool) -> CookieCarrier:
    config = reader.config
    secure = not plain_http
    httponly = reader.flag("SESSION_COOKIE_HTTPONLY", True)
    domain = reader.text("SESSION_COOKIE_DOMAIN", "") if config.get("SESSION_COOKIE_DOMAIN") else ""
    if domain and not _DOMAIN.fullmatch(domain):
        reader.problem("SESSION_COOKIE_DOMAIN", "is no domain, so browsers drop the cookie.", "Write 'example.org'.")
    path = reader.text("SESSION_COOKIE_PATH", reader.text("APPLICATION_ROOT", "/"))
    samesite = reader.choice("SESSION_COOKIE_SAMESITE", "lax", ("lax", "strict", "none")).title()
    partitioned = reader.flag("SESSION_COOKIE_PARTITIONED", False)
    chosen = reader.text("SESSION_COOKIE_NAME", FLASK_COOKIE_NAME)
    name = chosen
    if chosen == FLASK_COOKIE_NAME and secure:
        name = _strongest_prefix(rooted=not domain and path == "/", httponly=httponly) + FLASK_COOKIE_NAME
    if not path.startswith("/"):
        reader.problem("SESSION_COOKIE_PATH", "does not begin with '/', so browsers ignore it.", "Begin it with '/'.")
    if not _TOKEN.fullmatch(name):
        reader.problem(
            "SESSION_COOKIE_NAME", "has characters that no cookie's name has.", "Use letters, digits, - and _."
        )
    if fault := _prefix_fault(name, secure=secure, httponly=httponly, rooted=not domain and path == "/"):
        reader.problem("SESSION_COOKIE_NAME", fault, "Leave the name out, and the strongest possible prefix is taken.")
    if not secure and samesite == "None":
        reader.problem(
            "SESSION_COOKIE_SAMESITE", "'None' is refused by browsers without Secure.", "Use 'Lax', or serve https."
        )
    if not secure and partitioned:
        reader.problem(
            "SESSION_COOKIE_PARTITIONED", "is refused by browsers without Secure.", "Switch it off, or serve https."
        )
    return CookieCarrier(name, domain or None, path, secure, httponly, samesite, partitioned)


def _header(reader: _Reader, *, plain_http: bool) -> HeaderCarrier | None:
    name = reader.text("SESSION_TOKEN_HEADER", "")
    if not name:
        return None
    remedy = "Use a header of its own, such as 'X-Session-Token'."
    if not _TOKEN.fullmatch(name) or "_" in name:  # WSGI takes "_" for "-", so servers drop names with it
        reader.problem("SESSION_TOKEN_HEADER", "is no name of a header that every server passes on.", remedy)
    if name.lower() == "authorization":
        # Its other schemes belong to others (a proxy's password, an API's key), and no answer bears it.
        reader.problem("SESSION_TOKEN_HEADER", "bears what others authenticate with, and is in no answer.", remedy)
    if name.lower() in _TAKEN_HEADERS or name.lower().startswith(_TAKEN_PREFIXES):
        reader.problem("SESSION_TOKEN_HEADER", "means something else to clients, proxies or servers.", remedy)
    return HeaderCarrier(name, secure=not plain_http)


def _strongest_prefix(*, rooted: bool, httponly: bool) -> str:
    """Where browsers do not know `Http-` yet they still enforce the first part."""
    if not rooted:
        return "__Secure-"
    return "__Host-Http-" if httponly else "__Host-"


def _prefix_fault(name: str, *, secure: bool, httponly: bool, rooted: bool) -> str | None:
    """What a name promises and its attributes do not keep.

    Browsers match prefixes in any case, and drop such a cookie.
    """
    name = name.lower()
    if name.startswith(("__secure-", "__host-", "__http-")) and not secure:
        return "has a prefix that browsers refuse without Secure."
    if name.startswith("__host-") and not rooted:
        return "has a prefix that browsers refuse with a Domain or a Path other than '/'."
    if name.startswith(("__http-", "__host-http-")) and not httponly:
        return "has a prefix that browsers refuse without HttpOnly."
    return None
