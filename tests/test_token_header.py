"""`SESSION_TOKEN_HEADER`: the session of clients that keep no cookies, in both modes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from freezegun import freeze_time

from hardsession import ConfigError, HardSession, Key, SessionTooLargeError, current_session
from hardsession.crypto.encoding import from_text, to_text
from hardsession.settings import Settings

HEADER = "X-Session-Token"
COOKIE = "__Host-Http-session"
START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
hard = HardSession()


@dataclass
class Program:
    """A client of the API, which does with its token what the documentation asks for."""

    client: FlaskClient
    act: Callable[..., Any]
    token: str = "new"
    answer: Any = None

    def does(self, what: Callable[[], Any] = lambda: dict(session), **request: Any) -> Any:
        """Send a request, keep the token of its answer, and tell what the view returned."""
        self.answer = self.act(self.client, what, headers={HEADER: self.token}, **request)
        self.token = self.answer.response.headers.get(HEADER, self.token)
        return self.answer.value

    @property
    def given(self) -> str | None:
        """What the last answer bears in the header."""
        return self.answer.response.headers.get(HEADER)  # type: ignore[no-any-return]


@pytest.fixture(params=["cookie", "memory"])
def app(make_app, request) -> Flask:
    """An application with the header, in each mode."""
    return make_app(SESSION_TYPE=request.param, SESSION_TOKEN_HEADER=HEADER)


@pytest.fixture
def program(app, act) -> Program:
    """A client of that application."""
    return Program(app.test_client(use_cookies=False), act)


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


class TestLife:
    """A token's life is that of a cookie."""

    def test_begins_on_request(self, program, events):
        """Who sends "new" is nobody, and gets a token once something is stored."""
        assert program.does() == {}
        assert program.given is None

        program.does(lambda: session.update(cart=["tea"]))

        assert program.given.startswith("hs1_")
        assert program.answer.cookies == []
        assert program.does() == {"cart": ["tea"]}
        assert [name for name, _ in events] == ["session_created"]

    def test_without_the_header_there_is_only_the_cookie(self, app, client, act):
        """A browser knows nothing of the header."""
        answer = act(client, lambda: session.update(cart=["tea"]))

        assert HEADER not in answer.response.headers
        assert len(answer.cookies) == 1
        assert act(client, lambda: dict(session)).value == {"cart": ["tea"]}

    def test_login_is_a_new_token(self, program, events):
        """A login gives a new id, in the answer's header."""
        program.does(lambda: session.update(cart=["tea"]))
        before = program.token

        program.does(lambda: hard.login("ada"))

        assert program.token != before
        assert program.does(lambda: (dict(session), current_session.header.metadata.owner)) == (
            {"cart": ["tea"]},
            "ada",
        )
        assert events[-1][0] == "session_regenerated"

    def test_logout_is_an_empty_header(self, program, events):
        """A logout tells the client to forget its token, and who sends the empty one back is nobody."""
        program.does(lambda: hard.login("ada"))

        program.does(hard.logout)

        assert program.given == ""
        assert program.answer.cookies == []
        assert program.does() == {}
        assert [name for name, _ in events][-2:] == ["session_destroyed", "session_rejected"]

    def test_message_survives_the_logout(self, program):
        """What is stored after a logout begins a new session, whose token takes the old one's place."""
        program.does(lambda: (hard.login("ada"), session.update(draft="x")))

        program.does(lambda: (hard.logout(), session.update(message="Good bye."))[1])

        assert program.does() == {"message": "Good bye."}

    def test_idle_timeout(self, program, clock):
        """It ends without activity, to the second."""
        program.does(lambda: hard.login("ada"))
        clock.tick(1800)

        assert program.does(lambda: current_session.ended) == "idle_timeout"

    def test_activity_lengthens_it_and_the_absolute_timeout_ends_it(self, program, clock):
        """Activity is written down, and lengthens a session until its absolute end."""
        program.does(lambda: session.update(a=1))
        for _ in range(43200 // 1500):
            clock.tick(1500)
            assert program.does() == {"a": 1}

        clock.tick(1200)

        assert program.does(lambda: (dict(session), current_session.ended)) == ({}, "absolute_timeout")

    def test_rotation(self, make_app, act, app):
        """A token of an older key opens, and the next write seals it under the newest; a removed key ends it."""
        old, new = Key.generate().text, Key.generate().text
        kind = {"SESSION_TYPE": app.config["SESSION_TYPE"], "SESSION_TOKEN_HEADER": HEADER}
        if kind["SESSION_TYPE"] == "memory":
            from hardsession.stores.memory import MemoryStore

            kind = {"SESSION_STORE": MemoryStore(), "SESSION_TOKEN_HEADER": HEADER}
        apps = [make_app(SESSION_SECRET_KEYS=keys, **kind) for keys in ([old], [new, old], [new])]
        first, second, third = (Program(one.test_client(use_cookies=False), act) for one in apps)
        first.does(lambda: session.update(a=1))

        second.token = first.token
        second.does(lambda: session.update(b=2))
        third.token = first.token
        with_the_old = third.does()
        third.token = second.token

        assert with_the_old == {}
        assert third.does() == {"a": 1, "b": 2}

    def test_permanent_session(self, program):
        """A permanent session is one like any other: the header has no times, so the server alone ends it."""
        program.does(lambda: session.update(a=1) or setattr(session, "permanent", True))

        assert program.does(lambda: session.permanent) is True


class TestOddTokens:
    """What is no token opens nothing, and begins nothing."""

    @pytest.mark.parametrize(
        ("sent", "reason"),
        [
            ("", "length"),
            ("NEW", "length"),
            ("new, new", "duplicate"),
            ("hs1_" + "A" * 156, "purpose"),
            ("h" * 4082, "length"),
            ("hs1_" + "+" * 156, "encoding"),
        ],
    )
    def test_is_refused_and_gets_none(self, program, events, sent, reason):
        """It is an empty session and no error; what the view stores in it goes nowhere, and says so to the operator."""
        program.token = sent
        assert program.does() == {}
        assert events == [("session_rejected", {"session": None, "reason": reason})]

        program.does(lambda: session.update(a=1))

        assert program.given is None
        assert program.answer.cookies == []
        assert program.answer.response.status_code == 200
        assert events[-1] == ("write_refused", {"session": None})

    def test_white_space_around_it_is_the_servers_to_strip(self, program):
        """A server that leaves the blanks around a field's value (RFC 9110, 5.5) changes nothing."""
        program.does(lambda: session.update(a=1))
        program.token = f" {program.token}\t"

        assert program.does() == {"a": 1}

    def test_two_headers_are_refused(self, program, app, act, events):
        """Two headers of the name are refused, though both are good: servers join them with a comma."""
        program.does(lambda: session.update(a=1))
        both = f"{program.token},{program.token}"

        assert act(app.test_client(), lambda: dict(session), headers={HEADER: both}).value == {}
        assert events[-1] == ("session_rejected", {"session": None, "reason": "duplicate"})

    def test_has_one_spelling(self, program, events):
        """Another spelling of the same bytes is not the token."""
        program.does(lambda: session.update(a=1))
        if len(program.token) % 4 == 0:
            program.does(lambda: session.update(a=12))
        assert to_text(from_text(program.token)) == program.token
        program.token += "="

        assert program.does() == {}
        assert events[-1][1]["reason"] in ("encoding", "length")

    def test_login_over_a_dead_token_counts(self, program, clock, events):
        """Who logs in is given a token, though the one that he brought is over: a login is never lost."""
        program.does(lambda: hard.login("ada"))
        clock.tick(1800)

        program.does(lambda: session.update(a=1))
        assert program.given is None
        program.does(lambda: hard.login("ada"))

        assert program.given.startswith("hs1_")
        assert program.does(lambda: current_session.header.metadata.owner) == "ada"

    def test_logout_with_a_dead_token(self, program, clock):
        """A logout counts, whatever the token was, and what is stored after it begins a session."""
        program.does(lambda: hard.login("ada"))
        clock.tick(1800)

        program.does(lambda: (hard.logout(), session.update(message="Good bye."))[1])

        assert program.does() == {"message": "Good bye."}


class TestAnswer:
    """What the answer's headers say."""

    @pytest.mark.parametrize("headers", [{}, {HEADER: "new"}])
    def test_varies_by_both(self, app, act, headers):
        """An answer whose view touched the session depends on the header and on the cookie, whichever came."""
        client = app.test_client()

        touched = act(client, lambda: session.get("a"), headers=headers).response
        untouched = act(client, lambda: None, headers=headers).response

        assert touched.headers["Vary"] == "X-Session-Token, Cookie"
        assert "Vary" not in untouched.headers

    def test_joins_the_views_own(self, app, act):
        """What the view itself says it varies by stays."""
        from flask import after_this_request

        def view():
            session.get("a")

            @after_this_request
            def vary(response):
                response.vary.add("Accept")
                return response

        answer = act(app.test_client(), view)

        assert answer.response.headers["Vary"] == "Accept, X-Session-Token, Cookie"

    def test_is_kept_by_no_cache(self, program):
        """An answer that gives or takes a token is kept by no cache; any other may be."""
        program.does(lambda: session.update(a=1))
        assert program.answer.response.headers["Cache-Control"] == "no-store"

        program.does()
        assert "Cache-Control" not in program.answer.response.headers

        program.does(lambda: session.clear())
        assert program.answer.response.headers["Cache-Control"] == "no-store"

    def test_too_large_a_session(self, make_app, act):
        """In cookie mode the limit is that of a cookie, 4096 bytes of name and value, and the error names the keys."""
        program = Program(make_app(SESSION_TOKEN_HEADER=HEADER).test_client(), act)

        with pytest.raises(SessionTooLargeError) as caught:
            program.does(lambda: session.update(draft="x" * 4000))

        assert caught.value.limit == 4096
        assert list(caught.value.largest) == ["draft"]

    def test_plain_http_is_said_once(self, make_app, act, caplog):
        """A token that went out on plain http is a warning that names what was sent."""
        program = Program(make_app(SESSION_TOKEN_HEADER=HEADER).test_client(), act)

        with caplog.at_level(logging.WARNING, "hardsession"):
            program.does(lambda: session.update(a=1), base_url="http://newsroom.example")
            program.does(lambda: session.update(a=2), base_url="http://newsroom.example")

        assert [record.getMessage() for record in caplog.records] == [
            "A session token was sent on plain http, where whoever is on the way can take it. Behind a proxy, wrap the "
            "app in werkzeug.middleware.proxy_fix.ProxyFix; for development without https set SESSION_ALLOW_PLAIN_HTTP."
        ]


class TestSessionTransaction:
    """Flask's own tool for tests."""

    def test_reads_the_session_of_a_token(self, program, app):
        """It takes the header as any request."""
        program.does(lambda: session.update(a=1))

        with app.test_client().session_transaction(headers={HEADER: program.token}) as seen:
            assert dict(seen) == {"a": 1}

    def test_writes_into_the_row_of_a_token(self, make_app, act):
        """In a store it writes what the next request finds, since the token stays the same."""
        app = make_app(SESSION_TYPE="memory", SESSION_TOKEN_HEADER=HEADER)
        program = Program(app.test_client(use_cookies=False), act)
        program.does(lambda: session.update(a=1))

        with app.test_client().session_transaction(headers={HEADER: program.token}) as seen:
            seen["b"] = 2

        assert program.does() == {"a": 1, "b": 2}


class TestSetting:
    """`SESSION_TOKEN_HEADER`."""

    def test_case_does_not_count(self, make_app, act):
        """A header's name has no case, so a token is good under any spelling of it."""
        keys = [Key.generate().text]
        one = make_app(SESSION_SECRET_KEYS=keys, SESSION_TOKEN_HEADER="x-session-TOKEN")
        other = make_app(SESSION_SECRET_KEYS=keys, SESSION_TOKEN_HEADER="X-Session-Token")
        program = Program(one.test_client(), act)
        program.does(lambda: session.update(a=1))

        program.client = other.test_client()

        assert program.does() == {"a": 1}

    @pytest.mark.parametrize(
        "name",
        [
            *("Cookie", "set-cookie", "Host", "Connection", "Transfer-Encoding", "Content-Length", "Vary", "TE"),
            *("Proxy-Authorization", "X-Forwarded-For", "X-CSRFToken", "X-CSRF-Token", "Sec-Fetch-Site", "If-Match"),
        ],
    )
    def test_taken_names_are_refused(self, name):
        """What means something else to clients, proxies or servers is refused at the start."""
        assert fault_of(name) == "means something else to clients, proxies or servers."

    @pytest.mark.parametrize("name", ["Authorization", "authorization"])
    def test_authorization_is_refused(self, name):
        """It bears the credentials of others, and no answer has it."""
        assert fault_of(name) == "bears what others authenticate with, and is in no answer."

    @pytest.mark.parametrize("name", ["X Token", "X-Token:", "X_Token", "Tökén", "X-Token\r\nA"])
    def test_odd_names_are_refused(self, name):
        """What is no name of a header, or one that servers drop, is refused at the start."""
        assert fault_of(name) in ("is no name of a header that every server passes on.", "is no text.")


def fault_of(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings.read({"SECRET_KEY": Key.generate().text, "SESSION_TOKEN_HEADER": name})
    (problem,) = caught.value.problems
    assert problem.setting == "SESSION_TOKEN_HEADER"
    return problem.fault
