"""The application logs in by a key that no other library looks at, such as `username`, and calls nothing of ours."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import current_session
from hardsession.identity import IDENTITY_KEYS

NAME = "__Host-Http-session"


@pytest.mark.parametrize("key", IDENTITY_KEYS)
def test_login_by_any_usual_key_is_a_new_session(app, attacker, act, key):
    """Writing the key gives a new id and handle, so a planted copy stays anonymous."""
    browser = app.test_client()
    act(browser, lambda: session.update(cart=["tea"]))
    planted, handle = attacker.steals(browser), act(browser, lambda: session.get("x") or current_session.handle).value

    act(browser, lambda: session.update({key: "ada"}))

    assert act(browser, lambda: (session[key], session["cart"])).value == ("ada", ["tea"])
    assert act(browser, lambda: session.get("x") or current_session.handle).value != handle
    assert attacker.reads(planted) == {"cart": ["tea"]}


@pytest.mark.parametrize("key", IDENTITY_KEYS)
def test_nothing_says_how_the_user_proved_it(app, act, key):
    """Such a login is never fresh: only the application knows whether a password was asked for."""
    browser = app.test_client()

    act(browser, lambda: session.update({key: "ada"}))

    assert act(browser, lambda: current_session.authenticated_at).value is None


@pytest.mark.parametrize("key", IDENTITY_KEYS)
def test_logout_by_the_same_key_ends_it(app, act, key):
    """Popping the key is a logout: what else is stored goes on under a new id and handle."""
    browser = app.test_client()
    act(browser, lambda: session.update({key: "ada", "theme": "dark"}))
    handle = act(browser, lambda: session.get("x") or current_session.handle).value

    act(browser, lambda: session.pop(key))

    assert act(browser, lambda: dict(session)).value == {"theme": "dark"}
    assert act(browser, lambda: session.get("x") or current_session.handle).value != handle


def test_key_of_the_applications_own(make_app, attacker, act):
    """A key that is not among the usual ones is named in the settings, and then counts."""
    app = make_app(SESSION_IDENTITY_KEYS=["member"])
    browser = app.test_client()
    act(browser, lambda: session.update(cart=["tea"]))
    handle = act(browser, lambda: session.get("x") or current_session.handle).value

    act(browser, lambda: session.update(member="ada"))

    assert act(browser, lambda: session.get("x") or current_session.handle).value != handle


@pytest.mark.parametrize("key", ["username", "user", "email", "uid", "account_id"])
def test_name_is_not_taken_for_the_owner(app, act, seen_in, key):
    """A name need not be a user's id, so the session is listed under nobody rather than under somebody else."""
    browser = app.test_client()

    act(browser, lambda: session.update({key: "ada"}))

    assert seen_in(browser).header.metadata.owner is None
