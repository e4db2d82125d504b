"""Two applications in one process, side by side, one inside the other, and under one host."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import session
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from hardsession import HardSession, Key, current_session

NAME = "__Host-Http-session"
PEOPLE = 20


@pytest.fixture
def make_desk(make_app):
    """Make an application where visitors log in with a name, and see it."""

    def make(**config):
        app = make_app(**config)
        hard = HardSession(app)

        @app.route("/log-in/<name>")
        def log_in(name):
            hard.login(name)
            session["name"] = name
            return name

        @app.route("/name")
        def name():
            return session.get("name", "nobody")

        return app

    return make


def name(client, path="/name"):
    """Who a visitor is to an application."""
    return client.get(path).text


def owner(act, client):
    """Who the session in a browser's cookie belongs to."""
    return act(client, lambda: current_session.header and current_session.header.metadata.owner).value


def different_keys():
    return {}, {}


def different_ids():
    keys = [Key.generate().text]
    return {"SESSION_SECRET_KEYS": keys, "SESSION_APP_ID": "desk"}, {
        "SESSION_SECRET_KEYS": keys,
        "SESSION_APP_ID": "shop",
    }


@pytest.fixture(params=[different_keys, different_ids])
def pair(make_desk, request):
    """Two applications that have nothing to do with each other, but for the name of their cookie."""
    return [make_desk(**config) for config in request.param()]


class TestSideBySide:
    """Two applications with different keys, or with one key and different ids."""

    def test_do_not_open_each_others_sessions(self, pair, token, events):
        """A cookie of one is no session for the other, whichever was asked first."""
        desk, shop = (app.test_client() for app in pair)
        desk.get("/log-in/ida")
        shop.get("/log-in/bob")

        for client, other in (desk, shop), (shop, desk):
            thief = client.application.test_client()
            thief.set_cookie(NAME, token(other))
            assert name(thief) == "nobody"
            assert events[-1][0] == "session_rejected"
        assert (name(desk), name(shop)) == ("ida", "bob")

    def test_one_inside_the_other(self, pair, act):
        """A view of one that calls the other gets that one's session there, and finds its own unchanged behind it."""
        desk, shop = (app.test_client() for app in pair)
        hard = HardSession()

        def calls():
            hard.login("ida")
            session["name"] = "ida"
            act(shop, lambda: (hard.login("bob"), session.update(name="bob")))
            session["after"] = dict(session)
            return name(shop)

        assert act(desk, calls).value == "bob"
        assert act(desk, lambda: dict(session)).value == {"name": "ida", "after": {"name": "ida"}}
        assert act(shop, lambda: dict(session)).value == {"name": "bob"}
        assert (owner(act, desk), owner(act, shop)) == ("ida", "bob")

    def test_at_the_same_time(self, pair):
        """Twenty visitors, every other one at the other application, are all under way at once and do not mix."""
        barrier = threading.Barrier(PEOPLE)

        def visit(number):
            client = pair[number % 2].test_client()
            barrier.wait(20)
            client.get(f"/log-in/{number}")
            return name(client)

        with ThreadPoolExecutor(PEOPLE) as pool:
            assert list(pool.map(visit, range(PEOPLE))) == [str(number) for number in range(PEOPLE)]

    def test_events_are_their_own(self, make_desk, caplog):
        """Each line of the audit names the application whose session it speaks of, and there is one for each event."""
        caplog.set_level("INFO", "hardsession.audit")
        for app_id in ("desk", "shop"):
            make_desk(SESSION_APP_ID=app_id).test_client().get("/log-in/ida")

        lines = [json.loads(record.getMessage()) for record in caplog.records]
        assert [(line["event"], line["app"]) for line in lines] == [
            ("session_created", "desk"),
            ("session_created", "shop"),
        ]


class TestUnderOneHost:
    """Two applications that Werkzeug's dispatcher puts under one host: a browser sends both the same cookies."""

    def dispatch(self, desk, shop):
        return Client(DispatcherMiddleware(desk, {"/shop": shop}))

    def test_names_of_their_own_keep_both(self, make_desk):
        """With a cookie name for each, both sessions live, and each application sees its own."""
        configs = different_ids()
        desk, shop = (make_desk(SESSION_COOKIE_NAME=f"__Host-{c['SESSION_APP_ID']}", **c) for c in configs)
        browser = self.dispatch(desk, shop)

        browser.get("/log-in/ida")
        browser.get("/shop/log-in/bob")

        assert (name(browser), name(browser, "/shop/name")) == ("ida", "bob")

    def test_one_name_shows_neither_the_others(self, pair):
        """With one name for both, each takes the other's cookie for none, reads nothing of it and leaves it alone."""
        browser = self.dispatch(*pair)

        browser.get("/log-in/ida")

        assert name(browser, "/shop/name") == "nobody"
        assert name(browser) == "ida"

    def test_one_name_holds_the_last(self, pair):
        """With one name for both, a login at one takes the other's place in the browser, and is nobody to the other."""
        browser = self.dispatch(*pair)

        browser.get("/log-in/ida")
        browser.get("/shop/log-in/bob")

        assert (name(browser), name(browser, "/shop/name")) == ("nobody", "bob")

    def test_one_id_is_one_session(self, make_desk):
        """Applications that share keys, id and name share the session on purpose: they are one to the visitor."""
        keys = [Key.generate().text]
        browser = self.dispatch(make_desk(SESSION_SECRET_KEYS=keys), make_desk(SESSION_SECRET_KEYS=keys))

        browser.get("/log-in/ida")

        assert name(browser, "/shop/name") == "ida"


class TestOneExtension:
    """One `HardSession` on two applications."""

    @pytest.fixture
    def hard(self):
        """The extension."""
        return HardSession()

    def test_serves_each_with_its_own_settings(self, make_app, act, hard, token):
        """Each application keeps its cookie, its keys and its timeouts."""
        desk, shop = (
            make_app(SESSION_PROFILE="high"),
            make_app(SESSION_PROFILE="aal2", SESSION_COOKIE_NAME="__Host-shop"),
        )
        for app in (desk, shop):
            hard.init_app(app)
        clients = [app.test_client() for app in (desk, shop)]
        for client, user in zip(clients, ("ida", "bob"), strict=True):
            act(client, lambda user=user: hard.login(user))

        left = [act(client, lambda: current_session.expires_in.total_seconds()).value for client in clients]

        assert 290 <= left[0] <= 300
        assert 3590 <= left[1] <= 3600
        assert [owner(act, client) for client in clients] == ["ida", "bob"]
        assert token(clients[0], NAME)
        assert token(clients[1], "__Host-shop")
        assert desk.extensions["hardsession"] is shop.extensions["hardsession"] is hard

    def test_acts_on_the_session_of_the_request(self, make_app, act, hard):
        """Logging out at one application leaves the visitor logged in at the other."""
        desk, shop = make_app(), make_app()
        for app in (desk, shop):
            hard.init_app(app)
        clients = [app.test_client() for app in (desk, shop)]
        for client in clients:
            act(client, lambda: hard.login("ida"))

        act(clients[0], hard.logout)

        assert [owner(act, client) for client in clients] == [None, "ida"]


def test_twice_on_one_application(make_app, act, caplog):
    """A second `HardSession` on an application loses no session, logs nothing twice, and both log in and out alike."""
    caplog.set_level("INFO", "hardsession.audit")
    app = make_app()
    client = app.test_client()
    first = HardSession(app)
    act(client, lambda: first.login("ida"))

    second = HardSession(app)

    assert owner(act, client) == "ida"
    act(client, lambda: second.login("bob"))
    assert owner(act, client) == "bob"
    act(client, first.logout)
    assert owner(act, client) is None
    events = [json.loads(record.getMessage())["event"] for record in caplog.records]
    assert events == ["session_created", "session_regenerated", "session_destroyed"]
