"""A session may live for 400 days, which some stores take for a date in 1971: then everybody is logged out at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import session

from hardsession import current_session

DAYS = timedelta(days=400)
SECONDS = int(DAYS.total_seconds())


@pytest.fixture
def app(make_app, store):
    """An application whose sessions live for as long as any may."""
    return make_app(
        SESSION_STORE=store,
        SESSION_IDLE_TIMEOUT=DAYS,
        SESSION_ABSOLUTE_TIMEOUT=DAYS,
        PERMANENT_SESSION_LIFETIME=DAYS,
    )


def test_session_is_there_at_once(victim, act):
    """A session that is to live for 400 days is there in the next request, and so is what that one writes."""
    assert act(victim, lambda: session["draft"]).value == "Ada's"

    act(victim, lambda: session.update(draft="Ada's second"))

    assert act(victim, lambda: session["draft"]).value == "Ada's second"


@pytest.mark.parametrize("seconds", [SECONDS - 1, SECONDS, SECONDS + 1])
def test_it_lives_for_400_days(clock, victim, act, seconds):
    """It lives for 400 days to the second, whatever the store makes of so long a time."""
    clock.tick(seconds)

    data, ended = act(victim, lambda: (dict(session), current_session.ended)).value

    assert data == ({"draft": "Ada's"} if seconds < SECONDS else {})
    assert (ended is None) == (seconds < SECONDS)


def test_permanent_cookie(clock, store, app, log_in, act):
    """The cookie of a permanent one lives as long, and no longer than browsers keep any."""
    browser = log_in(app, draft="Ada's")

    [cookie] = act(browser, lambda: setattr(session, "permanent", True)).cookies

    assert f"Max-Age={SECONDS};" in cookie


@pytest.mark.parametrize("store", ["redis"], indirect=True)
def test_store_with_a_clock_of_its_own(store, victim, intruder):
    """Redis keeps the row for these 400 days, and for a minute more."""
    [name] = intruder.names()

    assert SECONDS < store.store._client.ttl(name) <= SECONDS + 60
