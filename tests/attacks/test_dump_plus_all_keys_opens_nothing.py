"""The intruder takes the whole store home, and has every key of the server. He still lacks what only browsers hold."""

from __future__ import annotations

import os
from itertools import product

import pytest
from flask import session

from hardsession import HardSession
from hardsession.crypto.encoding import from_text, to_text
from hardsession.crypto.ids import SessionSecret
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.errors import TokenRefused
from hardsession.record import Ended, Reference, UserList
from tests.races.stores import TOMBSTONE

from .conftest import NAME, ring_of

PREFIX = "session:r."
USER = "ada@newsroom.example"


@pytest.fixture
def ring(app):
    """Every key of the server."""
    return ring_of(*app.config["SESSION_SECRET_KEYS"])


@pytest.fixture
def dump(app, log_in, victim, act, intruder):
    """The store: the victim's row and her earlier ids', somebody else's, and one that is over."""
    act(victim, lambda: HardSession().regenerate())
    act(victim, lambda: HardSession().login("ada"))
    act(log_in(app, "bob", draft="Bob's"), lambda: HardSession().logout())
    log_in(app, "carol", draft="Carol's")
    dump = intruder.dump()
    assert len(dump) == 5
    return dump


@pytest.fixture
def secret(victim, attacker, ring):
    """The secret in the victim's cookie."""
    token = attacker.steals(victim)
    sealer = Sealer(Purpose.REFERENCE, app_id="app", carrier=f"cookie:{NAME}")
    return Reference.unpack(sealer.open(from_text(token), ring)).secret


def test_nothing_in_it_opens(dump, ring, secret, intruder):
    """No row opens with anything that the dump holds; with the secret from her cookie the victim's does."""
    ids = [from_text(name.removeprefix(PREFIX)) for name in dump]
    sealer = Sealer(Purpose.RECORD, app_id="app")
    guesses = [*ids, bytes(32), os.urandom(32), *(value[8:40] for value in dump.values())]

    opened = []
    for (name, value), guess in product(dump.items(), map(SessionSecret, guesses)):
        for binding in (from_text(name.removeprefix(PREFIX)), b""):
            try:
                opened.append(sealer.open(value, ring, secret=guess, binding=binding))
            except TokenRefused:
                continue

    assert opened == []
    assert sealer.open(dump[PREFIX + to_text(secret.row_id)], ring, secret=secret, binding=secret.row_id)


def test_no_key_of_the_server_opens_a_row_by_itself(dump, ring, intruder):
    """Nor does a row open under any key as if it had been sealed without a secret."""
    for name in intruder.names():
        head, message = dump[name][:8], dump[name][8:]
        for purpose in Purpose:
            blob = head[:3] + bytes([purpose]) + head[4:] + message
            with pytest.raises(TokenRefused):
                Sealer(purpose, app_id="app").open(blob, ring, binding=from_text(name.removeprefix(PREFIX)))


def test_secret_is_nowhere_in_it(dump, ring, secret, intruder):
    """The victim's secret stands in no name and no value, nor in a tombstone, which the keys do open."""
    tombstones = Sealer(Purpose.ENDED, app_id="app")
    contents = [
        tombstones.open(dump[name], ring, binding=from_text(name.removeprefix(PREFIX)))
        for name in intruder.names(TOMBSTONE)
    ]

    assert len(contents) == 3
    assert {Ended.unpack(content).successor for content in contents} >= {secret.row_id}
    for content in [*contents, *dump.values(), *(name.encode() for name in dump)]:
        assert secret.value not in content
        assert to_text(secret.value).encode() not in content


def test_no_cookie_can_be_made_of_it(dump, app, forge, attacker, intruder, ring):
    """A reference to every row that he can name opens none: a row's name does not lead to its secret."""
    ids = [from_text(name.removeprefix(PREFIX)) for name in dump]
    successors = [
        Ended.unpack(Sealer(Purpose.ENDED, app_id="app").open(dump[PREFIX + to_text(row)], ring, binding=row)).successor
        for row in ids
        if PREFIX + to_text(row) in intruder.names(TOMBSTONE)
    ]

    for row_id in [*ids, *filter(None, successors)]:
        forged = forge(app, Reference(1, 2**32 - 1, SessionSecret(row_id)).pack(), purpose=Purpose.REFERENCE)
        assert attacker.reads(forged) == {}


def test_cookie_without_the_keys_is_as_little(dump, secret, forge, app, attacker):
    """The other half alone does not do either: the secret under a key of his own."""
    token = forge(
        app,
        Reference(1, 2**32 - 1, secret).pack(),
        key="of the thief, and long enough to be one",
        purpose=Purpose.REFERENCE,
    )

    assert attacker.shows(token, lambda: dict(session)).value == {}


def test_list_of_a_user_names_nobody_without_the_keys(app, store, log_in, intruder):
    """Without the keys he learns from nothing in the store who has sessions: a list's name takes a key to compute."""
    log_in(app, USER)
    [name] = [name for name in store.names if ":u." in name]

    guess = ring_of("of the thief, and long enough to be one").sealing.user_key("app", "session:", USER)

    assert to_text(guess) not in name
    assert USER not in name
    assert USER.encode() not in intruder.reads(name)


def test_list_of_a_user_opens_no_session(app, store, log_in, intruder, ring):
    """With the keys he reads who she is and from where, and the names of her rows, which do not open them."""
    log_in(app, USER)
    key = ring.sealing.user_key("app", "session:", USER)

    content = Sealer(Purpose.USER, app_id="app").open(intruder.reads(f"session:u.{to_text(key)}"), ring, binding=key)

    user = UserList.unpack(content)
    [entry] = user.entries
    assert (user.user_id, len(entry.rows)) == (USER, 1)
    for guess in (entry.rows[0], entry.lineage * 2, key):
        row = intruder.reads(PREFIX + to_text(entry.rows[0]))
        with pytest.raises(TokenRefused):
            Sealer(Purpose.RECORD, app_id="app").open(row, ring, secret=SessionSecret(guess), binding=entry.rows[0])
