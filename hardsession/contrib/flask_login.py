"""Flask-Login: its logins are logins here, without a line in the application.

It writes its keys into the session and then sends a signal. A remembered user did not prove who he is, so his session
is never fresh. Its logout pops its keys, which ends the session as popping any identity key does.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, cast
from weakref import ref

from flask import Flask, session

from ..errors import SessionLimitError

if TYPE_CHECKING:
    from ..sessions import Session

METHOD = "flask-login"
"""What stands for the way a user proved who he is: Flask-Login does not tell."""

_KEYS_OF_A_LOGIN = ("_user_id", "_fresh", "_id", "_remember", "_remember_seconds")


def is_used(app: Flask | None) -> bool:
    """Whether the application has a `LoginManager`, without which Flask-Login logs nobody in."""
    return hasattr(app, "login_manager") and "flask_login" in sys.modules


class Listener:
    """Listens to Flask-Login from the first session on that is loaded while the application uses it.

    An application may check its settings, and even open a session, before it comes to its `LoginManager`.
    """

    def __init__(self, app: Flask) -> None:
        self._app = ref(app)
        self._listens = False

    def __call__(self) -> None:
        app = self._app()
        if self._listens or not is_used(app):
            return
        import flask_login

        flask_login.user_logged_in.connect(_logged_in, sender=app)
        flask_login.user_login_confirmed.connect(_confirmed, sender=app)
        flask_login.user_loaded_from_cookie.connect(_remembered, sender=app)
        flask_login.session_protected.connect(_doubted, sender=app)
        flask_login.user_logged_out.connect(_logged_out, sender=app)
        self._listens = True


def _logged_in(_sender: Flask, **_: object) -> None:
    _login_by_a_view(METHOD if session.get("_fresh") else None)


def _confirmed(_sender: Flask, **_: object) -> None:
    _login_by_a_view(METHOD)


def _remembered(_sender: Flask, **_: object) -> None:
    """A remembered user is logged in, except where the token would leave in a header.

    It came in no header, and a script of the page, which cannot read a cookie, would get a token that it can read.

    No view asked for this login, so none can tell him that he has too many sessions. The oldest ends, as at a login by
    a key alone, which his is when it is saved.
    """
    current = cast("Session", session)
    if current.by_header:
        for key in ("_user_id", "_fresh"):
            current.pop(key, None)
    else:
        with suppress(SessionLimitError):
            _login(None)


def _doubted(_sender: Flask, **_: object) -> None:
    cast("Session", session).doubt()


def _logged_out(_sender: Flask, **_: object) -> None:
    """End what this request could not see: a session whose store is out of reach, or that another request moved."""
    current = cast("Session", session)
    if current.new:
        current.logged_out = True


def _login_by_a_view(method: str | None) -> None:
    try:
        _login(method)
    except SessionLimitError:
        # Its keys are written already, and when they are saved they would log in whoever was just refused.
        for key in _KEYS_OF_A_LOGIN:
            session.pop(key, None)
        raise


def _login(method: str | None) -> None:
    if "_user_id" in session:
        cast("Session", session).login(session["_user_id"], method=method)
