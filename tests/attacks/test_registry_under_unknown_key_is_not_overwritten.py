"""An instance is started with a wrong key. It must not write an empty list over one that it cannot read."""

from __future__ import annotations

import pytest

from hardsession import HardSession, Key
from hardsession.crypto.keys import KeyRing, RingKey

hard = HardSession()


def test_list_under_a_key_that_this_instance_does_not_have(make_app, store, log_in, intruder):
    """Each key has a list of its own: what the wrong instance does leaves the right one's list as it is."""
    right = make_app(SESSION_STORE=store)
    log_in(right, "ada")
    before = {name: intruder.reads(name) for name in store.names if ":u." in name}
    wrong = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[Key.generate().text])

    log_in(wrong, "ada")
    with wrong.app_context():
        hard.revoke_user("ada")

    assert {name: intruder.reads(name) for name in before} == before
    with right.app_context():
        assert len(hard.sessions("ada")) == 1


def test_list_whose_seal_has_another_key(make_app, store, log_in, intruder, act):
    """One that stands under our name and is sealed with a key that is gone is an error, and stays as it is."""
    app = make_app(SESSION_STORE=store)
    log_in(app, "ada")
    [name] = [name for name in store.names if ":u." in name]
    unknown = KeyRing([RingKey.derive(b"u" * 32)]).sealing.id
    value = intruder.reads(name)
    intruder.writes(name, value[:4] + unknown + value[8:])

    with app.app_context(), pytest.raises(Exception, match="does not open"):
        hard.revoke_user("ada")

    assert intruder.reads(name) == value[:4] + unknown + value[8:]
