"""After an incident the operator shortens the timeouts. The attacker's session was sealed under the long ones."""

from __future__ import annotations

import pytest

from hardsession import Key

KEYS = [Key.generate().text]
EDGES = [-1, 0, 1]


@pytest.fixture
def stolen(make_app, log_in, attacker, clock):
    """A session that was made to last: 10 000 s idle, 100 000 s in all."""
    app = make_app(SESSION_SECRET_KEYS=KEYS, SESSION_IDLE_TIMEOUT=10_000, SESSION_ABSOLUTE_TIMEOUT=100_000)
    return attacker.steals(log_in(app, draft="Ada's"))


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"SESSION_IDLE_TIMEOUT": 300}, 300),
        ({"SESSION_ABSOLUTE_TIMEOUT": 500}, 500),
        ({"SESSION_IDLE_TIMEOUT": 300, "SESSION_ABSOLUTE_TIMEOUT": 200}, 200),
        ({"SESSION_PROFILE": "high"}, 300),
    ],
    ids=["idle", "absolute", "both", "profile"],
)
def test_shorter_timeouts_count_for_open_sessions(make_app, attacker, stolen, clock, config, limit, edge):
    """A timeout that was lowered ends the sessions that exist already, at its second."""
    app = make_app(SESSION_SECRET_KEYS=KEYS, **config)

    clock.tick(limit + edge)

    assert attacker.against(app).reads(stolen) == ({"draft": "Ada's"} if edge < 0 else {})


@pytest.mark.parametrize("edge", EDGES)
def test_shorter_lifetime_counts_for_permanent_sessions(make_app, log_in, attacker, clock, edge):
    """A lowered `PERMANENT_SESSION_LIFETIME` ends permanent sessions that exist already."""
    permanent = {"SESSION_SECRET_KEYS": KEYS, "SESSION_PERMANENT": True}
    stolen = attacker.steals(log_in(make_app(**permanent), draft="Ada's"))
    app = make_app(**permanent, PERMANENT_SESSION_LIFETIME=60)

    clock.tick(60 + edge)

    assert attacker.against(app).reads(stolen) == ({"draft": "Ada's"} if edge < 0 else {})
