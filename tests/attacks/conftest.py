"""The characters of the attacks: a victim with a browser, an attacker who sends what he likes, and one in the store.

A test that asks for `store` runs on every store, with the application and everybody in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from freezegun import freeze_time

from hardsession import HardSession, Key, current_session
from hardsession.crypto.encoding import from_text, to_text
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.record import Record
from tests.races.stores import RECORD, TOMBSTONE, Watched, rows

NAME = "__Host-Http-session"
START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)


@pytest.fixture
def app(request: pytest.FixtureRequest, make_app: Callable[..., Flask]) -> Flask:
    """The application: sessions live in the cookie, or in the store that the test asks for."""
    return make_app(**{"SESSION_STORE": request.getfixturevalue("store")} if "store" in request.fixturenames else {})


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


@pytest.fixture
def log_in(act: Callable[..., Any]) -> Callable[..., FlaskClient]:
    """Log a user in at an application and give his browser: `log_in(app, "ada", draft="x")`."""

    def do(app: Flask, user: object = "ada", **data: Any) -> FlaskClient:
        browser = app.test_client()
        act(browser, lambda: (HardSession().login(user), session.update(data)))
        return browser

    return do


@pytest.fixture
def victim(app: Flask, log_in: Callable[..., FlaskClient]) -> FlaskClient:
    """The browser of Ada, who is logged in and has a draft."""
    return log_in(app, "ada", draft="Ada's")


@dataclass(frozen=True)
class Attacker:
    """Somebody with a client that keeps no cookies: he sends those he chooses, to one application."""

    app: Flask
    act: Callable[..., Any]

    def against(self, app: Flask) -> Attacker:
        """The same attacker at another application."""
        return replace(self, app=app)

    def steals(self, browser: FlaskClient, name: str = NAME) -> str:
        """A copy of the session cookie of somebody's browser."""
        return browser.get_cookie(name).value  # type: ignore[union-attr]  # who has none fails the test

    def sends(self, header: str, what: Callable[[], Any] = lambda: dict(session), **request: Any) -> Any:
        """Send a Cookie header as it is; give what the view saw in the session, and the answer."""
        client = self.app.test_client(use_cookies=False)
        return self.act(client, what, environ_overrides={"HTTP_COOKIE": header}, **request)

    def shows(self, token: str, what: Callable[[], Any] = lambda: dict(session), *, name: str = NAME) -> Any:
        """Send a token in the session cookie."""
        return self.sends(f"{name}={token}", what)

    def reads(self, token: str) -> Any:
        """What the application finds in the session of a token."""
        return self.shows(token).value


@pytest.fixture
def attacker(app: Flask, act: Callable[..., Any]) -> Attacker:
    """The attacker, at the victim's application."""
    return Attacker(app, act)


@dataclass(frozen=True)
class Intruder:
    """Somebody who got into the store: he reads and writes what he likes there, and has neither key nor cookie."""

    store: Watched

    def names(self, kind: int = RECORD) -> list[str]:
        """The names of all rows of one kind."""
        return rows(self.store, kind)

    def dump(self) -> dict[str, bytes]:
        """Everything that the store holds."""
        return {name: self.reads(name) for kind in (RECORD, TOMBSTONE) for name in self.names(kind)}

    def reads(self, name: str) -> bytes:
        """The value of a row."""
        return self.store.store.get(name).value  # type: ignore[union-attr]  # a missing row fails the test

    def writes(self, name: str, value: bytes, ttl: int = 3600) -> None:
        """Put a value into a row, whatever stands there."""
        self.store.store.delete(name)
        assert self.store.store.add(name, value, ttl)


@pytest.fixture
def intruder(store: Watched) -> Intruder:
    """The intruder, in the store of the victim's application."""
    return Intruder(store)


@pytest.fixture
def seen_in(act: Callable[..., Any]) -> Callable[[FlaskClient], Record]:
    """The record that is sealed in a browser's cookie."""
    return lambda browser: act(browser, lambda: (session.get("x"), current_session.loaded.record)[1]).value


@pytest.fixture
def forge() -> Callable[..., str]:
    """Seal anything with an application's own key, as only the server or a thief of the key can."""

    def seal(
        app: Flask,
        what: Record | bytes,
        *,
        key: str | None = None,
        purpose: Purpose = Purpose.SESSION,
        app_id: str = "app",
        carrier: str = f"cookie:{NAME}",
    ) -> str:
        plaintext = what if isinstance(what, bytes) else what.pack()
        sealer = Sealer(purpose, app_id=app_id, carrier=carrier)
        return to_text(sealer.seal(plaintext, ring_of(key or app.config["SESSION_SECRET_KEYS"][0]).sealing))

    return seal


@pytest.fixture
def break_open() -> Callable[..., Record]:
    """Open a token with keys alone, as a thief of the keys does at home; TokenRefused where they do not open it."""

    def unseal(token: str, *keys: str) -> Record:
        sealer = Sealer(Purpose.SESSION, app_id="app", carrier=f"cookie:{NAME}")
        return Record.unpack(sealer.open(from_text(token), ring_of(*keys)))

    return unseal


def ring_of(*keys: str) -> KeyRing:
    return KeyRing([RingKey.derive(Key(key).material()) for key in keys])
