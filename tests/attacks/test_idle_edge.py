"""The attacker sits down at a computer that the victim left."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import session

from hardsession import current_session

PROFILES = {"standard": 1800, "aal2": 3600, "aal3": 900, "pci": 900, "high": 300}
EDGES = [-1, 0, 1]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("profile", PROFILES)
def test_session_ends_at_the_second(make_app, log_in, act, clock, profile, edge):
    """A browser without activity is in until the second before the idle timeout of its profile, and then out."""
    victim = log_in(make_app(SESSION_PROFILE=profile), draft="Ada's")

    clock.tick(PROFILES[profile] + edge)

    assert act(victim, lambda: (session.get("draft"), current_session.ended)).value == (
        ("Ada's", None) if edge < 0 else (None, "idle_timeout")
    )


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("idle", [1, 20, 7.9, timedelta(seconds=90, microseconds=999_999)])
def test_no_fraction_lengthens_it(make_app, log_in, act, clock, idle, edge):
    """A timeout with a fraction of a second is cut, so that it never lasts longer than it was set to."""
    whole = int(idle.total_seconds() if isinstance(idle, timedelta) else idle)
    victim = log_in(make_app(SESSION_IDLE_TIMEOUT=idle), draft="Ada's")

    clock.tick(whole + edge)

    assert act(victim, lambda: session.get("draft")).value == ("Ada's" if edge < 0 else None)


@pytest.mark.parametrize("edge", EDGES)
def test_fraction_of_a_second_at_the_start_lengthens_nothing(app, log_in, act, clock, edge):
    """A login in the last moment of a second counts from its beginning: the end comes early, never late."""
    clock.tick(0.999)
    victim = log_in(app, draft="Ada's")

    clock.tick(1800 - 0.999 + edge)

    assert act(victim, lambda: session.get("draft")).value == ("Ada's" if edge < 0 else None)


@pytest.mark.parametrize("edge", EDGES)
def test_activity_that_was_not_written_down_ends_it_early(app, log_in, act, clock, edge):
    """Activity within the touch interval is not written down, so the end is counted from the activity before."""
    victim = log_in(app, draft="Ada's")
    clock.tick(59)
    act(victim, lambda: session.get("draft"))

    clock.tick(1800 - 59 + edge)

    assert act(victim, lambda: session.get("draft")).value == ("Ada's" if edge < 0 else None)


@pytest.mark.parametrize("edge", EDGES)
def test_polling_page_does_not_keep_it_open(make_app, log_in, act, clock, edge):
    """A page left open that polls an endpoint named passive is no activity, though it reads and writes."""
    victim = log_in(make_app(SESSION_PASSIVE_ENDPOINTS=["poll"]), draft="Ada's", polls=0)
    for _ in range(17):
        clock.tick(100)
        act(victim, lambda: session.update(polls=session["polls"] + 1), "/poll")

    clock.tick(100 + edge)

    assert act(victim, lambda: session.get("polls")).value == (17 if edge < 0 else None)


@pytest.mark.parametrize("edge", EDGES)
def test_permanent_cookie_lasts_no_longer(make_app, log_in, act, clock, edge):
    """A cookie that outlives the browser holds a session that does not outlive its idle timeout."""
    victim = log_in(make_app(SESSION_PERMANENT=True), draft="Ada's")

    clock.tick(1800 + edge)

    assert act(victim, lambda: session.get("draft")).value == ("Ada's" if edge < 0 else None)
