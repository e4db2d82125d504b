"""`@fresh_required`: a view that a session alone does not open, but a recent proof of who the user is (step-up)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from flask import after_this_request

from .errors import ReauthenticationRequired
from .extension import _session
from .policy import Freshness

if TYPE_CHECKING:
    from flask import Response

P = ParamSpec("P")
R = TypeVar("R")


def fresh_required(
    max_age: timedelta | float, *, methods: Iterable[str] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view be called only by a user who proved who he is a moment ago (OWASP ASVS 5.0, 7.5.1 and 7.5.3).

    ::

        @app.post("/keys/rotate")
        @fresh_required(timedelta(minutes=5), methods={"webauthn"})
        def rotate(): ...

    It stands below `@app.route`, which registers what stands beneath it: above, it would guard nothing. It suits
    methods of class-based views and their `decorators`, and functions that are `async`.

    The proof is the time of the last `login(method=...)`, or of Flask-Login's `login_user` and `confirm_login`, whose
    method is "flask-login". That time is sealed beside the session's data, where nothing that is stored reaches it. A
    remembered user proved nothing, nor did one whom a key such as `session["user_id"]` logged in.

    Args:
        max_age: a timedelta or seconds, from 1 second to 400 days; the proof must be younger.
        methods: by one of these the user must have proved it, as `login(method=...)` names them; None: by any.

    Raises:
        TypeError, ValueError: when decorating, for a duration or methods that no login could ever satisfy.
        ReauthenticationRequired: in the request, instead of calling the view. No cache may keep the answer to it.
    """
    wanted = Freshness.of(max_age, methods)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        if isinstance(view, type):
            raise TypeError("A class is no view. Decorate its methods, or name fresh_required(...) in its decorators.")
        if not iscoroutinefunction(view):

            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                _require(wanted)
                return view(*args, **kwargs)

            return guarded

        @wraps(view)
        async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            _require(wanted)
            return await view(*args, **kwargs)

        return cast("Callable[P, R]", guarded_async)

    return decorate


def _require(wanted: Freshness) -> None:
    reason = _session().stale(wanted)
    if reason is not None:
        after_this_request(_keep_nowhere)
        raise ReauthenticationRequired(reason, max_age=wanted.max_age, methods=wanted.methods)


def _keep_nowhere(response: Response) -> Response:
    """Whatever an error handler makes of it: kept by a browser, the refusal would still be shown after the proof."""
    response.headers["Cache-Control"] = "no-store"
    return response
