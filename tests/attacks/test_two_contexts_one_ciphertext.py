"""The attacker moves a sealed value to another place: another purpose, application, carrier, row or secret."""

from __future__ import annotations

import pytest

from hardsession import Key
from hardsession.crypto.ids import SessionSecret
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.errors import TokenRefused

RING = KeyRing([RingKey.derive(Key.generate().material())])
HOME = {"purpose": Purpose.REVOCATION, "app_id": "app", "carrier": "cookie:x"}


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"app_id": "ap"},
        {"app_id": "app\x00"},
        {"app_id": ""},
        {"carrier": "header:x"},
        {"carrier": ""},
        {"app_id": "appcookie:x", "carrier": ""},
    ],
)
def test_blob_opens_in_its_own_context_alone(elsewhere):
    """A blob that is moved to another application or carrier is refused before anything of it is decrypted."""
    blob = Sealer(**HOME).seal(b"mine", RING.sealing)

    with pytest.raises(TokenRefused, match="not_authentic"):
        Sealer(**(HOME | elsewhere)).open(blob, RING)


@pytest.mark.parametrize("binding", [b"", b"row", b"row 2", b"row 1\x00", b"xrow 1"])
def test_blob_opens_in_its_own_place_alone(binding):
    """A stored value that is moved to another name is refused."""
    sealer = Sealer(**HOME)
    blob = sealer.seal(b"mine", RING.sealing, binding=b"row 1")

    assert sealer.open(blob, RING, binding=b"row 1") == b"mine"
    with pytest.raises(TokenRefused, match="not_authentic"):
        sealer.open(blob, RING, binding=binding)


def test_binding_and_context_cannot_be_shifted_into_each_other():
    """What stands at the end of one part cannot be taken for the beginning of the next: the key id, or the binding."""
    blob = Sealer(Purpose.RECORD, app_id="app").seal(b"mine", RING.sealing, binding=b"tail")

    with pytest.raises(TokenRefused, match="not_authentic"):
        Sealer(Purpose.RECORD, app_id="app", carrier="tail").open(blob, RING)


def test_row_opens_for_its_own_secret_alone():
    """A row is sealed for one client's secret: with another secret, or with the server's key alone, it stays shut."""
    sealer = Sealer(Purpose.RECORD, app_id="app")
    mine, other = SessionSecret.new(), SessionSecret.new()
    blob = sealer.seal(b"mine", RING.sealing, secret=mine)

    assert sealer.open(blob, RING, secret=mine) == b"mine"
    for attempt in ({"secret": other}, {}, {"binding": mine.row_id}):
        with pytest.raises(TokenRefused, match="not_authentic"):
            sealer.open(blob, RING, **attempt)
