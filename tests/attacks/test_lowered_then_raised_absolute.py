"""The operator lowers the absolute timeout and raises it again. The attacker hopes that the raise is for him too."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import Key

KEYS = [Key.generate().text]
EDGES = [-1, 0, 1]


@pytest.fixture
def app_with(make_app):
    """The application with an absolute timeout."""
    return lambda seconds: make_app(
        SESSION_SECRET_KEYS=KEYS, SESSION_IDLE_TIMEOUT=50_000, SESSION_ABSOLUTE_TIMEOUT=seconds
    )


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("raised", [1000, 5000, 400 * 86400])
def test_end_is_frozen_when_the_session_is_made(app_with, log_in, attacker, clock, raised, edge):
    """A session keeps the end it was made with: a longer timeout extends none, not even after a shorter one."""
    stolen = attacker.steals(log_in(app_with(1000), draft="Ada's"))
    clock.tick(500)
    assert attacker.against(app_with(500)).reads(stolen) == {}

    clock.tick(500 + edge)

    assert attacker.against(app_with(raised)).reads(stolen) == ({"draft": "Ada's"} if edge < 0 else {})


@pytest.mark.parametrize("edge", EDGES)
def test_session_made_under_the_short_timeout_stays_short(app_with, act, log_in, attacker, clock, edge):
    """A session that was made under the short timeout keeps it after the raise, also when it is written again."""
    short = log_in(app_with(500), draft="Ada's")
    longer = app_with(5000).test_client()
    longer.set_cookie("__Host-Http-session", attacker.steals(short))
    act(longer, lambda: session.update(draft="Ada's second"))

    clock.tick(500 + edge)

    assert act(longer, lambda: session.get("draft")).value == ("Ada's second" if edge < 0 else None)


def test_writing_under_the_short_timeout_does_not_move_the_end(app_with, act, log_in, attacker, clock):
    """What is written while the timeout is low neither shortens nor extends the end that was frozen."""
    first = log_in(app_with(1000), draft="Ada's")
    low = app_with(500).test_client()
    low.set_cookie("__Host-Http-session", attacker.steals(first))
    clock.tick(499)
    act(low, lambda: session.update(draft="Ada's second"))

    raised = attacker.against(app_with(5000))
    clock.tick(500)
    before = raised.reads(attacker.steals(low))
    clock.tick(1)

    assert before == {"draft": "Ada's second"}
    assert raised.reads(attacker.steals(low)) == {}
