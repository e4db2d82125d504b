"""The attacker makes the application store more than a cookie holds, to lose the victim's session or the server."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, SessionTooLargeError

NAME = "__Host-Http-session"


def test_too_much_is_a_named_error_and_the_old_cookie_stays(victim, attacker, act):
    """A session that does not fit is an error that tells the bytes and the largest keys, and nothing is set."""
    before = attacker.steals(victim)

    with pytest.raises(SessionTooLargeError, match="'comment'") as caught:
        act(victim, lambda: session.update(comment="x" * 10_000))

    assert caught.value.size > caught.value.limit == 4096
    assert next(iter(caught.value.largest)) == "comment"
    assert attacker.steals(victim) == before
    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}


def test_error_page_neither_sets_nor_deletes(make_app, log_in, attacker, act):
    """The visitor gets the application's error page, and keeps the session that he had."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    victim = log_in(app, draft="Ada's")
    before = attacker.steals(victim)

    answer = act(victim, lambda: session.update(comment="x" * 10_000))

    assert answer.response.status_code == 500
    assert answer.cookies == []
    assert attacker.steals(victim) == before


def test_no_truncated_session_is_ever_set(victim, attacker, act):
    """Up to the limit all of it is kept, beyond it none: the cookie never holds a part."""
    kept = 0
    for length in range(2700, 3000, 7):
        try:
            act(victim, lambda length=length: session.update(comment="x" * length))
        except SessionTooLargeError:
            break
        kept = length
        assert len(NAME) + len(attacker.steals(victim)) <= 4096

    assert kept > 2700
    assert act(victim, lambda: session["comment"]).value == "x" * kept


def test_kept_session_is_logged_and_the_answer_goes_out(make_app, log_in, attacker, act, caplog, events):
    """With "keep" the write is dropped, the old session stays, and log and event say so."""
    victim = log_in(make_app(SESSION_COOKIE_OVERSIZE="keep"), draft="Ada's")
    before = attacker.steals(victim)

    answer = act(victim, lambda: session.update(comment="x" * 10_000))

    assert (answer.response.status_code, answer.cookies) == (200, [])
    assert attacker.steals(victim) == before
    assert events[-1][0] == "session_too_large"
    assert any(record.levelname == "ERROR" and "'comment'" in record.message for record in caplog.records)


def test_dropped_write_does_not_keep_anybody_logged_in(make_app, log_in, act):
    """With "keep", a logout counts though what was stored after it does not fit."""
    victim = log_in(make_app(SESSION_COOKIE_OVERSIZE="keep"), user_id="ada")

    act(victim, lambda: (HardSession().logout(), session.update(comment="x" * 10_000)))

    assert victim.get_cookie(NAME) is None


def test_huge_value_is_refused_before_it_is_sealed(victim, act, monkeypatch):
    """Over 4 MiB a value is an error of the serializer; nothing of it reaches a cipher."""
    act(victim, lambda: session.get("draft"))
    monkeypatch.setattr("hardsession.crypto.seal.Sealer.seal", lambda *_: pytest.fail("it was sealed"))

    with pytest.raises(TypeError, match="takes 5000014 bytes, and 4194304 is the limit"):
        act(victim, lambda: (session.clear(), session.update(comment="x" * 5_000_000)))
