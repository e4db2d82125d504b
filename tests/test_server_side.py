"""Sessions in a store, as a browser meets them: the same on every store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, flash, get_flashed_messages, session
from flask.testing import FlaskClient
from freezegun import freeze_time
from werkzeug.test import EnvironBuilder

from hardsession import HardSession, current_session
from tests.races.stores import RECORD, TOMBSTONE, Watched, rows

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
COOKIE = "__Host-Http-session"

hard = HardSession()


@pytest.fixture
def app(make_app: Callable[..., Flask], store: Watched) -> Flask:
    """An application on that store."""
    return make_app(SESSION_STORE=store)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser of that application."""
    return app.test_client()


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


def replay(client: FlaskClient, token: str) -> FlaskClient:
    """Another browser that holds a copy of a cookie."""
    thief = client.application.test_client()
    thief.set_cookie(COOKIE, token)
    return thief


class TestSession:
    """Between requests."""

    def test_keeps_what_is_stored(self, client, act):
        """Values of every type that Flask knows come back as they were."""
        stored = {"n": 1, "pair": (1, 2), "when": START, "raw": b"\x00", "nested": {"list": [1, {"x": None}]}}

        act(client, lambda: session.update(stored))

        assert act(client, lambda: dict(session)).value == stored

    def test_large_session_small_cookie(self, client, act, token, request):
        """The cookie is the same 160 characters, whatever the session holds."""
        size = 300_000 if request.node.callspec.params["store"] == "dynamodb" else 1_000_000  # its limit is 400 KB
        act(client, lambda: session.update(a=1))
        small = token(client)

        act(client, lambda: session.update(text="x" * size))

        assert len(token(client)) == len(small) == 160
        assert act(client, lambda: len(session["text"])).value == size

    def test_cookie_stays_as_it_is(self, client, act):
        """A write sets no cookie again: the id is the same."""
        act(client, lambda: session.update(a=1))

        answer = act(client, lambda: session.update(a=2))

        assert answer.cookies == []
        assert act(client, lambda: session["a"]).value == 2

    def test_nested_change_counts(self, client, act):
        """What is changed inside a value is written, without a word from the application."""
        act(client, lambda: session.update(cart=["tea"]))

        act(client, lambda: session["cart"].append("milk"))

        assert act(client, lambda: session["cart"]).value == ["tea", "milk"]

    def test_flashes(self, client, act):
        """A message is shown once."""
        act(client, lambda: flash("saved"))

        assert act(client, get_flashed_messages).value == ["saved"]
        assert act(client, get_flashed_messages).value == []

    def test_two_browsers(self, client, app, act):
        """Each browser has a session of its own."""
        other = app.test_client()
        act(client, lambda: session.update(name="ada"))
        act(other, lambda: session.update(name="bob"))

        assert act(client, lambda: session["name"]).value == "ada"
        assert act(other, lambda: session["name"]).value == "bob"

    def test_session_transaction(self, client, act):
        """Flask's own tool for tests works."""
        with client.session_transaction() as transaction:
            transaction["a"] = 1

        assert act(client, lambda: session["a"]).value == 1

    def test_permanent(self, client, act):
        """A session that becomes permanent gets a cookie that outlives the browser, and only then a new one."""
        act(client, lambda: session.update(a=1))

        became = act(client, lambda: setattr(session, "permanent", True))
        stayed = act(client, lambda: session.update(a=2))

        assert "Expires=" in became.cookies[0]
        assert stayed.cookies == []

    def test_stores_hold_no_plaintext(self, client, act, store, token):
        """Neither a value nor the cookie's secret is in what the store holds, nor its name in what it is called."""
        act(client, lambda: session.update(secret="Source HERON"))

        for name in store.held():
            assert token(client) not in name
            assert b"HERON" not in store.store.get(name).value

    def test_prefix(self, make_app, store, act):
        """Every name begins with the prefix, so that two applications can share a store."""
        client = make_app(SESSION_STORE=store, SESSION_KEY_PREFIX="shop/").test_client()

        act(client, lambda: session.update(a=1))

        assert [name[:7] for name in store.held()] == ["shop/r."]


class TestEnd:
    """Over is over, and the next request can say why."""

    def test_logout(self, client, act, store, token):
        """A logout puts a tombstone in the place of the session and deletes the cookie."""
        act(client, lambda: hard.login("ada"))
        kept = token(client)

        answer = act(client, hard.logout)

        assert answer.cookies[0].startswith(f"{COOKIE}=;")
        assert "Secure" in answer.cookies[0]
        assert (rows(store, RECORD), len(rows(store, TOMBSTONE))) == ([], 1)
        assert act(replay(client, kept), lambda: (dict(session), current_session.ended)).value == ({}, "logged_out")

    def test_logout_replay(self, client, act, token, events):
        """Who kept a copy of the cookie is nobody after the logout, whatever he does, and an event tells of it."""
        act(client, lambda: (hard.login("ada"), session.update(secret=1)))
        thief = replay(client, token(client))
        act(client, hard.logout)

        assert act(thief, lambda: dict(session)).value == {}
        assert "session_use_after_end" in [name for name, _ in events]
        act(thief, lambda: session.update(mine=1))
        assert act(thief, lambda: (dict(session), current_session.header.metadata.owner)).value == ({"mine": 1}, None)

    @pytest.mark.parametrize("clear", [lambda: session.clear(), lambda: session.pop("user_id"), lambda: hard.logout()])
    def test_every_way_to_log_out(self, client, act, token, clear):
        """`clear()`, popping the user's id and `hard.logout()` all end the session on the server."""
        act(client, lambda: (hard.login("ada"), session.update(user_id="ada")))
        thief = replay(client, token(client))

        act(client, clear)

        assert act(thief, lambda: (dict(session), current_session.ended)).value == ({}, "logged_out")

    def test_popping_the_user_keeps_the_rest(self, client, act):
        """After `session.pop("user_id")` the cart is there, for nobody in particular."""
        act(client, lambda: session.update(user_id="ada", cart=["tea"]))

        act(client, lambda: session.pop("user_id"))

        assert act(client, lambda: (dict(session), current_session.header.metadata.owner)).value == (
            {"cart": ["tea"]},
            None,
        )

    def test_clear_and_write(self, client, act, token):
        """What is stored after `clear()` begins a new session, with a new id."""
        act(client, lambda: (hard.login("ada"), session.update(draft=1)))
        kept = token(client)

        act(client, lambda: (session.clear(), session.update(bye=1)))

        assert act(client, lambda: (dict(session), current_session.header.metadata.owner)).value == ({"bye": 1}, None)
        assert act(replay(client, kept), lambda: dict(session)).value == {}

    @pytest.mark.parametrize(("seconds", "ended"), [(1799, None), (1800, "idle_timeout"), (1801, "idle_timeout")])
    def test_idle_edge(self, client, act, clock, seconds, ended):
        """The idle timeout ends the session in its second, not before."""
        act(client, lambda: session.update(a=1))
        clock.tick(seconds)

        assert act(client, lambda: current_session.ended).value == ended

    @pytest.mark.parametrize(("seconds", "ended"), [(43199, None), (43200, "absolute_timeout")])
    def test_absolute_edge(self, make_app, store, act, clock, seconds, ended):
        """The absolute timeout is judged in the sealed header, while the store still holds the row."""
        client = make_app(SESSION_STORE=store, SESSION_IDLE_TIMEOUT=43200).test_client()
        act(client, lambda: session.update(a=1))
        clock.tick(seconds)

        assert act(client, lambda: current_session.ended).value == ended

    def test_activity_keeps_a_session_alive(self, client, act, clock):
        """Reading is activity: it is written down once a minute, and the idle timeout counts from there."""
        act(client, lambda: session.update(a=1))
        for _ in range(4):
            clock.tick(1700)
            act(client, lambda: session.get("a"))

        assert act(client, lambda: session["a"]).value == 1

    def test_row_that_the_store_lost(self, client, act, store):
        """A session whose row is gone is over, and the next write begins another."""
        act(client, lambda: session.update(a=1))
        for name in store.held():
            store.store.delete(name)

        assert act(client, lambda: (dict(session), current_session.ended)).value == ({}, "expired")
        act(client, lambda: session.update(b=1))
        assert act(client, lambda: dict(session)).value == {"b": 1}


class TestLogin:
    """A new id."""

    def test_new_id_and_the_old_one_dead(self, client, act, token, store):
        """A login gives the session a new id; under the old one there is nothing (session fixation)."""
        act(client, lambda: session.update(cart=["tea"]))
        planted = token(client)

        act(client, lambda: hard.login("ada"))

        assert token(client) != planted
        assert act(client, lambda: dict(session)).value == {"cart": ["tea"]}
        assert act(replay(client, planted), lambda: (dict(session), current_session.ended)).value == (
            {},
            "logged_in",
        )
        assert len(rows(store, RECORD)) == 1

    @pytest.mark.parametrize(
        "change", [{"user_id": "ada"}, {"role": "admin"}, {"is_admin": True}, {"logged_in": True}], ids=str
    )
    def test_key_that_tells_of_a_login(self, client, act, token, change):
        """Writing one of the named keys gives a new id, though nobody asked."""
        act(client, lambda: session.update(a=1))
        planted = token(client)

        act(client, lambda: session.update(change))

        assert token(client) != planted
        assert act(replay(client, planted), lambda: dict(session)).value == {}

    def test_regenerate(self, client, act, token):
        """`hard.regenerate()` keeps data and handle under a new id."""
        handle = act(client, lambda: (session.update(a=1), hard.login("ada"), current_session.handle)[-1]).value
        before = token(client)

        act(client, hard.regenerate)

        assert token(client) != before
        assert act(client, lambda: (session["a"], current_session.handle)).value == (1, handle)

    def test_invented_id_is_not_adopted(self, client, act, store):
        """A cookie that the server did not make is never the name of a session, and costs no store call."""
        client.set_cookie(COOKIE, "A" * 160)

        act(client, lambda: session.update(a=1))

        assert store.verbs() == ["add"]
        assert client.get_cookie(COOKIE).value != "A" * 160

    def test_name_of_a_row_opens_nothing(self, client, act, store):
        """Who can list the store's names has no cookie by that."""
        act(client, lambda: session.update(a=1))
        (name,) = store.held()
        thief = replay(client, name.removeprefix("session:r."))
        store.verbs()

        assert act(thief, lambda: dict(session)).value == {}
        assert store.verbs() == []


class TestCounts:
    """How often a request asks the store."""

    @pytest.fixture(autouse=True)
    def standing(self, clock: Any) -> None:
        """Time stands still, so that no activity is due unless a test says so."""

    def test_without_a_session(self, client, act, store):
        """Nothing came and nothing is kept: no call."""
        act(client, lambda: session.get("a"))

        assert store.verbs() == []

    def test_untouched(self, client, act, store):
        """A page that leaves the session alone: no call."""
        act(client, lambda: session.update(a=1))
        store.verbs()

        act(client, lambda: None)

        assert store.verbs() == []

    def test_read(self, client, act, store):
        """Reading: one, and however often within the touch interval."""
        act(client, lambda: session.update(a=1))
        store.verbs()

        for _ in range(3):
            act(client, lambda: (session.get("a"), session.get("b"), "a" in session))
            assert store.verbs() == ["get"]

    @pytest.mark.parametrize(("seconds", "verbs"), [(59, ["get"]), (60, ["get", "replace"]), (61, ["get", "replace"])])
    def test_touch(self, client, act, store, clock, seconds, verbs):
        """Activity is written once a minute."""
        act(client, lambda: session.update(a=1))
        store.verbs()
        clock.tick(seconds)

        act(client, lambda: session.get("a"))

        assert store.verbs() == verbs

    def test_passive_endpoint(self, make_app, store, act, clock):
        """Polling is no activity: one, at any time."""
        client = make_app(SESSION_STORE=store, SESSION_PASSIVE_ENDPOINTS=["poll"]).test_client()
        act(client, lambda: session.update(a=1))
        store.verbs()
        clock.tick(90)

        act(client, lambda: session.get("a"), path="/poll")

        assert store.verbs() == ["get"]

    def test_unchanged(self, client, act, store):
        """Writing what is there already is no change."""
        act(client, lambda: session.update(a=[1]))
        store.verbs()

        act(client, lambda: session.update(a=[1]))

        assert store.verbs() == ["get"]

    @pytest.mark.parametrize(
        ("what", "verbs"),
        [
            (lambda: session.update(b=1), ["get", "replace"]),
            (lambda: hard.login("ada"), ["get", "add", "replace"]),
            (lambda: hard.regenerate(), ["get", "add", "replace"]),
            (lambda: hard.logout(), ["get", "replace"]),
            (lambda: session.clear(), ["get", "replace"]),
        ],
        ids=["write", "login", "regenerate", "logout", "clear"],
    )
    def test_change(self, client, act, store, what, verbs):
        """Writing: two. Login over a session: three. Logout: two."""
        act(client, lambda: session.update(a=1))
        store.verbs()

        act(client, what)

        assert store.verbs() == verbs

    @pytest.mark.parametrize("what", [lambda: session.update(b=1), lambda: hard.login("ada")], ids=["write", "login"])
    def test_first(self, client, act, store, what):
        """The first write and the first login of a browser: one."""
        act(client, what)

        assert store.verbs() == ["add"]

    def test_refused_token(self, client, act, store):
        """Garbage never reaches the store."""
        client.set_cookie(COOKIE, "hs1_" + "A" * 156)

        act(client, lambda: session.get("a"))

        assert store.verbs() == []


BOUNDS = {
    "memory": {"untouched": 5, "read": 130, "write": 230},
    "redis": {"untouched": 5, "read": 200, "write": 400},
    "cachelib": {"untouched": 5, "read": 140, "write": 280},
    "sqlite": {"untouched": 5, "read": 260, "write": 450},
    "postgresql": {"untouched": 5, "read": 340, "write": 600},
    "mariadb": {"untouched": 5, "read": 420, "write": 680},
    "memcached": {"untouched": 5, "read": 130, "write": 225},
    "mongodb": {"untouched": 5, "read": 480, "write": 860},
    "dynamodb": {"untouched": 5, "read": 2700, "write": 5400},
}
STEPS: dict[str, Callable[[], Any]] = {
    "untouched": lambda: None,
    "read": lambda: session.get("user"),
    "write": lambda: session.update(n=session["n"] + 1),
}


@pytest.mark.parametrize("what", STEPS)
@pytest.mark.parametrize("store", BOUNDS, indirect=True)
def test_function_calls(make_app, store, what, request):
    """The function calls that a request has more than the same one without sessions are few."""
    app = make_app(SESSION_STORE=store.store, SESSION_TOUCH_INTERVAL=timedelta(minutes=5))
    bound = BOUNDS[request.node.callspec.params["store"]][what]

    total, plain = _calls(app, STEPS[what]), _calls(_plain(), lambda: None)

    assert total - plain <= bound, f"{what}: {total - plain} own function calls, {total} in all"


def _plain() -> Flask:
    """An application without a key, and so without sessions."""
    app = Flask("plain")
    app.add_url_rule("/", "view", lambda: app.extensions["act"]() or "done")
    return app


def _calls(app: Flask, step: Callable[[], Any]) -> int:
    """Python function calls of a request, when everything that is done only once is done."""
    client = app.test_client()
    app.extensions["act"] = lambda: None
    if "hardsession" in app.extensions:
        app.extensions["act"] = lambda: session.update(user="ada", csrf="x" * 40, roles=["a"], cart=[1, 2], n=1)
    client.get("/", base_url="https://localhost")
    app.extensions["act"] = step
    for _ in range(2):
        client.get("/", base_url="https://localhost")
    builder = EnvironBuilder("/", base_url="https://localhost")
    if cookie := client.get_cookie(COOKIE):
        builder.headers["Cookie"] = f"{COOKIE}={cookie.value}"
    environ = builder.get_environ()
    return _profiled(lambda: list(app.wsgi_app(environ, lambda *_: None)))


def _profiled(work: Callable[[], Any]) -> int:
    count = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
