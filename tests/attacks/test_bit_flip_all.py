"""The attacker flips bits of a token, hoping that one of them makes it say something else."""

from __future__ import annotations

from hardsession.crypto.encoding import from_text, to_text


def test_every_single_bit_matters(attacker, victim, events):
    """A token with any one of its bits flipped opens nothing."""
    blob = from_text(attacker.steals(victim))

    for bit in range(8 * len(blob)):
        altered = bytearray(blob)
        altered[bit // 8] ^= 1 << bit % 8
        assert attacker.reads(to_text(bytes(altered))) == {}, f"bit {bit} does not matter"

    assert attacker.reads(to_text(blob)) == {"draft": "Ada's"}
    assert sum(name == "session_rejected" for name, _ in events) == 8 * len(blob)


def test_pairs_of_bytes_cannot_be_swapped(attacker, victim):
    """A token whose neighbouring bytes are swapped opens nothing."""
    blob = from_text(attacker.steals(victim))
    swaps = [place for place in range(len(blob) - 1) if blob[place] != blob[place + 1]]

    for place in swaps:
        altered = blob[:place] + blob[place + 1 : place + 2] + blob[place : place + 1] + blob[place + 2 :]
        assert attacker.reads(to_text(altered)) == {}
