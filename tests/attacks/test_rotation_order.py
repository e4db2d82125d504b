"""The attacker has the oldest key, and waits for the server to seal with it (CVE-2025-47278 in Flask)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import session

from hardsession import Key
from hardsession.errors import TokenRefused

NEW, OLD, OLDEST = (Key.generate().text for _ in range(3))


def test_newest_key_seals(make_app, attacker, log_in, break_open):
    """The first key of the list seals, so the older ones read nothing that is made now."""
    app = make_app(SESSION_SECRET_KEYS=[NEW, OLD, OLDEST])

    stolen = attacker.steals(log_in(app))

    assert break_open(stolen, NEW)
    with pytest.raises(TokenRefused, match="unknown_key"):
        break_open(stolen, OLD, OLDEST)


def test_secret_key_seals_before_its_fallbacks(make_app, attacker, log_in, break_open):
    """With Flask's own two settings the key that seals is SECRET_KEY, never a fallback."""
    app = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=[OLD, OLDEST])

    stolen = attacker.steals(log_in(app))

    assert break_open(stolen, NEW)
    with pytest.raises(TokenRefused, match="unknown_key"):
        break_open(stolen, OLD, OLDEST)


def test_every_key_opens_and_the_next_write_moves_to_the_newest(make_app, act, attacker, log_in, break_open):
    """A rotation logs nobody out, and what is written after it is out of the old key's reach."""
    victim = log_in(make_app(SESSION_SECRET_KEYS=[OLDEST]), draft="Ada's")
    token = attacker.steals(victim)
    rotated = make_app(SESSION_SECRET_KEYS=[NEW, OLD, OLDEST]).test_client()
    rotated.set_cookie("__Host-Http-session", token)

    assert act(rotated, lambda: session["draft"]).value == "Ada's"
    act(rotated, lambda: session.update(draft="Ada's second"))

    with pytest.raises(TokenRefused, match="unknown_key"):
        break_open(attacker.steals(rotated), OLDEST)


@pytest.mark.parametrize(("after", "sealing"), [(-1, OLD), (0, NEW), (1, NEW)], ids=["before", "at", "after"])
def test_key_seals_from_its_second_on(make_app, attacker, log_in, break_open, clock, after, sealing):
    """A key with a date opens before that second and seals from it on."""
    start = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
    app = make_app(SESSION_SECRET_KEYS=[Key(NEW, seal_from=start + timedelta(seconds=100)), OLD])

    clock.tick(100 + after)
    stolen = attacker.steals(log_in(app))

    assert break_open(stolen, sealing)
