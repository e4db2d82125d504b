"""The attacker knows two keys, and wants one token that says one thing under each ("invisible salamanders")."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardsession import Key
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.errors import TokenRefused

SEALER = Sealer(Purpose.SESSION, app_id="app", carrier="cookie:x")


@pytest.fixture
def keys():
    """Two keys of which the second answers to the first one's id: as if 32 bits had collided."""
    first, second = (RingKey.derive(Key.generate().material()) for _ in range(2))
    return first, replace(second, id=first.id)


@pytest.mark.parametrize("length", [0, 1, 43, 3000, 20_000, 40_000])
def test_no_blob_opens_under_a_second_key(keys, length):
    """A blob carries a commitment to its key, so under any other key it is refused, even one with the same id."""
    first, second = keys

    blob = SEALER.seal(bytes(length), first)

    assert SEALER.open(blob, KeyRing([first])) == bytes(length)
    with pytest.raises(TokenRefused, match="not_authentic"):
        SEALER.open(blob, KeyRing([second]))


def test_commitment_cannot_be_exchanged(keys):
    """With salt and commitment of the other key's message the tag no longer fits, and the other way round."""
    first, second = keys
    one, two = SEALER.seal(b"one" * 20, first), SEALER.seal(b"two" * 20, second)

    for mixed in (two[:64] + one[64:], one[:32] + two[32:64] + one[64:], one[:64] + two[64:]):
        for key in keys:
            with pytest.raises(TokenRefused, match="not_authentic"):
                SEALER.open(mixed, KeyRing([key]))
