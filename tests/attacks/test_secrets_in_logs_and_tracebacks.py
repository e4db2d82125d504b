"""The attacker reads what the application writes about itself: logs, error reports, a debugger's page.

Promised is: no log line, event, `str` or `repr` of an object or exception of ours, and no formatted traceback, holds a
token, a key, anything derived from a key, or a value that a session holds; where in the session a fault lies is told by
the names of keys. An error report that adds the local variables of every frame shows what the application handed over
in the failing call, as it does for any library; tokens that open something, and keys, are in none of ours.
"""

from __future__ import annotations

import gc
import logging
import traceback
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import MethodType

import pytest
from flask import session

import hardsession
from hardsession import ConfigError, HardSession, Key, Passphrase, SerializationError, SessionTooLargeError
from hardsession.crypto.ids import Lineage, SessionSecret
from hardsession.crypto.keys import RingKey
from hardsession.record import Header, Metadata, Moved, Record, Reference, UserList
from hardsession.settings import Settings

NAME = "__Host-Http-session"
PAYLOAD = "hunter2"
PASSPHRASE = Passphrase("correct horse battery staple", "salt of this test")


@pytest.fixture
def secrets(app, victim, attacker, act):
    """Every secret of the victim's session and its application, in each spelling that could end up in a text."""
    act(victim, lambda: session.update(draft=PAYLOAD))
    key = Key(app.config["SESSION_SECRET_KEYS"][0])
    ring_key = RingKey.derive(key.material())
    raw = [key.material(), ring_key.token, ring_key.rows, ring_key.index]
    spellings = [
        spelling for secret in raw for spelling in (secret.hex(), repr(secret)[2:-1], secret.decode("latin-1"))
    ]
    return [PAYLOAD, attacker.steals(victim), key.text, PASSPHRASE.text, *spellings]


def leaks(text: str, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets if secret in text]


class TestLogsAndEvents:
    """What is written down while the application runs."""

    @pytest.fixture
    def busy(self, app, victim, attacker, act, secrets, caplog, events):
        """The log records and events of everything that makes the library speak, at the most talkative level."""
        caplog.set_level(logging.DEBUG)
        good = attacker.steals(victim)
        act(victim, lambda: session.update(a=1), base_url="http://www.example.org")
        act(victim, lambda: HardSession().login("bob"))
        act(victim, lambda: (HardSession().regenerate(), session.update(draft=PAYLOAD)))
        for bad in (good[:-8] + "AAAAAAAA", good + "=", "x", f"{good}; {NAME}={good}", good[:10] + "AA" + good[12:]):
            attacker.shows(bad)
        for value in ({PAYLOAD: object()}, {"x": PAYLOAD * 1000}, {"x": [PAYLOAD, object()]}):
            with pytest.raises((SerializationError, SessionTooLargeError)):
                act(victim, lambda value=value: session.update(other=value))
        app.config["SESSION_PROFILE"] = "high"
        app.config["SECRET_KEY"] = PASSPHRASE.text
        act(victim, lambda: HardSession().logout())
        return list(caplog.records), list(events)

    def test_no_log_line_holds_a_secret(self, busy, secrets):
        """Neither the message of a log record nor anything attached to it holds a token, a key or data."""
        records, _ = busy
        assert {record.name for record in records} >= {"hardsession", "hardsession.audit"}

        for record in records:
            assert leaks(f"{record.getMessage()} {record.__dict__}", secrets) == []

    def test_no_event_holds_a_secret(self, busy, secrets):
        """Nor does any field of an event."""
        _, events = busy
        assert len({name for name, _ in events}) >= 4

        assert leaks(repr(events), secrets) == []

    def test_bad_key_file_is_reported_without_its_lines(self, make_app, act, tmp_path, caplog, events):
        """A file of keys that was damaged is reported in log and event, without what stands in it."""
        file, good = tmp_path / "keys", Key.generate().text
        file.write_text(good)
        browser = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file)).test_client()
        act(browser, lambda: session.update(a=1))

        for damaged in (good[:-1], f"{good}\n{good}", good[5:20]):
            file.write_text(damaged)
            act(browser, lambda: session.get("a"))

        assert [name for name, _ in events].count("keys_refused") == 3
        assert leaks(caplog.text + repr(events), [good, good[:-1], good[5:20]]) == []


class TestObjects:
    """`repr` and `str`, which every debugger, log call and error report uses."""

    def test_no_object_shows_a_secret(self, app, victim, secrets, act):
        """Every object of ours that can be reached from a session or its interface keeps its secrets to itself."""
        found = act(victim, lambda: [session["draft"], *reachable(session._get_current_object())]).value[1:]
        found += [
            *reachable(app.session_interface),
            *reachable(Settings.read(app.config)),
            app.extensions["hardsession"],
        ]

        assert len({type(thing).__name__ for thing in found} & EXPECTED) == len(EXPECTED)
        for thing in found:
            assert leaks(f"{thing!r} {thing!s}", secrets) == [], type(thing)

    @pytest.mark.parametrize(
        "thing",
        [
            Key("k" * 20 + PAYLOAD + "k" * 20),
            Key((PAYLOAD * 10).encode()),
            Passphrase(PAYLOAD * 3, PAYLOAD * 2),
            RingKey(b"id id", PAYLOAD.encode(), PAYLOAD.encode(), PAYLOAD.encode()),
            SessionSecret(PAYLOAD.encode().ljust(32)),
            Lineage(PAYLOAD.encode().ljust(16)),
            Header(1, 2, 3, 0, 1, 0, Lineage(PAYLOAD.encode().ljust(16)), metadata=Metadata(owner=PAYLOAD)),
            Record(Header(1, 2, 3, 0, 1, 0, Lineage.new()), PAYLOAD.encode()),
            Reference(1, 2, SessionSecret(PAYLOAD.encode().ljust(32))),
            Moved(1, 2, SessionSecret(PAYLOAD.encode().ljust(32)), 3),
            UserList(1, PAYLOAD),
        ],
        ids=lambda thing: type(thing).__name__,
    )
    def test_no_value_shows_what_it_wraps(self, thing):
        """Keys, secrets, names and payloads are in no text that is made of the value that wraps them."""
        assert PAYLOAD not in f"{thing!r} {thing!s} {thing}"
        assert PAYLOAD not in repr([thing])
        assert PAYLOAD not in f"{[thing]} { ({'thing': thing}) } {ValueError(thing)!r}"


FAILURES = {
    "unstorable": lambda: session.update(other=[1, {"deep": object()}]),
    "too large": lambda: session.update(other=PAYLOAD * 1000),
    "too deep": lambda: session.update(other=_nested()),
    "surrogate key": lambda: session.update({"other": {"\ud800": object()}}),
    "view": lambda: session["missing"],
}


class TestErrors:
    """Exceptions and their tracebacks, as they go to logs and error reports."""

    @pytest.fixture
    def error(self, request, victim, secrets, act):
        """What a request raised."""
        with pytest.raises((SerializationError, SessionTooLargeError, KeyError)) as caught:
            act(victim, FAILURES[request.param])
        return caught.value

    @pytest.mark.parametrize("error", FAILURES, indirect=True)
    def test_no_error_shows_a_secret(self, error, secrets):
        """Text, arguments and attributes of an error tell sizes and names of keys, and nothing they hold."""
        assert leaks(f"{error!r} {error!s} {error.args} {vars(error)}", secrets) == []

    @pytest.mark.parametrize("error", FAILURES, indirect=True)
    def test_no_traceback_shows_a_secret(self, error, secrets):
        """Nor does its traceback, with everything that led to it, apart from the application's own source lines."""
        text = "".join(traceback.format_exception(error))

        assert leaks(text, secrets) == []

    @pytest.mark.parametrize("error", FAILURES, indirect=True)
    def test_no_local_variable_of_ours_holds_a_key(self, error, secrets):
        """An error report with the local variables of all frames of this package shows no key and nothing derived."""
        keys = [secret for secret in secrets if secret != PAYLOAD]
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        home = Path(hardsession.__file__).parent
        ours = [frame for frame in frames if home in Path(frame.filename).parents]

        shown = "\n".join(f"{name}={value}" for frame in ours for name, value in (frame.locals or {}).items())

        assert leaks(shown, keys) == []

    @pytest.mark.parametrize(
        "keys",
        [
            ["too short"],
            ["changeme" * 5],
            ["a" * 40],
            [Key.generate().text[:-1] + "!"],
            [PASSPHRASE.text * 2] * 2,
            PASSPHRASE.text,
            [7, PASSPHRASE.text],
        ],
        ids=["short", "placeholder", "repetitive", "damaged", "twice", "no list", "no key"],
    )
    def test_complaint_about_a_key_does_not_quote_it(self, make_app, keys):
        """An error about keys says what is wrong with one and never what it is."""
        app = make_app(SESSION_SECRET_KEYS=keys)

        with pytest.raises(ConfigError) as caught:
            app.extensions["hardsession"].ready(app)

        text = "".join(traceback.format_exception(caught.value)) + repr(caught.value.problems)
        assert (
            leaks(text, [str(key) for key in keys if isinstance(key, str)] if isinstance(keys, list) else [keys]) == []
        )

    @pytest.mark.parametrize("make", [lambda: Passphrase("short", "a salt of ours"), lambda: Passphrase("x" * 12, "s")])
    def test_complaint_about_a_passphrase_does_not_quote_it(self, make):
        """Neither words nor salt are in the error about them."""
        with pytest.raises(ValueError, match="a passphrase needs") as caught:
            make()

        assert leaks(repr(caught.value), ["short", "a salt of ours", "x" * 12]) == []


EXPECTED = {
    "Session",
    "HardSessionInterface",
    "Parts",
    "KeyRing",
    "RingKey",
    "Record",
    "Header",
    "Settings",
    "Key",
    "Rules",
}
"""Kinds of objects that the walk must come by, so that it proves something."""


def reachable(root):
    """Every object of this package that another one of it leads to, directly or through plain containers."""
    found, queue, seen = [], [root], set()
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, type):
            continue
        seen.add(id(thing))
        if type(thing).__module__.startswith("hardsession"):
            found.append(thing)
        elif not isinstance(thing, (dict, list, tuple, set, frozenset, MethodType, partial)):
            continue
        queue += gc.get_referents(thing)
        if is_dataclass(thing):
            queue += [getattr(thing, field.name) for field in fields(thing)]
    return found


def _nested():
    value = PAYLOAD
    for _ in range(100):
        value = [value]
    return value
