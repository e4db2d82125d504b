"""The attacker carries a token from the header to the cookie, or back, within one application."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession

HEADER = "X-Session-Token"


@pytest.fixture(params=["cookie", "memory"])
def app(make_app, request):
    """The newsroom, whose API has a header for its tokens, in each mode."""
    return make_app(SESSION_TYPE=request.param, SESSION_TOKEN_HEADER=HEADER)


@pytest.fixture
def api_token(app, act):
    """The token of Ada's program."""
    log_in = lambda: (HardSession().login("ada"), session.update(draft="Ada's"))  # noqa: E731
    return act(app.test_client(), log_in, headers={HEADER: "new"}).response.headers[HEADER]


def test_token_of_the_header_is_no_cookie(attacker, api_token, events):
    """What leaks from a program's memory cannot be put into a browser."""
    assert attacker.reads(api_token) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})


def test_cookie_is_no_token_of_the_header(attacker, victim, events):
    """A cookie that was stolen opens nothing in the header, where neither HttpOnly nor SameSite would guard it."""
    stolen = attacker.steals(victim)

    assert attacker.sends("", headers={HEADER: stolen}).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})


def test_token_of_another_header(app, make_app, attacker, api_token, events):
    """A token is good in the header it was made for, and in no other."""
    renamed = make_app(
        SESSION_SECRET_KEYS=app.config["SESSION_SECRET_KEYS"],
        SESSION_TYPE=app.config["SESSION_TYPE"],
        SESSION_TOKEN_HEADER="X-Auth-Token",
    )

    assert attacker.against(renamed).sends("", headers={"X-Auth-Token": api_token}).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})


def test_each_opens_where_it_belongs(attacker, victim, api_token):
    """In its own carrier each of the two is good."""
    assert attacker.reads(attacker.steals(victim)) == {"draft": "Ada's"}
    assert attacker.sends("", headers={HEADER: api_token}).value == {"draft": "Ada's"}
