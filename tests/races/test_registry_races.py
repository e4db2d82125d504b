"""Logins, new ids and revocations at once, on every store."""

from __future__ import annotations

from functools import partial
from itertools import combinations_with_replacement
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from hardsession import current_session
from hardsession.stores.memory import MemoryStore

from .stores import PATIENCE, Outage, Turns, Watched, orders, rows
from .test_interleavings import due, impatient
from .traffic import Slow, at_once, hard, login, logout, make_app, owner, read, regenerate, row_of, send, write

__all__ = ["due", "impatient"]


@pytest.fixture
def ada(app):
    """The token of a session that Ada is logged in to."""
    return send(app, None, login("ada")).token


def listed(app, user="ada"):
    """The handles of a user's sessions that live."""
    with app.app_context():
        return [entry.handle for entry in hard.sessions(user)]


def revoke_user(app, user="ada"):
    """What an administrator does, in a process of his own."""
    with app.app_context():
        return hard.revoke_user(user)


def test_revoke_user_during_login(app, store):
    """A login that began before its user was logged out everywhere does not count when it is saved."""
    slow = Slow(app, None, login("ada"), read)
    revoke_user(app)

    answer = slow.finish()

    assert (answer.status, answer.cookies) == (200, [])
    assert (rows(store), listed(app)) == ([], [])


def test_revoke_user_during_login_over_a_session(app, store):
    """So it is with a login over an anonymous session, which goes on as it was."""
    token = send(app, None, write(cart=1)).token
    slow = Slow(app, token, login("ada"), read)
    revoke_user(app)

    answer = slow.finish()

    assert (answer.status, answer.cookies) == (200, [])
    assert send(app, token, lambda: (owner(), read())).value == (None, {"cart": 1})


def test_revoke_during_request(app, ada, store):
    """A request that is under way when its session is revoked writes nothing, and sets no cookie."""
    slow = Slow(app, ada, read, write(late=1))
    revoke_user(app)

    answer = slow.finish()

    assert (answer.status, answer.cookies) == (200, [])
    assert send(app, ada, lambda: (owner(), current_session.ended)).value == (None, "revoked")
    assert rows(store) == []


@pytest.mark.parametrize("change", [regenerate, write(role="admin"), login("ada", method="webauthn")])
def test_revoke_during_a_new_id(app, ada, store, change):
    """Nor does it get a new id under which it would go on."""
    slow = Slow(app, ada, read, change, read)
    revoke_user(app)

    answer = slow.finish()

    assert answer.cookies == [] or send(app, answer.token, owner).value is None or change is not regenerate
    if answer.token:  # a login after the revocation is a login
        assert len(listed(app)) == 1
    else:
        assert rows(store) == []


def test_many_new_ids_while_revoked(app, store):
    """Of many requests that get new ids while their user is logged out everywhere, none is left logged in."""
    tokens = [send(app, None, login("ada")).token for _ in range(8)]
    barrier = Barrier(9)

    def renew(token):
        return lambda: send(app, token, read, lambda: barrier.wait(PATIENCE), regenerate)

    def revoke():
        barrier.wait(PATIENCE)
        revoke_user(app)

    answers = at_once(*map(renew, tokens), revoke)

    left = [*tokens, *(answer.token for answer in answers[:-1] if answer.token)]
    assert [send(app, token, owner).value for token in left] == [None] * len(left)
    assert (rows(store), listed(app)) == ([], [])


def test_two_revoke_at_once(app, store):
    """Two who log a user out at once both succeed, and nothing is left."""
    tokens = [send(app, None, login("ada")).token for _ in range(4)]

    at_once(*[lambda: revoke_user(app)] * 4)

    assert [send(app, token, owner).value for token in tokens] == [None] * 4
    assert listed(app) == []


def test_eviction_against_login(store):
    """A session that is being pushed out while its user proves himself again ends either way, or stays: never both."""
    app = make_app(store, SESSION_MAX_PER_USER=1)
    old = send(app, None, login("ada")).token
    slow = Slow(app, old, read, login("ada", method="webauthn"))
    new = send(app, None, login("ada")).token

    again = slow.finish().token

    live = [token for token in (old, new, again) if token and send(app, token, owner).value == "ada"]
    assert len(live) == len(rows(store)) == 1


CHANGES = {
    "login": (None, login("ada")),
    "login again": ("ada", login("ada", method="webauthn")),
    "regenerate": ("ada", regenerate),
    "logout": ("ada", logout),
    "revoke": ("ada", lambda: hard.revoke_user("ada")),
    "revoke others": ("ada", lambda: hard.revoke_others()),
}


@pytest.mark.parametrize("done", [False, True], ids=["not done", "answer lost"])
@pytest.mark.parametrize("change", CHANGES)
def test_crash_between_each_two_steps(store, change, done):
    """Wherever a process dies, a later revocation of the user ends everything that a browser could hold."""
    app = make_app(store, SESSION_MAX_PER_USER=2)
    who, act = CHANGES[change]
    at = 0
    while True:
        at += 1
        others = [send(app, None, login("ada")).token]
        token = send(app, None, login("ada")).token if who else None
        with Outage(store, at=at, done=done) as outage:
            answer = send(app, token, act)

        held = [token for token in (*others, token, answer.token) if token]
        assert answer.status == 200 or answer.token is None
        revoke_user(app)
        assert [send(app, token, owner).value for token in held] == [None] * len(held)
        assert listed(app) == []
        if not outage.failed:
            break
    assert at > 2


ACTS = {
    "login": (None, login("ada")),
    "login again": ("ada", login("ada", method="webauthn")),
    "regenerate": ("ada", regenerate),
    "renews": ("ada", write(b=1)),
    "write": ("ada", write(a=1)),
    "logout": ("ada", logout),
    "revoke others": ("ada", lambda: owner() and hard.revoke_others()),
    "revoke": (None, lambda: hard.revoke_user("ada")),
}


class Scene:
    """Browsers of Ada's and an administrator, all at once, their calls of the store in one order."""

    def __init__(self, names: list[str], cap: int | None = None) -> None:
        self.names = [f"{number} {name}" for number, name in enumerate(names)]
        self.store = Watched(MemoryStore())
        self.app = make_app(self.store, SESSION_MAX_PER_USER=cap)
        self.cap = cap

    def play(self, order: list[str], crash: tuple[str, int] | None = None) -> Turns:
        """Play it once, and see what is broken afterwards."""
        for name in self.store.held():
            self.store.delete(name)
        self.token = send(self.app, None, login("ada")).token
        self.answers: dict[str, Any] = {}
        turns = Turns(self.store, self.names, order, crash)

        def run(name: str) -> None:
            who, act = ACTS[name[2:]]
            try:
                self.answers[name] = send(self.app, self.token if who else None, act)
            finally:
                turns.over(name)

        with turns:
            threads = [Thread(target=run, args=(name,), name=name, daemon=True) for name in self.names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
        self.turns = turns
        return turns

    def live(self) -> dict[str, str]:
        """The handle of each session that a browser can still use, by its token."""
        tokens = {self.token, *(answer.token for answer in self.answers.values() if answer.token)}
        found = {
            token: send(self.app, token, lambda: (owner(), current_session.handle, row_of())).value for token in tokens
        }
        self.open = {row for _, handle, row in found.values() if handle}
        return {token: handle for token, (name, handle, _) in found.items() if name == "ada"}

    def broken(self) -> list[str]:
        """What does not hold."""
        live, faults = self.live(), []
        crashed = self.turns.crashed
        if not all(answer.status == 200 or crashed for answer in self.answers.values()):
            faults.append("a request failed")
        if not crashed and len(rows(self.store)) != len(self.open):
            faults.append("a row is left that nobody has a token for")
        if not {*live.values()} <= {*listed(self.app)}:
            faults.append("a session is not listed")
        if self.cap and len({*live.values()}) > self.cap and not crashed:  # a double click is one browser's
            faults.append("there are too many sessions")
        if self.outlives_revocation(live):
            faults.append("a session outlives its revocation")
        return [f"{fault}: {' '.join(self.turns.log)}" for fault in faults]

    def outlives_revocation(self, live: dict[str, str]) -> bool:
        """Whether a session lives though nobody logged in after the user was logged out everywhere."""
        steps = [(entry.partition(":")[0], entry.partition(":")[2]) for entry in self.turns.log]
        revoked = [n for n, (name, step) in enumerate(steps) if name[2:] == "revoke" and step.startswith("replace(u")]
        if not revoked or self.turns.crashed:
            return False
        begun = {}
        for place, (name, step) in enumerate(steps):
            if name[2:].startswith("login") and step.startswith("get(u"):
                begun.setdefault(name, place)
        return bool(live) and not any(place > revoked[-1] for place in begun.values())


PAIRS = list(combinations_with_replacement(ACTS, 2))


@pytest.mark.parametrize("pair", PAIRS, ids=" + ".join)
def test_two_at_once(pair):
    """In every order of their calls, what lives is listed, what was revoked is over, and the cap holds."""
    scene = Scene(list(pair), cap=1 if "login" in pair else None)

    assert [fault for _ in orders(scene.play) for fault in scene.broken()] == []


@pytest.mark.parametrize("pair", PAIRS, ids=" + ".join)
def test_one_of_two_dies(pair):
    """Wherever one of them dies, what lives is listed, so it can be ended."""
    scene = Scene(list(pair))

    for at in range(1, 7):
        play = partial(scene.play, crash=(scene.names[0], at))
        assert [fault for _ in orders(play) for fault in scene.broken()] == []


@given(
    names=strategies.lists(strategies.sampled_from(list(ACTS)), min_size=3, max_size=3),
    cap=strategies.sampled_from([None, 1, 2]),
    order=strategies.lists(strategies.integers(0, 2), min_size=30, max_size=30),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_three_at_once(impatient, due, names, cap, order):
    """So it is with three, in orders taken at random."""
    scene = Scene(names, cap)

    scene.play([scene.names[number] for number in order])

    assert scene.broken() == []
