"""The audit log: one line for each event, and nothing in it that opens a session."""

from __future__ import annotations

import json
import logging
import string

import pytest
from flask import session
from freezegun import freeze_time

from hardsession import HardSession, Key, SessionTooLargeError

NAME = "__Host-Http-session"
hard = HardSession()


@pytest.fixture
def clock():
    """A clock that stands still at the beginning of a minute."""
    with freeze_time("2030-01-01 12:00:00") as frozen:
        yield frozen


@pytest.fixture
def audit(caplog):
    """The lines of the audit log, as records."""
    caplog.set_level(logging.INFO, "hardsession.audit")
    return lambda: [record for record in caplog.records if record.name == "hardsession.audit"]


@pytest.fixture
def lines(audit):
    """The lines of the audit log, as what their JSON holds."""
    return lambda: [json.loads(record.getMessage()) for record in audit()]


@pytest.fixture
def reject(act):
    """Send tokens that are not ours to an application."""

    def send(app, times=1, value="x" * 200):
        client = app.test_client()
        client.set_cookie(NAME, value)
        for _ in range(times):
            act(client, lambda: session.get("a"))

    return send


def test_line_is_the_event(lines, client, act, events):
    """A line is a JSON object: the event, the application, and the fields of the signal."""
    act(client, lambda: session.update(a=1))
    act(client, lambda: hard.login("ada"))
    act(client, lambda: hard.logout())

    assert [line["event"] for line in lines()] == ["session_created", "session_regenerated", "session_destroyed"]
    assert lines() == [{"event": name, "app": "app", **fields} for name, fields in events]


def test_line_is_one_line(audit, client, act, reject):
    """An event is one record whose text has no line break, and whose fields a handler finds on it as they are."""
    act(client, lambda: session.update(a=1))
    reject(client.application)

    for record in audit():
        assert "\n" not in record.getMessage()
        assert record.hardsession == json.loads(record.getMessage())


def test_line_names_the_application(lines, make_app, act):
    """Where several applications share a log, each line says whose it is."""
    for name in ("newsroom", "archive"):
        act(make_app(SESSION_APP_ID=name).test_client(), lambda: session.update(a=1))

    assert [line["app"] for line in lines()] == ["newsroom", "archive"]


def test_level(audit, clock, make_app, act, reject, tmp_path):
    """What a client can cause at will, and what is wrong, is a warning; a session's life is information."""
    app = make_app()
    client = app.test_client()
    act(client, lambda: session.update(a=1))
    act(client, lambda: hard.login("ada"))
    with pytest.raises(SessionTooLargeError):
        act(client, lambda: session.update(a="x" * 4000))
    clock.tick(1800)
    act(client, lambda: session.get("a"))
    act(client, lambda: session.update(a=1))
    act(client, lambda: hard.logout())
    reject(app)

    levels = {record.hardsession["event"]: record.levelname for record in audit()}

    assert levels == {
        "session_created": "INFO",
        "session_regenerated": "INFO",
        "session_destroyed": "INFO",
        "session_expired": "WARNING",
        "session_too_large": "WARNING",
        "session_rejected": "WARNING",
    }


def test_quiet_logger_costs_no_request(client, act, reject, caplog):
    """With the logger switched off everything works, and nothing is logged."""
    caplog.set_level(logging.CRITICAL, "hardsession.audit")

    act(client, lambda: session.update(a=1))
    reject(client.application)

    assert caplog.records == []


def test_refused_keys_are_a_line(lines, make_app, act, tmp_path):
    """A file of keys that went bad has a line in the audit log as well."""
    file = tmp_path / "keys"
    file.write_text(Key.generate().text)
    client = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file)).test_client()
    act(client, lambda: session.update(a=1))

    file.write_text("dev")
    act(client, lambda: session["a"])

    (line,) = lines()[1:]
    assert line == {
        "event": "keys_refused",
        "app": "app",
        "session": None,
        "reason": "the file cannot be used: a key has 3 bytes, and 32 are the least.",
    }


class TestLimit:
    """Tokens that are refused cost their sender nothing, so they must not fill the log."""

    def test_ten_a_minute(self, clock, lines, app, reject):
        """The tenth line of a minute is written and the eleventh is not."""
        reject(app, 9)
        assert len(lines()) == 9

        reject(app)
        assert len(lines()) == 10

        reject(app)
        assert len(lines()) == 10

    @pytest.mark.parametrize(("sent", "omitted"), [(1, None), (9, None), (10, None), (11, 1), (35, 25)])
    def test_next_line_says_how_many_were_left_out(self, clock, lines, app, reject, sent, omitted):
        """The first line of the next minute says how many are missing, if any are."""
        reject(app, sent)

        clock.tick(60)
        reject(app, 2)

        *before, first, second = lines()
        assert len(before) == min(sent, 10)
        assert first.get("omitted") == omitted
        assert "omitted" not in second

    def test_minute_has_sixty_seconds(self, clock, lines, app, reject):
        """At the last second of the minute the limit holds, at the next it begins anew."""
        reject(app, 11)

        clock.tick(59)
        reject(app)
        assert len(lines()) == 10

        clock.tick(1)
        reject(app)
        assert len(lines()) == 11
        assert lines()[-1]["omitted"] == 2

    def test_quiet_minutes_lose_no_count(self, clock, lines, app, reject):
        """However late the next line comes, it says what is missing, and the one after it does not."""
        reject(app, 13)

        clock.tick(86400)
        reject(app)
        clock.tick(60)
        reject(app)

        assert [line.get("omitted") for line in lines()[10:]] == [3, None]

    def test_each_reason_has_its_own(self, clock, lines, app, reject):
        """A flood of one kind hides no line of another."""
        reject(app, 12)

        reject(app, value="hs1_" + "A" * 200)

        assert len(lines()) == 11
        assert lines()[-1]["reason"] != lines()[0]["reason"]

    def test_each_application_has_its_own(self, clock, lines, make_app, reject):
        """A flood at one application hides no line of another."""
        reject(make_app(), 12)

        reject(make_app())

        assert len(lines()) == 11

    def test_every_event_is_sent_all_the_same(self, clock, app, reject, events):
        """The limit is the log's: receivers of the signal hear of every token."""
        reject(app, 15)

        assert len(events) == 15

    def test_expired_tokens_are_limited_too(self, clock, lines, client, act):
        """A browser that keeps bringing an expired session writes ten lines a minute."""
        act(client, lambda: session.update(a=1))
        clock.tick(1800)

        for _ in range(12):
            act(client, lambda: session.get("a"))

        assert [line["event"] for line in lines()] == ["session_created", *["session_expired"] * 10]

    def test_sessions_too_large_are_limited_too(self, clock, lines, make_app, act):
        """A client that makes its session too large again and again writes ten lines a minute."""
        client = make_app(SESSION_COOKIE_OVERSIZE="keep").test_client()

        for _ in range(12):
            act(client, lambda: session.update(a="x" * 4000))

        assert len(lines()) == 10

    def test_life_of_sessions_is_not_limited(self, clock, lines, app, act):
        """Sessions that begin and end have a line each, however many there are."""
        for _ in range(12):
            client = app.test_client()
            act(client, lambda: session.update(a=1))
            act(client, lambda: hard.logout())

        assert len(lines()) == 24


def test_no_line_opens_a_session(caplog, make_app, act, token):
    """No token, handle, key, user or stored value is in any line, whatever happens."""
    caplog.set_level(logging.DEBUG)
    secret, user = string.ascii_letters, "ada@newsroom.example"
    key = Key.generate().text
    app = make_app(SESSION_SECRET_KEYS=[key], SESSION_COOKIE_OVERSIZE="keep")
    client = app.test_client()
    forbidden = [secret[:12], user, key[5:17]]

    for what in (
        lambda: session.update(note=secret),
        lambda: hard.login(user),
        lambda: session.update({"many": secret * 100}),
        lambda: session.update({"role": secret}),
        lambda: hard.regenerate(),
    ):
        act(client, what)
        forbidden += [token(client)[12:40], token(client)[-40:], act(client, lambda: session.handle).value]
    before = token(client)
    client.set_cookie(NAME, before[:-1] + ("A" if before[-1] != "A" else "Q"))
    act(client, lambda: session.get("note"))
    client.set_cookie(NAME, before)
    act(client, lambda: hard.logout())

    assert "session_rejected" in caplog.text
    assert "session_destroyed" in caplog.text
    assert [text for text in forbidden if text in caplog.text] == []
