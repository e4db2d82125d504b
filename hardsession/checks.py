"""Deployment checks: is this configuration fit to guard something? Pure functions of the settings.

An id is never given to another check, and never means something else.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from .errors import ConfigError
from .key_sources import MIN_KEY_BYTES, weakness
from .settings import DEFAULT_APP_ID, SETTINGS, Settings


class Severity(IntEnum):
    """How much a finding weighs."""

    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know before deploying: what it is, and what to do."""

    id: str
    severity: Severity
    message: str
    remedy: str


def of_config_error(error: ConfigError) -> list[Finding]:
    """HS001: the settings cannot work at all."""
    return [Finding("HS001", Severity.ERROR, f"{p.setting}: {p.fault}", p.remedy) for p in error.problems]


def of_no_key() -> Finding:
    """HS002: there is no key, so Flask refuses to store anything in a session."""
    return Finding("HS002", Severity.ERROR, "There is no key, so there are no sessions.", _KEYGEN)


def run(settings: Settings) -> list[Finding]:
    """Every finding for working settings, the gravest first."""
    findings = [finding for check in _CHECKS for finding in check(settings)]
    return sorted(findings, key=lambda finding: (-finding.severity, finding.id))


def _weak_keys(settings: Settings) -> Iterator[Finding]:
    for fault in settings.weak_keys:
        yield Finding("HS003", Severity.ERROR, f"{fault} Only debug and testing mode accept it.", _KEYGEN)
    for key in settings.keys:
        short = weakness(key, min_bytes=MIN_KEY_BYTES)
        if short and not settings.weak_keys:
            yield Finding("HS004", Severity.WARNING, f"SECRET_KEY: {short} for a key that encrypts.", _KEYGEN)


def _plain_http(settings: Settings) -> Iterator[Finding]:
    if settings.plain_http:
        yield Finding(
            "HS005",
            Severity.ERROR,
            "SESSION_ALLOW_PLAIN_HTTP is on: whoever is on the way can take the session cookie.",
            "Serve https and remove the setting; behind a proxy use werkzeug.middleware.proxy_fix.ProxyFix.",
        )


def _cookie_name(settings: Settings) -> Iterator[Finding]:
    if not settings.plain_http and not settings.cookie.unplantable:
        yield Finding(
            "HS006",
            Severity.WARNING,
            f"The cookie's name {settings.cookie.name!r} has no __Host- prefix, so a sibling subdomain can plant one.",
            "Leave out SESSION_COOKIE_NAME, SESSION_COOKIE_DOMAIN, SESSION_COOKIE_PATH and APPLICATION_ROOT.",
        )


def _cookie_attributes(settings: Settings) -> Iterator[Finding]:
    if not settings.cookie.httponly:
        yield Finding(
            "HS007", Severity.WARNING, "Scripts can read the session cookie.", "Remove SESSION_COOKIE_HTTPONLY = False."
        )
    if settings.cookie.samesite == "None":
        yield Finding(
            "HS008",
            Severity.WARNING,
            "Other sites' requests carry the session cookie (SameSite=None).",
            "Use 'Lax' unless the app must work inside another site, and then protect every form against CSRF.",
        )


def _timeouts(settings: Settings) -> Iterator[Finding]:
    idle, absolute = settings.timeouts.idle, settings.timeouts.absolute
    if idle is not None and idle >= absolute:
        yield Finding(
            "HS009",
            Severity.WARNING,
            f"The idle timeout ({idle} s) is not below the absolute one ({absolute} s), so it never counts.",
            "Set SESSION_IDLE_TIMEOUT below SESSION_ABSOLUTE_TIMEOUT.",
        )


def _app_id(settings: Settings) -> Iterator[Finding]:
    if settings.app_id == DEFAULT_APP_ID:
        yield Finding(
            "HS010",
            Severity.INFO,
            "SESSION_APP_ID is the default: an app that shares these keys and this cookie name opens these sessions.",
            "Set SESSION_APP_ID to a name of this app. It ends the sessions that are open.",
        )


def _copied_cookies(settings: Settings) -> Iterator[Finding]:
    if settings.store is None and settings.revocation_store is None:
        yield Finding(
            "HS011",
            Severity.WARNING,
            "Sessions live in the cookie alone: a logout deletes it, and a copy made before works until a timeout.",
            "Set SESSION_REVOCATION_STORE, keep sessions on the server with SESSION_TYPE, or keep timeouts short.",
        )


def _compression(settings: Settings) -> Iterator[Finding]:
    if settings.compress:
        yield Finding(
            "HS012",
            Severity.WARNING,
            "SESSION_COMPRESS is on: the cookie's length tells something of its content (CRIME, BREACH).",
            "Switch it off where a session holds a secret beside text that a visitor chooses.",
        )


def _store_that_cannot_compare(settings: Settings) -> Iterator[Finding]:
    if settings.store is not None and not settings.store.atomic:
        yield Finding(
            "HS014",
            Severity.ERROR if settings.profile in _STRICT_PROFILES else Severity.WARNING,
            f"The {settings.store.name} store does not compare and write in one step: a request under way can bring a "
            "session back that was logged out, and lose what another one wrote.",
            "Use another store.",
        )


def _remember_cookie(settings: Settings) -> Iterator[Finding]:
    """What a weak remember cookie costs does not depend on how strong the session's is: it logs in all the same."""
    if settings.remember is None:
        return
    cookie, absolute = settings.remember, settings.timeouts.absolute
    faults = [
        (
            cookie.duration > absolute,
            f"outlives the absolute timeout ({absolute} s), and begins a new session for whoever holds it",
            "Set REMEMBER_COOKIE_DURATION to what a stolen cookie may be good for.",
        ),
        (
            not (cookie.secure or settings.plain_http),
            "has no Secure, so whoever is on the way can take it",
            "Set REMEMBER_COOKIE_SECURE = True.",
        ),
        (not cookie.httponly, "has no HttpOnly, so scripts can read it", "Remove REMEMBER_COOKIE_HTTPONLY = False."),
        (
            not cookie.samesite,
            "has neither SameSite=Lax nor Strict, so other sites' requests can carry it",
            "Set REMEMBER_COOKIE_SAMESITE = 'Lax'.",
        ),
    ]
    for is_there, fault, remedy in faults:
        if is_there:
            yield Finding("HS016", Severity.WARNING, f"Flask-Login's remember cookie {fault}.", remedy)


def _unknown_settings(settings: Settings) -> Iterator[Finding]:
    for name in settings.unknown:
        near = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0.8)
        hint = f"Did you mean {near[0]}?" if near else "Remove it, or make sure that another extension reads it."
        yield Finding("HS013", Severity.WARNING, f"{name} is no setting of this version.", hint)


_KEYGEN = "Set SESSION_SECRET_KEYS to a list of keys from `flask hardsession keygen`."
_STRICT_PROFILES = ("aal2", "aal3", "pci", "high")
_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _weak_keys,
    _plain_http,
    _cookie_name,
    _cookie_attributes,
    _timeouts,
    _app_id,
    _copied_cookies,
    _compression,
    _store_that_cannot_compare,
    _remember_cookie,
    _unknown_settings,
)
