"""The attacker spells a valid token differently, to slip past a list of revoked or logged tokens."""

from __future__ import annotations

import string

import pytest
from flask import session

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.fixture(params=[0, 2, 3])
def token(request, victim, attacker, act):
    """A stolen token, once of each length modulo 4 that there is: with no, four and two unused bits at its end."""
    for length in range(3):
        act(victim, lambda length=length: session.update(draft="x" * length))
        if len(attacker.steals(victim)) % 4 == request.param:
            break
    stolen = attacker.steals(victim)
    assert len(stolen) % 4 == request.param
    return stolen


def test_only_one_last_character_opens(attacker, token):
    """Of the 64 last characters, several of which a lax decoder takes for the same bytes, one opens the session."""
    opening = [last for last in ALPHABET if attacker.reads(token[:-1] + last)]

    assert opening == [token[-1]]


@pytest.mark.parametrize(
    "respell",
    [
        lambda t: t + "=",
        lambda t: t + "==",
        lambda t: t + "=" * (-len(t) % 4 or 4),
        lambda t: t.replace("-", "+").replace("_", "/"),
        lambda t: t + "A",
        lambda t: t + "AAAA",
        lambda t: t[:20] + " " + t[20:],
        lambda t: t[:20] + "\t" + t[20:],
        lambda t: t[:20] + "\xa0" + t[20:],
        lambda t: t[:20] + "." + t[20:],
        lambda t: t[:20] + "\x00" + t[20:],
        lambda t: t.replace("_", "%5F"),
        lambda t: t + "%3D",
        lambda t: t + "\xad",
        str.lower,
        str.swapcase,
    ],
    ids=[
        "padding",
        "more padding",
        "right padding",
        "standard alphabet",
        "one more",
        "four more",
        "space",
        "tab",
        "no-break space",
        "full stop",
        "NUL",
        "percent",
        "percent padding",
        "soft hyphen",
        "lower case",
        "other case",
    ],
)
def test_no_other_spelling_opens(attacker, token, respell):
    """A token has one spelling: no padding, white space, other alphabet or foreign character is forgiven."""
    alias = respell(token)
    assert alias != token

    assert attacker.reads(alias) == {}
