"""`hard.save()`: what websockets and streams write, on every store, and what others do meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, Response, session, stream_with_context
from freezegun import freeze_time

from hardsession import ConflictError, NotSavedError, SerializationError, StoreError, current_session
from hardsession.signals import session_destroyed, write_merged, write_refused

from .stores import TOMBSTONE, Outage, Watched, rows
from .traffic import (
    Slow,
    clear_and_write,
    hard,
    login,
    logout,
    make_app,
    make_permanent,
    pop,
    read,
    regenerate,
    send,
    write,
)

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)


def save() -> None:
    """Write the session now."""
    hard.save()


def refused_save() -> bool:
    """Write the session now, and say whether that is refused because it is over."""
    with pytest.raises(NotSavedError) as caught:
        hard.save()
    return caught.value.ended


def both(*steps: Callable[[], Any]) -> Callable[[], Any]:
    """One step after the other."""
    return lambda: [step() for step in steps][-1]


@pytest.fixture
def token(app: Flask) -> str:
    """The token of Ada's session."""
    token = send(app, None, login(), write(draft="Ada's", cart=["tea"])).token
    assert token
    return token


class TestSave:
    """What it writes."""

    def test_others_see_it_at_once(self, app, token, store):
        """It is written before the request is over, in one call of the store; the answer writes nothing again."""
        request = Slow(app, token, both(write(progress=1), save))

        seen = send(app, token, read).value
        store.verbs()
        answer = request.finish()

        assert seen == {"draft": "Ada's", "cart": ["tea"], "progress": 1}
        assert store.verbs() == []
        assert answer.cookies == []

    def test_counts(self, app, token, store):
        """The first costs one call, any further two, since the version that stands there is read first."""
        store.verbs()
        counts: list[list[str]] = []

        def steps() -> None:
            session.get("a")
            counts.append(store.verbs())
            for number in range(3):
                session["a"] = number
                hard.save()
                hard.save()
                counts.append(store.verbs())
            session["a"] = "last"

        send(app, token, steps)
        counts.append(store.verbs())

        assert counts == [["get"], ["replace"], ["get", "replace"], ["get", "replace"], ["get", "replace"]]
        assert send(app, token, read).value["a"] == "last"

    def test_change_inside_a_value(self, app, token):
        """A list that the view holds is saved each time, though another request writes in between."""

        def steps() -> None:
            cart = session["cart"]
            for thing in ("milk", "bread"):
                cart.append(thing)
                hard.save()
                send(app, token, write(**{f"seen_{thing}": True}))

        send(app, token, steps)

        assert send(app, token, read).value == {
            "draft": "Ada's",
            "cart": ["tea", "milk", "bread"],
            "seen_milk": True,
            "seen_bread": True,
        }

    def test_without_a_change(self, app, token, store):
        """Nothing is written, and nothing asked."""
        store.verbs()

        send(app, token, lambda: session.get("a"), save)

        assert store.verbs() == ["get"]

    def test_untouched_session(self, app, token, store):
        """`current_session` touched nothing: what nobody opened is not written."""
        client = app.test_client()

        with client.session_transaction() as untouched:
            app.session_interface.save_now(app, untouched)

        assert untouched.loaded is None


class TestMeanwhile:
    """What other requests do at the same time."""

    def test_parallel_write_is_merged(self, app, token):
        """What another request wrote is kept, and is in the session afterwards."""
        request = Slow(app, token, read, write(a=1), save, read, write(c=3))

        send(app, token, write(b=2))
        answer = request.finish()

        assert answer.value is None
        assert answer.values[-2] == {"draft": "Ada's", "cart": ["tea"], "a": 1, "b": 2}
        assert send(app, token, read).value == {"draft": "Ada's", "cart": ["tea"], "a": 1, "b": 2, "c": 3}

    def test_write_after_it_is_merged_at_the_end(self, app, token):
        """What another one wrote after it is merged with what the request goes on to write."""
        request = Slow(app, token, both(write(a=1), save), write(c=3))

        send(app, token, write(b=2), lambda: session.pop("draft"))
        request.finish()

        assert send(app, token, read).value == {"cart": ["tea"], "a": 1, "b": 2, "c": 3}

    def test_nothing_more_to_write(self, app, token, store):
        """Without a further change the end of the request leaves alone what others wrote since."""
        request = Slow(app, token, both(write(a=1), save))

        send(app, token, write(a=2, b=2))
        request.finish()

        assert send(app, token, read).value == {"draft": "Ada's", "cart": ["tea"], "a": 2, "b": 2}

    def test_same_key(self, app, token, store):
        """On the same key this one counts, and the event names the key."""
        merged: list[Any] = []
        with write_merged.connected_to(lambda _, keys, **__: merged.append(keys), sender=app):
            request = Slow(app, token, read, write(a=1), save)
            send(app, token, write(a=2))
            request.finish()

        assert merged == [["a"]]
        assert send(app, token, read).value["a"] == 1

    def test_conflicts_can_be_refused(self, store):
        """With SESSION_CONFLICT = "raise" it raises where the view can catch it, and may be tried again."""
        app = make_app(store, SESSION_CONFLICT="raise")
        token = send(app, None, write(a=0)).token

        def steps() -> None:
            session["a"] = 1
            send(app, token, write(a=2))
            with pytest.raises(ConflictError):
                hard.save()
            session["a"] = 0
            session["b"] = 3
            hard.save()

        answer = send(app, token, steps)

        assert answer.errors == []
        assert send(app, token, read).value == {"a": 2, "b": 3}

    @pytest.mark.parametrize("end", [logout, regenerate, login("bob"), clear_and_write(x=1), pop])
    def test_ended_session_stays_ended(self, app, end):
        """It brings back no session that ended meanwhile, and says so to the view and in the event."""
        refused: list[Any] = []
        token = send(app, None, write(user_id="ada", theme="dark")).token
        with write_refused.connected_to(lambda _, **fields: refused.append(fields), sender=app):
            request = Slow(app, token, read, write(secret=1), refused_save)
            send(app, token, end)
            answer = request.finish()

        assert answer.value is True
        assert answer.cookies == []
        assert refused
        assert "secret" not in send(app, token, read).value

    def test_logout_between_two_saves(self, app, token, store):
        """A loop that saves again and again ends when the user logs out elsewhere."""

        def steps() -> bool:
            session["n"] = 1
            hard.save()
            send(app, token, logout)
            session["n"] = 2
            return refused_save()

        assert send(app, token, steps).value is True
        assert send(app, token, read).value == {}
        assert len(rows(store, TOMBSTONE)) == 1


class TestEnd:
    """A session that times out while something is open for it."""

    @pytest.mark.parametrize("again", [False, True], ids=["first", "further"])
    def test_it_revives_no_session_that_timed_out(self, app, token, again):
        """A session whose idle timeout passed meanwhile is over, though its row is there; at the second."""
        with freeze_time(START) as clock:
            token = send(app, None, login(), write(draft="x")).token
            saved: list[Any] = []

            def steps() -> None:
                session.get("draft")
                if again:
                    session["n"] = 0
                    hard.save()
                clock.tick(1799)
                session["n"] = 1
                hard.save()
                clock.tick(1800)
                session["n"] = 2
                saved.append(refused_save())

            send(app, token, steps)

            assert saved == [True]
            assert send(app, token, lambda: current_session.ended).value == "idle_timeout"

    def test_other_tabs_keep_it_alive(self, app):
        """Activity elsewhere counts, as it does for everybody."""
        with freeze_time(START) as clock:
            token = send(app, None, login(), write(draft="x")).token

            def steps() -> None:
                session.get("draft")
                clock.tick(1700)
                send(app, token, read)
                clock.tick(200)
                session["n"] = 1
                hard.save()

            assert send(app, token, steps).errors == []
            assert send(app, token, read).value == {"draft": "x", "n": 1}

    @pytest.mark.parametrize("again", [False, True], ids=["first", "further"])
    def test_it_is_activity(self, app, again):
        """Without a change it writes the activity down, once in a touch interval, and brings what others wrote."""
        with freeze_time(START) as clock:
            token = send(app, None, login(), write(draft="x")).token

            def steps() -> dict[str, Any]:
                session.get("draft")
                if again:
                    session["n"] = 0
                    hard.save()
                    send(app, token, write(b=2))
                clock.tick(1000)
                hard.save()
                return dict(session)

            seen = send(app, token, steps).value
            clock.tick(1000)

            assert seen == ({"draft": "x", "n": 0, "b": 2} if again else {"draft": "x"})
            assert send(app, token, read).value == seen

    @pytest.mark.parametrize("last", [save, lambda: None, write(n=1)], ids=["save", "nothing", "write"])
    def test_request_that_took_too_long(self, app, last):
        """Neither it nor the end of a request makes a session live on that had timed out while the request ran."""
        with freeze_time(START) as clock:
            token = send(app, None, login(), write(draft="x")).token

            answer = send(app, token, lambda: session.get("draft"), lambda: clock.tick(1800), last)

            assert answer.errors == []
            assert answer.cookies == []
            assert send(app, token, lambda: current_session.ended).value == "idle_timeout"


class TestNewToken:
    """What needs a new token cannot be written without an answer."""

    @pytest.mark.parametrize(
        "change",
        [
            login("bob"),
            login(),
            regenerate,
            clear_and_write(x=1),
            write(role="admin"),
            write(user_id="bob"),
            make_permanent,
        ],
        ids=["login", "login again", "regenerate", "clear and write", "right", "identity", "permanent"],
    )
    def test_is_refused_and_left_to_the_answer(self, app, token, store, change):
        """Nothing is written then; the answer does it."""
        store.verbs()

        answer = send(app, token, change, refused_save, store.verbs)

        assert answer.values[-2:] == [False, ["get"]]
        assert answer.token
        assert answer.errors == []

    def test_logout_of_the_identity_alone(self, app):
        """To pop the key that names the user is a logout after which the session goes on under a new id."""
        token = send(app, None, write(user_id="ada", theme="dark")).token

        answer = send(app, token, pop, refused_save)

        assert answer.value is False
        assert send(app, answer.token, read).value == {"theme": "dark"}

    def test_new_session(self, app, store):
        """A visitor without a session gets one by an answer alone."""
        answer = send(app, None, write(a=1), refused_save)

        assert answer.value is False
        assert send(app, answer.token, read).value == {"a": 1}
        assert len(rows(store)) == 1

    def test_logout_is_written(self, app, token, store):
        """A mere logout needs no token: it counts at once, is told once, and the answer deletes the cookie."""
        destroyed: list[Any] = []
        with session_destroyed.connected_to(lambda _, **fields: destroyed.append(fields), sender=app):
            request = Slow(app, token, both(logout, save))
            seen = send(app, token, read).value
            answer = request.finish()

        assert seen == {}
        assert answer.deletes
        assert len(destroyed) == 1

    def test_logout_after_a_save(self, app, token):
        """A logout is as final when this request wrote the row before, and when another one wrote it since."""
        request = Slow(app, token, both(write(a=1), save), logout)
        send(app, token, write(b=2))

        answer = request.finish()

        assert answer.deletes
        assert send(app, token, read).value == {}

    def test_login_after_a_save(self, app, token, store):
        """A new id takes along what was saved before, and what another one wrote since."""
        request = Slow(app, token, both(write(a=1), save), login())
        send(app, token, write(b=2))

        answer = request.finish()

        assert send(app, token, read).value == {}
        assert send(app, answer.token, read).value == {"draft": "Ada's", "cart": ["tea"], "a": 1, "b": 2}

    def test_message_after_a_saved_logout(self, app, token):
        """What is stored after a logout that was saved begins a new session, by the answer."""
        answer = send(app, token, both(logout, save), write(message="Good bye."), refused_save)

        assert answer.value is False
        assert send(app, token, read).value == {}
        assert send(app, answer.token, read).value == {"message": "Good bye."}


class TestFailure:
    """What goes wrong is raised in the view."""

    def test_store_away(self, app, token, store):
        """An outage is raised where the view can catch it, and nothing is tried a second time in this request."""

        def steps() -> None:
            session["a"] = 1
            with Outage(store) as outage, pytest.raises(StoreError):
                hard.save()
            assert outage.failed == 1
            with pytest.raises(StoreError):
                hard.save()

        store.verbs()
        answer = send(app, token, steps)

        assert answer.errors == []
        assert store.verbs() == ["get", "replace"]
        assert send(app, token, read).value == {"draft": "Ada's", "cart": ["tea"]}

    def test_store_away_from_the_start(self, store):
        """A session that an outage emptied is never written."""
        app = make_app(store, SESSION_STORE_OUTAGE="anonymous")
        token = send(app, None, write(a=1)).token

        def steps() -> None:
            session["b"] = 2
            with pytest.raises(StoreError):
                hard.save()

        with Outage(store):
            answer = send(app, token, steps)

        assert answer.cookies == []
        assert send(app, token, read).value == {"a": 1}

    def test_value_that_cannot_be_stored(self, app, token):
        """It may be mended, and saved then."""

        def steps() -> None:
            session["a"] = object()
            with pytest.raises(SerializationError):
                hard.save()
            session["a"] = 1

        assert send(app, token, steps).errors == []
        assert send(app, token, read).value["a"] == 1


class TestStream:
    """A generator that streams an answer runs after the session was saved."""

    @pytest.fixture
    def stream(self, app) -> Callable[..., None]:
        """Stream an answer by some steps to the browser with a token."""

        stream: dict[str, Any] = {}

        @app.route("/stream", endpoint="stream")
        def view() -> Response:
            if stream["touch"]:
                session.get("a")

            def generate() -> Any:
                for step in stream["steps"]:
                    yield str(step())

            return Response(stream_with_context(generate()))

        def do(token: str, *steps: Callable[[], Any], touch: bool = True) -> None:
            stream.update(steps=steps, touch=touch)
            client = app.test_client(use_cookies=False)
            client.get("/stream", headers={"Cookie": f"__Host-Http-session={token}"}, buffered=True).close()

        return do

    @pytest.mark.parametrize("touch", [False, True], ids=["opened by the stream", "opened by the view"])
    def test_save_writes_it(self, app, stream, token, caplog, touch):
        """What it changes and saves is there, and needs no warning."""
        with caplog.at_level(logging.WARNING, "hardsession"):
            stream(token, write(progress=1), save, write(progress=2), save, touch=touch)

        assert send(app, token, read).value["progress"] == 2
        assert caplog.records == []

    @pytest.mark.parametrize("touch", [False, True], ids=["opened by the stream", "opened by the view"])
    @pytest.mark.parametrize("change", [write(progress=1), logout, login("bob"), regenerate, lambda: session.clear()])
    def test_lost_change_is_a_warning(self, app, stream, token, caplog, change, touch):
        """What it changes without saving is lost, and one line in the log says so and names hard.save()."""
        with caplog.at_level(logging.WARNING, "hardsession"):
            stream(token, change, touch=touch)

        (record,) = (record for record in caplog.records if record.name == "hardsession")
        assert record.getMessage() == (
            "The session was changed after its answer was made, in the endpoint 'stream', and the change is lost. In a "
            "store, hard.save() writes it."
        )
        assert send(app, token, read).value == {"draft": "Ada's", "cart": ["tea"]}

    def test_reading_is_none(self, stream, token, caplog):
        """Who only reads hears nothing."""
        with caplog.at_level(logging.WARNING, "hardsession"):
            stream(token, read, read)

        assert caplog.records == []


def test_in_cookie_mode(app: Flask, store: Watched) -> None:
    """Where sessions are in the cookie it says why nothing can be saved without an answer, whatever changed."""
    app = make_app(store, SESSION_STORE=None)

    answer = send(app, None, read, refused_save)

    assert answer.errors == []
    assert answer.value is False


def test_with_a_token_in_a_header(store: Watched) -> None:
    """A session whose token travels in the header is saved as any other."""
    app = make_app(store, SESSION_TOKEN_HEADER="X-Session-Token")

    def request(token: str, step: Callable[[], Any]) -> Any:
        environ = {"act": step, "errors": []}
        return app.test_client().get("/", headers={"X-Session-Token": token}, environ_overrides=environ)

    token = request("new", write(a=1)).headers["X-Session-Token"]
    seen: list[Any] = []

    request(token, both(write(b=2), save, lambda: request(token, lambda: seen.append(read()))))

    assert seen == [{"a": 1, "b": 2}]
