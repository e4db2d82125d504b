"""A store that is away: nobody is logged in by it, nobody stays logged in against his will, and nothing is silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
import redis
from flask import Flask, session

from hardsession.errors import StoreError
from hardsession.stores.redis import RedisStore
from tests.servers.redis import Redis

from .stores import Outage
from .traffic import Slow, clear_and_write, login, logout, make_app, owner, read, regenerate, send, write

CHANGES = {
    "write": write(new=1),
    "login": login("bob"),
    "new id": regenerate,
    "logout": logout,
    "clear and write": clear_and_write(new=1),
}


@pytest.fixture(params=["raise", "anonymous"])
def outage_app(request: pytest.FixtureRequest, store: Any) -> Flask:
    """An application with either setting."""
    return make_app(store, SESSION_STORE_OUTAGE=request.param)


@pytest.fixture
def ada(outage_app: Flask) -> str | None:
    """The token of a session that Ada is logged in to."""
    return send(outage_app, None, login("ada"), write(old=1)).token


class TestRead:
    """The store is away when the view first touches the session."""

    def test_raises_where_the_application_sees_it(self, store):
        """By default the view gets a StoreError, and so the error handler that the application has for it."""
        app, handled = make_app(store), []

        @app.errorhandler(StoreError)
        def unavailable(error: StoreError) -> tuple[str, int]:
            handled.append(error)
            return "come back soon", 503

        ada = send(app, None, login("ada")).token
        with Outage(store) as outage:
            answer = send(app, ada, owner)

        assert (answer.status, answer.cookies) == (503, [])
        assert [type(error.__cause__) for error in handled] == [OSError]
        assert outage.failed == 1

    def test_handler_that_wants_the_session_waits_no_second_time(self, store):
        """The page for the error may touch the session too: it fails at once."""
        app, failures = make_app(store), []

        @app.errorhandler(StoreError)
        def unavailable(_error: StoreError) -> tuple[str, int]:
            with pytest.raises(StoreError) as raised:
                session.get("theme")
            failures.append(raised.value)
            return "come back soon", 503

        ada = send(app, None, login("ada")).token
        with Outage(store) as outage:
            answer = send(app, ada, owner)

        assert answer.status == 503
        assert len(failures) == 1
        assert outage.failed == 1

    def test_anonymous(self, store, events):
        """With "anonymous" a page that only reads is served to nobody in particular, and an event says so."""
        app = make_app(store, SESSION_STORE_OUTAGE="anonymous")
        ada = send(app, None, login("ada")).token

        with Outage(store):
            answer = send(app, ada, owner)

        assert (answer.status, answer.value, answer.cookies) == (200, None, [])
        assert "store_failed" in [name for name, _ in events]
        assert send(app, ada, owner).value == "ada"

    def test_page_without_session_needs_no_store(self, store, outage_app, ada):
        """A page that leaves the session alone is served as ever."""
        with Outage(store) as outage:
            answer = send(outage_app, ada, lambda: None)

        assert answer.status == 200
        assert outage.calls == 0


@pytest.mark.parametrize("change", CHANGES)
class TestWrite:
    """The store is away, and the request wants to change something."""

    def test_outage_then_write(self, store, outage_app, ada, change):
        """Whatever the setting, a change that cannot be carried out fails the request, and no cookie moves."""
        with Outage(store) as outage:
            answer = send(outage_app, ada, CHANGES[change])

        assert (answer.status, answer.cookies) == (500, [])
        assert [type(error) for error in answer.errors] == [StoreError]
        assert outage.failed == 1
        assert send(outage_app, ada, owner).value == "ada"

    def test_store_lost_mid_request(self, store, outage_app, ada, change):
        """So does one that could still read."""
        slow = Slow(outage_app, ada, read, CHANGES[change])

        with Outage(store) as outage:
            answer = slow.finish()

        assert (answer.status, answer.cookies) == (500, [])
        assert [type(error) for error in answer.errors] == [StoreError]
        assert outage.failed == 1
        assert send(outage_app, ada, read).value == {"old": 1}

    def test_store_back_again(self, store, outage_app, ada, change):
        """When the store is back, the session is, and the same change goes through."""
        with Outage(store):
            send(outage_app, ada, CHANGES[change])

        answer = send(outage_app, ada, CHANGES[change])

        assert answer.status == 200
        expected = {"write": "ada", "login": "bob", "new id": "ada"}.get(change)
        assert send(outage_app, answer.cookie_after(ada), owner).value == expected


class TestLogout:
    """Nobody is told that he is logged out while he is not."""

    def test_outage_then_logout(self, store, outage_app, ada):
        """A logout that the store did not take is an error and keeps the cookie; the second try ends the session."""
        with Outage(store):
            first = send(outage_app, ada, logout)

        second = send(outage_app, ada, logout)

        assert (first.status, first.cookies) == (500, [])
        assert (second.status, second.deletes) == (200, True)
        assert send(outage_app, ada, owner).value is None

    def test_first_visit_during_an_outage(self, store, outage_app):
        """Who has no session gets none, and is told."""
        with Outage(store):
            reading, writing = send(outage_app, None, read), send(outage_app, None, write(new=1))

        assert (reading.status, reading.value) == (200, {})
        assert (writing.status, writing.cookies) == (500, [])


@pytest.fixture
def own_redis(untested: Callable[[str], NoReturn]) -> Iterator[Redis]:
    """A Redis to do harm to."""
    with Redis.running(untested) as server:
        yield server


class TestRedis:
    """The real thing, gone and back."""

    @pytest.fixture
    def app(self, own_redis: Redis) -> Flask:
        return make_app(RedisStore.from_url(own_redis.url, timeout=0.3))

    @pytest.mark.parametrize("change", CHANGES)
    def test_frozen_mid_request(self, own_redis, app, change):
        """A Redis that stops answering fails the request; when it goes on, the user tries again."""
        ada = send(app, None, login("ada")).token
        slow = Slow(app, ada, read, CHANGES[change])

        own_redis.freeze()
        try:
            answer = slow.finish()
        finally:
            own_redis.thaw()

        assert (answer.status, answer.cookies) == (500, [])
        assert isinstance(answer.errors[0].__cause__, redis.exceptions.TimeoutError)
        again = send(app, ada, CHANGES[change])
        assert again.status == 200
        if change == "logout":
            assert send(app, ada, owner).value is None

    def test_killed_and_started_anew(self, own_redis, app):
        """A Redis that lost everything has nobody logged in, and takes new logins."""
        ada = send(app, None, login("ada")).token
        own_redis.stop()
        away = send(app, ada, owner)
        own_redis.start()

        assert (away.status, away.cookies) == (500, [])
        assert isinstance(away.errors[0].__cause__, redis.exceptions.ConnectionError)
        assert send(app, ada, owner).value is None
        assert send(app, send(app, ada, login("ada")).token, owner).value == "ada"
