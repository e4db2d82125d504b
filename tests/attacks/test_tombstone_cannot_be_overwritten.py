"""The attacker has a copy of the cookie of a session that is over, and tries to get its row back."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session
from hardsession.stores import Outcome
from tests.races.stores import TOMBSTONE
from tests.races.traffic import Slow, login, logout, make_app, read, send

ENDS = {
    "logout": lambda: HardSession().logout(),
    "clear": lambda: session.clear(),
    "login": lambda: HardSession().login("bob"),
    "new id": lambda: HardSession().regenerate(),
}
USES = {
    "writes": lambda: session.update(mine=1),
    "writes a role": lambda: session.update(role="admin"),
    "logs in": lambda: HardSession().login("mallory"),
    "logs in by a key": lambda: session.update(user_id="mallory"),
    "asks for a new id": lambda: HardSession().regenerate(),
    "logs out": lambda: HardSession().logout(),
    "clears and writes": lambda: (session.clear(), session.update(mine=1)),
    "logs out and in": lambda: (HardSession().logout(), HardSession().login("mallory")),
    "makes it permanent": lambda: (session.update(mine=1), setattr(session, "permanent", True)),
}


@pytest.fixture(params=ENDS)
def ended(request, victim, attacker, intruder, act, store):
    """The attacker's copy, and the tombstone of its session: its name and which write it was."""
    copy = attacker.steals(victim)
    [name] = intruder.names()
    act(victim, ENDS[request.param])
    assert intruder.names(TOMBSTONE) == [name]
    return copy, name, store.store.get(name)


@pytest.mark.parametrize("use", USES)
def test_it_stays_as_it_was_written(ended, attacker, store, use):
    """Whatever is done with the copy, the tombstone is the one that the end wrote."""
    copy, name, tombstone = ended

    answer = attacker.shows(copy, USES[use])

    assert answer.response.status_code == 200
    assert store.store.get(name) == tombstone
    assert attacker.shows(copy, lambda: (dict(session), current_session.header)).value == ({}, None)


def test_store_does_not_write_over_it_either(ended, store):
    """A write for what stood there before is a conflict, and the name is not free."""
    _, name, tombstone = ended

    assert not store.store.add(name, b"back", 60)
    assert store.store.replace(name, b"back", 60, bytes(16)) is Outcome.CONFLICT
    assert store.store.get(name) == tombstone


@pytest.mark.parametrize("use", USES)
def test_request_that_began_before_the_end(store, intruder, use):
    """Nor does a request overwrite it that had the session in its hands when the session ended."""
    app = make_app(store)
    copy = send(app, None, login("ada")).token
    [name] = intruder.names()
    slow = Slow(app, copy, read, USES[use])
    send(app, copy, logout)
    tombstone = store.store.get(name)

    slow.finish()

    assert intruder.names(TOMBSTONE) == [name]
    assert store.store.get(name) == tombstone
    assert send(app, copy, read).value == {}
