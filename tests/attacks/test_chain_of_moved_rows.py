"""The thief keeps the id of a session that was renewed again and again, or builds a chain of such rows himself."""

from __future__ import annotations

import pytest

from hardsession import HardSession, current_session
from hardsession.crypto.encoding import from_text, to_text
from hardsession.crypto.ids import SessionSecret
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.record import Moved, Reference
from hardsession.signals import session_cloned

from .conftest import NAME, ring_of

MOVED = 4
RENEWAL = 3600


@pytest.fixture(autouse=True)
def standing_still(clock):
    """The clock stands still before anybody comes."""


@pytest.fixture
def generations(app, store, victim, attacker, clock, act):
    """The victim's tokens, one for each id that her session had."""
    tokens = [attacker.steals(victim)]
    for _ in range(6):
        for _ in range(3):
            clock.tick(RENEWAL // 3)
            act(victim, lambda: current_session.owner)
        act(victim, lambda: current_session.owner)
        tokens.append(attacker.steals(victim))
    clock.tick(61)
    return list(dict.fromkeys(tokens))


def test_old_links_lead_nowhere(app, store, victim, generations, attacker, act):
    """Each id but the last opens nothing, whatever stands between, and the victim goes on."""
    *old, _ = generations

    assert len(old) > 3
    for token in old:
        assert attacker.shows(token, lambda: (current_session.owner, dict(current_session))).value == (None, {})
    assert act(victim, lambda: current_session.owner).value == "ada"


def test_every_use_is_reported(app, store, victim, generations, attacker, act):
    """The event names the victim's session, however old the id was."""
    names = []
    session_cloned.connect(lambda _sender, session, **_: names.append(session), sender=app, weak=False)

    for token in generations[:-1]:
        attacker.reads(token)

    name = act(victim, lambda: (current_session.accessed, current_session.header.lineage.log_name)).value[1]
    assert set(names) == {name}
    assert len(names) == len(generations) - 1


def test_use_after_the_end_reports_nothing(app, store, victim, generations, attacker, act):
    """Where the session is over there is nothing to be stolen any more."""
    names = []
    session_cloned.connect(lambda _sender, session, **_: names.append(session), sender=app, weak=False)
    act(victim, HardSession().logout)

    assert attacker.shows(generations[0], lambda: current_session.ended).value == "renewed"
    assert names == []


def test_logout_of_the_oldest_link(app, store, victim, generations, attacker, intruder, act):
    """A logout follows all of them to the session, and ends it."""
    attacker.shows(generations[0], HardSession().logout)

    assert act(victim, lambda: current_session.owner).value is None
    assert intruder.names() == []


def link(app, intruder, token, secret, times=None, when=2**32 - 1):
    """Write a row that leads from one id to another, as a thief of the keys can who also writes to the store."""
    ring = ring_of(app.config["SESSION_SECRET_KEYS"][0])
    references = Sealer(Purpose.REFERENCE, app_id="app", carrier=f"cookie:{NAME}")
    reference = Reference.unpack(references.open(from_text(token), ring))
    moved = Moved(*(times or (reference.created_at, reference.expires_at)), secret, when)
    row_id = reference.secret.row_id
    sealer = Sealer(Purpose.MOVED, app_id="app")
    value = sealer.seal(moved.pack(), ring.sealing, secret=reference.secret, binding=row_id)
    intruder.writes(f"session:r.{to_text(row_id)}", value)
    return reference.secret


def secret_of(app, token):
    """The secret in a token, for who has the keys."""
    ring = ring_of(app.config["SESSION_SECRET_KEYS"][0])
    references = Sealer(Purpose.REFERENCE, app_id="app", carrier=f"cookie:{NAME}")
    return Reference.unpack(references.open(from_text(token), ring)).secret


def test_circle(app, store, victim, log_in, attacker, intruder, clock):
    """Two rows that lead to each other hold up no request, and no logout."""
    one, other = attacker.steals(victim), attacker.steals(log_in(app, "ada"))
    link(app, intruder, one, secret_of(app, other))
    link(app, intruder, other, secret_of(app, one))

    assert attacker.reads(one) == {}
    assert attacker.shows(one, HardSession().logout).response.status_code == 200


def test_link_to_the_session_of_another_life(app, store, victim, attacker, intruder):
    """A row that leads on, and whose times are not those of the token, is refused."""
    token = attacker.steals(victim)
    link(app, intruder, token, SessionSecret.new(), times=(1, 2))

    assert attacker.shows(token, lambda: (current_session.owner, current_session.ended)).value == (None, None)


def test_link_to_nowhere(app, store, victim, attacker, intruder):
    """A row that leads to one that is gone opens nothing."""
    token = attacker.steals(victim)
    link(app, intruder, token, SessionSecret.new())

    assert attacker.shows(token, lambda: (current_session.owner, current_session.ended)).value == (None, "expired")


def test_tampered_link(app, store, victim, attacker, intruder):
    """One bit of such a row changed, and it opens nothing; a logout still ends it."""
    token = attacker.steals(victim)
    link(app, intruder, token, SessionSecret.new())
    [name] = intruder.names(MOVED)
    value = bytearray(intruder.reads(name))
    value[-1] ^= 1
    intruder.writes(name, bytes(value))

    assert attacker.reads(token) == {}
    assert attacker.shows(token, HardSession().logout).response.status_code == 200
    assert attacker.shows(token, lambda: current_session.ended).value == "logged_out"
