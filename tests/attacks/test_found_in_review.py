"""Weaknesses that a review found, and the test for each that keeps it from coming back."""

from __future__ import annotations

import pytest
from flask import session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from hardsession import ConfigError, HardSession, current_session

NAME = "__Host-Http-session"
HARD = HardSession()


class User(UserMixin):
    def __init__(self, name):
        self.id = name


@pytest.mark.parametrize(
    "config",
    [
        {"SESSION_COOKIE_DOMAIN": "example.org"},
        {"SESSION_COOKIE_PATH": "/desk"},
        {"SESSION_COOKIE_NAME": "__Http-sid"},
        {"SESSION_COOKIE_NAME": "__session"},
    ],
)
def test_pair_of_a_name_that_siblings_can_set_is_expired(make_app, attacker, config):
    """`__Secure-`, `__Http-` and other `__` names can be set by a sibling over https: the pair must be expired too."""
    app = make_app(**config)
    HARD.ready(app)
    name = app.config["SESSION_COOKIE_NAME"]

    answer = attacker.against(app).sends(f"{name}=a; {name}=b", path="/desk/x", base_url="https://www.example.org")

    assert any("Max-Age=0" in cookie and "Domain=example.org" in cookie for cookie in answer.cookies)


@pytest.mark.parametrize("partitioned", [False, True])
def test_pair_of_a_host_name_is_expired_in_both_jars(make_app, attacker, partitioned):
    """One partitioned and one other `__Host-` cookie of a name coexist after SESSION_COOKIE_PARTITIONED changed."""
    app = make_app(SESSION_COOKIE_PARTITIONED=partitioned)

    cookies = attacker.against(app).sends(f"{NAME}=a; {NAME}=b", base_url="https://www.example.org").cookies

    assert sorted("Partitioned" in cookie for cookie in cookies) == [False, True]
    assert all("Max-Age=0" in c and "Path=/;" in c and "Secure" in c and "Domain" not in c for c in cookies)


@pytest.mark.parametrize(
    "change",
    [
        lambda n: session.update(email=f"{n}@example.org"),
        lambda n: session.update(user={"sub": 1, "exp": n}),
    ],
)
def test_absolute_timeout_is_not_extended_by_an_identity_key(clock, make_app, act, change):
    """Where only the application knows the owner, a changed identity key gives a new id and no new time (R06)."""
    browser = make_app(SESSION_IDLE_TIMEOUT=43200).test_client()
    act(browser, lambda: session.update(username="ada", email="a", user={"sub": 1, "exp": 0}))

    for count in range(1, 5):
        clock.tick(10_000)
        act(browser, lambda count=count: change(count))
    clock.tick(3_200)

    assert act(browser, lambda: (dict(session), current_session.ended)).value == ({}, "absolute_timeout")


@pytest.mark.parametrize(
    "both",
    [
        lambda: (
            session.update(user_id="ada"),
            HARD.login("ada"),
            session.update(theme="dark"),
            session.pop("user_id"),
        ),
        lambda: (login_user(User("ada")), session.update(theme="dark"), logout_user()),
    ],
    ids=["user_id", "Flask-Login"],
)
def test_login_and_logout_in_one_request_is_nobody(make_app, act, seen_in, both):
    """Who is logged in and out in one request (a second check failed) is nobody: no owner, no freshness."""
    app = make_app(SECRET_KEY="for Flask-Login's remember cookie")
    LoginManager(app).user_loader(User)
    browser = app.test_client()

    act(browser, both)

    header = seen_in(browser).header
    assert (header.metadata.owner, header.authenticated_at, header.metadata.methods) == (None, 0, {})


def test_flask_login_that_doubts_takes_freshness(make_app, act):
    """When Flask-Login's session protection marks a session as not fresh, ours is not fresh either."""
    app = make_app(SECRET_KEY="for Flask-Login's remember cookie")
    LoginManager(app).user_loader(User)
    browser = app.test_client()
    act(browser, lambda: login_user(User("ada")), headers={"User-Agent": "hers"})

    seen = act(
        browser,
        lambda: (current_user.id, session["_fresh"], current_session.authenticated_at),
        headers={"User-Agent": "his"},
    )

    assert seen.value == ("ada", False, None)


@pytest.mark.parametrize("cookie", ["sid=a; sid=b", ""], ids=["pair", "none"])
def test_host_that_is_not_trusted_is_a_400_not_a_500(make_app, cookie):
    """With Flask's TRUSTED_HOSTS, a forged Host and an error page that writes the session give the error page."""
    app = make_app(SESSION_COOKIE_NAME="sid", TRUSTED_HOSTS=["example.org"], PROPAGATE_EXCEPTIONS=False)
    app.register_error_handler(400, lambda _: (session.update(seen=1), ("bad", 400))[1])

    answer = app.test_client(use_cookies=False).get(
        "/", environ_overrides={"HTTP_HOST": "evil.org", "HTTP_COOKIE": cookie}
    )

    assert answer.status_code == 400


def test_pair_under_a_mounted_application_is_expired_at_its_path(make_app, attacker):
    """The browser's path has the mount point in front (SCRIPT_NAME), so the deletions must have it as well."""
    app = make_app(SESSION_COOKIE_NAME="sid")

    answer = attacker.against(app).sends("sid=a; sid=b", path="/inbox", base_url="https://www.example.org/desk")

    assert {c.partition("Path=")[2].partition(";")[0] for c in answer.cookies} == {"/", "/desk", "/desk/inbox"}


def test_csrf_token_of_another_name(make_app, act):
    """Flask-WTF keeps its token under WTF_CSRF_FIELD_NAME: that key must not survive a login by a plantable cookie."""
    browser = make_app(SESSION_COOKIE_NAME="sid", WTF_CSRF_FIELD_NAME="_csrf").test_client()
    act(browser, lambda: session.update(_csrf="planted"))

    act(browser, lambda: HARD.login("ada"))

    assert act(browser, lambda: dict(session)).value == {}


def test_nameless_cookie_is_not_a_second_one(victim, attacker):
    """`Cookie: __Host-Http-session` without `=` is a cookie without a name (RFC 6265bis), which a sibling can set."""
    hers = f"{NAME}={attacker.steals(victim)}"

    assert attacker.sends(f"{NAME}; {hers}").value == {"draft": "Ada's"}


@pytest.mark.parametrize("value", [object(), "x" * 10_000], ids=["unstorable", "too large"])
def test_logout_counts_though_what_follows_cannot_be_saved(make_app, log_in, act, value):
    """A logout whose request then fails to save (an error page, 500) still deletes the cookie."""
    browser = log_in(make_app(PROPAGATE_EXCEPTIONS=False), user_id="ada")

    answer = act(browser, lambda: (HARD.logout(), session.update(message=value)))

    assert answer.response.status_code == 500
    assert browser.get_cookie(NAME) is None


@pytest.mark.parametrize("nobody", [None, False])
def test_nobody_cannot_be_logged_in(app, act, nobody):
    """`hard.login(None)` (an unsaved object's id) must not make one user "None" of all of them."""
    browser = app.test_client()

    with pytest.raises((TypeError, ValueError)):
        act(browser, lambda: HARD.login(nobody))


@pytest.mark.parametrize("domain", ["example.org; Path=/x", "https://example.org", "example.org:8000", "exa mple.org"])
def test_domain_that_is_none_is_refused(make_app, domain):
    """A SESSION_COOKIE_DOMAIN that no browser takes, or that smuggles in attributes, is a ConfigError."""
    with pytest.raises(ConfigError, match="SESSION_COOKIE_DOMAIN"):
        HARD.ready(make_app(SESSION_COOKIE_DOMAIN=domain))


def test_owner_that_becomes_unknown_drops_data(app, act):
    """From `user_id` 1 to a bare `username`: nobody can tell that it is the same user, so no data passes."""
    browser = app.test_client()
    act(browser, lambda: session.update(user_id=1, draft="Ada's"))

    act(browser, lambda: (session.pop("user_id"), session.update(username="bob")))

    assert act(browser, lambda: dict(session)).value == {"username": "bob"}
