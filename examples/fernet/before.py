"""Before: a session interface of one's own. It works, and it is what hardsession replaces.

It stands here to be compared with, and not to be used.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SessionInterface, SessionMixin

from .views import pages


class FernetSessionInterface(SessionInterface):
    """Keeps the session in a cookie that Fernet has encrypted.

    Args:
        keys: of `Fernet.generate_key`, newest first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        lifetime = int(app.permanent_session_lifetime.total_seconds())
        try:
            data: dict[str, Any] = json.loads(self._fernet.decrypt(cookie, ttl=lifetime))
        except InvalidToken:
            data = {}
        return SecureCookieSession(data)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        name = self.get_cookie_name(app)
        if not session:
            if session.modified:
                response.delete_cookie(name)
            return
        if self.should_set_cookie(app, session):
            token = self._fernet.encrypt(json.dumps(dict(session)).encode()).decode()
            response.set_cookie(name, token, httponly=True, expires=self.get_expiration_time(app, session))


def create_app(*keys: bytes) -> Flask:
    """Make the application with its own interface."""
    app = Flask(__name__)
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=1)
    app.session_interface = FernetSessionInterface(keys)
    app.register_blueprint(pages)
    return app
