"""A pytest plugin: every Flask app of somebody else's suite gets HardSession underneath.

`run` loads it with `-p underneath`, once for each mode of `FOREIGN_MODE`, in the same environment.
The first time it only records, otherwise it also calls `HardSession(app)` at the end of every `Flask.__init__`.
What it saw goes to the file `FOREIGN_REPORT` as JSON.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse, create_environ

SUITE = os.environ["FOREIGN_SUITE"]
UNDERNEATH = os.environ["FOREIGN_MODE"] != "baseline"
STORE = os.environ.get("FOREIGN_STORE")
REPORT_FILE = Path(os.environ["FOREIGN_REPORT"])

#: Every app gets these before HardSession. README.md has the reason of each.
SETTINGS: dict[str, Any] = {"SESSION_ABSOLUTE_TIMEOUT": timedelta(days=31)}
if SUITE == "flask-login":
    SETTINGS["SESSION_SECRET_KEYS"] = [secrets.token_bytes(32)]
if SUITE == "flask-security":
    SETTINGS["SESSION_IDLE_TIMEOUT"] = timedelta(days=31)

#: How every cookie of hardsession begins, whatever its name.
SEALED = "=hs1_"


@dataclass
class Report:
    """What one run of one suite came to."""

    apps: int = 0
    underneath: int = 0
    sealed: int = 0
    returned: int = 0
    signed: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, test: str, outcome: str, text: str = "") -> None:
        """Keep the worst outcome of a test: setup, call and teardown are reported one by one."""
        if self.outcomes.get(test) == "failed":
            return
        if outcome != "passed" or test not in self.outcomes:
            self.outcomes[test] = outcome
        if outcome == "failed":
            self.failures[test] = text


seen = Report()
answered: flask.Flask | None = None


def pytest_configure() -> None:
    flask.Flask.__init__ = _constructor(flask.Flask.__init__)  # type: ignore[method-assign]
    flask.Flask.process_response = _watcher(flask.Flask.process_response)  # type: ignore[method-assign]
    if UNDERNEATH and SUITE == "flask-security":
        _let_its_tests_look()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, Any, Any]:
    """Lengthen the key of an app that a fixture makes, in both runs. README.md has the reason."""
    value = yield
    if isinstance(value, flask.Flask) and isinstance(value.secret_key, str):
        value.secret_key = value.secret_key.ljust(32, ".")
    return value


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        seen.add(report.nodeid, "failed", report.longreprtext)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    outcome = "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome
    seen.add(report.nodeid, outcome, report.longreprtext)


def pytest_unconfigure() -> None:
    REPORT_FILE.write_text(json.dumps(asdict(seen)), encoding="utf-8")


def _constructor(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(self: flask.Flask, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        seen.apps += 1
        if UNDERNEATH:
            _put_underneath(self)

    return __init__


def _put_underneath(app: flask.Flask) -> None:
    from hardsession import HardSession

    app.config.update(SETTINGS)
    if STORE:
        # Users have the same ids in every test: each application gets lists of its own.
        app.config.update(SESSION_STORE=STORE, SESSION_KEY_PREFIX=f"{SUITE}:{seen.apps}:")
    HardSession(app)
    seen.underneath += 1


def _watcher(original: Any) -> Any:
    @functools.wraps(original)
    def process_response(self: flask.Flask, response: flask.Response) -> flask.Response:
        global answered
        answered = self
        answer: flask.Response = original(self, response)
        cookies = answer.headers.getlist("Set-Cookie")
        seen.sealed += sum(SEALED in cookie for cookie in cookies)
        seen.signed += sum(cookie.startswith(("session=ey", "session=.")) for cookie in cookies)
        seen.returned += SEALED in flask.request.headers.get("Cookie", "")
        return answer

    return process_response


# Flask-Security's tests look for the cookie by Flask's name, and read in plain text what it holds.


def _let_its_tests_look() -> None:
    """Have its test client find our cookie by Flask's name, and the two helpers of its tests open it."""
    import tests.test_utils as its_utils  # from the folder in which the suite runs

    for method in ("get_cookie", "delete_cookie"):
        setattr(FlaskClient, method, _by_flask_name(getattr(FlaskClient, method)))
    its_utils.get_existing_session = _existing_session
    its_utils.get_session = _set_session


def _by_flask_name(original: Any) -> Any:
    @functools.wraps(original)
    def method(self: FlaskClient, key: str, *args: Any, **kwargs: Any) -> Any:
        return original(self, _name(self.application) if key == "session" else key, *args, **kwargs)

    return method


def _existing_session(client: FlaskClient) -> dict[str, Any] | None:
    """What is in the session of a browser."""
    cookie = client.get_cookie("session")
    return _opened(client.application, cookie.value) if cookie else None


def _set_session(response: TestResponse) -> dict[str, Any] | None:
    """What is in the session whose cookie an answer sets; in a store it changes without one."""
    assert answered is not None
    name = _name(answered)
    set_here = [token for header in response.headers.getlist("Set-Cookie") if (token := parse_cookie(header).get(name))]
    token = set_here[0] if set_here else STORE and response.request.cookies.get(name)
    return _opened(answered, token) if token else None


def _opened(app: flask.Flask, token: str) -> dict[str, Any]:
    environment = create_environ(headers={"Cookie": f"{_name(app)}={token}"})
    return dict(app.session_interface.open_session(app, app.request_class(environment)) or {})


def _name(app: flask.Flask) -> str:
    """The session cookie's name, which is settled with the first request."""
    return app.session_interface.get_cookie_name(app)
