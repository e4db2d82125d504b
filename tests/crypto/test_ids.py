"""Secrets and names of sessions."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from dataclasses import FrozenInstanceError
from hashlib import sha256

import pytest

from hardsession.crypto.ids import Lineage, SessionSecret, everybody

SECRET = bytes(range(32))
LINEAGE = bytes(range(100, 116))


@pytest.mark.parametrize(("kind", "length"), [(SessionSecret, 32), (Lineage, 16)])
def test_new_values_are_drawn_from_the_system(kind, length, monkeypatch):
    """A new value is what the system's generator gave, all of it and nothing else."""
    drawn = bytes(range(7, 7 + length))
    monkeypatch.setattr(os, "urandom", lambda count: drawn[:count])

    assert kind.new().value == drawn


@pytest.mark.parametrize("kind", [SessionSecret, Lineage])
def test_new_values_differ(kind):
    """No two are alike."""
    assert len({kind.new().value for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("kind", "length"),
    [(SessionSecret, 0), (SessionSecret, 31), (SessionSecret, 33), (Lineage, 0), (Lineage, 15), (Lineage, 17)],
)
def test_wrong_length_is_refused(kind, length):
    """A value of another length is none, so no shortened secret can ever name a row."""
    with pytest.raises(ValueError, match="bytes"):
        kind(bytes(length))


def test_row_id():
    """A row is named by a hash of its secret that takes no key."""
    assert SessionSecret(SECRET).row_id == sha256(b"hs1 id\x00" + SECRET).digest()


def test_handle():
    """The public handle is the lineage in base64url."""
    assert Lineage(LINEAGE).handle == urlsafe_b64encode(LINEAGE).decode().rstrip("=")


def test_log_name():
    """Logs name a session by the first eight bytes of a hash, in hexadecimal."""
    assert bytes.fromhex(Lineage(LINEAGE).log_name) == sha256(b"hs1 log\x00" + LINEAGE).digest()[:8]


def test_revocation_name():
    """A revocation is named by a hash of the lineage that takes no key."""
    assert Lineage(LINEAGE).revocation_name == sha256(b"hs1 revoked\x00" + LINEAGE).digest()


def test_name_of_everybody():
    """The epoch of all is named by a hash of the application's id, which may be any text."""
    assert everybody("app") == sha256(b"hs1 everybody\x00app").digest()
    assert everybody("é") == sha256(b"hs1 everybody\x00\xc3\xa9").digest()


@pytest.mark.parametrize(("kind", "value"), [(SessionSecret, SECRET), (Lineage, LINEAGE)])
def test_repr_hides_the_value(kind, value):
    """Neither repr nor str shows the value, in any usual spelling."""
    shown = f"{kind(value)!r} {kind(value)}"

    for spelling in (repr(value)[2:-1], value.hex(), urlsafe_b64encode(value).decode().rstrip("=")):
        assert spelling not in shown


@pytest.mark.parametrize(("kind", "value"), [(SessionSecret, SECRET), (Lineage, LINEAGE)])
def test_value_cannot_be_changed(kind, value):
    """A secret or a lineage stays what it was made as."""
    made = kind(value)

    with pytest.raises(FrozenInstanceError):
        made.value = bytes(len(value))


def test_secret_is_no_text_and_no_bytes():
    """A secret cannot be joined into a store's key by accident: it is a type of its own."""
    with pytest.raises(TypeError):
        "session:r." + SessionSecret(SECRET)  # the addition itself is what fails

    assert SessionSecret(SECRET) != SECRET
