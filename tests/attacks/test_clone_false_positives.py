"""Nobody attacks, and it looks as if: what must not be taken for a copied cookie, and what cannot be told from one."""

from __future__ import annotations

import pytest

from hardsession import current_session
from hardsession.signals import session_cloned
from tests.races.traffic import Slow, login, make_app, owner, read, send, write

INTERVAL = 120


@pytest.fixture
def app(store):
    """An application that ends a session at any sign of a copy."""
    return make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_CLONE_POLICY="revoke")


@pytest.fixture
def cloned(app):
    """The events."""
    said = []
    session_cloned.connect(lambda _sender, **fields: said.append(fields), sender=app, weak=False)
    return said


@pytest.fixture
def old(app, clock):
    """The token of Ada's session, which is due for a new id."""
    token = send(app, None, login()).token
    clock.tick(INTERVAL)
    return token


def renewed(app, old):
    """The token of the next id, which the browser has used."""
    token = send(app, old, read).token
    send(app, token, read)
    return token


def test_slow_upload(app, cloned, old, clock):
    """An upload that began with the old id, and looks at its session long after the new one came, is the user's."""
    tokens = []

    def upload():
        tokens.append(renewed(app, old))
        clock.tick(600)

    answer = send(app, old, upload, owner, write(file="x"))

    assert (answer.value, answer.values[1], cloned) == (None, "ada", [])
    assert send(app, tokens[0], read).value == {"file": "x"}


def test_slow_upload_that_read_before(app, cloned, old, clock):
    """So it is with one that looked before."""
    slow = Slow(app, old, read, write(file="x"))
    token = renewed(app, old)
    clock.tick(600)

    slow.finish()

    assert cloned == []
    assert send(app, token, read).value == {"file": "x"}


def test_upload_slower_than_an_id(app, cloned, old, clock):
    """An upload that outlasts two ids finds no session and sets no cookie, but nobody is suspected for it."""
    tokens = []

    def upload():
        tokens.append(renewed(app, old))
        clock.tick(INTERVAL)
        tokens.append(renewed(app, tokens[0]))
        clock.tick(INTERVAL)

    answer = send(app, old, upload, lambda: (owner(), current_session.ended), write(file="x"))

    assert (answer.values[1], answer.cookies, cloned) == ((None, "renewed"), [], [])
    assert send(app, tokens[1], owner).value == "ada"


def test_lost_answers(app, cloned, old, clock):
    """However many answers with the new token get lost, the old one is good until that one was used."""
    for _ in range(5):
        assert send(app, old, owner).value == "ada"
        clock.tick(900)

    assert cloned == []


@pytest.mark.parametrize(("seconds", "suspected"), [(59, False), (60, False), (61, True)])
def test_restored_jar(app, cloned, old, clock, seconds, suspected):
    """A browser that comes up with the cookies of before cannot be told from a thief, after a minute."""
    token = renewed(app, old)
    clock.tick(seconds)

    assert send(app, old, owner).value == (None if suspected else "ada")
    assert bool(cloned) == suspected
    assert send(app, token, owner).value == (None if suspected else "ada")


def test_restored_jar_can_log_in_again(app, cloned, old, clock):
    """Its user logs in again, and is suspected no more."""
    renewed(app, old)
    clock.tick(61)
    send(app, old, read)

    token = send(app, old, login()).token

    assert send(app, token, owner).value == "ada"
    assert len(cloned) == 1
