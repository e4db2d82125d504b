"""Fixtures that every test may use, and the one line that says what a run could not test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hardsession import HardSession, Key
from hardsession.signals import ALL
from tests.races.stores import NAMES, Watched, make_store
from tests.servers import Server
from tests.servers.redis import Redis

_untested: set[str] = set()


@pytest.fixture(scope="session")
def untested() -> Callable[[str], NoReturn]:
    """Skip a test for want of something, which the last line of the run names; continuous integration fails instead."""

    def skip(what: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(f"cannot be tested here: {what}", pytrace=False)
        _untested.add(what)
        pytest.skip(f"not tested: {what}")

    return skip


@pytest.fixture(scope="session")
def server(untested: Callable[[str], NoReturn]) -> Iterator[Callable[[type[Server]], Any]]:
    """The server of a kind that all tests share which do it no harm: `server(Redis)`."""
    running: dict[type[Server], Server] = {}
    with ExitStack() as stack:

        def get(kind: type[Server]) -> Server:
            if kind not in running:
                running[kind] = stack.enter_context(kind.running(untested))
            return running[kind]

        yield get


@pytest.fixture(scope="session")
def redis_server(server: Callable[[type[Server]], Any]) -> Redis:
    """A Redis for all tests that do it no harm."""
    return server(Redis)  # type: ignore[no-any-return]


@pytest.fixture(params=NAMES)
def store(request: pytest.FixtureRequest, server: Callable[[type[Server]], Any], tmp_path: Path) -> Watched:
    """Each atomic store in turn, empty."""
    return Watched(make_store(request.param, tmp_path, server))


@pytest.fixture(scope="session")
def vectors(untested: Callable[[str], NoReturn]) -> Path:
    """The folder of other projects' test vectors."""
    folder = os.environ.get("HARDSESSION_VECTORS")
    if not folder or not Path(folder).is_dir():
        untested("Wycheproof's vectors (HARDSESSION_VECTORS names their folder)")
    return Path(folder)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that shares out the tests what this one could not test."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["untested"] = sorted(_untested)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear it."""
    _untested.update(getattr(node, "workeroutput", {}).get("untested", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in one line what was not tested, and how to have it tested."""
    if _untested:
        terminalreporter.write_line(f"not tested: {'; '.join(sorted(_untested))}", yellow=True)


@pytest.fixture
def make_app() -> Callable[..., Flask]:
    """Make an application: `make_app(SESSION_PROFILE="pci")`. Its one view does what a test hands to `act`."""

    def make(**config: Any) -> Flask:
        app = Flask("newsroom")
        app.config.update({"SESSION_SECRET_KEYS": [Key.generate().text], "PROPAGATE_EXCEPTIONS": True} | config)
        HardSession(app)

        @app.route("/", defaults={"path": ""})
        @app.route("/<path:path>")
        def view(path: str) -> str:
            app.extensions["act"]()
            return "done"

        app.add_url_rule("/poll", endpoint="poll", view_func=view, defaults={"path": ""})
        app.extensions["act"] = lambda: None
        return app

    return make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the default settings."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser of that application."""
    return app.test_client()


@dataclass
class Answer:
    """What the view returned to the test, and what the browser got."""

    value: Any
    response: TestResponse

    @property
    def cookies(self) -> list[str]:
        """The Set-Cookie headers."""
        return self.response.headers.getlist("Set-Cookie")


@pytest.fixture
def act() -> Callable[..., Answer]:
    """Do something inside a request: `act(client, lambda: session.get("cart")).value`."""

    def do(client: FlaskClient, what: Callable[[], Any], path: str = "/", **request: Any) -> Answer:
        values: list[Any] = []
        client.application.extensions["act"] = lambda: values.append(what())
        response = client.get(path, **request)
        return Answer(values[0] if values else None, response)

    return do


@pytest.fixture
def token() -> Callable[[FlaskClient], str | None]:
    """The session cookie's value as a browser holds it."""

    def of(client: FlaskClient, name: str = "__Host-Http-session") -> str | None:
        cookie = client.get_cookie(name)
        return cookie.value if cookie else None

    return of


@pytest.fixture
def events() -> Any:
    """Every event since the start of the test, as (name, fields)."""
    seen: list[tuple[str, dict[str, Any]]] = []
    receivers = []
    for signal in ALL:

        def receive(_sender: object, _name: str = signal.name, **fields: Any) -> None:
            seen.append((_name, fields))

        signal.connect(receive)
        receivers.append((signal, receive))
    yield seen
    for signal, receive in receivers:
        signal.disconnect(receive)
