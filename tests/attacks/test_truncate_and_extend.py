"""The attacker cuts a token short, appends to it, or puts pieces of two together."""

from __future__ import annotations

import pytest

from hardsession.crypto.encoding import from_text, to_text
from hardsession.crypto.keys import Key, KeyRing, RingKey
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.errors import TokenRefused

CHUNK = 16 * 1024


def test_no_beginning_of_a_token_opens(attacker, victim):
    """A token that lacks any number of bytes at its end opens nothing."""
    blob = from_text(attacker.steals(victim))

    shortened = [attacker.reads(to_text(blob[:length])) for length in range(len(blob))]

    assert shortened == [{}] * len(blob)


def test_no_end_of_a_token_opens(attacker, victim):
    """A token that lacks any number of bytes at its beginning opens nothing."""
    blob = from_text(attacker.steals(victim))

    shortened = [attacker.reads(to_text(blob[start:])) for start in range(1, len(blob))]

    assert shortened == [{}] * (len(blob) - 1)


@pytest.mark.parametrize("more", [b"\x00", b"\x80", bytes(16), bytes(80), b"x" * 500])
def test_nothing_can_be_appended(attacker, victim, more):
    """A token with anything behind it, or in front of it, opens nothing."""
    blob = from_text(attacker.steals(victim))

    assert attacker.reads(to_text(blob + more)) == {}
    assert attacker.reads(to_text(more + blob)) == {}


def test_two_tokens_cannot_be_spliced(attacker, victim, log_in, app):
    """The head of one token and the tail of another open nothing, wherever they are joined."""
    mine, hers = (from_text(attacker.steals(browser)) for browser in (log_in(app, "mallory", draft="Eve's"), victim))

    spliced = {hers[:cut] + mine[cut:] for cut in range(len(mine))} - {mine, hers}

    assert len(spliced) > 100
    assert all(attacker.reads(to_text(blob)) == {} for blob in spliced)
    assert attacker.reads(to_text(hers + mine)) == {}


def test_long_message_cannot_lose_or_reorder_its_chunks():
    """A sealed value of several chunks opens only whole, and nothing of it is given out before its end was checked."""
    ring = KeyRing([RingKey.derive(Key.generate().material())])
    sealer = Sealer(Purpose.SESSION, app_id="app", carrier="cookie:x")
    blob = sealer.seal(bytes(range(256)) * 200, ring.sealing)
    head, sealed = blob[:64], blob[64:]
    chunks = [sealed[start : start + CHUNK + 16] for start in range(0, len(sealed), CHUNK + 16)]
    assert len(chunks) == 4

    attempts = [
        *(head + b"".join(chunks[:count]) for count in range(4)),
        head + b"".join(chunks[1:]),
        head + b"".join([chunks[1], chunks[0], *chunks[2:]]),
        head + b"".join([*chunks, chunks[-1]]),
        head + b"".join([chunks[0], *chunks]),
    ]

    for attempt in attempts:
        with pytest.raises(TokenRefused):
            sealer.open(attempt, ring)
    assert sealer.open(blob, ring) == bytes(range(256)) * 200
