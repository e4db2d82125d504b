"""The views: a desk that takes tips. They know `flask.session`, and nothing of what stands behind it."""

from flask import Blueprint, abort, request, session
from flask.typing import ResponseReturnValue

from ..vault.newsroom import check

pages = Blueprint("pages", __name__)


@pages.post("/login")
def log_in() -> ResponseReturnValue:
    reporter = check(request.form.get("username", ""), request.form.get("password", ""))
    if reporter is None:
        abort(403)
    session["user_id"] = reporter.name
    session.setdefault("tips", [])
    return desk()


@pages.get("/")
def desk() -> ResponseReturnValue:
    return {"reporter": session.get("user_id"), "tips": session.get("tips", [])}


@pages.post("/tips")
def add_tip() -> ResponseReturnValue:
    if "user_id" not in session:
        abort(403)
    session["tips"] = [*session["tips"], request.form["tip"]]
    return desk()


@pages.post("/tips/first")
def correct_first_tip() -> ResponseReturnValue:
    if not session.get("tips"):
        abort(404)
    session["tips"][0] = request.form["tip"]  # a change inside a value
    return desk()


@pages.post("/logout")
def log_out() -> ResponseReturnValue:
    session.clear()
    return desk()
