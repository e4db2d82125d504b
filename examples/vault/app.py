"""The application: its settings, its pages, and what it asks of its session."""

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import cast

from flask import Blueprint, Flask, Response, abort, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from hardsession import HardSession, ReauthenticationRequired, StoreError, current_session, fresh_required

from . import cookies, newsroom
from .events import Events
from .key_file import KeyFile
from .shelf import Shelf

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

# Work on the keys is no activity of the reporter. It touches no session, so the page can show what a rotation leaves.
KEY_ENDPOINTS = ("pages.keys", "pages.add_key", "pages.retire_keys")

FRESH = timedelta(minutes=1)  # how recent a password must be to remove keys, which can end everybody's session

NOTES_KEPT = 3
NOTE_LENGTH = 140  # three such notes fit into one cookie, whatever characters they hold

SLOW = 5  # seconds
SLOW_NOTE = "From the slow page, which began five seconds ago."
COPY = "vault-copy"  # the cookie in which a thief keeps a copy of the session's

pages = Blueprint("pages", __name__)


def create_app(keys: KeyFile, settings: Mapping[str, object] | None = None) -> Flask:
    """Make the application. Whoever passes `keys` says where they live; `settings` overrule those below."""
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY=secrets.token_hex(),  # signs nothing but the Flask cookie that the page shows for comparison
        SESSION_SECRET_KEYS_FILE=str(keys.path),
        SESSION_APP_ID="vault",
        SESSION_IDLE_TIMEOUT=timedelta(minutes=5),
        SESSION_ABSOLUTE_TIMEOUT=timedelta(minutes=30),
        SESSION_TOUCH_INTERVAL=timedelta(seconds=15),
        SESSION_PASSIVE_ENDPOINTS=KEY_ENDPOINTS,
        SESSION_KEY_PREFIX="vault:",
    )
    app.config.from_mapping(settings or {})
    app.extensions["vault.keys"] = keys
    app.extensions["vault.wait"] = time.sleep
    app.extensions["vault.events"] = Events(app)
    app.register_blueprint(pages)
    app.register_error_handler(HTTPException, show_error)
    app.register_error_handler(StoreError, show_outage)
    app.register_error_handler(ReauthenticationRequired, ask_again)
    app.after_request(harden)
    HardSession(app).ready()
    return app


def login_required(view: Callable[[], ResponseReturnValue]) -> Callable[[], ResponseReturnValue]:
    """Send everybody else to the front page."""

    @wraps(view)
    def guarded() -> ResponseReturnValue:
        return view() if "username" in current_session else redirect(url_for("pages.front"))

    return guarded


@pages.before_request
def refuse_other_sites() -> None:
    """Refuse a form that another site sent (CSRF). The browser says where it comes from; no script can change that."""
    if request.method != "POST":
        return
    site = request.headers.get("Sec-Fetch-Site")  # which browsers leave out on plain http beyond localhost
    if not (site == "same-origin" if site else request.headers.get("Origin") == request.host_url.rstrip("/")):
        abort(403, "This form was not sent by a page of the vault.")


@pages.get("/")
def front() -> ResponseReturnValue:
    if "username" in current_session:
        return redirect(url_for("pages.vault"))
    return show_front()


@pages.post("/login")
def log_in() -> ResponseReturnValue:
    reporter = newsroom.check(request.form.get("username", ""), request.form.get("password", ""))
    if reporter is None:
        return show_front(wrong=True), 403
    current_session.login(reporter.name)
    current_session.update(username=reporter.name, desk=reporter.desk, notes=[reporter.first_note])
    return redirect(url_for("pages.welcome"))


@pages.get("/welcome")
def welcome() -> ResponseReturnValue:
    """Look whether the cookie comes back: without it the front page would only appear again, and not say why."""
    if current_app.config["SESSION_COOKIE_NAME"] in request.cookies:
        return redirect(url_for("pages.vault"))
    return render_template("missing.html"), 400


@pages.get("/vault")
@pages.get("/keys", endpoint="keys")
@login_required
def vault() -> ResponseReturnValue:
    sealed = request.cookies[current_app.config["SESSION_COOKIE_NAME"]]
    signed = cookies.as_flask_would(current_app, current_session)
    return render_template(
        "vault.html",
        clocks=clocks(),
        sealed=sealed,
        signed=signed,
        exposed=cookies.read_without_key(signed),
        cookie_key=cookies.key_id(sealed),
        keys=vault_keys().ids(),
        events=vault_events().last(),
        note_length=NOTE_LENGTH,
        slow=SLOW,
        row=row(),
    )


@pages.post("/notes")
@login_required
def add_note() -> ResponseReturnValue:
    note = request.form.get("note", "").strip()[:NOTE_LENGTH]
    if note:
        keep_note(note)
    return redirect(url_for("pages.vault"))


@pages.post("/slow")
@login_required
def be_slow() -> ResponseReturnValue:
    """Read the session, take long, and write: whatever happens to the session meanwhile, this request knows nothing."""
    before = vault_events().newest()
    current_app.extensions["vault.wait"](SLOW)
    keep_note(SLOW_NOTE)
    response = redirect(url_for("pages.race", since=before))
    set_cookie(response, COPY, request.cookies[current_app.config["SESSION_COOKIE_NAME"]])
    return response


@pages.get("/race")
def race() -> ResponseReturnValue:
    """Say what became of the slow page's note, by the events since it began and by the cookie that came with this."""
    events = vault_events()
    return render_template(
        "race.html",
        since=events.since(request.args.get("since", events.newest(), int)),
        inside="username" in current_session,
        copied=COPY in request.cookies,
        events=events.last(),
    )


@pages.post("/replay")
def replay() -> ResponseReturnValue:
    """Play the thief: bring a copy of the cookie that was made before the logout. No session is touched here."""
    response = redirect(url_for("pages.front"))
    if COPY in request.cookies:
        set_cookie(response, current_app.config["SESSION_COOKIE_NAME"], request.cookies[COPY])
        response.delete_cookie(COPY, secure=current_app.config["SESSION_COOKIE_SECURE"], httponly=True, samesite="Lax")
    return response


@pages.post("/flip")
def flip() -> ResponseReturnValue:
    """Play the attacker: hand back the cookie with one bit changed. No session is touched here, so none is written."""
    name = current_app.config["SESSION_COOKIE_NAME"]
    response = redirect(url_for("pages.front"))
    if name in request.cookies:
        set_cookie(response, name, cookies.flip_one_bit(request.cookies[name]))
    return response


@pages.post("/keys")
@login_required
def add_key() -> ResponseReturnValue:
    vault_keys().add()
    return redirect(url_for("pages.keys", _anchor="keys"))


@pages.post("/keys/retire")
@login_required
@fresh_required(FRESH)
def retire_keys() -> ResponseReturnValue:
    vault_keys().retire()
    return redirect(url_for("pages.front", _anchor="keys"))


@pages.post("/prove")
@login_required
def prove() -> ResponseReturnValue:
    """The password once more: a login of the same user, whose session goes on under a new id."""
    reporter = newsroom.check(current_session["username"], request.form.get("password", ""))
    if reporter is None:
        return render_template("prove.html", wrong=True), 403
    current_session.login(reporter.name)
    return redirect(url_for("pages.keys", _anchor="keys"))


@pages.post("/logout")
def log_out() -> ResponseReturnValue:
    current_session.logout()
    return redirect(url_for("pages.front"))


def keep_note(note: str) -> None:
    current_session["notes"].append(note)  # a change within a value is seen and saved
    del current_session["notes"][:-NOTES_KEPT]


def set_cookie(response: BaseResponse, name: str, value: str) -> None:
    """What the attacker that this demo plays puts into a browser, with the attributes of the session's cookie."""
    response.set_cookie(
        name,
        value,
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=current_app.config["SESSION_COOKIE_HTTPONLY"],
        samesite=current_app.config["SESSION_COOKIE_SAMESITE"],
    )


def row() -> dict[str, object] | None:
    """The session's row as the store has it, where sessions are in a store."""
    shelf = current_app.config.get("SESSION_STORE")
    if not isinstance(shelf, Shelf) or shelf.row is None:
        return None
    name, value = shelf.row
    return {"place": shelf.place, "name": name, "size": len(value), "sealed": urlsafe_b64encode(value).decode()}


def clocks() -> dict[str, tuple[int, int]]:
    """Return what is left of the idle and of the absolute clock once this answer is out, and the whole, in seconds."""
    config, now = current_app.config, datetime.now(UTC)
    seen, created = current_session.last_seen_at or now, current_session.created_at or now
    if request.endpoint not in KEY_ENDPOINTS and now - seen >= config["SESSION_TOUCH_INTERVAL"]:
        seen = now  # this answer writes the activity down
    idle, absolute = config["SESSION_IDLE_TIMEOUT"], config["SESSION_ABSOLUTE_TIMEOUT"]
    times = {"Idle": (seen + idle - now, idle), "Absolute": (created + absolute - now, absolute)}
    return {name: (int(left.total_seconds()), int(whole.total_seconds())) for name, (left, whole) in times.items()}


def show_front(*, wrong: bool = False) -> str:
    return render_template(
        "front.html",
        ended=current_session.ended,
        refused=g.get("refused"),
        wrong=wrong,
        reporters=newsroom.REPORTERS,
        events=vault_events().last(),
    )


def show_error(error: HTTPException) -> ResponseReturnValue:
    return render_template("error.html", error=error), error.code or 500


def ask_again(error: ReauthenticationRequired) -> ResponseReturnValue:
    return render_template("prove.html", reason=error.reason), 401


def show_outage(_error: StoreError) -> ResponseReturnValue:
    return show_error(ServiceUnavailable("The store of the sessions does not answer. Nobody was logged out by that."))


def harden(response: Response) -> Response:
    """The headers of every answer; only the style sheet, the script and the icon may be kept."""
    response.headers.update(SECURITY_HEADERS)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def vault_keys() -> KeyFile:
    return cast(KeyFile, current_app.extensions["vault.keys"])


def vault_events() -> Events:
    return cast(Events, current_app.extensions["vault.events"])
