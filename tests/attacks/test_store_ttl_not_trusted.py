"""The store keeps a row for longer, or less long, than it was told: by a fault, a restored backup, or an intruder."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session

IDLE, ABSOLUTE = 1800, 43200
YEARS = 10 * 365 * 86400


def kept_for_years(intruder):
    """Have the store keep everything that it holds."""
    for name, value in intruder.dump().items():
        intruder.writes(name, value, YEARS)


@pytest.mark.parametrize(
    ("seconds", "ended"),
    [(IDLE - 1, None), (IDLE, "idle_timeout"), (IDLE + 1, "idle_timeout"), (YEARS - 1, "absolute_timeout")],
)
def test_idle_timeout_is_sealed(clock, store, victim, intruder, act, seconds, ended):
    """A row that outlives its time to live is over in the second of the idle timeout all the same."""
    kept_for_years(intruder)
    clock.tick(seconds)

    data, why = act(victim, lambda: (dict(session), current_session.ended)).value

    assert data == ({"draft": "Ada's"} if ended is None else {})
    assert why == ended


@pytest.mark.parametrize("seconds", [ABSOLUTE - 1, ABSOLUTE, ABSOLUTE + 1])
def test_absolute_timeout_is_sealed(clock, store, victim, intruder, act, seconds):
    """So it is in the second of the absolute timeout, however busy the session is kept."""
    for _ in range(ABSOLUTE // 1700):
        clock.tick(1700)
        act(victim, lambda: session.get("draft"))
    kept_for_years(intruder)
    clock.tick(seconds - ABSOLUTE // 1700 * 1700)

    data, ended = act(victim, lambda: (dict(session), current_session.ended)).value

    alive = seconds < ABSOLUTE
    assert (data, ended) == (({"draft": "Ada's"}, None) if alive else ({}, "absolute_timeout"))


@pytest.mark.parametrize("use", [lambda: session.update(a=1), lambda: HardSession().regenerate()])
def test_row_that_is_over_is_not_revived(clock, store, victim, attacker, intruder, act, use):
    """Nothing done with the cookie of such a row makes it live again."""
    token = attacker.steals(victim)
    kept_for_years(intruder)
    clock.tick(IDLE)

    act(victim, use)

    assert attacker.shows(token, lambda: (dict(session), current_session.header)).value == ({}, None)


@pytest.mark.parametrize("tombstone", ["kept for years", "gone"])
def test_logout_needs_no_time_to_live(clock, store, victim, attacker, intruder, act, tombstone):
    """A session that was logged out stays so, whether its tombstone is kept for ever or lost at once."""
    token = attacker.steals(victim)
    act(victim, lambda: HardSession().logout())
    if tombstone == "gone":
        for name in intruder.dump():
            store.store.delete(name)
    else:
        kept_for_years(intruder)

    clock.tick(YEARS // 2)

    assert attacker.shows(token, lambda: (dict(session), current_session.header)).value == ({}, None)


def test_row_that_the_store_dropped_too_early(clock, store, victim, intruder, act):
    """A row that was dropped while it should live is a session that is over, no error, and no other's."""
    for name in intruder.names():
        store.store.delete(name)

    seen = act(victim, lambda: (dict(session), current_session.ended))

    assert (seen.value, seen.response.status_code) == (({}, "expired"), 200)
