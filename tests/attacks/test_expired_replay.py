"""The attacker finds an old cookie, and shows it at the edge of its life and long after."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import session

from hardsession import HardSession, current_session

IDLE, ABSOLUTE = 1800, 43200


@pytest.mark.parametrize(("after", "opens"), [(IDLE - 1, True), (IDLE, False), (IDLE + 1, False)])
def test_cookie_found_later(clock, victim, attacker, events, after, opens):
    """A cookie opens until the second before its idle timeout."""
    found = attacker.steals(victim)

    clock.tick(after)

    assert attacker.reads(found) == ({"draft": "Ada's"} if opens else {})
    assert ("session_expired" in [name for name, _ in events]) is not opens


@pytest.mark.parametrize("after", [IDLE, ABSOLUTE, ABSOLUTE + 1, 400 * 86400])
def test_no_wait_revives_it(clock, victim, attacker, after):
    """Over is over: a second later, a day later, a year later."""
    found = attacker.steals(victim)

    clock.tick(after)

    assert attacker.reads(found) == {}


def test_owner_going_on_does_not_refresh_the_copy(clock, victim, attacker, act):
    """While the victim works on, the copy keeps the age of the moment at which it was made."""
    found = attacker.steals(victim)

    for _ in range(2):
        clock.tick(IDLE // 2)
        act(victim, lambda: session.get("draft"))

    assert act(victim, lambda: session["draft"]).value == "Ada's"
    assert attacker.reads(found) == {}


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: session.update(draft="mine"),
        lambda: session.setdefault("draft", "mine"),
        lambda: HardSession().regenerate(),
        lambda: setattr(session, "permanent", True),
    ],
    ids=["write", "setdefault", "regenerate", "permanent"],
)
def test_nothing_done_with_it_brings_it_back(clock, app, victim, attacker, act, attempt):
    """Whatever a view does in a request that brings an expired cookie, it does to a new and empty session."""
    found = attacker.steals(victim)
    handle = act(victim, lambda: current_session.handle).value
    thief = app.test_client()
    thief.set_cookie("__Host-Http-session", found)
    clock.tick(IDLE)

    act(thief, attempt)

    data, now, since = act(
        thief, lambda: (dict(session), current_session.handle, current_session.authenticated_at)
    ).value
    assert data in ({}, {"draft": "mine"})
    assert now != handle
    assert since is None


def test_expired_cookie_says_why_to_the_application_alone(clock, victim, attacker):
    """The application hears which clock ran out; the answer is the one of a visitor without a cookie."""
    found = attacker.steals(victim)
    anonymous = attacker.sends("", lambda: current_session.ended)

    clock.tick(timedelta(hours=12))
    expired = attacker.shows(found, lambda: current_session.ended)

    assert (anonymous.value, expired.value) == (None, "absolute_timeout")
    assert str(expired.response.headers) == str(anonymous.response.headers)
