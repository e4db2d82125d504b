"""The attacker plants an anonymous session whose CSRF token he knows, waits for the login, and forges a form."""

from __future__ import annotations

import pytest
from flask import g, session
from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms import ValidationError

from hardsession import HardSession

LOGINS = {
    "hard.login": lambda: HardSession().login("ada"),
    "user_id": lambda: session.update(user_id="ada"),
    "username": lambda: session.update(username="ada"),
    "Flask's tutorial": lambda: (session.clear(), session.update(user_id="ada")),
}


def make_token():
    """The token of this session's forms, as Flask-WTF makes it."""
    g.pop("csrf_token", None)
    return generate_csrf()


def accepts(token):
    """Whether a form with this token is accepted."""
    try:
        validate_csrf(token)
    except ValidationError:
        return False
    return True


@pytest.fixture
def shop(make_app):
    """An application whose cookie any sibling can plant."""
    return make_app(SESSION_COOKIE_NAME="sid", SECRET_KEY="for Flask-WTF, which signs its tokens")


@pytest.fixture
def planted(shop, attacker, act):
    """An anonymous session, and the token of its forms."""
    browser = shop.test_client()
    token = act(browser, make_token).value
    return attacker.steals(browser, "sid"), token


@pytest.mark.parametrize("way", LOGINS)
def test_token_from_before_the_login_is_worth_nothing_after(shop, planted, act, way):
    """Where the cookie can be planted, the token in it does not survive the login."""
    cookie, token = planted
    victim = shop.test_client()
    victim.set_cookie("sid", cookie)
    assert act(victim, lambda: accepts(token)).value is True

    act(victim, LOGINS[way])

    assert act(victim, lambda: accepts(token)).value is False
    assert "csrf_token" not in act(victim, lambda: dict(session)).value


def test_rest_of_the_anonymous_session_survives(shop, act):
    """Only the token goes; what the visitor put into his cart stays."""
    visitor = shop.test_client()
    act(visitor, lambda: (make_token(), session.update(cart=["tea"])))

    act(visitor, lambda: HardSession().login("ada"))

    assert act(visitor, lambda: dict(session)).value == {"cart": ["tea"]}


def test_token_made_by_the_login_page_itself_stays(shop, act):
    """A token that is made in the request of the login is of the new session, and good for its forms."""
    visitor = shop.test_client()

    token = act(visitor, lambda: (HardSession().login("ada"), make_token())[1]).value

    assert act(visitor, lambda: accepts(token)).value is True


def test_attackers_login_brings_no_token(shop, attacker, log_in, act):
    """A planted session in which the attacker is logged in loses its token with everything else."""
    mallory = log_in(shop, "mallory")
    token = act(mallory, make_token).value
    victim = shop.test_client()
    victim.set_cookie("sid", attacker.steals(mallory, "sid"))

    act(victim, lambda: HardSession().login("ada"))

    assert act(victim, lambda: accepts(token)).value is False


def test_name_that_nobody_can_plant_keeps_the_open_form(make_app, act):
    """Under a `__Host-` name the token stays, so a form that was open before the login still works."""
    visitor = make_app(SECRET_KEY="for Flask-WTF, which signs its tokens").test_client()
    token = act(visitor, make_token).value

    act(visitor, lambda: HardSession().login("ada"))

    assert act(visitor, lambda: accepts(token)).value is True
