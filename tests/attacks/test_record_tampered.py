"""The intruder changes what stands in the victim's row, to gain something or to break her page."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession


@pytest.fixture
def row(victim, intruder):
    """The name of the victim's row, and what is in it."""
    [name] = intruder.names()
    return name, intruder.reads(name)


def test_every_byte_matters(row, victim, intruder, act):
    """With one bit changed in any byte the row opens nothing; as it was, it opens again."""
    name, value = row

    for place in range(len(value)):
        intruder.writes(name, value[:place] + bytes([value[place] ^ 1 << place % 8]) + value[place + 1 :])
        assert act(victim, lambda: dict(session)).value == {}, f"byte {place}"

    intruder.writes(name, value)
    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}


@pytest.mark.parametrize("end", [0, 1, 3, 4, 8, 32, 64, 79, 80, -17, -16, -1])
def test_no_beginning_of_a_row_opens(row, victim, intruder, act, end):
    """A row that was cut short opens nothing."""
    name, value = row
    intruder.writes(name, value[:end])

    assert act(victim, lambda: dict(session)).value == {}


@pytest.mark.parametrize("more", [b"\x00", bytes(16), b"x" * 20_000])
def test_nothing_can_be_appended(row, victim, intruder, act, more):
    """Nor does one with anything behind it or in front of it."""
    name, value = row

    for longer in (value + more, more + value):
        intruder.writes(name, longer)
        assert act(victim, lambda: dict(session)).value == {}


def test_long_row_cannot_lose_or_reorder_its_chunks(app, log_in, intruder, act):
    """A row of several chunks opens with all of them in their order, or not at all."""
    victim = log_in(app, "ada", text="x" * 50_000)
    [name] = intruder.names()
    value = intruder.reads(name)
    first, second, third = 64, 64 + 16_400, 64 + 2 * 16_400

    for broken in (
        value[:second],
        value[:second] + value[third:],
        value[:first] + value[second:third] + value[first:second] + value[third:],
    ):
        intruder.writes(name, broken)
        assert act(victim, lambda: dict(session)).value == {}


def test_victim_can_go_on(row, victim, intruder, act):
    """The victim is logged out by it, and no more: she logs in again, under a new id."""
    name, value = row
    damaged = value[:-1] + bytes([value[-1] ^ 1])
    intruder.writes(name, damaged)

    act(victim, lambda: (HardSession().login("ada"), session.update(draft="Ada's second")))

    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's second"}
    assert intruder.reads(name) == damaged
