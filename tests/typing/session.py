"""What a type checker knows of `current_session`. It is read by type checkers and never run."""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any, assert_type

from flask.sessions import SessionMixin

from hardsession import current_session


def what_is_known() -> None:
    assert_type(current_session.created_at, datetime | None)
    assert_type(current_session.last_seen_at, datetime | None)
    assert_type(current_session.authenticated_at, datetime | None)
    assert_type(current_session.expires_in, timedelta | None)
    assert_type(current_session.handle, str | None)
    assert_type(current_session.owner, str | None)
    assert_type(current_session.ended, str | None)
    assert_type(current_session.sid, str | None)
    assert_type(current_session.new, bool)
    assert_type(current_session.permanent, bool)
    assert_type(current_session.modified, bool)
    assert_type(current_session.accessed, bool)


def what_is_asked_of_it() -> None:
    current_session.login(7)
    current_session.login("ida", method=None)
    current_session.login("ida", method="webauthn", keep=["cart"])
    current_session.logout()
    current_session.regenerate()
    current_session.doubt()
    current_session.clear()
    assert_type(current_session.is_fresh(300), bool)
    assert_type(current_session.is_fresh(timedelta(minutes=5), methods={"webauthn"}), bool)
    current_session.permanent = True
    assert_type(current_session.copy(), dict[str, Any])


def it_is_a_mapping_and_a_session_of_flask() -> None:
    mapping: MutableMapping[str, Any] = current_session
    session: SessionMixin = current_session
    current_session["cart"] = [1, 2]
    assert_type(current_session["cart"], Any)
    assert_type("cart" in current_session, bool)
    assert_type(dict(current_session), dict[str, Any])
    del current_session["cart"]
    print(mapping, session)


def what_is_refused() -> None:
    current_session.login()  # type: ignore[call-arg]
    current_session.login(7, "password")  # type: ignore[call-arg]
    current_session.login(7, method=1)  # type: ignore[arg-type]
    current_session.handle = "mine"  # type: ignore[misc]
    current_session[7] = "seven"  # type: ignore[index]
