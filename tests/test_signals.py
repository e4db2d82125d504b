"""Every signal: when it is sent, by whom, and what it tells."""

from __future__ import annotations

import os
import re
import string

import pytest
from flask import session
from freezegun import freeze_time

from hardsession import HardSession, Key, SessionTooLargeError, signals

NAME = "__Host-Http-session"
LOG_NAME = re.compile(r"[0-9a-f]{16}")
hard = HardSession()


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time("2030-01-01 12:00:00") as frozen:
        yield frozen


@pytest.fixture
def visitor(client, act):
    """A browser with an anonymous session."""
    act(client, lambda: session.update(a=1))
    return client


@pytest.fixture
def log_name(events):
    """The log name that the last event gave."""
    return lambda: events[-1][1]["session"]


OF_A_STORE = {
    *("session_revoked", "session_use_after_end", "session_renewed", "session_cloned"),
    *("write_refused", "write_merged", "store_failed"),
}
"""Those that only a store can give occasion to: tests/test_registry.py, tests/test_server_side.py and tests/races."""


def test_signals_are_a_closed_set():
    """Whoever listens to all of them hears of these events and of no others."""
    assert [signal.name for signal in signals.ALL] == [
        "session_created",
        "session_regenerated",
        "session_renewed",
        "session_cloned",
        "session_expired",
        "session_destroyed",
        "session_revoked",
        "session_use_after_end",
        "session_rejected",
        "session_too_large",
        "keys_refused",
        "write_refused",
        "write_merged",
        "store_failed",
    ]


class TestLife:
    """The events of a session's life, each once and in its order."""

    def test_created(self, events, visitor, act):
        """A session begins with its first token, not with a look at it."""
        act(visitor, lambda: session["a"])
        act(visitor.application.test_client(), lambda: session.get("a"))

        ((name, fields),) = events
        assert name == "session_created"
        assert fields.keys() == {"session"}
        assert LOG_NAME.fullmatch(fields["session"])

    def test_log_name_is_no_handle(self, events, visitor, act, token):
        """The name in an event is neither the public handle nor a part of the token, and stays with the session."""
        handle = act(visitor, lambda: session.handle).value

        act(visitor, lambda: hard.regenerate())

        (_, created), (_, regenerated) = events
        assert created["session"] == regenerated["session"]
        assert created["session"] not in (handle, token(visitor))

    def test_writes_and_reads_are_no_events(self, clock, events, visitor, act):
        """What happens inside a session, activity among it, is not told."""
        for _ in range(3):
            act(visitor, lambda: session.update(a=session["a"] + 1))
            clock.tick(61)
            act(visitor, lambda: session["a"])

        assert [name for name, _ in events] == ["session_created"]

    @pytest.mark.parametrize(
        ("what", "same"),
        [
            (lambda: hard.regenerate(), True),
            (lambda: session.update(role="editor"), True),
            (lambda: hard.login("ada"), False),
            (lambda: session.update(user_id=7), False),
        ],
        ids=["on demand", "privilege", "login", "identity"],
    )
    def test_regenerated(self, events, visitor, act, log_name, what, same):
        """A new id is told with the name before; a login changes the name, since it begins another session."""
        before = log_name()

        act(visitor, what)

        ((name, fields),) = events[1:]
        assert name == "session_regenerated"
        assert fields.keys() == {"session", "previous"}
        assert fields["previous"] == before
        assert (fields["session"] == before) is same

    def test_login_without_a_session_creates_one(self, events, client, act):
        """Who logs in at once gets a session, not a new id of one."""
        act(client, lambda: hard.login("ada"))

        assert [name for name, _ in events] == ["session_created"]

    @pytest.mark.parametrize(
        "what", [lambda: hard.logout(), lambda: session.clear(), lambda: session.pop("a")], ids=["out", "clear", "pop"]
    )
    def test_destroyed(self, events, visitor, act, log_name, what):
        """A logout, a cleared session and one that lost its last key are told as destroyed."""
        before = log_name()

        act(visitor, what)

        assert events[1:] == [("session_destroyed", {"session": before, "reason": "logged_out"})]

    @pytest.mark.parametrize(
        "what",
        [lambda: (hard.logout(), session.update(b=2)), lambda: session.pop("user_id")],
        ids=["written after", "other data left"],
    )
    def test_destroyed_and_created(self, events, visitor, act, log_name, what):
        """A logout after which the session goes on is the end of one session and the beginning of another."""
        act(visitor, lambda: session.update(user_id=7))
        before = log_name()

        act(visitor, what)

        (ended, fields), (begun, others) = events[2:]
        assert (ended, fields) == ("session_destroyed", {"session": before, "reason": "logged_out"})
        assert begun == "session_created"
        assert others["session"] != before

    def test_logout_of_nobody_is_no_event(self, events, client, act):
        """Where no session came, none is destroyed."""
        act(client, lambda: hard.logout())

        assert events == []

    @pytest.mark.parametrize(
        ("config", "seconds", "reason"),
        [
            ({}, 1800, "idle_timeout"),
            ({"SESSION_ABSOLUTE_TIMEOUT": 1800}, 1800, "absolute_timeout"),
        ],
    )
    def test_expired(self, events, make_app, act, clock, log_name, config, seconds, reason):
        """A session that is over is told under its name, with the clock that ran out, whenever a request brings it."""
        client = make_app(**config).test_client()
        act(client, lambda: session.update(a=1))
        before = log_name()

        clock.tick(seconds - 1)
        act(client.application.test_client(), lambda: session.get("a"))
        assert len(events) == 1

        clock.tick(1)
        act(client, lambda: session.get("a"))
        act(client, lambda: session.get("a"))

        assert events[1:] == [("session_expired", {"session": before, "reason": reason})] * 2

    def test_too_large(self, events, visitor, act, log_name):
        """A session that does not fit is told with its size, and that the answer is an error."""
        before = log_name()

        with pytest.raises(SessionTooLargeError) as caught:
            act(visitor, lambda: session.update(a="x" * 4000))

        assert events[1:] == [("session_too_large", {"session": before, "size": caught.value.size, "kept": False})]

    def test_too_large_and_kept(self, events, make_app, act):
        """Where the old cookie stays, the event says so; a session that never began is not created."""
        client = make_app(SESSION_COOKIE_OVERSIZE="keep").test_client()

        act(client, lambda: session.update(a="x" * 4000))

        ((name, fields),) = events
        assert name == "session_too_large"
        assert fields["kept"] is True
        assert fields["size"] > 4096


class TestRejected:
    """A token that is not ours."""

    @pytest.mark.parametrize(
        ("forge", "reason"),
        [
            (lambda token: "x", "length"),
            (lambda token: token + "=", "encoding"),
            (lambda token: "AAAA" + token[4:], "format"),
            (lambda token: token[:4] + "AgAA" + token[8:], "purpose"),
            (lambda token: token[:6] + "AAAA" + token[10:], "unknown_key"),
            (lambda token: token[:-8] + ("A" * 8 if token[-8:] != "A" * 8 else "B" * 8), "not_authentic"),
        ],
    )
    def test_reason(self, events, visitor, act, token, forge, reason):
        """Each way in which a token fails is told by its reason, and the session is nobody's."""
        visitor.set_cookie(NAME, forge(token(visitor)))

        act(visitor, lambda: session.get("a"))

        assert events[1:] == [("session_rejected", {"session": None, "reason": reason})]

    def test_untouched_token_is_not_judged(self, events, visitor, act):
        """A view without a session does not look at what came."""
        visitor.set_cookie(NAME, "x" * 200)

        act(visitor, lambda: None)

        assert [name for name, _ in events] == ["session_created"]

    def test_is_told_once_a_request(self, events, visitor, act):
        """However often a view looks into the session, one token is one event."""
        visitor.set_cookie(NAME, "x" * 200)

        act(visitor, lambda: [session.get("a") for _ in range(5)])

        assert [name for name, _ in events] == ["session_created", "session_rejected"]


def test_keys_refused(events, make_app, act, tmp_path):
    """A file of keys that went bad is told with what is wrong with it; it concerns no single session."""
    file = tmp_path / "keys"
    file.write_text(Key.generate().text)
    client = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file)).test_client()
    act(client, lambda: session.update(a=1))

    file.write_text("dev")
    act(client, lambda: session["a"])

    assert events[1:] == [
        (
            "keys_refused",
            {"session": None, "reason": "the file cannot be used: a key has 3 bytes, and 32 are the least."},
        )
    ]


class Scenario:
    """One situation for each signal."""

    def __init__(self, make_app, act, folder):
        self.file = folder / "keys"
        self.file.write_text(Key.generate().text)
        self.app = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(self.file))
        self.act = act

    def play(self):
        """Let each of the events happen."""
        with freeze_time("2030-01-01 12:00:00") as now:
            client = self.app.test_client()
            self.act(client, lambda: session.update(secret=string.ascii_letters))
            self.act(client, lambda: hard.login("ada"))
            with pytest.raises(SessionTooLargeError):
                self.act(client, lambda: session.update(secret=string.ascii_letters * 100))
            self.file.write_text("dev" + string.ascii_letters[:20])
            os.utime(self.file, ns=(1, 1))
            self.act(client, lambda: session["secret"])
            now.tick(1800)
            self.act(client, lambda: session.get("secret"))
            self.act(client, lambda: session.update(a=1))
            self.act(client, lambda: hard.logout())
            client.set_cookie(NAME, "x" * 200)
            self.act(client, lambda: session.get("a"))


@pytest.fixture
def scenario(make_app, act, tmp_path):
    return Scenario(make_app, act, tmp_path)


def test_every_signal_is_sent(scenario, events):
    """Each of the signals is sent in its situation."""
    scenario.play()

    assert {name for name, _ in events} == {signal.name for signal in signals.ALL} - OF_A_STORE


def test_sender_is_the_application(scenario, make_app):
    """Each signal comes from the application itself, so that a receiver can listen to one of several."""
    seen = {signal.name: [] for signal in signals.ALL}
    others = []
    other = make_app()
    receivers = []
    for signal in signals.ALL:

        def receive(sender, _name=signal.name, **_):
            seen[_name].append(sender)

        def overhear(sender, **_):
            others.append(sender)

        receivers += [(signal, receive), (signal, overhear)]
        signal.connect(receive, sender=scenario.app)
        signal.connect(overhear, sender=other)

    scenario.play()

    for signal, receiver in receivers:
        signal.disconnect(receiver)
    assert {name for name, senders in seen.items() if not senders} == OF_A_STORE
    assert all(sender is scenario.app for senders in seen.values() for sender in senders)
    assert others == []


def test_no_signal_carries_a_secret(scenario, events):
    """No field of any signal holds a token, a key or what a session holds."""
    scenario.play()

    text = repr(events)
    assert "hs1_" not in text
    assert string.ascii_letters[:10] not in text


class TestReceiverThatUsesTheSession:
    """A receiver runs inside the request, and may look into its session."""

    @pytest.fixture
    def receive(self):
        """Do something at a signal, and count how often."""
        connected = []

        def connect(signal, what):
            calls = []

            def receiver(sender, **fields):
                calls.append(what())
                assert len(calls) < 10

            signal.connect(receiver)
            connected.append((signal, receiver))
            return calls

        yield connect
        for signal, receiver in connected:
            signal.disconnect(receiver)

    @pytest.mark.parametrize(
        "what",
        [
            lambda: session.get("a"),
            lambda: dict(session),
            lambda: session.handle,
            lambda: session.ended,
            lambda: session.update(note="rejected"),
            lambda: session.clear(),
            lambda: hard.logout(),
            lambda: hard.regenerate(),
        ],
        ids=["get", "dict", "handle", "ended", "write", "clear", "logout", "regenerate"],
    )
    def test_rejected_does_not_recurse(self, visitor, act, receive, what):
        """A receiver of `session_rejected` that touches the session is called once, and finds it empty."""
        calls = receive(signals.session_rejected, what)
        visitor.set_cookie(NAME, "x" * 200)

        answer = act(visitor, lambda: session.get("a"))

        assert len(calls) == 1
        assert answer.value is None
        assert answer.response.status_code == 200

    def test_rejected_may_write(self, visitor, act, receive):
        """What a receiver of `session_rejected` stores is in the session that begins."""
        receive(signals.session_rejected, lambda: session.update(note="rejected"))
        visitor.set_cookie(NAME, "x" * 200)

        act(visitor, lambda: session.get("a"))

        assert act(visitor, lambda: dict(session)).value == {"note": "rejected"}

    def test_expired_does_not_recurse(self, client, act, receive, clock):
        """A receiver of `session_expired` that touches the session is called once, and sees why it ended."""
        calls = receive(signals.session_expired, lambda: session.ended)
        act(client, lambda: session.update(a=1))
        clock.tick(1800)

        act(client, lambda: session.get("a"))

        assert calls == ["idle_timeout"]

    def test_created_may_look(self, client, act, receive):
        """A receiver of `session_created` sees what was stored."""
        calls = receive(signals.session_created, lambda: dict(session))

        act(client, lambda: session.update(a=1))

        assert calls == [{"a": 1}]
