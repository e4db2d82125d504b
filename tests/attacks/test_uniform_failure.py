"""The attacker compares the server's answers to bad tokens, to learn from their differences."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask import flash, session

from hardsession import HardSession, Key
from hardsession.crypto.encoding import from_text, to_text
from hardsession.crypto.seal import Purpose
from hardsession.errors import Refusal
from hardsession.record import Record

NAME = "__Host-Http-session"


@pytest.fixture
def bad(clock, app, victim, attacker, seen_in, forge):
    """A token for every reason to refuse one, and one for either timeout."""
    good = attacker.steals(victim)
    blob = from_text(good)
    record = seen_in(victim)
    clock.tick(3600)
    return {
        Refusal.LENGTH: "hs1_",
        "length above": "hs1_" + "A" * 5000,
        Refusal.ENCODING: good + "=",
        Refusal.FORMAT: "A" * len(good),
        Refusal.PURPOSE: forge(app, bytes(40), purpose=Purpose.REFERENCE),
        Refusal.UNKNOWN_KEY: forge(app, record, key=Key.generate().text),
        Refusal.NOT_AUTHENTIC: to_text(blob[:-1] + bytes([blob[-1] ^ 1])),
        "commitment": to_text(blob[:40] + bytes([blob[40] ^ 1]) + blob[41:]),
        Refusal.HEADER: forge(app, b"short"),
        Refusal.FUTURE: forge(app, _at(record, 2**31)),
        Refusal.PAYLOAD: forge(app, Record(_at(record, record.header.created_at + 3600).header, b"no JSON")),
        "idle": good,
        "absolute": forge(app, _at(record, 1)),
    }


def _at(record: Record, moment: int) -> Record:
    header = replace(record.header, created_at=moment, seen_at=moment, expires_at=moment + 43200)
    return Record(header, record.payload)


def test_there_is_a_token_for_every_reason(attacker, bad, events):
    """The list is complete: each token is refused for the reason it stands for."""
    events.clear()
    for token in bad.values():
        attacker.reads(token)

    reasons = [fields["reason"] for _, fields in events]
    assert {*Refusal} - {*reasons} == {Refusal.DUPLICATE}
    assert [reason for reason, kind in zip(reasons, bad, strict=True) if isinstance(kind, Refusal)] == [
        kind for kind in bad if isinstance(kind, Refusal)
    ]


VIEWS = {
    "reading": lambda: dict(session),
    "writing": lambda: session.update(a=1),
    "logging in": lambda: HardSession().login("ada"),
    "flashing": lambda: flash("hello"),
    "logging out": lambda: HardSession().logout(),
    "regenerating": lambda: HardSession().regenerate(),
    "nothing": lambda: None,
}


@pytest.mark.parametrize("view", VIEWS)
def test_every_bad_token_gets_the_same_answer(attacker, bad, view):
    """Whatever a view does, the answers to all bad tokens are equal to the byte, the fresh token apart."""
    answers = {_seen(attacker.shows(token, VIEWS[view])) for token in bad.values()}

    assert len(answers) == 1


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "logging out"])
def test_it_is_the_answer_without_any_cookie(attacker, bad, view):
    """That answer is the one to a visitor without a cookie; only a logout also deletes what came."""
    [with_one] = {_seen(attacker.shows(token, VIEWS[view])) for token in bad.values()}

    assert with_one == _seen(attacker.sends("", VIEWS[view]))


def test_length_of_a_fresh_token_tells_nothing(attacker, bad):
    """What is written in such a request begins a session of its own, the same size for all."""
    sizes = {len(attacker.shows(token, VIEWS["writing"]).cookies[0]) for token in bad.values()}

    assert len(sizes) == 1


def test_error_page_is_the_same_too(make_app, attacker, bad):
    """Where the view fails, the error page tells no more than the view."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)

    answers = {_seen(attacker.against(app).shows(token, lambda: session["missing"])) for token in bad.values()}

    assert len(answers) == 1
    assert next(iter(answers))[0] == "500 INTERNAL SERVER ERROR"


def _seen(answer) -> tuple[str, bytes, str]:
    """What the client sees, with the random token of a new session blotted out."""
    headers = re.sub(r"hs1_[\w-]+", "TOKEN", str(answer.response.headers))
    return answer.response.status, answer.response.data, headers
