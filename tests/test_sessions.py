"""What `flask.session` is for a view."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from flask import copy_current_request_context, flash, get_flashed_messages, session
from markupsafe import Markup

from hardsession import SerializationError, current_session
from hardsession.modes import Opened
from hardsession.policy import PROFILES
from hardsession.sessions import Loaded, Rules, Session


def test_value_comes_back(client, act):
    """What one request stores the next one reads."""
    act(client, lambda: session.update(cart=["tea"], count=2))

    stored = act(client, lambda: dict(session)).value

    assert stored == {"cart": ["tea"], "count": 2}


@pytest.mark.parametrize("format", ["json", "msgpack"])
def test_types_come_back(make_app, act, format):
    """Each supported type comes back as itself, in both formats."""
    client = make_app(SESSION_SERIALIZATION_FORMAT=format).test_client()
    values = {
        "tuple": (1, (2, [3])),
        "bytes": b"\x00\xff",
        "markup": Markup("<b>"),
        "uuid": uuid4(),
        "datetime": datetime(2026, 11, 24, 9, 30, 1, 5, tzinfo=UTC),
        "date": date(2026, 11, 24),
        "timedelta": timedelta(days=-1, microseconds=3),
        "decimal": Decimal("1.10"),
        "set": {1, "two"},
        "frozenset": frozenset({(1, 2)}),
        "int keys": {1: "one", None: 0},
        "tag alike": {" t": [1]},
        "nothing": None,
    }

    act(client, lambda: session.update(values))
    stored = act(client, lambda: dict(session)).value

    assert stored == values
    assert {key: type(value) for key, value in stored.items()} == {key: type(value) for key, value in values.items()}


def test_nested_change_is_saved(client, act):
    """A change inside a stored list is saved without `session.modified`."""
    act(client, lambda: session.update(cart=[]))

    act(client, lambda: session["cart"].append("tea"))

    assert act(client, lambda: session["cart"]).value == ["tea"]


def test_unchanged_session_is_not_written(client, act):
    """A request that only reads, or writes what was there, sets no cookie."""
    act(client, lambda: session.update(cart=["tea"]))

    read = act(client, lambda: session["cart"])
    rewritten = act(client, lambda: session.update(cart=["tea"]))

    assert read.cookies == []
    assert rewritten.cookies == []


def test_untouched_session_costs_nothing(client, act, events, monkeypatch):
    """A view without a session opens no token, and its answer says nothing of cookies."""
    act(client, lambda: session.update(a=1))
    monkeypatch.setattr("hardsession.modes.cookie.CookieMode.open", lambda *_: pytest.fail("the token was opened"))

    answer = act(client, lambda: None)

    assert answer.cookies == []
    assert "Vary" not in answer.response.headers
    assert [name for name, _ in events] == ["session_created"]


def test_empty_session_is_false_and_sets_nothing(client, act):
    """A session nobody wrote to is false and leaves no cookie, even a permanent one."""

    def look():
        session.permanent = True
        return bool(session)

    answer = act(client, look)

    assert answer.value is False
    assert answer.cookies == []


def test_bookkeeping_is_not_in_the_mapping(client, act):
    """Times, owner and permanence never show among the session's keys."""

    def fill():
        session.permanent = True
        current_session.login("ada")

    act(client, fill)

    assert act(client, lambda: (dict(session), session.permanent, bool(session))).value == ({}, True, False)


def test_mapping_methods(client, act):
    """The session does what a dict does."""

    def use():
        session.update(a=1, b=2, c=3)
        del session["a"]
        return (
            session.pop("b"),
            session.setdefault("d", 4),
            sorted(session),
            len(session),
            "c" in session,
            session.copy(),
        )

    assert act(client, use).value == (2, 4, ["c", "d"], 2, True, {"c": 3, "d": 4})


def test_modified_follows_assignments(client, act):
    """`modified` tells whether a key was assigned or deleted, as with Flask."""
    act(client, lambda: session.update(a=1))

    def look():
        before = session.modified
        del session["a"]
        return before, session.modified

    assert act(client, look).value == (False, True)


def test_new_until_it_began(client, act):
    """`new` is true until a session came with the request."""
    first = act(client, lambda: (session.new, session.update(a=1))[0]).value

    second = act(client, lambda: session.new).value

    assert (first, second) == (True, False)


def test_repr_hides_the_data(client, act):
    """The session's repr shows nothing of what it holds."""
    text = act(client, lambda: (session.update(secret="hunter2"), repr(session._get_current_object()))[1]).value

    assert text == "<Session>"


def test_unstorable_value_names_its_place(client, act):
    """A value that cannot be stored is an error that says where it stands, and nothing is set."""
    with pytest.raises(SerializationError, match=r"session\['cart'\]\[1\]\['item'\] is of the type object") as caught:
        act(client, lambda: session.update(cart=[0, {"item": object()}]))

    assert caught.value.path == ("cart", 1, "item")
    assert isinstance(caught.value, TypeError)


def test_error_page_after_failed_save(make_app, act):
    """When saving fails, the error page is served and no cookie is set."""
    client = make_app(PROPAGATE_EXCEPTIONS=False).test_client()

    answer = act(client, lambda: session.update(a=object()))

    assert answer.response.status_code == 500
    assert answer.cookies == []
    assert answer.response.headers["Vary"] == "Cookie"


def test_flashes_survive_a_redirect(client, act):
    """A flashed message, with Markup and category, is there once and then gone."""
    act(client, lambda: flash(Markup("<b>saved</b>"), "info"))

    first = act(client, lambda: get_flashed_messages(with_categories=True)).value
    second = act(client, lambda: get_flashed_messages()).value

    assert first == [("info", Markup("<b>saved</b>"))]
    assert isinstance(first[0][1], Markup)
    assert second == []


def test_session_transaction(app, act):
    """Flask's `session_transaction` reads and writes the session outside of a request."""
    client = app.test_client()

    with client.session_transaction() as stored:
        stored["a"] = 1
    with client.session_transaction() as stored:
        read = dict(stored)

    assert read == {"a": 1}
    assert act(client, lambda: session["a"]).value == 1


def test_session_transaction_without_a_touch_writes_nothing(client):
    """Opening a transaction and doing nothing sets no cookie."""
    with client.session_transaction():
        pass

    assert client.get_cookie("__Host-Http-session") is None


def test_copied_context_loads_once(client, act, monkeypatch):
    """Threads that share a request load its session once."""
    act(client, lambda: session.update(a=1))
    opened = []
    original = Session.fill
    monkeypatch.setattr(Session, "fill", lambda self, loaded: (opened.append(loaded), original(self, loaded))[1])
    barrier = threading.Barrier(8)
    seen = []

    def look():
        def worker():
            barrier.wait()
            seen.append(session["a"])

        threads = [threading.Thread(target=copy_current_request_context(worker)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    act(client, look)

    assert seen == [1] * 8
    assert len(opened) == 1


def test_waiting_thread_finds_it_loaded(monkeypatch):
    """A thread that came while another loads waits for it, and does not load again."""
    arrived, loads = threading.Event(), []

    class Door:
        """A lock that tells when the second one comes to it."""

        lock = threading.RLock()

        def __enter__(self):
            if loads:
                arrived.set()
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    def load(session):
        loads.append(session)
        second.start()
        arrived.wait()
        session.fill(Loaded(lifetime=60, began=0, opened=Opened(), data={"a": 1}))

    session = Session(None, load, Rules(PROFILES["standard"]), lambda _: None)
    session._lock = Door()
    second = threading.Thread(target=lambda: session["a"])

    assert session["a"] == 1
    second.join()
    assert len(loads) == 1


def test_sid_warns_and_names_the_handle(client, act):
    """`session.sid`, which is flask-session's, warns and gives the handle."""
    act(client, lambda: session.update(a=1))

    with pytest.warns(UserWarning, match="handle"):
        sid, handle = act(client, lambda: (session.sid, session.handle)).value

    assert sid == handle


def test_metadata_of_no_session(client, act):
    """Before it begins, a session has no times and no handle."""
    names = ("created_at", "last_seen_at", "authenticated_at", "expires_in", "handle", "ended")

    values = act(client, lambda: [getattr(current_session, name) for name in names]).value

    assert values == [None] * 6


def test_registered_tag(app, act):
    """A type of the application's own is stored once its JSONTag is registered, as with Flask."""
    from flask.json.tag import JSONTag

    class TagComplex(JSONTag):
        key = " c"

        def check(self, value):
            return isinstance(value, complex)

        def to_json(self, value):
            return [value.real, value.imag]

        def to_python(self, value):
            return complex(*value)

    app.session_interface.serializer.register(TagComplex)
    client = app.test_client()

    act(client, lambda: session.update(z=1 + 2j))

    assert act(client, lambda: session["z"]).value == 1 + 2j


def test_signing_serializer_stays_flasks(make_app):
    """`get_signing_serializer` signs as Flask's own does, for code that signs other things with it."""
    from flask.sessions import SecureCookieSessionInterface

    app = make_app(SECRET_KEY="a key for other things, long enough")
    signed = SecureCookieSessionInterface().get_signing_serializer(app).dumps({"a": (1,)})

    assert app.session_interface.get_signing_serializer(app).loads(signed) == {"a": (1,)}
