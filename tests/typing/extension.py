"""What a type checker knows of the extension. It is read by type checkers and never run."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

from flask import Flask

from hardsession import HardSession, UserSession
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


def users_sessions(hard: HardSession) -> None:
    assert_type(hard.sessions(), list[UserSession])
    assert_type(hard.sessions(7), list[UserSession])
    assert_type(hard.revoke("handle"), bool)
    assert_type(hard.revoke("handle", "ida"), bool)
    assert_type(hard.revoke_others(), int)
    assert_type(hard.revoke_user(7), int)
    assert_type(hard.revoke_all(), None)


def one_of_them(entry: UserSession) -> None:
    assert_type(entry.handle, str)
    assert_type(entry.created_at, datetime)
    assert_type(entry.last_renewed_at, datetime)
    assert_type(entry.expires_at, datetime)
    assert_type(entry.label, str)
    assert_type(entry.address, str)
    assert_type(entry.current, bool)


def what_is_refused(hard: HardSession, entry: UserSession) -> None:
    HardSession("newsroom")  # type: ignore[arg-type]
    hard.login()  # type: ignore[call-arg]
    hard.login(7, "password")  # type: ignore[call-arg]
    hard.login(7, keep=1)  # type: ignore[arg-type]
    hard.revoke(7)  # type: ignore[arg-type]
    hard.revoke_user()  # type: ignore[call-arg]
    entry.label = "mine"  # type: ignore[misc]


def session_of_ours(session: Session) -> None:
    """`Session` is there to annotate with; `current_session` is one."""
    from hardsession import current_session

    assert_type(current_session, Session)
