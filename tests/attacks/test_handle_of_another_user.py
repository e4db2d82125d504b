"""Handles of sessions are no secret: the attacker sends the victim's to the page where users end their own."""

from __future__ import annotations

from hardsession import HardSession, current_session

hard = HardSession()


def test_handle_ends_nothing_of_anybody_else(app, store, victim, log_in, act):
    """Who is logged in as Mallory ends no session of Ada's with her handle."""
    handle = act(victim, lambda: current_session.handle).value
    mallory = log_in(app, "mallory")

    assert act(mallory, lambda: hard.revoke(handle)).value is False

    assert act(victim, lambda: current_session.owner).value == "ada"


def test_handle_opens_nothing(store, victim, attacker, act):
    """Nor is it good as a cookie."""
    handle = act(victim, lambda: current_session.handle).value

    for token in (handle, "hs1_" + handle, handle * 8):
        assert attacker.reads(token) == {}
