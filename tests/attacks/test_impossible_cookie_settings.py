"""The operator chooses cookie settings that browsers silently refuse, or a name that promises more than it keeps."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import ConfigError

IMPOSSIBLE = {
    "prefix with a domain": (
        {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_DOMAIN": "example.org"},
        "SESSION_COOKIE_NAME",
    ),
    "prefix with a path": (
        {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_PATH": "/desk"},
        "SESSION_COOKIE_NAME",
    ),
    "prefix in another case": (
        {"SESSION_COOKIE_NAME": "__HOST-sid", "SESSION_COOKIE_PATH": "/desk"},
        "SESSION_COOKIE_NAME",
    ),
    "prefix under a mounted application": (
        {"SESSION_COOKIE_NAME": "__Host-sid", "APPLICATION_ROOT": "/desk"},
        "SESSION_COOKIE_NAME",
    ),
    "prefix without Secure": (
        {"SESSION_COOKIE_NAME": "__Secure-sid", "SESSION_ALLOW_PLAIN_HTTP": True},
        "SESSION_COOKIE_NAME",
    ),
    "host prefix without Secure": (
        {"SESSION_COOKIE_NAME": "__host-sid", "SESSION_ALLOW_PLAIN_HTTP": True},
        "SESSION_COOKIE_NAME",
    ),
    "Http prefix for scripts": (
        {"SESSION_COOKIE_NAME": "__Http-sid", "SESSION_COOKIE_HTTPONLY": False},
        "SESSION_COOKIE_NAME",
    ),
    "Host-Http prefix for scripts": (
        {"SESSION_COOKIE_NAME": "__Host-Http-sid", "SESSION_COOKIE_HTTPONLY": False},
        "SESSION_COOKIE_NAME",
    ),
    "cross-site without Secure": (
        {"SESSION_COOKIE_SAMESITE": "None", "SESSION_ALLOW_PLAIN_HTTP": True},
        "SESSION_COOKIE_SAMESITE",
    ),
    "partitioned without Secure": (
        {"SESSION_COOKIE_PARTITIONED": True, "SESSION_ALLOW_PLAIN_HTTP": True},
        "SESSION_COOKIE_PARTITIONED",
    ),
    "SameSite that does not exist": ({"SESSION_COOKIE_SAMESITE": "Loose"}, "SESSION_COOKIE_SAMESITE"),
    "name with a space": ({"SESSION_COOKIE_NAME": "my sid"}, "SESSION_COOKIE_NAME"),
    "name with an equals sign": ({"SESSION_COOKIE_NAME": "sid=1"}, "SESSION_COOKIE_NAME"),
    "name with a semicolon": ({"SESSION_COOKIE_NAME": "sid; Domain=evil.example"}, "SESSION_COOKIE_NAME"),
    "name with a line break": ({"SESSION_COOKIE_NAME": "sid\r\nSet-Cookie: x"}, "SESSION_COOKIE_NAME"),
    "name of another alphabet": ({"SESSION_COOKIE_NAME": "sіd"}, "SESSION_COOKIE_NAME"),  # noqa: RUF001
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible_combination_is_refused_at_the_start(make_app, act, case):
    """A combination that browsers refuse is an error that names the setting and the remedy, and no cookie is set."""
    config, setting = IMPOSSIBLE[case]
    browser = make_app(**config).test_client()

    with pytest.raises(ConfigError) as caught:
        act(browser, lambda: session.update(a=1))

    assert setting in [problem.setting for problem in caught.value.problems]
    assert all(problem.remedy for problem in caught.value.problems)
    assert browser.get_cookie("session") is None


def test_all_problems_come_at_once(make_app):
    """Whoever has three things wrong hears of three in the first error."""
    app = make_app(SESSION_COOKIE_NAME="__Host-sid", SESSION_ALLOW_PLAIN_HTTP=True, SESSION_COOKIE_PARTITIONED=True)
    app.config["SESSION_COOKIE_SAMESITE"] = "None"

    with pytest.raises(ConfigError) as caught:
        app.extensions["hardsession"].ready(app)

    assert {problem.setting for problem in caught.value.problems} == {
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_SAMESITE",
        "SESSION_COOKIE_PARTITIONED",
    }


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({}, "__Host-Http-session"),
        ({"SESSION_COOKIE_HTTPONLY": False}, "__Host-session"),
        ({"SESSION_COOKIE_DOMAIN": "example.org"}, "__Secure-session"),
        ({"SESSION_COOKIE_PATH": "/desk"}, "__Secure-session"),
        ({"SESSION_ALLOW_PLAIN_HTTP": True}, "session"),
        ({"SESSION_COOKIE_NAME": "sid"}, "sid"),
    ],
)
def test_default_name_promises_all_that_is_possible_and_no_more(make_app, act, config, name):
    """Where the application leaves the name to us, it has the strongest prefix that its other settings allow."""
    app = make_app(**config)

    [cookie] = act(app.test_client(), lambda: session.update(a=1), "/desk").cookies

    assert cookie.startswith(f"{name}=")
    assert app.config["SESSION_COOKIE_NAME"] == name


@pytest.mark.parametrize(("setting", "value"), [("SESSION_COOKIE_SECURE", False), ("SESSION_COOKIE_SAMESITE", None)])
def test_flasks_weak_defaults_do_not_count_as_a_choice(make_app, act, setting, value):
    """Flask's defaults, no Secure and no SameSite, are overruled, and the result is written where Flask reads it."""
    app = make_app(**{setting: value})

    [cookie] = act(app.test_client(), lambda: session.update(a=1)).cookies

    assert {"Secure", "SameSite=Lax"} <= set(cookie.split("; "))
    assert (app.config["SESSION_COOKIE_SECURE"], app.config["SESSION_COOKIE_SAMESITE"]) == (True, "Lax")
