"""The attacker writes another key's id into a token, hoping that the wrong key is asked."""

from __future__ import annotations

import pytest

from hardsession import Key
from hardsession.crypto.encoding import from_text, to_text

OLD, NEW, FOREIGN = Key.generate(), Key.generate(), Key.generate()


@pytest.mark.parametrize(
    ("key", "reason"),
    [(OLD, "not_authentic"), (FOREIGN, "unknown_key")],
    ids=["another key of the ring", "a key that is not in the ring"],
)
def test_token_opens_under_its_own_key_id_alone(make_app, attacker, log_in, events, key, reason):
    """A token that names another key is refused, also if that key is one of ours."""
    app = make_app(SESSION_SECRET_KEYS=[NEW.text, OLD.text])
    blob = from_text(attacker.steals(log_in(app)))

    swapped = blob[:4] + bytes.fromhex(key.id) + blob[8:]

    assert attacker.against(app).reads(to_text(swapped)) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": reason})


def test_own_key_under_our_id(app, attacker, victim, seen_in, forge, events):
    """What the attacker sealed with a key of his own is refused under the id of ours."""
    blob = from_text(forge(app, seen_in(victim), key=FOREIGN.text))
    ours = Key(app.config["SESSION_SECRET_KEYS"][0]).id

    assert attacker.reads(to_text(blob[:4] + bytes.fromhex(ours) + blob[8:])) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})
