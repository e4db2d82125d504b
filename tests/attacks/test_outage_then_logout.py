"""The victim logs out while the store is away. The attacker, who has a copy of her cookie, hopes that she walks off."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session
from tests.races.stores import Outage

LOGOUTS = {
    "hard.logout": lambda: HardSession().logout(),
    "clear": lambda: session.clear(),
    "logout and goodbye": lambda: (HardSession().logout(), session.update(message="Goodbye")),
    "logout of what is over there too": lambda: (session.get("draft"), HardSession().logout()),
}


@pytest.fixture(params=["raise", "anonymous"])
def app(request, make_app, store):
    """An application with either setting for an outage, which answers errors as in production."""
    return make_app(SESSION_STORE=store, SESSION_STORE_OUTAGE=request.param, PROPAGATE_EXCEPTIONS=False)


@pytest.mark.parametrize("way", LOGOUTS)
@pytest.mark.parametrize("at", [1, 2])
def test_nobody_is_told_that_he_is_logged_out(app, store, victim, attacker, act, way, at):
    """The logout is an error, and the cookie stays, so that it can be tried again; then the copy is over as well."""
    copy = attacker.steals(victim)

    with Outage(store, at=at):
        first = act(victim, LOGOUTS[way])
    second = act(victim, LOGOUTS[way])

    assert (first.response.status_code, first.cookies) == (500, [])
    assert second.response.status_code == 200
    seen = attacker.shows(copy, lambda: (dict(session), current_session.ended))
    assert seen.value == ({}, "logged_out")


@pytest.mark.parametrize("way", LOGOUTS)
def test_logout_whose_answer_was_lost(app, store, victim, attacker, act, way):
    """Where the store had done it, and only could not say so, the session is over: an error never undoes a logout."""
    copy = attacker.steals(victim)

    with Outage(store, at=2, done=True):
        first = act(victim, LOGOUTS[way])

    assert (first.response.status_code, first.cookies) == (500, [])
    assert attacker.reads(copy) == {}
    act(victim, LOGOUTS[way])
    assert attacker.reads(copy) == {}
