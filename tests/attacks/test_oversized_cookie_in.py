"""The attacker sends cookies that are larger than any of ours, to make the server work."""

from __future__ import annotations

import time

import pytest

NAME = "__Host-Http-session"
LONGEST = 4096 - len(NAME)


@pytest.mark.parametrize("length", [LONGEST + 1, 5000, 100_000, 5_000_000])
def test_longer_than_any_cookie_is_refused_undecoded(attacker, events, monkeypatch, length):
    """A cookie of more than 4096 bytes of name and value is refused by its length, before a byte of it is decoded."""
    monkeypatch.setattr("hardsession.modes.cookie.from_text", lambda _: pytest.fail("it was decoded"))

    assert attacker.reads("hs1_" + "A" * (length - 4)) == {}
    assert events == [("session_rejected", {"session": None, "reason": "length"})]


@pytest.mark.parametrize("length", [0, 1, 4, 106])
def test_shorter_than_any_token_is_refused_undecoded(attacker, events, monkeypatch, length):
    """A cookie that is too short for a sealed session is refused in the same way."""
    monkeypatch.setattr("hardsession.modes.cookie.from_text", lambda _: pytest.fail("it was decoded"))

    assert attacker.reads("hs1_AAAA"[:length] + "A" * max(0, length - 8)) == {}
    assert events == [("session_rejected", {"session": None, "reason": "length"})]


def test_longest_cookie_is_looked_at(attacker, events):
    """A cookie of exactly 4096 bytes is judged by what is in it."""
    assert attacker.reads("hs1_" + "A" * (LONGEST - 4)) == {}
    assert events[-1][1]["reason"] in ("encoding", "purpose", "unknown_key")


@pytest.mark.parametrize("part", ["a=b", "a", "", "=", f"{NAME}", f"x{NAME}=", f"{NAME}x=y", " "])
def test_header_of_very_many_cookies_takes_no_time(attacker, part):
    """A header of 100 000 parts is read in one pass: its cost does not grow with their square."""
    header = ";".join([part] * 100_000)
    started = time.perf_counter()

    assert attacker.sends(header).value == {}

    assert time.perf_counter() - started < 5
