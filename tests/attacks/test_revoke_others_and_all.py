"""Somebody holds a copy of the victim's cookie, or another session of hers: she ends them, or the operator does."""

from __future__ import annotations

import pytest

from hardsession import HardSession, current_session

hard = HardSession()
REVOCATIONS = {
    "the victim ends her other sessions": lambda app, act, browser: act(browser, hard.revoke_others),
    "the victim ends this one": lambda app, act, browser: act(browser, lambda: hard.revoke(_handles(but="current")[0])),
    "an administrator ends the victim's": lambda app, act, browser: _as_operator(app, lambda: hard.revoke_user("ada")),
    "the operator ends all": lambda app, act, browser: _as_operator(app, hard.revoke_all),
}


def _handles(but):
    return [entry.handle for entry in hard.sessions() if entry.handle != getattr(current_session, "handle", but)]


def _as_operator(app, what):
    with app.app_context():
        what()


@pytest.mark.parametrize("how", REVOCATIONS)
def test_thief_is_out(app, store, victim, attacker, log_in, act, how):
    """The thief's copy opens nothing from then on, and he learns why, not by whom."""
    other = log_in(app, "ada")
    stolen = attacker.steals(other)
    assert attacker.reads(stolen) == {}
    assert attacker.shows(stolen, lambda: current_session.owner).value == "ada"

    REVOCATIONS[how](app, act, victim)

    assert attacker.shows(stolen, lambda: (current_session.owner, current_session.ended)).value == (None, "revoked")


def test_others_are_left_alone(app, store, victim, log_in, act):
    """Nobody else loses his session when a user ends hers."""
    bob = log_in(app, "bob")

    _as_operator(app, lambda: hard.revoke_user("ada"))

    assert act(bob, lambda: current_session.owner).value == "bob"
    assert act(victim, lambda: current_session.owner).value is None
