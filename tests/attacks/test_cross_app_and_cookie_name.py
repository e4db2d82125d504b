"""The attacker carries a token from one application, or one cookie, to another that shares the keys."""

from __future__ import annotations

import pytest

from hardsession import Key

KEYS = [Key.generate().text]


@pytest.fixture
def forum(make_app):
    """An application where anybody may have an account."""
    return make_app(SESSION_SECRET_KEYS=KEYS, SESSION_APP_ID="forum")


def test_token_of_another_app(make_app, forum, attacker, log_in, events):
    """A session of the forum is none in the bank, though both have the same keys and the same cookie name."""
    bank = make_app(SESSION_SECRET_KEYS=KEYS, SESSION_APP_ID="bank")
    stolen = attacker.steals(log_in(forum, "admin", role="admin"))

    assert attacker.against(bank).reads(stolen) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})
    assert attacker.against(forum).reads(stolen) == {"role": "admin"}


@pytest.mark.parametrize("name", ["__Host-session", "session2", "__Host-Http-sessions"])
def test_token_of_another_cookie(make_app, forum, attacker, log_in, events, name):
    """A token is good in the cookie it was made for, and in no other of the same application."""
    renamed = make_app(SESSION_SECRET_KEYS=KEYS, SESSION_APP_ID="forum", SESSION_COOKIE_NAME=name)
    stolen = attacker.steals(log_in(forum))

    assert attacker.against(renamed).shows(stolen, name=name).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})


@pytest.mark.parametrize("carrier", ["", "cookie:", "header:__Host-Http-session", "cookie:__host-http-session"])
def test_token_of_another_carrier(app, attacker, victim, seen_in, forge, events, carrier):
    """A token that was sealed for a header, or for no carrier, is none in a cookie."""
    token = forge(app, seen_in(victim), carrier=carrier)

    assert attacker.reads(token) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})


def test_names_cannot_be_shifted_into_each_other(make_app, attacker, seen_in, forge, log_in):
    """No pair of application and carrier spells the context of another pair: lengths are part of it."""
    app = make_app(SESSION_APP_ID="news")
    record = seen_in(log_in(app, draft="Ada's"))
    carrier = "cookie:__Host-Http-session"

    shifted = [
        forge(app, record, app_id="new", carrier=f"s{carrier}"),
        forge(app, record, app_id=f"news{carrier}", carrier=""),
        forge(app, record, app_id="", carrier=f"news{carrier}"),
    ]

    assert [attacker.against(app).reads(token) for token in shifted] == [{}, {}, {}]
    assert attacker.against(app).reads(forge(app, record, app_id="news", carrier=carrier)) == {"draft": "Ada's"}
