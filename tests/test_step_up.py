"""Step-up: a view that asks for a recent proof of who the user is."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask, session
from flask.views import MethodView, View
from freezegun import freeze_time
from werkzeug.exceptions import Unauthorized
from werkzeug.http import parse_dict_header

from hardsession import HardSession, HardSessionError, ReauthenticationRequired, current_session, fresh_required
from hardsession.stores.memory import MemoryStore

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
hard = HardSession()


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


@pytest.fixture(params=["cookie", "store"])
def app(make_app, request):
    """An application that rotates its keys for those alone who just proved who they are, in each mode."""
    app = make_app(**({"SESSION_STORE": MemoryStore()} if request.param == "store" else {}))

    @app.post("/rotate/<int:times>")
    @fresh_required(timedelta(minutes=5), methods={"webauthn"})
    def rotate(times: int):
        """Rotate the keys."""
        return f"rotated {times} times by {session['user_id']}"

    @app.get("/keys")
    @fresh_required(300)
    def keys():
        return "keys"

    return app


@pytest.fixture
def log_in(act):
    """Log a user in by some method."""
    return lambda client, user="ada", **options: act(
        client, lambda: (hard.login(user, **options), session.update(user_id=user))
    )


def challenge(response):
    """What a refusal says to a program."""
    scheme, _, parameters = response.headers["WWW-Authenticate"].partition(" ")
    return scheme, parse_dict_header(parameters)


class TestStory:
    """From the password to the key, and out again."""

    def test_step_up(self, clock, client, log_in, act):
        """A password opens the session, a security key the dangerous page, and after `max_age` it is shut again."""
        log_in(client)
        handle = act(client, lambda: session.get("x") or current_session.handle).value

        assert client.get("/keys").status_code == 200
        assert challenge(client.post("/rotate/2"))[1]["reason"] == "wrong_method"

        clock.tick(60)
        log_in(client, method="webauthn")
        assert client.post("/rotate/2").text == "rotated 2 times by ada"
        assert act(client, lambda: session.get("x") or current_session.handle).value == handle

        clock.tick(299)
        assert client.post("/rotate/2").status_code == 200
        clock.tick(1)
        refused = client.post("/rotate/2")
        assert (refused.status_code, challenge(refused)[1]["reason"]) == (401, "too_old")
        assert act(client, lambda: session["user_id"]).value == "ada"

    def test_later_password_does_not_renew_the_key(self, clock, client, log_in):
        """Each method has its own time: a password given again is no security key."""
        log_in(client, method="webauthn")
        clock.tick(300)
        log_in(client, method="password")

        assert client.get("/keys").status_code == 200
        assert challenge(client.post("/rotate/2"))[1]["reason"] == "too_old"

    def test_same_session_in_one_request(self, client, act):
        """Who logs in in a request is fresh in it, also when his name is stored after that."""

        def log_in_and_ask():
            hard.login("ada", method="webauthn")
            session["user_id"] = "ada"
            return current_session.is_fresh(300, methods={"webauthn"})

        assert act(client, log_in_and_ask).value is True


class TestRefusal:
    """What comes instead of the view."""

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            (lambda: session.update(a=1), "anonymous"),
            (lambda: session.update(user_id="ada"), "unproven"),
            (lambda: hard.login("ada", method=None), "unproven"),
            (lambda: (hard.login("ada", method="webauthn"), current_session.doubt()), "unproven"),
            (lambda: (hard.login("ada", method="webauthn"), hard.logout()), "anonymous"),
            (lambda: hard.login("ada", method="password"), "wrong_method"),
        ],
        ids=["anonymous", "key alone", "remembered", "doubted", "logged out", "password"],
    )
    def test_reason(self, client, act, how, reason):
        """The reason is one of four, and the view was not called."""
        act(client, how)

        refused = client.post("/rotate/2")

        assert refused.status_code == 401
        assert "rotated" not in refused.text
        assert challenge(refused) == (
            "Session",
            {
                "error": "insufficient_user_authentication",
                "reason": reason,
                "max_age": "300",
                "methods": "webauthn",
            },
        )

    def test_any_method(self, client):
        """Where any method will do, none is named."""
        assert "methods" not in challenge(client.get("/keys"))[1]

    def test_is_kept_nowhere(self, client):
        """No cache keeps the refusal, which would be wrong a login later."""
        refused = client.get("/keys")

        assert refused.headers["Cache-Control"] == "no-store"
        assert refused.headers["Vary"] == "Cookie"
        assert "Set-Cookie" not in refused.headers

    def test_sets_no_headers_where_it_lets_through(self, client, log_in):
        """The view's own answer is left as it is."""
        log_in(client)

        assert "Cache-Control" not in client.get("/keys").headers

    def test_error_has_the_data(self):
        """The reason, the seconds and the methods are on the error, which is a 401 of Werkzeug and one of ours."""
        app = Flask("newsroom")
        app.config["SESSION_SECRET_KEYS"] = [b"0123456789abcdef0123456789abcdef"]
        HardSession(app)

        with app.test_request_context(), pytest.raises(ReauthenticationRequired) as raised:
            fresh_required(timedelta(minutes=5), methods=["totp", "webauthn"])(lambda: None)()

        error = raised.value
        assert (error.reason, error.max_age, error.methods) == ("anonymous", 300, {"totp", "webauthn"})
        assert isinstance(error, HardSessionError)
        assert isinstance(error, Unauthorized)
        assert error.code == 401

    @pytest.mark.parametrize("of", [ReauthenticationRequired, Unauthorized, 401, HardSessionError])
    def test_handler_of_the_application_decides(self, app, client, of):
        """A handler for the error, for its status or for any error of this library answers instead."""

        @app.errorhandler(of)
        def ask_again(error):
            return f"Prove it: {error.reason}", 200, {"Cache-Control": "public, max-age=600"}

        answer = client.get("/keys")

        assert (answer.status_code, answer.text) == (200, "Prove it: anonymous")
        assert answer.headers["Cache-Control"] == "no-store"

    def test_application_without_a_key(self):
        """Without a key there are no sessions, and so no view that needs a fresh one."""
        app = Flask("newsroom")
        HardSession(app)

        with app.test_request_context(), pytest.raises(RuntimeError, match="has no sessions"):
            fresh_required(300)(lambda: None)()


class TestView:
    """What can be decorated."""

    def test_keeps_name_and_signature(self, app):
        """Flask and its users see the view under its own name."""
        view = app.view_functions["rotate"]

        assert (view.__name__, view.__doc__) == ("rotate", "Rotate the keys.")
        assert list(inspect.signature(view).parameters) == ["times"]

    def test_async_view(self, app, client, log_in, monkeypatch):
        """A view that is `async` stays so, and is not begun before the proof."""
        monkeypatch.setattr(app, "async_to_sync", lambda view: lambda *a, **kw: asyncio.run(view(*a, **kw)))
        begun = []

        @app.get("/async/<name>")
        @fresh_required(300)
        async def slow(name):
            begun.append(name)
            await asyncio.sleep(0)
            return f"async {name}"

        refused = client.get("/async/keys")
        log_in(client)
        let_through = client.get("/async/keys")

        assert inspect.iscoroutinefunction(slow)
        assert (refused.status_code, refused.headers["Cache-Control"]) == (401, "no-store")
        assert let_through.text == "async keys"
        assert begun == ["keys"]

    def test_class_based_views(self, app, client, log_in):
        """It suits the methods of a class, and its `decorators`."""

        class Keys(MethodView):
            def get(self):
                return "shown"

            @fresh_required(300)
            def post(self):
                return "rotated"

        class Vault(View):
            decorators = (fresh_required(300),)

            def dispatch_request(self):
                return "open"

        app.add_url_rule("/class", view_func=Keys.as_view("class"))
        app.add_url_rule("/vault", view_func=Vault.as_view("vault"))

        before = [client.get("/class").text, client.post("/class").status_code, client.get("/vault").status_code]
        log_in(client)
        after = [client.get("/class").text, client.post("/class").text, client.get("/vault").text]

        assert before == ["shown", 401, 401]
        assert after == ["shown", "rotated", "open"]

    def test_class_itself_is_no_view(self):
        """A class that is decorated as a whole is an error at once."""
        with pytest.raises(TypeError, match="A class is no view"):
            fresh_required(300)(MethodView)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"max_age": 0}, ValueError),
            ({"max_age": "300"}, TypeError),
            ({"max_age": len}, TypeError),
            ({"max_age": 300, "methods": "webauthn"}, TypeError),
            ({"max_age": 300, "methods": set()}, ValueError),
        ],
    )
    def test_mistakes_are_found_when_decorating(self, arguments, error):
        """What no login could satisfy never becomes a view."""
        with pytest.raises(error):
            fresh_required(**arguments)


class TestIsFresh:
    """`current_session.is_fresh`."""

    def test_agrees_with_the_decorator(self, clock, client, log_in, act):
        """It gives the decorator's answer, for templates and for views that ask only sometimes."""
        log_in(client)
        seen = []

        for _ in range(3):
            seen.append((act(client, lambda: current_session.is_fresh(300)).value, client.get("/keys").status_code))
            clock.tick(150)

        assert seen == [(True, 200), (True, 200), (False, 401)]

    def test_method(self, client, log_in, act):
        """It knows of methods, too."""
        log_in(client, method="totp")

        assert act(client, lambda: current_session.is_fresh(300, methods={"totp"})).value is True
        assert act(client, lambda: current_session.is_fresh(300, methods={"webauthn"})).value is False
