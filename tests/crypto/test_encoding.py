"""The text form of bytes, and the joining of pieces."""

from __future__ import annotations

import itertools
import string
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardsession.crypto.encoding import from_text, pae, to_text

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg"),
        (b"fooba", "Zm9vYmE"),
        (b"foobar", "Zm9vYmFy"),
        (b"\xfb\xef\xff", "--__"),
    ],
)
def test_text_is_base64url_without_padding(data, text):
    """RFC 4648's examples come out in the alphabet for addresses and without padding, and go back in."""
    assert to_text(data) == text
    assert from_text(text) == data


@given(st.binary(max_size=200))
def test_every_text_comes_back(data):
    """What was made into text is read from it again."""
    assert from_text(to_text(data)) == data


@pytest.mark.parametrize(
    "alias",
    [
        pytest.param("Zg==", id="padding"),
        pytest.param("Zg=", id="half of the padding"),
        pytest.param("Zm9v====", id="padding that nothing needs"),
        pytest.param("=Zg", id="padding in front"),
        pytest.param("Z=g", id="padding inside"),
        pytest.param(" Zm9v", id="space in front"),
        pytest.param("Zm9v ", id="space behind"),
        pytest.param("Zm 9v", id="space inside"),
        pytest.param("Zm9v\n", id="line feed"),
        pytest.param("Zm9v\r\n", id="carriage return"),
        pytest.param("Zm9v\t", id="tab"),
        pytest.param("Zm9v\x00", id="zero byte"),
        pytest.param('"Zm9v"', id="double quotes"),
        pytest.param("'Zm9v'", id="single quotes"),
        pytest.param("++__", id="plus"),
        pytest.param("--//", id="slash"),
        pytest.param("Zm9v.", id="full stop"),
        pytest.param("Zm9v%3D", id="percent encoding"),
        pytest.param("Zm9v\u00e9", id="Latin-1 letter"),
        pytest.param("\uff3ag", id="full-width letter"),
        pytest.param("Zm9v\ud800", id="lone surrogate"),
        pytest.param("A", id="length 1"),
        pytest.param("Zm9vA", id="length 5"),
        pytest.param("Zm9vYmFyA", id="length 9"),
        pytest.param("Zh", id="unused bits of two characters"),
        pytest.param("Zm9", id="unused bits of three characters"),
    ],
)
def test_alias_is_refused(alias):
    """No other spelling is taken for the bytes that it might mean."""
    with pytest.raises(ValueError):  # noqa: PT011  # several kinds, and callers tell none from another
        from_text(alias)


@pytest.mark.parametrize(("length", "count"), [(0, 1), (1, 0), (2, 256)])
def test_bytes_have_exactly_one_spelling(length, count):
    """Of all texts of a length, as many are read as there are bytes to spell."""
    read = set()

    for text in map("".join, itertools.product(ALPHABET, repeat=length)):
        try:
            read.add(from_text(text))
        except ValueError:
            continue
        assert to_text(from_text(text)) == text

    assert len(read) == count


@pytest.mark.parametrize("unused", range(1, 4))
def test_unused_bits_of_a_third_character_are_zero(unused):
    """Of the four last characters that decode to the same two bytes, only the one with zero bits is read."""
    canonical = to_text(b"fo")
    alias = canonical[:2] + ALPHABET[ALPHABET.index(canonical[2]) + unused]

    with pytest.raises(ValueError, match="canonical"):
        from_text(alias)


@pytest.mark.parametrize(
    ("pieces", "encoded"),
    [
        ((), b"\0\0\0\0\0\0\0\0"),
        ((b"",), b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ((b"test",), b"\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0test"),
    ],
)
def test_pae_agrees_with_published_examples(pieces, encoded):
    """The examples of PASETO's page on common implementation details come out."""
    assert pae(*pieces) == encoded


def test_pae_refuses_text():
    """Text is not taken for bytes, as PASETO's last example demands."""
    with pytest.raises(TypeError):
        pae("test")


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_pae_is_count_then_length_and_bytes_of_each(pieces):
    """The layout holds for any pieces: little-endian, 64 bits."""
    assert pae(*pieces) == pack("<Q", len(pieces)) + b"".join(pack("<Q", len(p)) + p for p in pieces)


@given(st.data())
def test_pae_keeps_boundaries_apart(data):
    """The same bytes cut at two places give two encodings: nothing slides from one field into the next."""
    whole = data.draw(st.binary(min_size=1, max_size=20))
    first, second = data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2, unique=True))

    assert pae(whole[:first], whole[first:]) != pae(whole[:second], whole[second:])
