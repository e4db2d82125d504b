"""The attacker wraps a token in a cookie's quotes, which many parsers take off."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: f'"{t}"',
        lambda t: f'"{t}',
        lambda t: f'{t}"',
        lambda t: f"'{t}'",
        lambda t: f'"\\150{t[1:]}"',
        lambda t: f'"\\{t}"',
        lambda t: f'""{t}""',
        lambda t: f"%22{t}%22",
    ],
    ids=["quotes", "opening", "closing", "single quotes", "octal escape", "escape", "twice", "percent"],
)
def test_quotes_are_no_part_of_a_token(attacker, victim, events, wrap):
    """A quoted token is refused as it stands: a second spelling would be a second name of one session."""
    stolen = attacker.steals(victim)

    assert attacker.reads(wrap(stolen)) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "encoding"})
