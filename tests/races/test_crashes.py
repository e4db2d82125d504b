"""A process that dies, or a store that fails, between any two steps of any change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from freezegun import freeze_time

from hardsession.errors import ConflictError, StoreError

from .stores import Outage, Watched, rows
from .traffic import (
    Answer,
    clear_and_login,
    clear_and_write,
    login,
    logout,
    owner,
    pop,
    read,
    regenerate,
    send,
    write,
)

CHANGES: dict[str, Callable[[], Any]] = {
    "save": write(new=1),
    "login": login("bob"),
    "clear and login": clear_and_login,
    "regenerate": lambda: (write(new=1)(), regenerate()),
    "logout": logout,
    "pop": pop,
    "clear and write": clear_and_write(new=1),
}
LOGINS = {"login": "bob", "clear and login": "ada"}
LOGOUTS = {"logout", "pop", "clear and write"}


@pytest.fixture
def token(app: Flask) -> str:
    """The token of a session that Ada is logged in to."""
    return ada(app)


def ada(app: Flask) -> str:
    token = send(app, None, lambda: (login("ada")(), write(user_id="ada", old=1)())).token
    assert token
    return token


def crashes(app: Flask, store: Watched, change: str, *, done: bool) -> list[tuple[str, Answer, Outage]]:
    """Crash one change at each of its calls of the store; the tokens it was made with, and what was answered."""
    send(app, ada(app), CHANGES[change])  # and so all lists are there
    token = ada(app)
    store.calls.clear()
    send(app, token, CHANGES[change])
    count = len(store.calls)
    found = []
    for at in range(1, count + 1):
        token = ada(app)
        with Outage(store, at=at, done=done) as outage:
            found.append((token, send(app, token, CHANGES[change]), outage))
    return found


@pytest.fixture(params=[False, True], ids=["not done", "answer lost"])
def done(request: pytest.FixtureRequest) -> bool:
    """Whether the call that failed was carried out, and only its answer got lost."""
    return bool(request.param)


@pytest.mark.parametrize("change", CHANGES)
class TestCrashBetweenEachTwoSteps:
    """At every call of the store, in every change."""

    def test_is_told(self, app, store, change, done):
        """The request fails, with the store's error, and sets and deletes no cookie."""
        found = crashes(app, store, change, done=done)

        assert found
        for _, answer, _ in found:
            assert (answer.status, answer.cookies) == (500, [])
            assert [type(error) for error in answer.errors] == [StoreError]
            assert isinstance(answer.errors[0].__cause__, OSError)

    def test_waits_only_once(self, app, store, change, done):
        """What failed is not tried again, nor is anything else: with a frozen server each call takes its timeout."""
        for _, _, outage in crashes(app, store, change, done=done):
            assert outage.failed == 1

    def test_keeps_or_ends_the_session_as_a_whole(self, app, store, change, done):
        """The old session lives on as it was, or as it was to become, or it is over."""
        for token, _, _ in crashes(app, store, change, done=done):
            held = send(app, token, read).value

            assert held in ({}, {"user_id": "ada", "old": 1}, {"user_id": "ada", "old": 1, "new": 1})
            if not done and change not in LOGOUTS and change != "clear and login":
                assert held == {"user_id": "ada", "old": 1}

    def test_can_be_tried_again(self, app, store, change, done):
        """The user tries again with the cookie he has: logged in is logged in, and logged out is logged out."""
        found = crashes(app, store, change, done=done)
        for number, (token, _, _) in enumerate(found, start=1):
            again = send(app, token, CHANGES[change])

            after = again.cookie_after(token)
            assert again.status == 200
            if change in LOGINS:
                assert send(app, after, owner).value == LOGINS[change]
            elif change in LOGOUTS:
                assert send(app, token, owner).value is None
                assert send(app, after, owner).value is None
            elif done and change == "regenerate" and number == len(found):
                # The old id is given up, and nobody heard of the new one: as with any answer that is lost on its way.
                assert send(app, after, owner).value is None
            else:
                assert send(app, after, owner).value == "ada"


@pytest.mark.parametrize("verb", ["replace", "add"])
def test_login_whose_end_of_the_old_row_fails(app, store, token, verb):
    """While the old row cannot be ended nobody is logged in: the id before the login would go on with it."""
    anonymous = send(app, None, write(start=1)).token
    before = len(rows(store))

    def fail(call):
        if call.verb == verb:
            raise StoreError("The server is gone.")

    store.before = fail
    answer = send(app, anonymous, login("bob"))
    store.before = lambda _: None

    assert (answer.status, answer.cookies) == (500, [])
    assert send(app, anonymous, read).value == {"start": 1}
    assert len(rows(store)) in (before, before + (verb == "replace"))


@pytest.mark.parametrize("change", ["save", "login", "logout"])
def test_conflict_that_never_ends(app, store, change):
    """Where others keep changing the session for too long a change is given up: with an error, and without a cookie."""
    numbers = iter(range(1000))
    others = [lambda: send(app, token, write(n=next(numbers)))] * 100

    with freeze_time("2026-11-24 09:00:00", auto_tick_seconds=0.1):
        token = ada(app)
        store.meanwhile(*others)
        answer = send(app, token, CHANGES[change])
        store.before = lambda _: None

        assert (answer.status, answer.cookies) == (500, [])
        assert [type(error) for error in answer.errors] == [ConflictError]
        assert send(app, token, owner).value == "ada"
        assert len(rows(store)) == 1
