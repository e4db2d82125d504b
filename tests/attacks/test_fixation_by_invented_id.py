"""The attacker makes up a session id, plants it in the victim's browser, and waits for the server to take it over."""

from __future__ import annotations

import os

import pytest
from flask import session

from hardsession import HardSession, Key
from hardsession.crypto.encoding import to_text
from hardsession.crypto.ids import SessionSecret
from hardsession.crypto.seal import Purpose
from hardsession.record import Reference

from .conftest import NAME

INVENTED = {
    "word": lambda _forge, _app: "mallory",
    "name of a key": lambda _forge, _app: "session:r.mallory",
    "32 random bytes": lambda _forge, _app: to_text(os.urandom(32)),
    "length of a token": lambda _forge, _app: "A" * 160,
    "head of a token": lambda _forge, _app: to_text(b"\x86\xcd\x7f\x02" + bytes(116)),
    "sealed with his own key": lambda forge, app: forge(
        app,
        Reference(1, 2**32 - 1, SessionSecret.new()).pack(),
        key=Key.generate().text,
        purpose=Purpose.REFERENCE,
    ),
}
BEGINNINGS = {
    "logs in": lambda: HardSession().login("ada"),
    "logs in by a key": lambda: session.update(user_id="ada"),
    "fills a cart": lambda: session.update(cart=["tea"]),
}


@pytest.fixture(params=INVENTED)
def invented(request, app, forge):
    """What the attacker made up."""
    return INVENTED[request.param](forge, app)


@pytest.fixture
def victim(app, invented):
    """A browser in which it was planted."""
    browser = app.test_client()
    browser.set_cookie(NAME, invented)
    return browser


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_id_is_the_servers_own(store, victim, invented, attacker, intruder, act, beginning):
    """What the victim begins gets an id that the server draws; nothing is looked up or stored under the planted one."""
    act(victim, BEGINNINGS[beginning])

    assert attacker.steals(victim) != invented
    assert store.verbs() == ["add"]
    assert all(invented not in name for name in intruder.names())
    assert attacker.reads(invented) == {}


def test_reading_issues_nothing(store, victim, act):
    """Who only looks is given no id at all, so there is none to harvest."""
    answer = act(victim, lambda: (dict(session), session.new))

    assert answer.value == ({}, True)
    assert answer.cookies == []
    assert store.verbs() == []


def test_every_browser_has_another(store, app, victim, act, attacker):
    """Two browsers with the same planted value have nothing in common afterwards."""
    other = app.test_client()
    other.set_cookie(NAME, attacker.steals(victim))

    act(victim, lambda: session.update(draft="Ada's"))
    act(other, lambda: session.update(draft="Bob's"))

    assert act(victim, lambda: session["draft"]).value == "Ada's"
    assert act(other, lambda: session["draft"]).value == "Bob's"
