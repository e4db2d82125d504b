"""The thief has the server's keys, from a backup or a log, and cannot reach the store."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from flask import session

from hardsession import HardSession, current_session
from hardsession.crypto.encoding import from_text
from hardsession.crypto.ids import Lineage, SessionSecret
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.errors import Refusal
from hardsession.record import Header, Metadata, Record, Reference

from .conftest import NAME, ring_of

PURPOSES = [purpose for purpose in Purpose if purpose is not Purpose.REFERENCE]
USES = {
    "reads": lambda: session.get("a"),
    "writes": lambda: session.update(mine=1),
    "asks for a new id": lambda: HardSession().regenerate(),
    "is given a right": lambda: session.update(role="guest"),
    "logs out": lambda: HardSession().logout(),
    "clears": lambda: session.clear(),
}


@pytest.fixture
def invented(app, forge):
    """A reference that the server could have made, to a row that it never did."""
    now = int(time.time())
    return forge(app, Reference(now, now + 3600, SessionSecret.new()).pack(), purpose=Purpose.REFERENCE)


@pytest.mark.parametrize("use", USES)
def test_reference_to_nothing(store, invented, attacker, use):
    """A well-made reference to no row is a session that is over, and nothing done with it makes it live."""
    answer = attacker.shows(invented, USES[use])

    assert answer.response.status_code == 200
    assert attacker.shows(invented, lambda: (dict(session), current_session.header)).value == ({}, None)


def test_victim_does_not_adopt_it(store, app, invented, attacker, act):
    """Planted in the victim's browser before her login, it is not what she is logged in under."""
    victim = app.test_client()
    victim.set_cookie(NAME, invented)

    act(victim, lambda: (HardSession().login("ada"), session.update(draft="Ada's")))

    assert attacker.steals(victim) != invented
    assert attacker.reads(invented) == {}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_whole_session_in_the_cookie(store, app, forge, attacker, purpose):
    """A session that he seals himself is none: what a session says comes from the store alone."""
    now = int(time.time())
    header = Header(now, now, now + 3600, now, now, 0, Lineage.new(), metadata=Metadata(owner="ada"))
    token = forge(app, Record(header, b'{"_user_id":"ada"}'), purpose=purpose)
    store.verbs()

    seen = attacker.shows(token, lambda: (dict(session), current_session.header))

    assert seen.value == ({}, None)
    assert store.verbs() == []


@pytest.mark.parametrize("years", [-1, 1])
def test_own_session_gets_no_other_lifetime(store, app, log_in, attacker, forge, events, years):
    """With the key he opens his own reference and seals it with other times: it is refused, since the row has them."""
    token = attacker.steals(log_in(app, "mallory", draft="Eve's"))
    sealer = Sealer(Purpose.REFERENCE, app_id="app", carrier=f"cookie:{NAME}")
    own = Reference.unpack(sealer.open(from_text(token), ring_of(*app.config["SESSION_SECRET_KEYS"])))
    seconds = years * 365 * 86400

    for other in (
        replace(own, expires_at=own.expires_at + seconds),
        replace(own, created_at=own.created_at + seconds),
    ):
        assert attacker.reads(forge(app, other.pack(), purpose=Purpose.REFERENCE)) == {}

    assert [fields["reason"] for name, fields in events if name == "session_rejected"] == [Refusal.HEADER] * 2
    assert attacker.reads(token) == {"draft": "Eve's"}


@pytest.mark.parametrize("length", [0, 39, 41, 5000])
def test_malformed_reference(store, app, attacker, forge, length):
    """What he seals and is no reference is refused before the store is asked, and no error."""
    token = forge(app, bytes(length), purpose=Purpose.REFERENCE)[:4000]
    store.verbs()

    assert attacker.reads(token) == {}
    assert store.verbs() == []
