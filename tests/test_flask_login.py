"""Flask-Login on top, without a line for it in the application."""

from __future__ import annotations

import sys

import pytest
from flask import session
from flask_login import (
    LoginManager,
    UserMixin,
    confirm_login,
    current_user,
    login_user,
    logout_user,
)

from hardsession import current_session

NAME = "__Host-Http-session"


class User(UserMixin):
    """A user whose name is his id."""

    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture
def app(app):
    """An application with Flask-Login."""
    app.config["SECRET_KEY"] = "for Flask-Login's remember cookie"
    manager = LoginManager(app)
    manager.user_loader(User)
    return app


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


def test_is_not_imported_for_its_own_sake(make_app, act, monkeypatch):
    """An application without Flask-Login does without it."""
    monkeypatch.delitem(sys.modules, "flask_login")
    client = make_app().test_client()

    act(client, lambda: session.update(a=1))

    assert "flask_login" not in sys.modules
