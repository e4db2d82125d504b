"""The attacker plants a session of his own in the victim's browser, waits for her login, and uses his copy."""

from __future__ import annotations

import pytest
from flask import session
from flask_login import LoginManager, UserMixin, login_user

from hardsession import HardSession, current_session

NAME = "__Host-Http-session"


class User(UserMixin):
    """A user of Flask-Login."""

    id = "ada"


LOGINS = {
    "hard.login": lambda: HardSession().login("ada"),
    "user_id": lambda: session.update(user_id="ada"),
    "username": lambda: session.update(username="ada"),
    "logged_in": lambda: session.update(logged_in=True),
    "Flask's tutorial": lambda: (session.clear(), session.update(user_id="ada")),
    "Flask-Login": lambda: login_user(User()),
}


@pytest.fixture
def planted(app, attacker, act):
    """An anonymous session that the attacker got for himself."""
    app.config["SECRET_KEY"] = "for Flask-Login's remember cookie"
    LoginManager(app).user_loader(lambda _: User())
    browser = app.test_client()
    act(browser, lambda: session.update(cart=["tea"]))
    return attacker.steals(browser)


@pytest.fixture
def victim(app, planted):
    """A browser in which the attacker planted his session."""
    browser = app.test_client()
    browser.set_cookie(NAME, planted)
    return browser


@pytest.mark.parametrize("way", LOGINS)
def test_login_leaves_the_planted_session_behind(victim, planted, attacker, act, way):
    """Whatever way an application logs in, the session changes, and the attacker's copy stays nobody's."""
    act(victim, LOGINS[way])

    assert attacker.steals(victim) != planted
    name, owner = attacker.shows(
        planted, lambda: (dict(session), current_session.loaded.record.header.metadata.owner)
    ).value
    assert (name, owner) == ({"cart": ["tea"]}, None)


@pytest.mark.parametrize("way", LOGINS)
def test_planted_id_dies_with_the_login(store, victim, planted, attacker, act, events, way):
    """On a store the attacker's copy is worth nothing from then on: what he planted is over, and he is reported."""
    act(victim, LOGINS[way])

    seen = attacker.shows(planted, lambda: (dict(session), current_session.ended, current_session.header))

    assert attacker.steals(victim) != planted
    assert seen.value == ({}, "logged_in", None)
    assert "session_use_after_end" in [name for name, _ in events]


@pytest.mark.parametrize("use", [lambda: session.update(a=1), lambda: HardSession().regenerate(), LOGINS["hard.login"]])
def test_attacker_gets_no_session_of_hers(store, victim, planted, attacker, act, use):
    """Whatever he does with the planted id while she logs in, and after, he comes by nothing of her session."""
    act(victim, lambda: (HardSession().login("ada"), session.update(draft="Ada's")))
    handle = act(victim, lambda: current_session.handle).value

    answer = attacker.shows(planted, use)

    for cookie in answer.cookies:
        token = cookie.partition(";")[0].removeprefix(f"{NAME}=")
        data, his = attacker.shows(token, lambda: (dict(session), current_session.handle)).value
        assert "draft" not in data
        assert his != handle
    assert act(victim, lambda: session["draft"]).value == "Ada's"


@pytest.mark.parametrize("way", LOGINS)
def test_attacker_does_not_hold_the_handle(victim, planted, attacker, act, way):
    """The public handle changes too, so the attacker cannot name the session that came after his."""
    handle = attacker.shows(planted, lambda: current_session.handle).value

    act(victim, LOGINS[way])

    assert act(victim, lambda: current_session.handle).value != handle


def test_attackers_login_does_not_become_the_victims(app, log_in, attacker, act):
    """Where the planted session is one in which the attacker is logged in, nothing of it reaches the victim's."""
    planted = attacker.steals(log_in(app, "mallory", address="Mallory's", user_id="mallory"))
    victim = app.test_client()
    victim.set_cookie(NAME, planted)

    act(victim, lambda: (HardSession().login("ada"), session.update(user_id="ada")))

    assert act(victim, lambda: dict(session)).value == {"user_id": "ada"}
    assert attacker.reads(planted) == {"address": "Mallory's", "user_id": "mallory"}


def test_invented_session_is_not_adopted(app, attacker, act):
    """A value that the server never issued is never taken over: what is stored meanwhile goes under a new id."""
    invented = "hs1_" + "A" * 200
    victim = app.test_client()
    victim.set_cookie(NAME, invented)

    act(victim, lambda: HardSession().login("ada"))

    assert attacker.steals(victim) != invented
    assert attacker.reads(invented) == {}


def test_reading_begins_no_session(app, act):
    """An id is issued when something is stored, not when somebody looks, so there is nothing to harvest and plant."""
    assert act(app.test_client(), lambda: (session.get("a"), dict(session), session.new)).cookies == []
