"""Browsers whose requests are under way at the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from flask import Flask, request

from hardsession import HardSession, Key, current_session
from hardsession.stores import Store

from .stores import PATIENCE

NAME = "__Host-Http-session"
KEY = Key.generate().text
hard = HardSession()


def make_app(store: Store, **config: Any) -> Flask:
    """An application whose one view does what each request brings along."""
    app = Flask("newsroom")
    app.config.update({"SESSION_SECRET_KEYS": [KEY], "SESSION_STORE": store} | config)
    HardSession(app)

    @app.route("/")
    def view() -> str:
        request.environ["act"]()
        return "done"

    @app.errorhandler(500)
    def failed(error: Any) -> tuple[str, int]:
        request.environ["errors"].append(error.original_exception)
        return "failed", 500

    return app


@dataclass
class Answer:
    """What a browser got, and what the view returned to the test."""

    status: int = 0
    values: list[Any] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    name: str = NAME

    @property
    def value(self) -> Any:
        """What the view's last step returned."""
        return self.values[-1]

    @property
    def token(self) -> str | None:
        """The token that it sets."""
        return next((value for value in self._values if value), None)

    @property
    def deletes(self) -> bool:
        """Whether it deletes the cookie."""
        return "" in self._values

    def cookie_after(self, token: str | None) -> str | None:
        """The token that a browser has once it got this answer."""
        return None if self.deletes else self.token or token

    @property
    def _values(self) -> list[str]:
        return [cookie.partition(";")[0].removeprefix(f"{self.name}=") for cookie in self.cookies]


def send(app: Flask, token: str | None, *steps: Callable[[], Any], name: str = NAME, agent: str = "") -> Answer:
    """A request with this token, whose view takes these steps."""
    answer = Answer(name=name)

    def act() -> None:
        for step in steps:
            answer.values.append(step())

    headers = {"User-Agent": agent} | ({"Cookie": f"{name}={token}"} if token else {})
    environ = {"act": act, "errors": answer.errors}
    response = app.test_client(use_cookies=False).get(
        "/", base_url="https://localhost", headers=headers, environ_overrides=environ
    )
    answer.status, answer.cookies = response.status_code, response.headers.getlist("Set-Cookie")
    return answer


class Slow:
    """A request that stops between two steps of its view, until `finish` lets it go on."""

    def __init__(
        self, app: Flask, token: str | None, first: Callable[[], Any], *then: Callable[[], Any], name: str = NAME
    ) -> None:
        self._stopped, self._go_on = Event(), Event()
        self._answers: list[Answer] = []
        steps = [first, self._stop, *then]
        self._thread = Thread(target=lambda: self._answers.append(send(app, token, *steps, name=name)), daemon=True)
        self._thread.start()
        assert self._stopped.wait(PATIENCE), "the request did not get as far as its first step"

    def finish(self) -> Answer:
        """Let it go on, and wait for its answer."""
        self._go_on.set()
        self._thread.join(PATIENCE)
        assert self._answers, "the request was not answered"
        return self._answers[0]

    def _stop(self) -> None:
        self._stopped.set()
        assert self._go_on.wait(PATIENCE)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do all of it at the same time, each in a thread of its own."""
    results: dict[int, Any] = {}
    failures: list[BaseException] = []

    def run(number: int, work: Callable[[], Any]) -> None:
        try:
            results[number] = work()
        except BaseException as failure:
            failures.append(failure)

    threads = [Thread(target=run, args=pair, daemon=True) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 3)
    if failures:
        raise failures[0]
    assert len(results) == len(works), "a request was not answered"
    return [results[number] for number in range(len(works))]


# What views do


def read() -> dict[str, Any]:
    """Everything that the session holds."""
    return dict(current_session)


def owner() -> str | None:
    """Who is logged in."""
    _ = current_session.accessed  # loads it
    header = current_session.header
    return header.metadata.owner if header else None


def row_of() -> bytes | None:
    """The row that the session stands in: tokens of two ids can lead to one."""
    _ = current_session.accessed  # loads it
    row = current_session.loaded.opened.row if current_session.loaded else None
    return row.row_id if row else None


def write(**values: Any) -> Callable[[], None]:
    """Write into the session."""
    return lambda: current_session.update(values)


def login(user: str = "ada", **options: Any) -> Callable[[], None]:
    """Log somebody in."""
    return lambda: hard.login(user, **options)


def logout() -> None:
    """Log out."""
    hard.logout()


def regenerate() -> None:
    """Ask for a new id."""
    hard.regenerate()


def clear_and_write(**values: Any) -> Callable[[], None]:
    """End the session, and begin another in the same request."""
    return lambda: (current_session.clear(), current_session.update(values))[1]


def clear_and_login() -> None:
    """What Flask's tutorial does to log in, and what careful applications do."""
    current_session.clear()
    hard.login("ada")


def pop() -> None:
    """Log out as Flask-Login does: the rest of the session goes on for nobody."""
    current_session.pop("user_id", None)


def make_permanent() -> None:
    """Let the cookie outlive the browser."""
    current_session.permanent = True
