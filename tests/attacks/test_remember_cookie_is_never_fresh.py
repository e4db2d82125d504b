"""The attacker has Flask-Login's remember cookie, which lasts a year, and wants what asks for a recent password."""

from __future__ import annotations

import pytest
from flask import session
from flask_login import LoginManager, UserMixin, confirm_login, current_user, login_user

from hardsession import current_session

NAME = "__Host-Http-session"


class User(UserMixin):
    """A user whose name is his id."""

    def __init__(self, name):
        self.id = name


@pytest.fixture
def app(make_app):
    """An application with Flask-Login."""
    app = make_app(SECRET_KEY="for Flask-Login's remember cookie")
    LoginManager(app).user_loader(User)
    return app


@pytest.fixture
def thief(app, act):
    """A browser that holds the victim's remember cookie and nothing else."""
    victim = app.test_client()
    act(victim, lambda: login_user(User("ada"), remember=True))
    browser = app.test_client()
    browser.set_cookie("remember_token", victim.get_cookie("remember_token").value)
    return browser


def fresh():
    """What the application sees of its user, and when he last proved who he is."""
    return current_user.get_id(), current_session.authenticated_at


def test_remembered_user_is_in_but_not_fresh(thief, act):
    """The remember cookie logs in, in the first request and in those that follow, and never counts as a proof."""
    assert [act(thief, fresh).value for _ in range(3)] == [("ada", None)] * 3


@pytest.mark.parametrize(
    "what",
    [
        lambda: session.update(a=1),
        lambda: current_session.regenerate(),
        lambda: session.update(_fresh=True),
        lambda: session.update(authenticated_at=2**31),
        lambda: session.update(_id="x", email="ada@example.org"),
    ],
    ids=["writing", "new id", "Flask-Login's flag", "a key of that name", "other keys"],
)
def test_nothing_but_a_proof_makes_it_fresh(thief, act, what):
    """Whatever is written into the session of a remembered user, he stays as unproven as he was."""
    act(thief, fresh)

    act(thief, what)

    assert act(thief, fresh).value[1] is None


def test_proof_makes_fresh_and_the_next_remembered_session_is_not(thief, act):
    """A confirmed password counts for the session that it was given in, and for no other."""
    act(thief, fresh)
    act(thief, lambda: confirm_login())
    assert act(thief, fresh).value[1] is not None

    thief.delete_cookie(NAME)

    assert act(thief, fresh).value == ("ada", None)


@pytest.mark.parametrize(("after", "user"), [(1799, "ada"), (1800, "ada"), (1801, "ada")])
def test_ended_session_comes_back_stale(clock, thief, act, after, user):
    """After a timeout the remember cookie begins a new session, which is not fresh either."""
    act(thief, lambda: (current_user.get_id(), confirm_login()))
    handle = act(thief, lambda: session.get("x") or current_session.handle).value

    clock.tick(after)
    name, since = act(thief, fresh).value

    assert name == user
    assert (since is None) is (after >= 1800)
    assert (act(thief, lambda: session.get("x") or current_session.handle).value == handle) is (after < 1800)
