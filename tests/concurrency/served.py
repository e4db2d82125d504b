"""The application that the tests' servers serve.

It tells what its session holds and who answers. A request that asks to meet waits, its session loaded and not yet
saved, until as many as `SERVED_PEOPLE` wait with it: so they are proven to be under way at once.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
from typing import Any

from flask import Flask, request, session

from hardsession import HardSession, current_session

logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")  # the audit's lines go to the server's log

app = Flask(__name__)
app.config.from_prefixed_env("SERVED")
HardSession(app)

people = app.config["PEOPLE"]
forks = app.config.get("FORKS", False)
meeting: Any = multiprocessing.get_context("fork").Barrier(people) if forks else threading.Barrier(people)


@app.route("/", methods=["GET", "POST"])
def page() -> dict[str, object]:
    """Keep the name that was sent, and give the one that is kept."""
    if "name" in request.form:
        session["name"] = request.form["name"]
    name = session.get("name")
    if "meet" in request.args:
        meeting.wait(timeout=20)
    return {
        "name": session.get("name"),
        "same": session.get("name") == name,
        "handle": current_session.handle,
        "pid": os.getpid(),
        "patched": "gevent" in sys.modules and sys.modules["gevent"].monkey.is_module_patched("threading"),
    }


@app.post("/fork")
def fork() -> str:
    """Go on twice, with a session that is loaded and not yet saved."""
    session["name"] = "ida"
    os.fork()
    return ""


def token() -> str:
    """A new session's cookie, made in this process without a server."""
    client = app.test_client()
    client.post("/", data={"name": "nobody"})
    cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    return cookie.value


before_the_fork = [token() for _ in range(3)] if forks else []
