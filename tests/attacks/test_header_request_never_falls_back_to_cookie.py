"""The attacker has requests sent with the victim's cookie, and adds a header that is to confuse the server."""

from __future__ import annotations

import pytest
from flask import session

HEADER = "X-Session-Token"
ODD = ["new", "", " ", "garbage", "hs1_" + "A" * 156, "new, new"]


@pytest.fixture(params=["cookie", "memory"])
def app(make_app, request):
    """The newsroom, whose API has a header for its tokens, in each mode."""
    return make_app(SESSION_TYPE=request.param, SESSION_TOKEN_HEADER=HEADER)


@pytest.mark.parametrize("sent", ODD)
def test_cookie_counts_for_nothing_beside_the_header(victim, act, sent):
    """Whatever stands in the header, the session of the cookie is not what the view sees."""
    assert act(victim, lambda: dict(session), headers={HEADER: sent}).value == {}


@pytest.mark.parametrize("sent", ODD)
def test_nothing_that_it_does_touches_the_cookies_session(victim, act, sent):
    """Neither a write nor a logout of such a request reaches the victim, whose browser goes on as before."""
    act(victim, lambda: session.update(draft="Mallory's"), headers={HEADER: sent})
    act(victim, lambda: session.clear(), headers={HEADER: sent})

    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}


def test_header_of_another_user_wins_over_the_cookie(app, victim, act):
    """With Bob's token in the header it is Bob's request, whoever's browser it came from."""
    start = act(app.test_client(), lambda: session.update(draft="Bob's"), headers={HEADER: "new"})
    bobs = start.response.headers[HEADER]

    assert act(victim, lambda: dict(session), headers={HEADER: bobs}).value == {"draft": "Bob's"}


def test_without_the_setting_the_header_is_nothing(make_app, log_in, act):
    """An application that did not ask for the header takes no notice of it."""
    victim = log_in(make_app(), "ada", draft="Ada's")

    answer = act(victim, lambda: dict(session), headers={HEADER: "garbage"})

    assert answer.value == {"draft": "Ada's"}
    assert answer.response.headers["Vary"] == "Cookie"
