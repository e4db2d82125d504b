"""The attacker runs a script in a page of the application, and reaches for the session cookie.

What browsers allow a script is in test_browser.py; here is what they are told, and what is left to an old browser.
"""

from __future__ import annotations

import pytest
from flask import session

from hardsession import ConfigError, HardSession

NAME = "__Host-Http-session"


def test_browser_is_told_to_keep_scripts_away(app, act):
    """Cookie and deletion are HttpOnly, under a name that browsers take only from the server (`__Host-Http-`)."""
    browser = app.test_client()

    [made] = act(browser, lambda: session.update(a=1)).cookies
    [deleted] = act(browser, lambda: session.clear()).cookies

    for cookie in (made, deleted):
        name, _, rest = cookie.partition("=")
        assert name == NAME
        assert "HttpOnly" in rest.split("; ")


def test_name_does_not_promise_what_an_attribute_breaks(make_app, act):
    """Without HttpOnly the name loses the part that promises it, and keeping that name is an error."""
    readable = make_app(SESSION_COOKIE_HTTPONLY=False).test_client()
    insisting = make_app(SESSION_COOKIE_HTTPONLY=False, SESSION_COOKIE_NAME="__Host-Http-sid").test_client()

    [cookie] = act(readable, lambda: session.update(a=1)).cookies
    assert cookie.startswith("__Host-session=")
    with pytest.raises(ConfigError, match="refuse without HttpOnly"):
        act(insisting, lambda: session.update(a=1))


def test_old_browser_that_lets_it_be_planted(app, attacker, log_in, act):
    """Where a browser does not know the name, the planted session is the attacker's own, and a login leaves it."""
    victim = app.test_client()
    victim.set_cookie(NAME, attacker.steals(log_in(app, "mallory", address="Mallory's")))

    act(victim, lambda: HardSession().login("ada"))

    assert act(victim, lambda: dict(session)).value == {}


def test_script_cannot_put_an_old_session_beside_the_new(victim, attacker):
    """A script that plants the same name a second time, at another path, gets neither of the two opened."""
    stolen = attacker.steals(victim)

    assert attacker.sends(f"{NAME}={stolen}; {NAME}={stolen}").value == {}
