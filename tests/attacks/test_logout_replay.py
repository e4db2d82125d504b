"""The victim logs out. The attacker, next at the same computer, looks for what is left in the browser.

On a store a copy of the cookie that was taken away before is worth nothing either. In cookie mode that is another
matter: see test_client_side_replay_of_old_cookie.py.
"""

from __future__ import annotations

import pytest
from flask import session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from hardsession import HardSession, current_session

NAME = "__Host-Http-session"
LOGOUTS = {
    "hard.logout": lambda: HardSession().logout(),
    "clear": lambda: session.clear(),
    "pop everything": lambda: [session.pop(key) for key in list(session)],
}


@pytest.mark.parametrize("way", LOGOUTS)
def test_browser_holds_nothing_after_logout(app, log_in, act, way):
    """The logout's answer deletes the cookie, and the next request is anonymous."""
    victim = log_in(app, user_id="ada", draft="Ada's")

    act(victim, LOGOUTS[way])

    assert victim.get_cookie(NAME) is None
    assert act(victim, lambda: (dict(session), session.new)).value == ({}, True)


def test_deletion_names_every_attribute(app, log_in, act):
    """The deletion has the attributes of the cookie: without Secure a browser would keep a `__Host-` cookie."""
    victim = log_in(app)

    [deletion] = act(victim, lambda: HardSession().logout()).cookies

    value, *attributes = deletion.split("; ")
    assert value == f"{NAME}="
    assert {"Max-Age=0", "Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)


def test_identity_key_alone_takes_the_login_with_it(app, log_in, act):
    """Where an application pops the user's key and leaves other data, that data goes on for nobody."""
    victim = log_in(app, user_id="ada", theme="dark")
    handle = act(victim, lambda: current_session.handle).value

    act(victim, lambda: session.pop("user_id"))

    after = act(victim, lambda: (dict(session), current_session.authenticated_at, current_session.handle)).value
    assert after[:2] == ({"theme": "dark"}, None)
    assert after[2] != handle


def test_message_after_the_logout_revives_nothing(app, log_in, act):
    """What is stored in the request of the logout begins a session that has nothing of the old one."""
    victim = log_in(app, user_id="ada", draft="Ada's")
    handle = act(victim, lambda: current_session.handle).value

    act(victim, lambda: (HardSession().logout(), session.update(message="Goodbye")))

    after = act(victim, lambda: (dict(session), current_session.authenticated_at, current_session.handle)).value
    assert after[:2] == ({"message": "Goodbye"}, None)
    assert after[2] != handle


def test_remember_cookie_does_not_log_in_again(app, act):
    """Logging out of Flask-Login forgets its remember cookie, also when the session itself is ended on top."""

    class User(UserMixin):
        id = "ada"

    app.config["SECRET_KEY"] = "for Flask-Login's remember cookie"
    LoginManager(app).user_loader(lambda _: User())
    victim = app.test_client()
    act(victim, lambda: login_user(User(), remember=True))

    act(victim, lambda: (logout_user(), HardSession().logout()))

    assert victim.get_cookie("remember_token") is None
    assert act(victim, lambda: current_user.is_authenticated).value is False


USES = {
    "reads": lambda: session.get("draft"),
    "writes": lambda: session.update(mine=1),
    "logs in": lambda: HardSession().login("mallory"),
    "asks for a new id": lambda: HardSession().regenerate(),
    "logs out": lambda: HardSession().logout(),
    "makes it permanent": lambda: setattr(session, "permanent", True),
}


@pytest.mark.parametrize("way", LOGOUTS)
def test_copy_is_over_with_the_session(store, app, log_in, attacker, act, events, way):
    """On a store the copy that the attacker took before is nobody's after the logout, and he is reported."""
    victim = log_in(app, user_id="ada", draft="Ada's")
    copy = attacker.steals(victim)
    assert attacker.reads(copy)["draft"] == "Ada's"

    act(victim, LOGOUTS[way])

    seen = attacker.shows(copy, lambda: (dict(session), current_session.ended, current_session.handle))
    assert seen.value == ({}, "logged_out", None)
    assert seen.cookies == []
    assert "session_use_after_end" in [name for name, _ in events]


@pytest.mark.parametrize("use", USES)
def test_nothing_done_with_the_copy_brings_it_back(store, app, log_in, attacker, act, use):
    """Nor does anything that he does with it: at best he has a session of his own, under another id."""
    victim = log_in(app, user_id="ada", draft="Ada's")
    copy = attacker.steals(victim)
    act(victim, LOGOUTS["hard.logout"])

    answer = attacker.shows(copy, USES[use])

    assert attacker.shows(copy, lambda: (dict(session), current_session.handle)).value == ({}, None)
    assert act(victim, lambda: (dict(session), session.new)).value == ({}, True)
    for cookie in answer.cookies:
        token = cookie.partition(";")[0].removeprefix(f"{NAME}=")
        assert token != copy
        assert "draft" not in attacker.reads(token)


def test_copies_of_earlier_ids_are_over_too(store, app, attacker, act):
    """A copy from any moment of the session's life is over, from before the login to just before the logout."""
    victim, copies = app.test_client(), []
    for step in (
        lambda: session.update(cart=["tea"]),
        lambda: HardSession().login("ada"),
        lambda: HardSession().regenerate(),
        lambda: session.update(role="editor"),
    ):
        act(victim, step)
        copies.append(attacker.steals(victim))

    act(victim, LOGOUTS["hard.logout"])

    assert len({*copies}) == 4
    assert [attacker.reads(copy) for copy in copies] == [{}] * 4


@pytest.mark.parametrize("way", LOGOUTS)
def test_copy_of_a_cookie_is_over_with_a_revocation_store(store, make_app, log_in, attacker, act, way):
    """In cookie mode with a revocation store no copy from any moment of the session opens anything after the logout."""
    app = make_app(SESSION_REVOCATION_STORE=store)
    attacker, victim, copies = attacker.against(app), log_in(app, user_id="ada", draft="Ada's"), []
    for step in (
        lambda: session.update(cart=["tea"]),
        lambda: HardSession().regenerate(),
        lambda: session.update(role="editor"),
    ):
        copies.append(attacker.steals(victim))
        act(victim, step)
    copies.append(attacker.steals(victim))
    assert attacker.reads(copies[-1])["draft"] == "Ada's"

    act(victim, LOGOUTS[way])

    assert [attacker.reads(copy) for copy in copies] == [{}] * 4
    for use in USES.values():
        answer = attacker.shows(copies[-1], use)
        assert attacker.reads(copies[-1]) == {}
        for cookie in answer.cookies:
            assert "draft" not in attacker.reads(cookie.partition(";")[0].removeprefix(f"{NAME}="))
