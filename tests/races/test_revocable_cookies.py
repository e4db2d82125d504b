"""Sessions in cookies that can be ended: two requests at once, and crashes, on every store.

The other request comes whole, between each two calls of the store that the first one makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from flask import Flask

from hardsession.errors import StoreError

from .stores import Call, Outage, Watched
from .traffic import (
    Answer,
    at_once,
    clear_and_login,
    clear_and_write,
    hard,
    login,
    logout,
    make_app,
    owner,
    pop,
    read,
    regenerate,
    send,
    write,
)

NEW_IDS: dict[str, Callable[[], Any]] = {
    "regenerate": regenerate,
    "role": write(role="admin"),
    "prove again": login("ada", method="webauthn"),
}
LOGOUTS: dict[str, Callable[[], Any]] = {"logout": logout, "pop": pop, "clear and write": clear_and_write(new=1)}
LOGINS: dict[str, Callable[[], Any]] = {"login": login("bob"), "clear and login": clear_and_login}
CHANGES = {**NEW_IDS, **LOGOUTS, **LOGINS, "save": write(new=1)}


@pytest.fixture
def app(store: Watched) -> Flask:
    """An application with sessions in cookies, and revocations in the store."""
    return make_app(None, SESSION_REVOCATION_STORE=store)


def ada(app: Flask) -> str:
    """The token of a session that Ada is logged in to."""
    token = send(app, None, lambda: (login("ada")(), write(user_id="ada", old=1)())).token
    assert token
    return token


def alone(app: Flask) -> str:
    """The token of the only session that Ada is logged in to."""
    revoke_user(app)
    return ada(app)


def revoke_user(app: Flask) -> None:
    """What an administrator does, in a process of his own."""
    with app.app_context():
        hard.revoke_user("ada")


def between_each_two_calls(
    app: Flask, store: Watched, first: Callable[[str], Answer], other: Callable[[str], Any]
) -> Iterator[tuple[str, Answer, Any]]:
    """Do one thing while another is under way, at each of its calls: the token before, and what came of both."""
    for at in count(1):
        token, came = ada(app), []
        store.before = _Meanwhile(store, at, lambda token=token, came=came: came.append(other(token)))
        answer = first(token)
        store.before = nothing
        if not came:
            return
        yield token, answer, came[0]


class _Meanwhile:
    """Does something before the n-th call of a store."""

    def __init__(self, store: Watched, at: int, work: Callable[[], Any]) -> None:
        self._store, self._left, self._work = store, at, work

    def __call__(self, _call: Call) -> None:
        self._left -= 1
        if not self._left:
            self._store.before = nothing
            self._work()


def nothing(_call: Call) -> None:
    """Let it go on."""


def owners(app: Flask, *tokens: str | None) -> list[str | None]:
    """Whose sessions these tokens open, of those that are tokens."""
    return [send(app, token, owner).value for token in tokens if token]


@pytest.mark.parametrize("change", NEW_IDS)
@pytest.mark.parametrize("ending", ["revoke", "logout"])
def test_cookie_regeneration_against_revoke(app, store, change, ending):
    """A session that is revoked or logged out while it gets a new id is over, under its old id and under the new."""

    def end(token):
        return revoke_user(app) if ending == "revoke" else send(app, token, logout)

    def renew(token):
        return send(app, token, read, NEW_IDS[change])

    for token, answer, _ in between_each_two_calls(app, store, renew, end):
        if change != "prove again":  # a login that begins after the revocation is a login
            assert owners(app, token, answer.token) in ([None], [None, None])
        assert owners(app, token) == [None]
    for token, _, answer in between_each_two_calls(app, store, lambda token: end(token) or Answer(), renew):
        if change != "prove again":
            assert owners(app, token, answer.token) in ([None], [None, None])
        assert owners(app, token) == [None]


@pytest.mark.parametrize("change", NEW_IDS)
def test_two_new_ids_at_once(app, store, change):
    """Of two new ids at once, of which one is no login, one cookie is left, and no copy of an older one."""
    for token, one, other in between_each_two_calls(
        app, store, lambda token: send(app, token, regenerate), lambda token: send(app, token, read, NEW_IDS[change])
    ):
        assert owners(app, token) == [None]
        assert owners(app, one.token, other.token).count("ada") == 1 or change == "prove again"


def test_many_new_ids_at_once(app):
    """Of many requests that get a new id from one cookie at once, one has it."""
    token = ada(app)

    answers = at_once(*[lambda: send(app, token, regenerate)] * 10)

    assert owners(app, *(answer.token for answer in answers)).count("ada") == 1
    assert owners(app, token) == [None]


def test_many_new_ids_while_revoked(app):
    """Of many sessions that get new ids while their user is logged out everywhere, none is left."""
    tokens = [ada(app) for _ in range(6)]

    *answers, _ = at_once(
        *[lambda token=token: send(app, token, read, regenerate) for token in tokens], lambda: revoke_user(app)
    )

    assert {*owners(app, *tokens, *(answer.token for answer in answers))} == {None}


@pytest.mark.parametrize("change", LOGINS)
def test_logout_during_login(app, store, change):
    """A logout that comes while somebody logs in over that session ends it; who then has a token has logged in."""
    for token, answer, _ in between_each_two_calls(
        app, store, lambda token: send(app, token, LOGINS[change]), lambda token: send(app, token, logout)
    ):
        assert owners(app, token) == [None]
        assert owners(app, answer.token) in ([], ["bob"], ["ada"])


def crashes(app: Flask, store: Watched, act: Callable[[str], Any], *, done: bool) -> Iterator[tuple[str, Any]]:
    """Crash something at each of its calls of the store: the token that it was done with, and what came of it."""
    for at in count(1):  # how many calls there are depends on the clock: a new id in the same second changes no list
        token = alone(app)
        with Outage(store, at=at, done=done) as outage:
            came = act(token)
        if not outage.failed:
            assert at > 1
            return
        yield token, came


@pytest.fixture(params=[False, True], ids=["not done", "answer lost"])
def done(request: pytest.FixtureRequest) -> bool:
    """Whether the call that failed was carried out, and only its answer got lost."""
    return bool(request.param)


class TestCrashBetweenEachTwoSteps:
    """A process that dies, or a store that fails, at each call."""

    @pytest.mark.parametrize("change", CHANGES)
    def test_change(self, app, store, change, done):
        """The request fails and sets no cookie; the session is as it was, or over; and it can be tried again."""
        for token, answer in crashes(app, store, lambda token: send(app, token, CHANGES[change]), done=done):
            assert (answer.status, answer.cookies) == (500, [])
            assert [type(error) for error in answer.errors] == [StoreError]
            before = send(app, token, read).value
            assert before in ({}, {"user_id": "ada", "old": 1})
            again = send(app, token, CHANGES[change])
            assert again.status == 200
            after = again.cookie_after(token)
            if change in LOGOUTS:
                assert owners(app, token, after) in ([None], [None, None])
            elif change in LOGINS:
                assert owners(app, after) == ["bob" if change == "login" else "ada"]
            elif before:
                assert owners(app, after) == ["ada"]

    def test_revoke(self, app, store, done):
        """Whoever revokes is told, and tries again: then all sessions are over."""

        def revoke(_token: str) -> type[BaseException] | None:
            try:
                revoke_user(app)
            except StoreError as error:
                return type(error)
            return None

        for token, error in crashes(app, store, revoke, done=done):
            assert error is StoreError
            revoke_user(app)
            assert owners(app, token) == [None]
