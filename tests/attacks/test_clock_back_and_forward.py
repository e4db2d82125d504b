"""The server's clock jumps, or the attacker on its network moves it, and the attacker hopes to gain time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import session

from hardsession import current_session

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("back", "opens"), [(29, True), (30, True), (31, False)])
def test_session_from_the_future_is_refused(clock, victim, attacker, events, back, opens):
    """A session that seems to begin more than 30 s ahead is refused: its times cannot be judged."""
    stolen = attacker.steals(victim)

    clock.move_to(START - timedelta(seconds=back))

    assert attacker.reads(stolen) == ({"draft": "Ada's"} if opens else {})
    assert (("session_rejected", {"session": None, "reason": "future"}) in events) is not opens


@pytest.mark.parametrize(("edge", "opens"), [(-1, True), (0, False), (1, False)])
def test_use_while_the_clock_is_back_gains_nothing(clock, victim, act, edge, opens):
    """Activity never moves backwards, so after the clock is right again the idle timeout ends where it did."""
    clock.move_to(START - timedelta(seconds=20))
    act(victim, lambda: session.update(draft="Ada's second"))

    clock.move_to(START + timedelta(seconds=1800 + edge))

    assert act(victim, lambda: session.get("draft")).value == ("Ada's second" if opens else None)


@pytest.mark.parametrize(("edge", "opens"), [(-1, True), (0, False), (1, False)])
def test_use_while_the_clock_is_ahead_does_not_pass_the_absolute_end(clock, victim, act, edge, opens):
    """However often the clock goes ahead and comes back, the absolute end stays where it was."""
    for start in range(0, 43000, 1000):
        clock.move_to(START + timedelta(seconds=min(start + 1200, 43199)))
        act(victim, lambda: session.get("draft"))
        clock.move_to(START + timedelta(seconds=min(start + 1175, 43199)))
        act(victim, lambda: session.get("draft"))

    clock.move_to(START + timedelta(seconds=43200 + edge))

    assert act(victim, lambda: session.get("draft")).value == ("Ada's" if opens else None)


def test_activity_of_the_future_locks_out_instead_of_extending(clock, victim, act):
    """Who was seen by a clock that was far ahead is out while the clock is right, not in for longer."""
    clock.tick(1700)
    act(victim, lambda: session.get("draft"))

    clock.move_to(START + timedelta(seconds=100))

    assert act(victim, lambda: session.get("draft")).value is None


def test_clock_that_jumps_ahead_and_back_ends_nothing_for_good(clock, victim, attacker, act):
    """A clock that is wrong for a moment costs the requests of that moment: no cookie is deleted over it."""
    clock.move_to(START + timedelta(days=1000))
    answer = act(victim, lambda: dict(session))

    clock.move_to(START + timedelta(seconds=10))

    assert (answer.value, answer.cookies) == ({}, [])
    assert act(victim, lambda: session["draft"]).value == "Ada's"


def test_login_under_a_clock_that_is_ahead_is_no_longer_session(clock, app, log_in, act):
    """A session that was made under a clock far ahead is refused until that time has come, and ends when it says."""
    clock.move_to(START + timedelta(hours=1))
    browser = log_in(app, draft="Ada's")

    clock.move_to(START)
    early = act(browser, lambda: session.get("draft")).value
    clock.move_to(START + timedelta(hours=1, seconds=1800))
    late = act(browser, lambda: (session.get("draft"), current_session.ended)).value

    assert early is None
    assert late == (None, "idle_timeout")
