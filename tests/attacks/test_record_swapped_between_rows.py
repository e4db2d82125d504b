"""The intruder is a user too. He moves rows about, to be somebody else, or to have her work in his session."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session
from hardsession.errors import Refusal
from tests.races.stores import TOMBSTONE


@pytest.fixture
def hers(victim, intruder):
    """The name of the victim's row."""
    [name] = intruder.names()
    return name


@pytest.fixture
def mallory(hers, app, log_in):
    """The intruder's own browser."""
    return log_in(app, "mallory", draft="Eve's")


@pytest.fixture
def his(hers, mallory, intruder):
    """The name of his own row."""
    [name] = {*intruder.names()} - {hers}
    return name


def test_her_row_under_his_name(hers, his, mallory, victim, intruder, act, events):
    """A copy of her row in the place of his gives him nothing, and her nothing less."""
    intruder.writes(his, intruder.reads(hers))

    assert act(mallory, lambda: dict(session)).value == {}
    assert ("session_rejected", {"session": None, "reason": Refusal.NOT_AUTHENTIC}) in events
    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}


def test_his_row_under_her_name(hers, his, mallory, victim, intruder, act):
    """A copy of his row in the place of hers does not make her work in his session: she has none."""
    intruder.writes(hers, intruder.reads(his))

    assert act(victim, lambda: dict(session)).value == {}
    act(victim, lambda: session.update(card="4111"))
    assert act(mallory, lambda: dict(session)).value == {"draft": "Eve's"}


def test_tombstone_of_another_row(hers, his, mallory, victim, intruder, act):
    """A tombstone buries its own row alone: elsewhere it is a value like any other that does not open."""
    act(mallory, lambda: HardSession().logout())
    [tombstone] = intruder.names(TOMBSTONE)
    intruder.writes(hers, intruder.reads(tombstone))

    assert act(victim, lambda: (dict(session), current_session.ended)).value == ({}, None)


def test_row_of_her_earlier_id(app, log_in, victim, hers, attacker, intruder, act):
    """What stood in her row before a login does not open in the one after it."""
    before = intruder.reads(hers)
    act(victim, lambda: HardSession().login("ada", method="webauthn"))
    [name] = intruder.names()

    intruder.writes(name, before)

    assert act(victim, lambda: dict(session)).value == {}
