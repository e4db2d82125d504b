"""The attacker knocks the store over, and hopes that the application then lets him in, or loses what others do."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession
from hardsession.errors import StoreError
from tests.races.stores import Outage

CHANGES = {
    "write": lambda: session.update(draft="second"),
    "login": lambda: HardSession().login("bob"),
    "login by a key": lambda: session.update(user_id="bob"),
    "new id": lambda: HardSession().regenerate(),
    "new right": lambda: session.update(role="admin"),
    "clear and write": lambda: (session.clear(), session.update(a=1)),
}


@pytest.fixture(params=["raise", "anonymous"])
def app(request, make_app, store):
    """An application with either setting for an outage, which answers errors as in production."""
    return make_app(SESSION_STORE=store, SESSION_STORE_OUTAGE=request.param, PROPAGATE_EXCEPTIONS=False)


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_an_error_and_no_cookie_moves(app, store, victim, attacker, act, change):
    """Nobody is told that something was stored while it was not, nor loses his cookie by it."""
    token = attacker.steals(victim)

    with Outage(store):
        answer = act(victim, CHANGES[change])

    assert (answer.response.status_code, answer.cookies) == (500, [])
    assert attacker.steals(victim) == token
    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}


@pytest.mark.parametrize("change", CHANGES)
def test_store_that_fails_after_the_read(app, store, victim, act, change):
    """So it is when the session could still be read."""

    def meanwhile():
        session.get("draft")
        store.before = away
        CHANGES[change]()

    answer = act(victim, meanwhile)
    store.before = lambda _call: None

    assert (answer.response.status_code, answer.cookies) == (500, [])
    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}


@pytest.mark.parametrize("change", CHANGES)
def test_it_counts_when_the_store_is_back(app, store, victim, act, change):
    """What failed is done when it is tried again, and done once."""
    with Outage(store):
        act(victim, CHANGES[change])

    answer = act(victim, CHANGES[change])

    assert answer.response.status_code == 200
    data = act(victim, lambda: dict(session)).value
    expected = {
        "write": {"draft": "second"},
        "login": {},
        "login by a key": {"user_id": "bob"},
        "new id": {"draft": "Ada's"},
        "new right": {"draft": "Ada's", "role": "admin"},
        "clear and write": {"a": 1},
    }
    assert data == expected[change]


def test_cookie_lets_nobody_in_by_itself(app, store, victim, attacker, act):
    """While the store is away a cookie is nobody's, true or forged: an error, or anonymous, and never a guess."""
    token = attacker.steals(victim)

    with Outage(store):
        answers = [attacker.shows(value) for value in (token, "A" * 160)]

    anonymous = app.config["SESSION_STORE_OUTAGE"] == "anonymous"
    assert [answer.response.status_code for answer in answers] == [200 if anonymous else 500, 200]
    assert [answer.value for answer in answers] == [{} if anonymous else None, {}]


def away(_call):
    raise StoreError("The server is gone.") from OSError("connection refused")
