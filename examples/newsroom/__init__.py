"""A newsroom's login: journalists in browsers, and programs that use its API, with their sessions in Redis.

Teams have written this for themselves: a session interface on Redis with an expiry, a new id at the login, a set of
ids for each user so that he can log out everywhere, a list of devices, an id by header for the API, and a message
that survives the session which the logout destroyed. A few hundred lines, and the races between them.

What remains is :data:`examples.newsroom.app.SETTINGS`, about ten lines, and one call at each place where something
happens: `hard.login`, `hard.logout`, `hard.sessions`, `hard.revoke`. Read :mod:`examples.newsroom.app`.

To run it, put a key of ``flask hardsession keygen`` into ``FLASK_SESSION_SECRET_KEYS='["hsk1_…"]'``, start a Redis,
and ``flask --app examples.newsroom run``. The users are the demo's: ida, whose password is "front page".
"""

from .app import create_app

__all__ = ["create_app"]
