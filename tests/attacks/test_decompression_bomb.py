"""The attacker has a small token that unpacks to gigabytes."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from flask import session

from hardsession import SerializationError
from hardsession.errors import TokenRefused
from hardsession.record import PayloadFormat, Record
from hardsession.serializers import MAX_SIZE

COMPRESSED = 1 << 2


@pytest.fixture
def bomb(victim, seen_in):
    """Pack a compressed payload as it is behind a live session's header, as only the holder of the key can."""
    header = seen_in(victim).header

    def pack(compressed: bytes) -> bytes:
        plaintext = Record(header, b"", PayloadFormat.JSON).pack()
        return bytes([plaintext[0] | COMPRESSED]) + plaintext[1:] + compressed

    return pack


@pytest.mark.parametrize("filling", [b"[", b"0", b" ", b"\x00"])
def test_most_that_a_cookie_can_hold_is_an_empty_session(app, attacker, forge, events, bomb, filling):
    """What 2900 bytes can be made to unpack to, nearly 3 MB, is read as the garbage that it is."""
    compressed = zlib.compress(filling * 2_800_000, 9)

    assert attacker.reads(forge(app, bomb(compressed))) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "payload"})


@pytest.mark.parametrize("size", [MAX_SIZE + 1, 4 * MAX_SIZE, 16 * MAX_SIZE])
def test_memory_stays_bounded(bomb, size):
    """Unpacking stops at 4 MiB, whatever the message would come to."""
    plaintext = bomb(zlib.compress(bytes(size), 9))

    tracemalloc.start()
    try:
        with pytest.raises(TokenRefused, match="payload"):
            Record.unpack(plaintext)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3 * MAX_SIZE


@pytest.mark.parametrize(
    "compressed",
    [b"", b"no zlib", zlib.compress(b"{}")[:-1], zlib.compress(b"{}") + b"x", zlib.compress(b"{}") * 2],
    ids=["nothing", "garbage", "cut short", "something behind it", "two streams"],
)
def test_only_one_whole_stream_is_a_payload(bomb, compressed):
    """A stream that is cut short, has something behind it or is none is refused."""
    with pytest.raises(TokenRefused, match="payload"):
        Record.unpack(bomb(compressed))


def test_application_cannot_make_one(make_app, act):
    """Where the application compresses, what it stores is measured before: a visitor's text of 5 MB is an error."""
    browser = make_app(SESSION_COMPRESS=True).test_client()

    with pytest.raises(SerializationError, match="is the limit"):
        act(browser, lambda: session.update(comment="x" * 5_000_000))

    assert browser.get_cookie("__Host-Http-session") is None
