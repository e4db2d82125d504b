"""After: the same application, with settings in the place of the interface."""

from collections.abc import Mapping
from datetime import timedelta

from flask import Flask

from hardsession import HardSession

from .views import pages


def create_app(*keys: str, settings: Mapping[str, object] | None = None) -> Flask:
    """Make the application; `settings` overrule those below.

    Args:
        keys: of `flask hardsession keygen`, newest first.
        settings: such as `SESSION_STORE`, after which a logout is final for every copy of the cookie.
    """
    app = Flask(__name__)
    app.config["SESSION_SECRET_KEYS"] = list(keys)
    app.config["SESSION_APP_ID"] = "tips"
    app.config["SESSION_IDLE_TIMEOUT"] = timedelta(hours=1)
    app.config["SESSION_ABSOLUTE_TIMEOUT"] = timedelta(hours=8)
    app.config.from_mapping(settings or {})
    HardSession(app).ready()
    app.register_blueprint(pages)
    return app
