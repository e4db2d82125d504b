"""The attacker listens on the wire, or sends the victim to the application's address without TLS."""

from __future__ import annotations

import logging

import pytest
from flask import session

from hardsession import HardSession
from hardsession.checks import Severity, run
from hardsession.settings import Settings

URLS = ["http://www.example.org", "http://localhost", "https://www.example.org", "http://10.0.0.1:8000"]


@pytest.mark.parametrize("url", URLS)
def test_cookie_is_secure_whatever_the_server_sees(app, act, url):
    """Every cookie and every deletion carries Secure: behind a proxy the server cannot tell what the browser uses."""
    browser = app.test_client()

    [made] = act(browser, lambda: session.update(a=1), base_url=url).cookies
    header = made.partition(";")[0]
    [deleted] = act(
        app.test_client(use_cookies=False), lambda: HardSession().logout(), base_url=url, headers={"Cookie": header}
    ).cookies

    assert "Secure" in made.split("; ")
    assert "Secure" in deleted.split("; ")


def test_operator_hears_of_it_once(app, act, caplog):
    """Beyond loopback, one warning names ProxyFix first and the setting for development second."""
    caplog.set_level(logging.WARNING, "hardsession")

    for count in range(3):
        act(app.test_client(), lambda count=count: session.update(a=count), base_url="http://www.example.org")

    [warning] = [record.message for record in caplog.records if record.name == "hardsession"]
    assert 0 < warning.index("ProxyFix") < warning.index("SESSION_ALLOW_PLAIN_HTTP")


def test_insecure_cookie_has_to_be_asked_for_by_name(make_app, act, caplog):
    """Only SESSION_ALLOW_PLAIN_HTTP leaves out Secure; the name then promises nothing, and log and check say so."""
    app = make_app(SESSION_ALLOW_PLAIN_HTTP=True)

    [cookie] = act(app.test_client(), lambda: session.update(a=1), base_url="http://www.example.org").cookies

    assert cookie.startswith("session=hs1_")
    assert "Secure" not in cookie
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "travels in the clear" in caplog.text
    assert ("HS005", Severity.ERROR) in [(finding.id, finding.severity) for finding in run(Settings.read(app.config))]


def test_token_of_plain_http_is_worth_nothing_under_tls(make_app, log_in, attacker, act):
    """A token that was overheard on plain http does not open in the cookie that https uses."""
    plain = make_app(SESSION_ALLOW_PLAIN_HTTP=True)
    overheard = attacker.steals(log_in(plain, draft="Ada's"), "session")
    secure = make_app(SESSION_SECRET_KEYS=plain.config["SESSION_SECRET_KEYS"])

    assert attacker.against(secure).reads(overheard) == {}
