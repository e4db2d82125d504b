"""Two people use one browser. What the first left in the session must not reach the second."""

from __future__ import annotations

import pytest
from flask import flash, get_flashed_messages, session
from flask_login import LoginManager, UserMixin, login_user

from hardsession import HardSession, current_session


class User(UserMixin):
    """A user whose name is his id."""

    def __init__(self, name):
        self.id = name


LOGINS = {
    "hard.login": lambda name: HardSession().login(name),
    "session.login": lambda name: current_session.login(name),
    "user_id": lambda name: session.update(user_id=name),
    "Flask-Login": lambda name: login_user(User(name)),
}


@pytest.fixture
def browser(make_app):
    """A browser of an application with Flask-Login."""
    app = make_app(SECRET_KEY="for Flask-Login's remember cookie")
    LoginManager(app).user_loader(User)
    return app.test_client()


@pytest.fixture
def data():
    """What the application stored, without the keys that name the user."""
    return lambda: {key: value for key, value in session.items() if key not in ("user_id", "_user_id", "_fresh", "_id")}


@pytest.mark.parametrize("way", LOGINS)
def test_second_user_inherits_nothing(browser, act, data, way):
    """However the application logs in, everything that was there is dropped when the owner changes."""
    act(browser, lambda: (LOGINS[way]("ada"), session.update(draft="Ada's", role="editor"), flash("Hello Ada")))

    act(browser, lambda: LOGINS[way]("bob"))

    assert act(browser, data).value == {}
    assert act(browser, get_flashed_messages).value == []


@pytest.mark.parametrize("way", LOGINS)
def test_what_the_login_itself_stores_is_kept(browser, act, data, way):
    """What is written in the request of the second login is the second user's."""
    act(browser, lambda: (LOGINS[way]("ada"), session.update(draft="Ada's", theme="dark")))

    act(browser, lambda: (session.update(theme="light"), LOGINS[way]("bob"), session.update(greeting="Hello Bob")))

    assert act(browser, data).value == {"theme": "light", "greeting": "Hello Bob"}


@pytest.mark.parametrize("way", LOGINS)
def test_handle_freshness_and_methods_are_new(browser, act, seen_in, way):
    """The second user's session has a name of its own, and nothing of how the first one proved himself."""
    act(browser, lambda: (session.update(user_id="ada"), HardSession().login("ada", method="webauthn")))
    before = seen_in(browser).header

    act(browser, lambda: LOGINS[way]("bob"))

    after = seen_in(browser).header
    assert after.lineage != before.lineage
    assert after.metadata.owner == "bob"
    assert "webauthn" not in after.metadata.methods


@pytest.mark.parametrize("keep", [["theme"], ("theme", "missing"), {"theme"}])
def test_keeping_is_by_name(browser, act, data, keep):
    """What is to pass from one user to the next has to be named."""
    act(browser, lambda: (HardSession().login("ada"), session.update(draft="Ada's", theme="dark")))

    act(browser, lambda: HardSession().login("bob", keep=keep))

    assert act(browser, data).value == {"theme": "dark"}


def test_first_users_cookie_does_not_show_the_second(browser, attacker, act, data):
    """Ada's old cookie holds what was hers, and nothing of Bob's."""
    act(browser, lambda: (HardSession().login("ada"), session.update(draft="Ada's")))
    hers = attacker.against(browser.application).steals(browser)

    act(browser, lambda: (HardSession().login("bob"), session.update(draft="Bob's")))

    assert attacker.against(browser.application).shows(hers, data).value == {"draft": "Ada's"}


def test_same_user_again_keeps_his_data(browser, act, data):
    """Who proves again who he is loses nothing."""
    act(browser, lambda: (HardSession().login("ada"), session.update(draft="Ada's")))

    act(browser, lambda: HardSession().login("ada", method="totp"))

    assert act(browser, data).value == {"draft": "Ada's"}
