"""The thief has the very cookie that the victim uses: ending "the others" must end him as well."""

from __future__ import annotations

from hardsession import HardSession, current_session


def test_thief_with_the_same_cookie(app, store, victim, attacker, act):
    """The victim goes on under a new id, and the thief's copy of the old one opens nothing."""
    stolen = attacker.steals(victim)

    act(victim, lambda: HardSession().revoke_others())

    assert attacker.shows(stolen, lambda: current_session.owner).value is None
    assert act(victim, lambda: current_session.owner).value == "ada"
    assert attacker.steals(victim) != stolen
