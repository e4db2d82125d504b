"""A script in the page, which cannot read the cookie, asks for its session in a header, which it could read."""

from __future__ import annotations

import pytest
from flask import Flask, session

from hardsession import HardSession, current_session

flask_login = pytest.importorskip("flask_login")

HEADER = "X-Session-Token"


@pytest.fixture(params=["cookie", "memory"])
def app(make_app, request):
    """The newsroom, whose API has a header for its tokens, in each mode."""
    return make_app(SESSION_TYPE=request.param, SESSION_TOKEN_HEADER=HEADER)


WHAT = {
    "read": lambda: dict(session),
    "write": lambda: session.update(a=1),
    "login": lambda: HardSession().login("mallory"),
    "logout": lambda: HardSession().logout(),
    "new id": lambda: HardSession().regenerate(),
    "logout and write": lambda: (session.clear(), session.update(a=1)),
}


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("sent", ["new", "", "garbage", "hs1_" + "A" * 156])
def test_no_token_of_it_leaves_in_the_header(app, victim, attacker, act, sent, what):
    """No request that bears the header gets the victim's session, or a cookie; what she has, she keeps."""
    answer = act(victim, WHAT[what], headers={HEADER: sent})
    token = answer.response.headers.get(HEADER)

    seen = attacker.sends("", lambda: (dict(session), current_session.header), headers={HEADER: token or "new"})
    data, header = seen.value
    assert data in ({}, {"a": 1})
    assert header is None or header.metadata.owner in (None, "mallory")
    assert answer.cookies == []
    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}


@pytest.mark.parametrize("what", WHAT)
def test_answer_to_the_cookie_bears_no_header(victim, act, what):
    """A request without the header gets no token in one, whatever it does to its session."""
    assert HEADER not in act(victim, WHAT[what]).response.headers


class TestRememberCookie:
    """Flask-Login's remember cookie begins sessions of its own accord."""

    @pytest.fixture
    def site(self, app) -> Flask:
        """The newsroom with Flask-Login."""
        manager = flask_login.LoginManager()
        manager.init_app(app)

        class User(flask_login.UserMixin):
            id = "ada"

        manager.user_loader(lambda _: User())
        app.add_url_rule("/login", "login", lambda: str(flask_login.login_user(User(), remember=True)))
        app.add_url_rule("/who", "who", lambda: str(flask_login.current_user.get_id()))
        app.config["SECRET_KEY"] = "the remember cookie is signed with this"
        return app

    def test_becomes_no_token(self, site):
        """Beside the header it says who asks, as it says on any request, and no token leaves for it."""
        browser = site.test_client()
        browser.get("/login")
        browser.delete_cookie("__Host-Http-session")

        answers = [browser.get("/who", headers={HEADER: "new"}) for _ in range(2)]

        assert [answer.text for answer in answers] == ["ada", "ada"]
        assert not any(HEADER in answer.headers for answer in answers)
        assert browser.get_cookie("__Host-Http-session") is None

    def test_goes_on_in_the_cookie(self, site):
        """Without the header it begins a session in the cookie, as ever."""
        browser = site.test_client()
        browser.get("/login")
        browser.delete_cookie("__Host-Http-session")

        assert browser.get("/who").text == "ada"
        assert browser.get_cookie("__Host-Http-session") is not None
