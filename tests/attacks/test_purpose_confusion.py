"""The attacker got hold of a sealed value that is no session, and shows it as one."""

from __future__ import annotations

import pytest

from hardsession.crypto.encoding import from_text, to_text
from hardsession.crypto.seal import Purpose

OTHERS = [purpose for purpose in Purpose if purpose is not Purpose.SESSION]


@pytest.mark.parametrize("purpose", OTHERS)
def test_sealed_value_of_another_purpose_is_no_session(app, attacker, victim, seen_in, forge, events, purpose):
    """What the right key sealed for another purpose is refused, even if it holds a session's record to the byte."""
    record = seen_in(victim)

    assert attacker.reads(forge(app, record, purpose=purpose)) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "purpose"})


@pytest.mark.parametrize("purpose", OTHERS)
def test_purpose_cannot_be_rewritten(app, attacker, victim, seen_in, forge, events, purpose):
    """Writing the purpose of a session over another value's does not help: the purpose is authenticated."""
    blob = bytearray(from_text(forge(app, seen_in(victim), purpose=purpose)))

    blob[3] = Purpose.SESSION

    assert attacker.reads(to_text(bytes(blob))) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})


@pytest.mark.parametrize("purpose", [0, 8, 127, 255])
def test_purpose_that_does_not_exist_is_refused(attacker, victim, events, purpose):
    """A purpose that nobody defined is refused as any other."""
    blob = bytearray(from_text(attacker.steals(victim)))

    blob[3] = purpose

    assert attacker.reads(to_text(bytes(blob))) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "purpose"})
