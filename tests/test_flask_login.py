"""Flask-Login on top, without a line for it in the application."""

from __future__ import annotations

import sys

import pytest
from flask import Flask, session
from flask_login import (
    LoginManager,
    UserMixin,
    confirm_login,
    current_user,
    login_user,
    logout_user,
)

from hardsession import HardSession, Key, SessionLimitError, current_session, fresh_required
from hardsession.stores.memory import MemoryStore

NAME = "__Host-Http-session"


class User(UserMixin):
    """A user whose name is his id."""

    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture(params=["cookie", "store"])
def app(make_app, request):
    """An application with Flask-Login, in each mode. It shows its safe to those alone who just proved who they are."""
    app = make_app(**({"SESSION_STORE": MemoryStore()} if request.param == "store" else {}))
    use_flask_login(app)
    app.add_url_rule("/safe", "safe", fresh_required(300)(lambda: "gold"))
    return app


def use_flask_login(app):
    """What an application does for Flask-Login, and nothing for this library."""
    app.config["SECRET_KEY"] = "for Flask-Login's remember cookie"
    LoginManager(app).user_loader(User)


@pytest.fixture
def header(act):
    """What is sealed in a browser's cookie."""
    return lambda client: act(client, lambda: (session.get("x"), current_session.header)[1]).value


def test_login_is_a_login_here(client, act, header):
    """`login_user` gives a new session that belongs to the user and is fresh."""
    act(client, lambda: session.update(cart=["tea"]))
    before = header(client)

    act(client, lambda: login_user(User("ada")))

    after = header(client)
    assert after.lineage != before.lineage
    assert after.metadata.owner == "ada"
    assert after.metadata.methods == {"flask-login": after.authenticated_at}
    assert act(client, lambda: (current_user.id, session["cart"])).value == ("ada", ["tea"])


def test_unfresh_login_is_not_fresh(client, act, header):
    """`login_user(fresh=False)` proves nothing."""
    act(client, lambda: login_user(User("ada"), fresh=False))

    assert header(client).authenticated_at == 0
    assert header(client).metadata.owner == "ada"


def test_remembered_user_is_never_fresh(client, act, header):
    """Who comes back by the remember cookie gets a session of his own that is not fresh."""
    act(client, lambda: login_user(User("ada"), remember=True))
    before = header(client)
    client.delete_cookie(NAME)

    name = act(client, lambda: current_user.id).value

    after = header(client)
    assert name == "ada"
    assert after.authenticated_at == 0
    assert after.metadata.owner == "ada"
    assert after.lineage != before.lineage


def test_confirmation_makes_fresh(client, act, header):
    """`confirm_login` is a login of the same user: fresh, under a new id and the same handle."""
    act(client, lambda: login_user(User("ada"), fresh=False))
    before = header(client)

    act(client, lambda: confirm_login())

    after = header(client)
    assert after.authenticated_at > 0
    assert after.lineage == before.lineage
    assert after.generation == before.generation + 1


def test_confirmation_of_nobody(client, act):
    """Confirming without a user logs nobody in."""
    act(client, lambda: confirm_login())

    assert act(client, lambda: (current_session.header.metadata.owner, current_user.is_authenticated)).value == (
        None,
        False,
    )


def test_another_user_inherits_nothing(client, act):
    """A second user's login drops what the first left, and works."""
    act(client, lambda: (login_user(User("ada")), session.update(draft="x")))

    act(client, lambda: login_user(User("bob")))

    assert act(client, lambda: (current_user.id, session.get("draft"))).value == ("bob", None)


def test_logout_ends_the_session(client, act, header, events):
    """`logout_user` ends the session; other data goes on for nobody."""
    act(client, lambda: (login_user(User("ada")), session.update(theme="dark")))
    before = header(client)

    act(client, logout_user)

    after = header(client)
    assert after.lineage != before.lineage
    assert after.metadata.owner is None
    assert act(client, lambda: (current_user.is_authenticated, session["theme"])).value == (False, "dark")
    assert "session_destroyed" in [name for name, _ in events]


def test_logout_forgets_the_remember_cookie(client, act):
    """After a logout the remember cookie is gone, also when the session is cleared by `hard.logout()`."""
    act(client, lambda: login_user(User("ada"), remember=True))

    act(client, lambda: (logout_user(), current_session.logout()))

    assert client.get_cookie("remember_token") is None
    assert act(client, lambda: current_user.is_authenticated).value is False


@pytest.mark.parametrize(
    "log_out",
    [
        logout_user,
        lambda: (logout_user(), HardSession().logout()),
        lambda: (logout_user(), session.clear()),
        lambda: (logout_user(), session.clear(), session.update(flash="Goodbye.")),
        lambda: (logout_user(), session.update(flash="Goodbye.")),
    ],
    ids=["alone", "and logout", "and clear", "clear and a message", "and a message"],
)
def test_order_to_forget_survives_the_end_of_the_session(client, act, log_out):
    """However an application ends the session as well, the remember cookie goes, and nobody is logged in again."""
    act(client, lambda: login_user(User("ada"), remember=True))
    assert client.get_cookie("remember_token") is not None

    act(client, log_out)

    assert client.get_cookie("remember_token") is None
    assert act(client, lambda: (current_user.is_authenticated, "_remember" in session)).value == (False, False)


@pytest.mark.parametrize("remember", [False, True])
def test_refused_login_leaves_nothing(make_app, act, remember):
    """Who has as many sessions as he may is not let in by what Flask-Login wrote before, nor remembered."""
    app = make_app(SESSION_STORE=MemoryStore(), SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")
    use_flask_login(app)
    first, second = app.test_client(), app.test_client()
    act(first, lambda: login_user(User("ada")))

    def refused():
        session["theme"] = "dark"
        with pytest.raises(SessionLimitError):
            login_user(User("ada"), remember=remember)

    act(second, refused)

    assert act(second, lambda: (current_user.is_authenticated, session["theme"])).value == (False, "dark")
    assert second.get_cookie("remember_token") is None
    assert act(first, lambda: current_user.id).value == "ada"


def test_remembered_user_over_the_cap_ends_the_oldest(make_app, act, header):
    """A login that no view asked for cannot be refused: it is no error, and the oldest session ends."""
    app = make_app(SESSION_STORE=MemoryStore(), SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")
    use_flask_login(app)
    first, second = app.test_client(), app.test_client()
    act(first, lambda: login_user(User("ada"), remember=True))
    second.set_cookie("remember_token", first.get_cookie("remember_token").value)
    first.delete_cookie("remember_token")

    name = act(second, lambda: current_user.id).value

    assert name == "ada"
    assert (header(second).metadata.owner, header(second).authenticated_at) == ("ada", 0)
    assert act(first, lambda: current_user.is_authenticated).value is False


class TestFreshRequired:
    """`@fresh_required` above Flask-Login."""

    def test_login_is_fresh(self, client, act):
        """`login_user` is a proof."""
        act(client, lambda: login_user(User("ada")))

        assert client.get("/safe").text == "gold"

    def test_remembered_user_is_asked_again(self, client, act):
        """A remember cookie opens no safe, neither at once nor later, until `confirm_login`."""
        act(client, lambda: login_user(User("ada"), remember=True))
        client.delete_cookie(NAME)

        refused = [client.get("/safe") for _ in range(2)]
        name = act(client, lambda: current_user.id).value
        refused.append(client.get("/safe"))
        act(client, confirm_login)

        assert name == "ada"
        assert [answer.status_code for answer in refused] == [401] * 3
        assert "reason=unproven" in refused[-1].headers["WWW-Authenticate"]
        assert client.get("/safe").text == "gold"

    def test_doubt_of_flask_login_is_one_here(self, client, act):
        """Where another browser brings the cookie, Flask-Login doubts, and the safe is shut."""
        act(client, lambda: login_user(User("ada")), headers={"User-Agent": "hers"})

        act(client, lambda: current_user.is_authenticated, headers={"User-Agent": "another"})

        assert client.get("/safe").status_code == 401

    def test_second_factor(self, client, act, header):
        """`hard.login` of the same user adds how he proved it, and he stays logged in at Flask-Login."""
        act(client, lambda: login_user(User("ada")))
        act(client, lambda: HardSession().login(current_user.get_id(), method="webauthn"))

        assert header(client).metadata.methods.keys() == {"flask-login", "webauthn"}
        assert act(client, lambda: current_user.id).value == "ada"


class TestWiring:
    """Nobody has to tell this library that Flask-Login is there."""

    def test_manager_after_the_check_of_the_settings(self, make_app, act):
        """An application may call `ready()` before it comes to Flask-Login."""
        app = make_app()
        HardSession().ready(app)
        use_flask_login(app)
        client = app.test_client()

        act(client, lambda: login_user(User("ada")))

        assert act(client, lambda: current_session.is_fresh(300)).value is True

    def test_manager_after_a_session_was_opened(self, make_app, act):
        """Even a session that a test prepared does not come too early."""
        app = make_app()
        client = app.test_client()
        with client.session_transaction() as prepared:
            prepared["cart"] = ["tea"]
        use_flask_login(app)

        act(client, lambda: login_user(User("ada")))

        assert act(client, lambda: current_session.is_fresh(300)).value is True

    def test_import_after_the_check_of_the_settings(self, make_app, act, monkeypatch):
        """Flask-Login itself may be imported as late."""
        module = sys.modules["flask_login"]
        monkeypatch.delitem(sys.modules, "flask_login")
        app = make_app()
        HardSession().ready(app)
        with app.test_request_context():
            session.get("x")
        monkeypatch.setitem(sys.modules, "flask_login", module)
        use_flask_login(app)
        client = app.test_client()

        act(client, lambda: login_user(User("ada")))

        assert act(client, lambda: current_session.is_fresh(300)).value is True

    def test_extension_after_the_manager(self, act):
        """The two may come in either order."""
        app = Flask("newsroom")
        app.config["SESSION_SECRET_KEYS"] = [Key.generate().text]
        use_flask_login(app)
        HardSession(app)
        app.add_url_rule("/", "view", lambda: (app.extensions["act"](), "done")[1])
        client = app.test_client()

        act(client, lambda: login_user(User("ada")))

        assert act(client, lambda: current_session.is_fresh(300)).value is True

    def test_somebody_elses_manager(self, make_app, act, monkeypatch):
        """An attribute of that name, without Flask-Login, is nothing to listen to."""
        monkeypatch.delitem(sys.modules, "flask_login")
        app = make_app()
        app.login_manager = object()
        client = app.test_client()

        assert act(client, lambda: session.update(a=1)).response.status_code == 200
        assert "flask_login" not in sys.modules


def test_is_not_imported_for_its_own_sake(make_app, act, monkeypatch):
    """An application without Flask-Login does without it."""
    monkeypatch.delitem(sys.modules, "flask_login")
    client = make_app().test_client()

    act(client, lambda: session.update(a=1))

    assert "flask_login" not in sys.modules
