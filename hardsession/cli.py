"""`flask hardsession`: keys, checks, and a look at a token.

An entry point of `flask.commands`, not a command of the application's: it works while the application does not.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from flask import Flask
from flask.cli import ScriptInfo

from . import checks
from .checks import Finding, Severity
from .crypto.encoding import from_text
from .crypto.keys import Key
from .crypto.seal import MAGIC, OVERHEAD, Purpose
from .errors import ConfigError, StoreError, TokenRefused
from .extension import read_settings
from .interface import HardSessionInterface, payload_of
from .record import Header

if TYPE_CHECKING:
    from .interface import Parts
    from .modes import Opened

_pass_script_info = click.make_pass_decorator(ScriptInfo, ensure=True)
_SEVERITIES = [severity.name.lower() for severity in reversed(Severity)]


@click.group("hardsession")
def commands() -> None:
    """Encrypted, expiring sessions: keys, checks, and a look at a token."""


@commands.command()
def keygen() -> None:
    """Print a new key.

    Put it first in SESSION_SECRET_KEYS, or on the first line of SESSION_SECRET_KEYS_FILE. Keep the old keys behind it
    until the sessions they sealed are over; removing a key ends its sessions.
    """
    click.echo(Key.generate().text)


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--fail-on",
    type=click.Choice(_SEVERITIES),
    default="error",
    show_default=True,
    help="Exit with status 1 from this severity on.",
)
@_pass_script_info
def check(info: ScriptInfo, as_json: bool, fail_on: str) -> None:
    """Say whether this application's session settings are fit to be deployed."""
    findings = _findings(info)
    if as_json:
        click.echo(json.dumps([asdict(f) | {"severity": f.severity.name.lower()} for f in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.id} {finding.severity.name.lower()}: {finding.message}\n    {finding.remedy}")
    sys.exit(any(finding.severity >= Severity[fail_on.upper()] for finding in findings))


@commands.command()
@click.option("--show-payload", is_flag=True, help="Print what the application stored as well.")
@_pass_script_info
def inspect(info: ScriptInfo, show_payload: bool) -> None:
    """Say what a token on standard input is.

    With the application's keys that is its times and names, and with --show-payload what it holds. If the application
    does not start, it is what anyone sees: its purpose, its key's id and its length.
    """
    try:
        token = sys.stdin.buffer.read().decode("ascii").strip()
        blob = from_text(token)
    except ValueError:
        raise click.ClickException("This is no token. It is not base64url without padding.") from None
    if not blob.startswith(MAGIC) or len(blob) < OVERHEAD or blob[3] not in [purpose.value for purpose in Purpose]:
        raise click.ClickException("This is no token of hardsession. It does not begin as one.")
    _print({"purpose": Purpose(blob[3]).name.lower(), "key_id": blob[4:8].hex(), "bytes": len(blob)})
    try:
        app = _load(info)
        parts = _interface(app).resolve(app)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if parts is None:
        raise click.ClickException("The application has no key. Set SESSION_SECRET_KEYS.")
    try:
        now = int(time.time())
        opened = _opened(parts, token, now)
    except TokenRefused as refused:
        raise click.ClickException(f"It does not open with this application's keys and settings: {refused}.") from None
    except StoreError as outage:
        raise click.ClickException(str(outage)) from None
    if opened.record is None:
        raise click.ClickException(f"The session that it names is over: {opened.ended}.")
    record = opened.record
    _print(_described(record.header))
    if show_payload:
        try:
            _print({"payload": payload_of(record, parts.serializers)})
        except TokenRefused:
            raise click.ClickException("Its payload is of a serializer that this application does not have.") from None


def _opened(parts: Parts, token: str, now: int) -> Opened:
    """A token does not tell whether it travelled in the cookie or in the header."""
    try:
        return parts.mode.open(token, parts.ring(now), now)
    except TokenRefused:
        if parts.header is None:
            raise
        return parts.header.mode.open(token, parts.ring(now), now)


def _findings(info: ScriptInfo) -> list[Finding]:
    try:
        app = _load(info)
        interface = _interface(app)
        settings = read_settings(app)
        interface.resolve(app)
    except ConfigError as error:
        return checks.of_config_error(error)
    return [checks.of_no_key()] if settings is None else checks.run(settings)


def _load(info: ScriptInfo) -> Flask:
    """The application.

    ConfigError where its factory checks the settings; a message for a person for any other failure.
    """
    try:
        return info.load_app()
    except (ConfigError, click.ClickException):
        raise
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
        raise click.ClickException(f"The application does not start. {fault}") from error


def _interface(app: Flask) -> HardSessionInterface:
    if not isinstance(app.session_interface, HardSessionInterface):
        raise click.ClickException("This application does not use hardsession. Call HardSession(app).")
    return app.session_interface


def _described(header: Header) -> dict[str, object]:
    """A header for a person: times in UTC, and the names under which logs and lists know the session."""
    fields = ("created_at", "seen_at", "expires_at", "authenticated_at", "renewed_at")
    times = {name: datetime.fromtimestamp(getattr(header, name), UTC).isoformat() for name in fields}
    if not header.authenticated_at:
        times["authenticated_at"] = "never"
    return times | {
        "generation": header.generation,
        "permanent": header.permanent,
        "handle": header.lineage.handle,
        "log_name": header.lineage.log_name,
        "owner": header.metadata.owner,
        "methods": header.metadata.methods,
    }


def _print(fields: dict[str, object]) -> None:
    for name, value in fields.items():
        click.echo(f"{name}: {value}")
