"""Two requests of one browser, in every order that their calls of the store can come in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, permutations
from threading import Thread, current_thread
from typing import Any

import pytest
from flask import Flask

from hardsession import current_session, patience, policy
from hardsession.record import Header
from hardsession.signals import write_refused
from hardsession.stores.memory import MemoryStore

from .stores import PATIENCE, Turns, Watched, orders, rows
from .traffic import (
    Answer,
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
    row_of,
    send,
    write,
)

REQUESTS: dict[str, Callable[[], Any]] = {
    "read": read,
    "write a": write(a=1),
    "write b": write(b=1),
    "regenerate": lambda: (write(c=1)(), regenerate()),
    "renews": write(e=1),
    "role": write(role="editor"),
    "login": login(),
    "login by key": write(user_id="ada"),
    "clear and login": clear_and_login,
    "logout": logout,
    "pop": pop,
    "clear and write": clear_and_write(d=1),
}
WRITES = {"write a": "a", "write b": "b", "regenerate": "c", "renews": "e", "role": "role"}
LOGINS = {"login", "login by key", "clear and login"}
LOGOUTS = {"logout", "pop", "clear and write"}
NEW_IDS = {"regenerate", "role", "pop"}
"""They go on from a renewal, and end it. If their answers come before its answer, the browser is left with its id."""

NEW = LOGINS | {"clear and write"}
KEEPS_ITS_ID = {"read", "write a", "write b"}


@dataclass
class Story:
    """What two requests did in one order of their calls, and what came of it."""

    app: Flask
    store: Watched
    token: str
    turns: Turns
    was_logged_in: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return " ".join(self.turns.log) + f", refused: {sorted(self.refused)}"

    @property
    def names(self) -> set[str]:
        """Which requests were answered."""
        return {name.rstrip("'") for name in self.answers}

    @property
    def logs_out(self) -> bool:
        """Whether one of them logged out; in nobody's session there is nothing to pop."""
        return bool(self.names & LOGOUTS - {"pop"}) or ("pop" in self.names and self.was_logged_in)

    def holds(self, token: str | None) -> dict[str, Any] | None:
        """What a session holds for a browser with this token; None without a session."""
        value = send(self.app, token, lambda: (owner(), read(), current_session.new)).value
        return None if value[2] else {"owner": value[0]} | value[1]

    def is_logged_in(self, token: str | None) -> bool:
        """Whether somebody is logged in with this token."""
        held = self.holds(token)
        return held is not None and bool(held["owner"])

    @property
    def tokens(self) -> set[str]:
        """Every token that the browser had."""
        return {self.token, *(answer.token for answer in self.answers.values() if answer.token)}

    @property
    def live(self) -> list[str]:
        """The tokens that open a session, one for each."""
        live = [token for token in self.tokens if self.holds(token) is not None]
        return list({send(self.app, token, row_of).value: token for token in live}.values())

    def in_the_browser(self) -> set[str | None]:
        """The tokens that a browser may end up with, since the answers can overtake each other."""
        final = set()
        for order in permutations(self.answers.values()):
            token: str | None = self.token
            for answer in order:
                token = answer.cookie_after(token)
            final.add(token)
        return final

    def saw_the_end(self, name: str) -> bool:
        """Whether a request looked at the session when the other had written for the last time to what was there."""
        calls = [entry.partition("(")[0].split(":") for entry in self.turns.log]
        others = [place for place, (thread, verb) in enumerate(calls) if thread != name and verb != "add"]
        return [thread for thread, _ in calls].index(name) > max(others)


class Theatre:
    """Where stories of two requests are told, one after the other, on the same store."""

    def __init__(self, start: Callable[[], Any], **config: Any) -> None:
        self._start = start
        self._store = Watched(MemoryStore())
        self._app = make_app(self._store, SESSION_REGISTRY=False, **config)

    def stories(self, first: str, second: str, crash_at: int | None = None) -> Iterator[Story]:
        """Every story of two requests. `crash_at`: the store fails the first one from that call on."""
        names = [first, second if second != first else f"{second}'"]
        crash = (first, crash_at) if crash_at else None
        told: list[Story] = []

        def run(order: list[str]) -> Turns:
            told.append(self._tell(Turns(self._store, names, order, crash), names))
            return told[-1].turns

        for _ in orders(run):
            yield told.pop()

    def _tell(self, turns: Turns, names: list[str]) -> Story:
        for name in self._store.store.keys(""):  # type: ignore[attr-defined]
            self._store.delete(name)
        token = send(self._app, None, write(start=1)).token
        token = send(self._app, token, self._start).token or token
        assert token
        story = Story(self._app, self._store, token, turns)
        story.was_logged_in = story.is_logged_in(token)

        def run(name: str) -> None:
            try:
                story.answers[name] = send(self._app, token, REQUESTS[name.rstrip("'")])
            finally:
                turns.over(name)

        def note(_app: Flask, **_: Any) -> None:
            story.refused.add(current_thread().name.rstrip("'"))

        with turns, write_refused.connected_to(note):
            threads = [Thread(target=run, args=(name,), name=name, daemon=True) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
        assert sorted(story.answers) == sorted(names)
        return story


# What must hold


def both_are_answered(story: Story) -> bool:
    """No order of two requests makes either fail."""
    return all(answer.status == 200 for answer in story.answers.values())


def nothing_is_left_behind(story: Story) -> bool:
    """There is no row that nobody can have a token for."""
    return len(rows(story.store)) == len(story.live)


def logout_is_final(story: Story) -> bool:
    """Once a logout is answered nobody is logged in, unless by a login that began afterwards."""
    if not story.logs_out:
        return True
    if story.is_logged_in(story.token):
        return False
    if any(name.rstrip("'") in LOGINS | {"pop"} and story.saw_the_end(name) for name in story.answers):
        return True  # a new login, or an application that found nobody whom it could log out
    return not any(story.is_logged_in(token) for token in story.tokens)


def login_reaches_the_browser(story: Story) -> bool:
    """Whichever answer comes last, the browser is logged in: one that does not log in never overwrites its cookie."""
    if not LOGINS & story.names or not story.names <= LOGINS | KEEPS_ITS_ID:
        return True
    return all(story.is_logged_in(token) for token in story.in_the_browser())


def no_write_is_lost_in_silence(story: Story) -> bool:
    """What either request wrote is there in the end, or an event says that it was refused."""
    if story.names & {"logout", "clear and write", "clear and login"} or "pop" in story.refused:
        return True  # somebody logged out, and what the session held went with it
    written = {WRITES[name] for name in story.names & WRITES.keys() - story.refused}
    overtaken = "renews" in story.names and bool(NEW_IDS & story.names)
    if LOGINS & story.names or overtaken:  # a login may come last, and then begins anew
        return any(written <= (story.holds(token) or {}).keys() for token in story.tokens)
    return all(written <= (story.holds(token) or {}).keys() for token in story.in_the_browser())


def one_session_is_left(story: Story) -> bool:
    """A browser is left with one session at most, except by two requests that both begin one."""
    if story.names <= NEW | {"pop"} or any(name in LOGINS and story.saw_the_end(name) for name in story.answers):
        return True
    return len(story.live) <= 1


PROMISES = (
    both_are_answered,
    nothing_is_left_behind,
    logout_is_final,
    login_reaches_the_browser,
    no_write_is_lost_in_silence,
    one_session_is_left,
)


def broken(story: Story, promises: Iterable[Callable[[Story], bool]] = PROMISES) -> list[str]:
    """The promises that a story breaks, with the story."""
    return [f"{promise.__name__}: {story}" for promise in promises if not promise(story)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conflict is not waited out: the order of the calls is the test's here."""
    monkeypatch.setattr(patience, "_PAUSE", 0.0)


@pytest.fixture(autouse=True)
def due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every id is due for renewal, in a request that is named so."""

    def is_due(header: Header, _interval: int, _now: int) -> bool:
        return header.confirmed and "renews" in current_thread().name

    monkeypatch.setattr(policy, "renewal_due", is_due)


def logged_in(**data: Any) -> Callable[[], None]:
    """Ada, by the library and by the application's own key."""

    def act() -> None:
        current_session.update(data, user_id="ada")
        hard.login("ada")

    return act


STARTS = {"anonymous": read, "logged in": logged_in()}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("first", "second"), list(combinations_with_replacement(REQUESTS, 2)))
def test_two_requests(start, first, second):
    """In every order of their calls every promise holds."""
    stories = Theatre(STARTS[start]).stories(first, second)

    assert [fault for story in stories for fault in broken(story)] == []


@pytest.mark.parametrize("other", REQUESTS)
def test_touch_takes_part(other):
    """So it does when a request that only reads writes its activity down."""
    stories = Theatre(logged_in(), SESSION_TOUCH_INTERVAL=0).stories("read", other)

    assert [fault for story in stories for fault in broken(story)] == []


@pytest.mark.parametrize("other", REQUESTS)
def test_right_that_was_taken_away_stays_away(other):
    """Unless taking it away is reported as refused, no session that goes on has the right any more."""

    def has_the_right(story: Story) -> bool:
        return "role" not in story.refused and any(
            (story.holds(token) or {}).get("role") == "admin" for token in story.tokens
        )

    stories = Theatre(logged_in(role="admin")).stories("role", other)

    assert [str(story) for story in stories if has_the_right(story)] == []


@pytest.mark.parametrize("other", ["write a", "login", "logout"])
@pytest.mark.parametrize("crashing", ["write b", "regenerate", "renews", "login by key", "clear and login", "pop"])
def test_one_of_them_crashes(crashing, other):
    """Wherever one of two requests dies, it sets no cookie, and what the other one was promised holds."""
    if other == "write a" and crashing in ("pop", "clear and login"):
        return  # it may have ended the session before it died
    theatre = Theatre(logged_in())
    for at in range(1, 8):
        for story in theatre.stories(crashing, other, crash_at=at):
            if story.turns.crashed:
                answer = story.answers.pop(crashing)
                assert (answer.status, answer.cookies) == (500, []), str(story)
                assert broken(story, (logout_is_final, login_reaches_the_browser, no_write_is_lost_in_silence)) == []
