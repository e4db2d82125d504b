"""The attacker brings tokens of keys that the server does not have, and watches what they cost it."""

from __future__ import annotations

import os

import pytest

from hardsession.crypto.encoding import to_text
from hardsession.crypto.seal import MAGIC, Purpose


def test_session_of_a_stranger(make_app, attacker, log_in, events):
    """A perfect session that was sealed with somebody else's key is refused."""
    elsewhere = make_app()
    token = attacker.steals(log_in(elsewhere, "admin", role="admin"))

    assert attacker.reads(token) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "unknown_key"})


def test_no_key_is_tried_on_a_token_that_names_none_of_ours(attacker, monkeypatch, events):
    """A token whose key id is unknown costs one look-up and no decryption, so garbage cannot be made expensive."""
    monkeypatch.setattr(
        "hardsession.crypto.seal.Cobblestone256Decryptor", lambda *_: pytest.fail("a key was tried on the token")
    )

    for _ in range(20):
        assert attacker.reads(to_text(MAGIC + bytes([Purpose.SESSION]) + os.urandom(200))) == {}

    assert {fields["reason"] for _, fields in events} == {"unknown_key"}
