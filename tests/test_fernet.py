"""The example of a Fernet cookie that is replaced: what is the same for a user, and what is not for an attacker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from freezegun import freeze_time

from examples.fernet import after, before
from hardsession import Key, SessionTooLargeError
from hardsession.stores.memory import MemoryStore

FERNET_KEYS = [Fernet.generate_key() for _ in range(2)]
KEYS = [str(Key.generate().text) for _ in range(2)]
NAMES = {"before": "session", "after": "__Host-Http-session", "store": "__Host-Http-session"}
HOUR = 3600


def make(which: str, *, newest: int = 1) -> Flask:
    """One of the three applications, whose list of keys has the newest or lacks it yet."""
    if which == "before":
        return before.create_app(*FERNET_KEYS[-newest:])
    return after.create_app(*KEYS[-newest:], settings={"SESSION_STORE": MemoryStore()} if which == "store" else {})


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is told to tick."""
    with freeze_time("2030-01-01 09:00:00") as frozen:
        yield frozen


def browser(app: Flask, user: str = "ida", password: str = "front page") -> FlaskClient:
    """A browser in which a reporter is logged in."""
    client = app.test_client()
    client.post("/login", data={"username": user, "password": password})
    return client


def copy_of(client: FlaskClient, app: Flask | None = None) -> FlaskClient:
    """A thief with the cookies of a browser, at the same application or at another one."""
    thief = (app or client.application).test_client()
    thief._cookies = dict(client._cookies)
    return thief


each = pytest.mark.parametrize("which", NAMES)
ours = pytest.mark.parametrize("which", ["after", "store"])


class TestAlike:
    """What the user notices: nothing."""

    @each
    def test_a_day_at_the_desk(self, which: str) -> None:
        """Log in, keep tips, log out."""
        app = make(which)
        ida = browser(app)

        first = ida.post("/tips", data={"tip": "pier 14"}).json
        second = ida.post("/tips", data={"tip": "Thursday"}).json
        later = ida.get("/").json
        out = ida.post("/logout").json

        assert first == {"reporter": "ida", "tips": ["pier 14"]}
        assert second == later == {"reporter": "ida", "tips": ["pier 14", "Thursday"]}
        assert out == ida.get("/").json == {"reporter": None, "tips": []}
        assert ida.get_cookie(NAMES[which]) is None

    @each
    def test_strangers(self, which: str) -> None:
        """A wrong password and no login get nowhere, and leave no cookie."""
        app = make(which)
        stranger = app.test_client()

        refused = stranger.post("/login", data={"username": "ida", "password": "late edition"})
        tip = stranger.post("/tips", data={"tip": "x"})

        assert (refused.status_code, tip.status_code) == (403, 403)
        assert stranger.get_cookie(NAMES[which]) is None

    @each
    def test_cookie_tells_nothing_and_cannot_be_changed(self, which: str) -> None:
        """Nobody reads it, and one that was changed is nobody's."""
        app = make(which)
        ida = browser(app)
        cookie = ida.get_cookie(NAMES[which])
        assert cookie is not None

        for value in (cookie.value[:-1], cookie.value[:60] + "AAAA" + cookie.value[64:], "x", ""):
            ida.set_cookie(NAMES[which], value)
            assert ida.get("/").json == {"reporter": None, "tips": []}
        assert "ida" not in cookie.value

    @each
    def test_an_hour_without_a_word(self, which: str, clock: Any) -> None:
        """Who does nothing for longer than an hour is logged out."""
        app = make(which)
        ida = browser(app)
        clock.tick(HOUR - 1)
        assert copy_of(ida).get("/").json["reporter"] == "ida"  # type: ignore[index]

        clock.tick(HOUR + 1)

        assert ida.get("/").json["reporter"] is None  # type: ignore[index]

    @pytest.mark.parametrize("which", ["before", "after"])
    def test_keys_rotate(self, which: str) -> None:
        """A second key in front logs nobody out."""
        ida = browser(make(which))

        assert copy_of(ida, make(which, newest=2)).get("/").json["reporter"] == "ida"  # type: ignore[index]


class TestBetter:
    """What was missing, and is there now."""

    @pytest.mark.parametrize(("which", "stays"), [("before", True), ("after", False), ("store", False)])
    def test_cookie_that_is_kept_in_use(self, which: str, stays: bool, clock: Any) -> None:
        """A stolen cookie that is used now and then was good for ever, and ends after eight hours."""
        thief = copy_of(browser(make(which)))

        for _ in range(17):
            clock.tick(HOUR // 2)
            thief.post("/tips", data={"tip": "x"})

        assert (thief.get("/").json["reporter"] == "ida") is stays  # type: ignore[index]

    @pytest.mark.parametrize(("which", "stays"), [("before", True), ("after", True), ("store", False)])
    def test_copy_after_the_logout(self, which: str, stays: bool, clock: Any) -> None:
        """In a cookie a copy outlives the logout, with any library; one setting more ends it."""
        ida = browser(make(which))
        thief = copy_of(ida)
        ida.post("/logout")

        assert (thief.get("/").json["reporter"] == "ida") is stays  # type: ignore[index]
        clock.tick(HOUR + 1)
        assert thief.get("/").json["reporter"] is None  # type: ignore[index]

    @pytest.mark.parametrize(("which", "taken"), [("before", True), ("after", False)])
    def test_cookie_of_another_application(self, which: str, taken: bool) -> None:
        """A cookie of another application with the same keys was taken, and is refused."""
        shop = before.create_app(*FERNET_KEYS[-1:])
        if which == "after":
            shop = after.create_app(*KEYS[-1:], settings={"SESSION_APP_ID": "shop"})

        thief = copy_of(browser(shop), make(which))

        assert (thief.get("/").json["reporter"] == "ida") is taken  # type: ignore[index]

    @pytest.mark.parametrize(("which", "status"), [("before", 500), ("after", 200), ("store", 200)])
    def test_letter_that_no_cookie_has(self, which: str, status: int) -> None:
        """One letter in a cookie was an error on every page, and is nobody's session."""
        client = make(which).test_client(use_cookies=False)

        answer = client.get("/", environ_overrides={"HTTP_COOKIE": f"{NAMES[which]}={'é' * 150}"})

        assert answer.status_code == status

    @pytest.mark.parametrize(("which", "tips"), [("before", ["x"]), ("after", []), ("store", [])])
    def test_next_user_of_the_browser(self, which: str, tips: list[str]) -> None:
        """What one reporter left without a logout was the next one's, and is gone."""
        client = browser(make(which))
        client.post("/tips", data={"tip": "x"})

        client.post("/login", data={"username": "nellie", "password": "late edition"})

        assert client.get("/").json == {"reporter": "nellie", "tips": tips}

    @pytest.mark.parametrize(("which", "tip"), [("before", "pier 14"), ("after", "pier 15"), ("store", "pier 15")])
    def test_change_inside_a_value(self, which: str, tip: str) -> None:
        """A change inside a list was lost, and is kept."""
        ida = browser(make(which))
        ida.post("/tips", data={"tip": "pier 14"})

        ida.post("/tips/first", data={"tip": "pier 15"})

        assert ida.get("/").json["tips"] == [tip]  # type: ignore[index]

    def test_more_than_a_cookie_holds(self) -> None:
        """What browsers would have dropped without a word is an error, and in a store it is kept."""
        apps = {which: make(which) for which in NAMES}
        for app in apps.values():
            app.testing = True

        with pytest.warns(UserWarning, match="too large"):
            browser(apps["before"]).post("/tips", data={"tip": "x" * 5000})
        with pytest.raises(SessionTooLargeError):
            browser(apps["after"]).post("/tips", data={"tip": "x" * 5000})
        assert browser(apps["store"]).post("/tips", data={"tip": "x" * 5000}).status_code == 200

    @ours
    def test_cookie_is_kept_from_others(self, which: str) -> None:
        """The cookie has a name and attributes that browsers enforce; before, it had `HttpOnly` alone."""
        header, old = (
            make(name).test_client().post("/login", data={"username": "ida", "password": "front page"}).headers
            for name in (which, "before")
        )

        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(header["Set-Cookie"].split("; "))
        assert set(old["Set-Cookie"].split("; ")[1:]) == {"HttpOnly", "Path=/"}
