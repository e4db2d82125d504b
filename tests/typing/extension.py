"""What a type checker knows of the extension. It is read by type checkers and never run."""

from __future__ import annotations

from typing import assert_type

from flask import Flask

from hardsession import HardSession
from hardsession.sessions import Session


def both_ways_to_make_it(app: Flask) -> None:
    HardSession(app)
    hard = HardSession()
    hard.init_app(app)
    hard.ready()
    hard.ready(app)


def what_is_asked_of_it(hard: HardSession) -> None:
    hard.login(7)
    hard.login("ida", method="webauthn")
    hard.login("ida", method=None)
    hard.login("ida", keep=("cart", "theme"))
    hard.logout()
    hard.regenerate()
    hard.save()


def nothing_comes_back(hard: HardSession) -> None:
    assert_type(hard.login(7), None)
    assert_type(hard.logout(), None)
    assert_type(hard.regenerate(), None)
    assert_type(hard.save(), None)
    assert_type(hard.ready(), None)


def what_is_refused(hard: HardSession) -> None:
    HardSession("newsroom")  # type: ignore[arg-type]
    hard.login()  # type: ignore[call-arg]
    hard.login(7, "password")  # type: ignore[call-arg]
    hard.login(7, keep=1)  # type: ignore[arg-type]


def session_of_ours(session: Session) -> None:
    """`Session` is there to annotate with; `current_session` is one."""
    from hardsession import current_session

    assert_type(current_session, Session)
