"""Somebody with the victim's password logs in many times at once, to hold more sessions than one may have."""

from __future__ import annotations

from threading import Barrier

import pytest

from hardsession import SessionLimitError, current_session
from tests.races.stores import PATIENCE, rows
from tests.races.traffic import at_once, hard, login, make_app, owner, send

CAP = 5


@pytest.mark.parametrize("overflow", ["evict_oldest", "refuse"])
def test_twenty_logins_at_once(store, overflow):
    """However they meet, no more than five of his sessions live, and each of them is listed, so it can be ended."""
    app = make_app(store, SESSION_MAX_PER_USER=CAP, SESSION_OVERFLOW=overflow)
    barrier = Barrier(20)

    def log_in():
        return send(app, None, lambda: barrier.wait(PATIENCE), login("ada"))

    answers = at_once(*[log_in] * 20)

    live = [answer.token for answer in answers if answer.token and send(app, answer.token, owner).value == "ada"]
    with app.app_context():
        listed = {entry.handle for entry in hard.sessions("ada")}
    assert len(live) == len(rows(store)) == CAP
    assert {send(app, token, lambda: current_session.handle).value for token in live} == listed
    for answer in answers:
        assert answer.status == 200 or isinstance(answer.errors[0], SessionLimitError)
