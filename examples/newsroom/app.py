"""The application: what remains of a session library of one's own, and the views."""

from collections.abc import Mapping
from datetime import timedelta

from flask import Blueprint, Flask, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Unauthorized

from hardsession import HardSession, ReauthenticationRequired, StoreError, current_session, fresh_required

from ..vault.newsroom import check

HEADER = "X-Newsroom-Session"

SETTINGS = {
    "SESSION_APP_ID": "newsroom",
    "SESSION_STORE": "redis://localhost:6379",  # or FLASK_SESSION_STORE; the keys come from the environment as well
    "SESSION_KEY_PREFIX": "newsroom:",
    "SESSION_IDLE_TIMEOUT": timedelta(minutes=30),
    "SESSION_ABSOLUTE_TIMEOUT": timedelta(hours=2),
    "SESSION_MAX_PER_USER": 5,
    "SESSION_RECORD_ADDRESS": True,  # the newsroom wants to see from where; think twice before you do
    "SESSION_TOKEN_HEADER": HEADER,
}

hard = HardSession()
pages = Blueprint("pages", __name__)
api = Blueprint("api", __name__, url_prefix="/api")


def create_app(settings: Mapping[str, object] | None = None) -> Flask:
    """Make the application; `settings` overrule those above and those of the environment."""
    app = Flask(__name__)
    app.config.from_mapping(SETTINGS)
    app.config.from_prefixed_env()
    app.config.from_mapping(settings or {})
    app.before_request(refuse_other_sites)
    app.after_request(harden)
    app.register_blueprint(pages)
    app.register_blueprint(api)
    app.register_error_handler(Unauthorized, ask_who_it_is)
    app.register_error_handler(StoreError, show_outage)
    hard.init_app(app)
    hard.ready(app)
    return app


# For people


@pages.get("/")
def desk() -> ResponseReturnValue:
    reporter = logged_in()
    return render_template("desk.html", reporter=reporter, sessions=hard.sessions())


@pages.post("/login")
def log_in() -> ResponseReturnValue:
    """The login, and the password once more before something dangerous: the same user's session goes on."""
    prove()
    return redirect(url_for("pages.desk"))


@pages.post("/logout")
def log_out() -> ResponseReturnValue:
    hard.logout()
    flash("You are logged out. Good night.")  # after the logout, so it is in the session that begins
    return redirect(url_for("pages.desk"))


@pages.post("/sessions/<handle>/end")
def end_session(handle: str) -> ResponseReturnValue:
    """End one of the reporter's own sessions: somebody else's handle ends nothing."""
    logged_in()
    flash("That one is logged out." if hard.revoke(handle) else "That one was over already.")
    return redirect(url_for("pages.desk"))


@pages.post("/sessions/end")
def end_all_sessions() -> ResponseReturnValue:
    hard.revoke_user(logged_in())
    flash("You are logged out everywhere.")
    return redirect(url_for("pages.desk"))


@pages.post("/sources/burn")
@fresh_required(timedelta(minutes=5))
def burn_sources() -> ResponseReturnValue:
    flash(f"{logged_in()}'s list of sources is burned.")
    return redirect(url_for("pages.desk"))


# For programs, with the token in a header


@api.post("/login")
def api_log_in() -> ResponseReturnValue:
    prove()
    return {"reporter": logged_in()}


@api.get("/me")
def api_me() -> ResponseReturnValue:
    return {"reporter": logged_in(), "sessions": len(hard.sessions())}


@api.post("/logout")
def api_log_out() -> ResponseReturnValue:
    hard.logout()
    return {}


# For both


def prove() -> None:
    """Log in whoever sends a name and its password."""
    reporter = check(request.form.get("username", ""), request.form.get("password", ""))
    if reporter is None:
        abort(401, "This name and password do not belong together.")
    hard.login(reporter.name)


def logged_in() -> str:
    """Who asks. Nothing has to be stored for that: the session knows its owner."""
    if current_session.owner is None:
        abort(401, "Log in.")
    return current_session.owner


def ask_who_it_is(error: Unauthorized) -> ResponseReturnValue:
    """Nobody is logged in, the password was wrong, or it was too long ago."""
    if HEADER in request.headers:
        return {"error": error.reason if isinstance(error, ReauthenticationRequired) else error.description}, 401
    return render_template("login.html", said=error.description, ended=current_session.ended), 401


def show_outage(_error: StoreError) -> ResponseReturnValue:
    return "The sessions cannot be reached. Nobody was logged out by that; try again.", 503


def refuse_other_sites() -> None:
    """Refuse a form that another site sent (CSRF). No page of another site can send the header of the API."""
    ours = HEADER in request.headers or request.headers.get("Sec-Fetch-Site") == "same-origin"
    if request.method == "POST" and not ours:
        abort(403, "This form was not sent by a page of the newsroom.")


def harden(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'none'; form-action 'self'; frame-ancestors 'none'"
    response.headers["Cache-Control"] = "no-store"
    return response
