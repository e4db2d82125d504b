"""`HardSession`: one object, one line in an application, and nothing before it is needed."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from datetime import timedelta

import argon2.low_level
import pytest
from flask import Flask, session
from freezegun import freeze_time

import hardsession
from hardsession import ConfigError, HardSession, Key, Passphrase, current_session
from hardsession.cli import commands
from hardsession.sessions import Session

NAME = "__Host-Http-session"


def make(**config):
    """An application without HardSession."""
    app = Flask("newsroom")
    app.config.update({"SESSION_SECRET_KEYS": [Key.generate().text]} | config)

    @app.get("/")
    def view():
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    return app


def test_one_line_is_enough():
    """`HardSession(app)` seals what `flask.session` holds."""
    app = make()

    HardSession(app)

    client = app.test_client()
    assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]
    assert client.get_cookie(NAME).value.startswith("hs1_")


def test_factory_pattern():
    """`HardSession()` and a later `init_app(app)` do the same, and the application knows its extension."""
    hard = HardSession()
    app = make()

    hard.init_app(app)

    assert app.extensions["hardsession"] is hard
    assert app.test_client().get("/").headers["Set-Cookie"].startswith(f"{NAME}=hs1_")


def test_public_names():
    """What the package promises fits on a few lines, and each name is there."""
    assert sorted(hardsession.__all__) == [
        "ConfigError",
        "ConflictError",
        "HardSession",
        "HardSessionError",
        "Key",
        "NotSavedError",
        "Passphrase",
        "ReauthenticationRequired",
        "SerializationError",
        "SessionTooLargeError",
        "StoreError",
        "current_session",
        "fresh_required",
    ]
    assert all(hasattr(hardsession, name) for name in hardsession.__all__)


class TestCurrentSession:
    """`current_session`, and the three verbs of `HardSession`."""

    def test_is_flasks_session(self, client, act):
        """It is `flask.session` under a type of its own."""
        same = act(client, lambda: current_session._get_current_object() is session._get_current_object())

        assert same.value is True
        assert act(client, lambda: isinstance(current_session._get_current_object(), Session)).value is True

    def test_verbs(self, client, act):
        """`login`, `regenerate` and `logout` act on the session of the request, whichever object they are called on."""
        hard = HardSession()

        act(client, lambda: hard.login("ada", method="webauthn", keep=()))
        before = act(client, lambda: (session.handle, session.authenticated_at)).value
        act(client, lambda: hard.regenerate())
        after = act(client, lambda: (session.handle, session.authenticated_at)).value
        act(client, lambda: hard.logout())

        assert before == after
        assert None not in before
        assert act(client, lambda: session.handle).value is None

    @pytest.mark.parametrize(
        "ask",
        [lambda hard: hard.login("ada"), lambda hard: hard.logout(), lambda hard: hard.regenerate()],
        ids=["login", "logout", "regenerate"],
    )
    @pytest.mark.parametrize(
        "sessionless",
        [
            lambda: HardSession(app := make(SESSION_SECRET_KEYS=None)) and app,
            lambda: make(SECRET_KEY="Flask's own sessions, with a key"),
            lambda: make(SESSION_SECRET_KEYS=None),
        ],
        ids=["no key", "Flask's sessions", "neither"],
    )
    def test_without_sessions(self, ask, sessionless):
        """Where the application has no sessions of ours, each verb says what to set and to call."""
        app = sessionless()

        with app.test_request_context(), pytest.raises(RuntimeError) as caught:
            ask(HardSession())

        assert str(caught.value) == (
            "This application has no sessions. Set SESSION_SECRET_KEYS, and call HardSession(app)."
        )

    def test_outside_of_a_request(self):
        """Outside of a request each verb is the error that Flask raises for its session."""
        with pytest.raises(RuntimeError, match="outside of request context"):
            HardSession().logout()


class TestWhenSettingsAreRead:
    """Settings are resolved when they are first needed, and not before."""

    @pytest.fixture
    def late(self):
        """An application with sessions, whose settings come after `HardSession(app)`."""
        app = make(SESSION_SECRET_KEYS=None)
        HardSession(app)
        app.config.update(SESSION_SECRET_KEYS=[Key.generate().text], SESSION_COOKIE_NAME="sid")
        return app

    def test_by_the_first_request(self, late):
        """What is set after `init_app` and before the first request counts."""
        assert late.test_client().get("/").headers["Set-Cookie"].startswith("sid=hs1_")

    def test_by_session_transaction(self, late):
        """A test that stores something before its first request has a session to do so."""
        client = late.test_client()

        with client.session_transaction() as stored:
            stored["visits"] = 41

        assert client.get("/").text == "42"
        assert client.get_cookie("sid") is not None

    @pytest.mark.parametrize("store", [None, "sqlite:///sessions.db"], ids=["cookie", "store"])
    def test_in_the_context_of_the_request(self, late, store, tmp_path, monkeypatch):
        """What the application does at the end of a context is done once in the first request, as in every other."""
        monkeypatch.chdir(tmp_path)
        late.config["SESSION_STORE"] = store
        ends = []
        late.teardown_appcontext(ends.append)

        late.test_client().get("/")

        assert ends == [None]

    def test_by_ready(self, late):
        """`ready()` resolves them at once."""
        HardSession(late).ready()

        late.config["SESSION_COOKIE_NAME"] = "other"

        assert late.test_client().get("/").headers["Set-Cookie"].startswith("sid=hs1_")

    @pytest.mark.parametrize("command", ["check", "inspect"])
    def test_by_the_command_line(self, late, command):
        """The commands see the settings as a request would."""
        late.test_cli_runner().invoke(commands, [command], input="hs1_" + "AQAA" * 30)

        assert late.config["SESSION_COOKIE_SECURE"] is True

    def test_not_by_init_app(self, tmp_path):
        """`init_app` writes nothing back and looks at nothing, not even at settings that cannot work."""
        app = make(SESSION_SECRET_KEYS_FILE=str(tmp_path / "none"), SESSION_PROFILE="military", SESSION_TYPE="redis")
        before = dict(app.config)

        HardSession(app)

        assert app.config == before

    def test_init_app_opens_and_derives_nothing(self, monkeypatch):
        """`init_app` derives no key: a passphrase costs its tenth of a second in the first request."""
        derived = []
        real = argon2.low_level.hash_secret_raw
        monkeypatch.setattr(argon2.low_level, "hash_secret_raw", lambda *a, **k: derived.append(a) or real(*a, **k))
        app = make(SESSION_SECRET_KEYS=[Passphrase("five herons over the harbour", "the salt of this test")])

        HardSession(app)
        assert derived == []

        client = app.test_client()
        assert [client.get("/").text for _ in range(2)] == ["1", "2"]
        assert len(derived) == 1

    def test_only_once(self, make_app, act, caplog):
        """However many first requests come at the same moment, the settings are resolved once."""
        app = make_app(
            SESSION_ALLOW_PLAIN_HTTP=True,
            SESSION_SECRET_KEYS=[Passphrase("six herons over the harbour", "the salt of this test")],
        )
        caplog.set_level(logging.WARNING, "hardsession")
        barrier = threading.Barrier(8)

        def visit():
            barrier.wait()
            app.test_client().get("/")

        threads = [threading.Thread(target=visit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len([r for r in caplog.records if "SESSION_ALLOW_PLAIN_HTTP" in r.getMessage()]) == 1

    def test_bad_settings_are_the_error_of_every_request(self):
        """Settings that cannot work are no session that silently is none: each request fails until they are mended."""
        app = make(SESSION_PROFILE="military", PROPAGATE_EXCEPTIONS=True)
        HardSession(app)
        client = app.test_client()
        for _ in range(2):
            with pytest.raises(ConfigError):
                client.get("/")

        app.config["SESSION_PROFILE"] = "high"

        assert client.get("/").text == "1"

    def test_bad_settings_are_a_plain_500(self):
        """In production a visitor gets an error page that says nothing of the settings."""
        app = make(SESSION_PROFILE="military")
        HardSession(app)

        response = app.test_client().get("/")

        assert response.status_code == 500
        assert "military" not in response.text
        assert "Set-Cookie" not in response.headers


class TestReady:
    """`hard.ready()`, the last line of a factory."""

    def test_names_every_problem(self):
        """It raises what the first request would have raised."""
        app = make(SESSION_PROFILE="military", SESSION_PAD_TO=1)

        with pytest.raises(ConfigError) as caught:
            HardSession(app).ready()

        assert [problem.setting for problem in caught.value.problems] == ["SESSION_PROFILE", "SESSION_PAD_TO"]

    def test_of_the_last_application(self):
        """Without an argument it is about the application that was given last."""
        good, bad = make(), make(SESSION_PROFILE="military")
        hard = HardSession(good)
        hard.ready()

        hard.init_app(bad)

        with pytest.raises(ConfigError):
            hard.ready()

    def test_of_a_named_application(self):
        """With an argument it is about that one."""
        good, bad = make(), make(SESSION_PROFILE="military")
        hard = HardSession(good)
        hard.init_app(bad)

        hard.ready(good)

        assert good.config["SESSION_COOKIE_NAME"] == NAME
        assert bad.config["SESSION_COOKIE_NAME"] == "session"

    def test_of_the_current_application(self):
        """An object that was given none takes the current application."""
        app = make()
        HardSession(app)

        with app.app_context():
            HardSession().ready()

        assert app.config["SESSION_COOKIE_NAME"] == NAME

    def test_of_no_application(self):
        """Without any application it is Flask's error about the missing context."""
        with pytest.raises(RuntimeError, match="outside of application context"):
            HardSession().ready()

    def test_of_an_application_that_is_gone(self):
        """An application that was thrown away counts as none."""
        hard = HardSession(make())
        gc.collect()

        with pytest.raises(RuntimeError, match="outside of application context"):
            hard.ready()

    def test_of_an_application_with_other_sessions(self):
        """An application that was not initialised, or whose interface was replaced, is told so."""
        with pytest.raises(TypeError, match=r"Call init_app\(app\) first"):
            HardSession().ready(make())

    def test_twice(self, caplog):
        """A second call changes and says nothing."""
        app = make(SESSION_ALLOW_PLAIN_HTTP=True)
        hard = HardSession(app)

        hard.ready()
        hard.ready()

        assert len(caplog.records) == 1


class TestSeveralApplications:
    """One object may serve several applications, and one application may be given twice."""

    def test_two_applications(self):
        """Each application has its own settings, keys and sessions."""
        hard = HardSession()
        first, second = make(), make(SESSION_COOKIE_NAME="sid")
        hard.init_app(first)
        hard.init_app(second)
        visitor, other = first.test_client(), second.test_client()

        texts = [visitor.get("/").text, other.get("/").text, visitor.get("/").text]

        other.set_cookie("sid", visitor.get_cookie(NAME).value)
        assert texts == ["1", "1", "2"]
        assert other.get("/").text == "1"

    def test_twice_on_one(self, caplog):
        """A second `init_app` keeps what the first one made, sessions and registered types among it."""
        app = make()
        hard = HardSession(app)
        client = app.test_client()
        client.get("/")
        interface = app.session_interface

        hard.init_app(app)
        HardSession(app)

        assert app.session_interface is interface
        assert client.get("/").text == "2"

    def test_events_are_written_once(self, caplog):
        """An application that was initialised twice has one line for each event."""
        caplog.set_level(logging.INFO, "hardsession.audit")
        app = make()
        HardSession(app)
        HardSession(app).ready()

        app.test_client().get("/")

        assert len(caplog.records) == 1


class TestGarbage:
    """An application that is thrown away leaves: tests and factories make hundreds of them."""

    @staticmethod
    def request(app, hard):
        client = app.test_client()
        client.get("/")
        client.get("/")

    @staticmethod
    def refused(app, hard):
        client = app.test_client()
        client.set_cookie(NAME, "x" * 200)
        client.get("/")

    @staticmethod
    def ready(app, hard):
        hard.ready()

    @staticmethod
    def transaction(app, hard):
        with app.test_client().session_transaction() as stored:
            stored["a"] = 1

    @staticmethod
    def command(app, hard):
        app.test_cli_runner().invoke(commands, ["check"])

    @staticmethod
    def nothing(app, hard):
        pass

    @staticmethod
    def expired(app, hard):
        client = app.test_client()
        with freeze_time() as clock:
            client.get("/")
            clock.tick(timedelta(days=1))
            client.get("/")

    @pytest.mark.parametrize("use", ["nothing", "request", "refused", "ready", "transaction", "command", "expired"])
    @pytest.mark.parametrize("source", ["keys", "file"])
    def test_application_is_let_go(self, use, source, tmp_path):
        """Neither the object, the interface nor a signal keeps an application alive that was used in any way."""
        app = make()
        if source == "file":
            (tmp_path / "keys").write_text(app.config.pop("SESSION_SECRET_KEYS")[0])
            app.config["SESSION_SECRET_KEYS_FILE"] = str(tmp_path / "keys")
        hard = HardSession(app)
        getattr(self, use)(app, hard)
        interface, gone = app.session_interface, weakref.ref(app)

        del app
        gc.collect()

        assert interface is not None
        assert gone() is None

    def test_nothing_is_left_of_it(self):
        """What listened to an application goes with it."""
        from hardsession import signals

        def listeners():
            gc.collect()
            return sum(len(signal.receivers) for signal in signals.ALL)

        before = listeners()
        for _ in range(3):
            app = make()
            HardSession(app).ready()
        del app

        assert listeners() == before
