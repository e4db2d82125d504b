"""Flask-Login's logout, where the request that brings it found nobody to log out."""

from __future__ import annotations

import pytest
from flask import Flask
from flask_login import LoginManager, UserMixin, login_user, logout_user

from .stores import Outage
from .traffic import Slow, make_app, owner, read, send, write


class User(UserMixin):
    id = "ada"


def with_flask_login(store, **config) -> Flask:
    """The application, with Flask-Login."""
    app = make_app(store, **config)
    manager = LoginManager(app)
    manager.user_loader(lambda user_id: User())
    return app


def log_in() -> None:
    login_user(User())


def test_logout_with_the_id_before_the_login(store):
    """A logout that left before the login's answer came ends what the login made, though its own session is empty."""
    app = with_flask_login(store)
    token = send(app, None, write(start=1)).token
    ada = send(app, token, log_in).token

    send(app, token, logout_user)

    assert send(app, ada, owner).value is None


def test_logout_during_login(store):
    """A logout that overtakes a slow login wins."""
    app = with_flask_login(store)
    token = send(app, None, log_in).token
    slow = Slow(app, token, read, log_in)
    send(app, token, logout_user)

    assert slow.finish().token is None


@pytest.mark.parametrize("outage", ["raise", "anonymous"])
def test_outage_then_logout(store, outage):
    """While the store is away a logout is an error under either setting: nobody is told that he is logged out."""
    app = with_flask_login(store, SESSION_STORE_OUTAGE=outage)
    ada = send(app, None, log_in).token

    with Outage(store):
        answer = send(app, ada, logout_user)

    assert (answer.status, answer.cookies) == (500, [])
    assert send(app, ada, owner).value == "ada"
