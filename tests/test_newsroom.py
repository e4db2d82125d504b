"""The newsroom's example on a real Redis, as its journalists and their programs meet it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from freezegun import freeze_time
from werkzeug.test import TestResponse

from examples.newsroom import create_app
from examples.newsroom.app import HEADER, SETTINGS
from hardsession import Key
from tests.servers.redis import Redis

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1"
IDA = {"username": "ida", "password": "front page"}


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is told to tick."""
    with freeze_time("2030-01-01 09:00:00") as frozen:
        yield frozen


@pytest.fixture
def app(redis_server: Redis) -> Flask:
    redis_server.empty_store()
    return create_app({"SESSION_STORE": redis_server.url, "SESSION_SECRET_KEYS": [Key.generate().text]})


def browser(app: Flask, agent: str = FIREFOX) -> FlaskClient:
    """A browser in which Ida is logged in."""
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = agent
    assert "The desk of ida" in press(client, "/login", **IDA).text
    return client


def press(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    """Press a button, and follow where it leads."""
    return client.post(path, data=fields, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True)


def buttons(client: FlaskClient) -> list[str]:
    """Where the buttons "End this one" lead."""
    return re.findall(r'action="(/sessions/[\w-]+/end)"', client.get("/").text)


def test_about_ten_lines_remain() -> None:
    """The settings are as few as the example says."""
    assert len(SETTINGS) <= 10


@pytest.mark.parametrize("fields", [{}, {"username": "ida", "password": "late edition"}, {"username": "ida"}])
def test_wrong_password(app: Flask, fields: dict[str, str]) -> None:
    """Who does not know the password is asked again, and gets no cookie."""
    answer = press(app.test_client(), "/login", **fields)

    assert answer.status_code == 401
    assert "do not belong together" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_two_hours(app: Flask, clock: Any) -> None:
    """A session ends two hours after the login, however busy it is."""
    ida = browser(app)
    for _ in range(5):
        clock.tick(1439)
        assert ida.get("/").status_code == 200

    clock.tick(5)

    assert "absolute_timeout" in ida.get("/").text


def test_message_survives_the_logout(app: Flask) -> None:
    """The page after the logout says so, once, and a copy of the cookie opens nothing."""
    ida, thief = browser(app), app.test_client()
    thief._cookies = dict(ida._cookies)

    pages = [press(ida, "/logout").text, ida.get("/").text]

    assert ["Good night" in page for page in pages] == [True, False]
    assert "logged_out" in thief.get("/").text


def test_end_this_one(app: Flask, clock: Any) -> None:
    """The list of devices names each browser, the newest first, and ends the other one, and only once."""
    laptop = browser(app)
    clock.tick(60)
    phone = browser(app, SAFARI)
    page = laptop.get("/").text
    [there] = buttons(laptop)

    said = [press(laptop, there).text for _ in range(2)]

    assert [*sorted(("Safari on iPhone", "End this one", "Firefox on Linux", "You are here."), key=page.index)] == [
        *("Safari on iPhone", "End this one", "Firefox on Linux", "You are here."),
    ]
    assert page.count("127.0.0.1") == 2
    assert "logged out" in said[0]
    assert "over already" in said[1]
    assert "revoked" in phone.get("/").text
    assert laptop.get("/").status_code == 200


def test_colleague_ends_nothing(app: Flask) -> None:
    """The address of Ida's button does nothing for Nellie, and nothing at all for nobody."""
    laptop, phone = browser(app), browser(app, SAFARI)
    [there] = buttons(laptop)
    nellie = app.test_client()
    press(nellie, "/login", username="nellie", password="late edition")

    assert "over already" in press(nellie, there).text
    assert press(app.test_client(), there).status_code == 401

    assert phone.get("/").status_code == 200


def test_log_out_everywhere(app: Flask) -> None:
    """One button ends every session of the reporter, those of programs too, and says so afterwards."""
    laptop, phone = browser(app), browser(app, SAFARI)
    program = app.test_client(use_cookies=False)
    token = program.post("/api/login", data=IDA, headers={HEADER: "new"}).headers[HEADER]

    page = press(laptop, "/sessions/end")

    assert page.status_code == 401
    assert "logged out everywhere" in page.text
    assert "revoked" in phone.get("/").text
    assert program.get("/api/me", headers={HEADER: token}).status_code == 401


def test_five_at_most(app: Flask) -> None:
    """The sixth login ends the first."""
    browsers = [browser(app) for _ in range(6)]

    assert sorted(client.get("/").status_code for client in browsers) == [200] * 5 + [401]


def test_dangerous_asks_again(app: Flask, clock: Any) -> None:
    """Five minutes after the login the sources go only for the password, after which the session goes on."""
    ida = browser(app)
    assert "is burned" in press(ida, "/sources/burn").text

    clock.tick(300)
    late = press(ida, "/sources/burn")
    press(ida, "/login", **IDA)

    assert late.status_code == 401
    assert "Prove again who you are" in late.text
    assert "is burned" in press(ida, "/sources/burn").text
    assert len(buttons(ida)) == 0


def test_api_by_header(app: Flask) -> None:
    """A program logs in, asks and logs out by its header alone, without a cookie."""
    program = app.test_client()
    answer = program.post("/api/login", data=IDA, headers={HEADER: "new"})
    token = {HEADER: answer.headers[HEADER]}

    me = program.get("/api/me", headers=token)
    out = program.post("/api/logout", headers=token)
    after = program.get("/api/me", headers=token)

    assert (answer.json, me.json) == ({"reporter": "ida"}, {"reporter": "ida", "sessions": 1})
    assert (out.json, out.headers[HEADER]) == ({}, "")
    assert (after.status_code, after.json) == (401, {"error": "Log in."})
    assert "Set-Cookie" not in answer.headers


def test_api_says_why(app: Flask, clock: Any) -> None:
    """What is dangerous says to a program in one word that the proof was too long ago."""
    program = app.test_client(use_cookies=False)
    token = {HEADER: program.post("/api/login", data=IDA, headers={HEADER: "new"}).headers[HEADER]}
    clock.tick(300)

    answer = program.post("/sources/burn", headers=token)

    assert (answer.status_code, answer.json) == (401, {"error": "too_old"})


@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/sessions/end", "/sessions/x/end", "/sources/burn", "/api/logout"]
)
@pytest.mark.parametrize("site", ["cross-site", "same-site", None])
def test_forms_of_other_sites_are_refused(app: Flask, path: str, site: str | None) -> None:
    """A form that another site sent changes nothing (CSRF)."""
    ida = browser(app)

    answer = ida.post(path, data=IDA, headers={"Sec-Fetch-Site": site} if site else {})

    assert answer.status_code == 403
    assert ida.get("/").status_code == 200


def test_outage_has_a_page() -> None:
    """While Redis does not answer, the pages say so."""
    app = create_app({"SESSION_STORE": "redis://127.0.0.1:1", "SESSION_SECRET_KEYS": [Key.generate().text]})
    lost = app.test_client()

    answer = lost.post("/api/login", data=IDA, headers={HEADER: "new"})

    assert answer.status_code == 503
    assert "cannot be reached" in answer.text
