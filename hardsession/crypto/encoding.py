"""The one text form of bytes, and the one way to join pieces without ambiguity."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = str.maketrans("-_", "+/")


def to_text(data: bytes) -> str:
    """Base64url without padding (RFC 4648, section 5)."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")


def from_text(text: str) -> bytes:
    """The bytes of a text that `to_text` made; any other spelling is a ValueError.

    Encoding the result again and comparing refuses at one stroke padding, white space, quotes, `+` and `/`, foreign
    characters and non-zero unused bits, each of which the decoder alone would let pass as an alias.
    """
    data = a2b_base64(text.translate(_STANDARD) + "=" * (-len(text) % 4))
    if to_text(data) != text:
        raise ValueError("not canonical base64url")
    return data


def pae(*pieces: bytes) -> bytes:
    """PASETO's pre-authentication encoding: no two lists of pieces give the same bytes."""
    return len(pieces).to_bytes(8, "little") + b"".join(len(p).to_bytes(8, "little") + p for p in pieces)
