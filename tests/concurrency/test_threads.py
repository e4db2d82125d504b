"""Many threads in one process: one application, its settings, its keys, and one session in several of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import copy_current_request_context, session

from hardsession import Key, current_session, key_sources, signals
from hardsession.crypto.encoding import from_text
from hardsession.interface import HardSessionInterface
from hardsession.serializers import TaggedJSON

PEOPLE = 20
ROUNDS = 10
PATIENCE = 10
"""Seconds after which a thread that waits for others fails its test."""

NAME = "__Host-Http-session"


def at_once(work: Callable[[int], Any], people: int = PEOPLE) -> list[Any]:
    """What so many threads make of it that begin together, each with its number."""
    barrier = threading.Barrier(people)

    def begin(number: int) -> Any:
        barrier.wait(PATIENCE)
        return work(number)

    with ThreadPoolExecutor(people) as pool:
        return list(pool.map(begin, range(people)))


def replace(file: Path, keys: list[str]) -> None:
    """Put a file of keys in the place of another, as careful operators do."""
    new = file.with_name("new")
    new.write_text("\n".join(keys))
    new.replace(file)


class Turnstile:
    """A lock that tells when so many threads have come to it: the one inside can wait until the others queue."""

    def __init__(self, lock: Any, people: int) -> None:
        self.all_came = threading.Event()
        self._lock, self._missing, self._counting = lock, people, threading.Lock()

    def __enter__(self) -> None:
        with self._counting:
            self._missing -= 1
            if not self._missing:
                self.all_came.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.fixture
def desk(make_app):
    """An application whose page counts a visitor's visits, and waits inside for `meeting` if there is one."""

    def make(**config):
        app = make_app(**config)
        app.extensions["meeting"] = None

        @app.route("/visit/<name>")
        def visit(name):
            session["name"] = name
            session["visits"] = session.get("visits", 0) + 1
            if meeting := app.extensions["meeting"]:
                meeting.wait(PATIENCE)
            return {"name": session["name"], "visits": session["visits"], "handle": current_session.handle}

        return app

    return make


class TestOneApplication:
    """Twenty visitors at once."""

    def test_each_keeps_his_own(self, desk, token):
        """While all are inside, each finds what he stored, and at the end it is in his cookie and in no other's."""
        app = desk()
        app.extensions["meeting"] = threading.Barrier(PEOPLE)

        def visitor(number):
            client = app.test_client()
            answers = [client.get(f"/visit/{number}").json for _ in range(ROUNDS)]
            return answers, token(client)

        results = at_once(visitor)

        for number, (answers, _) in enumerate(results):
            assert [answer["name"] for answer in answers] == [str(number)] * ROUNDS
            assert [answer["visits"] for answer in answers] == list(range(1, ROUNDS + 1))
        assert len({answers[-1]["handle"] for answers, _ in results}) == PEOPLE
        assert len({from_text(text)[8:32] for _, text in results}) == PEOPLE

    def test_one_cookie_in_many_tabs(self, desk, token):
        """Requests that share a cookie each see it as it was, and each answers with its own change alone."""
        app = desk()
        client = app.test_client()
        handle = [client.get("/visit/ida").json["handle"] for _ in range(2)][-1]
        shared = token(client)
        app.extensions["meeting"] = threading.Barrier(PEOPLE)

        def tab(number):
            client = app.test_client()
            client.set_cookie(NAME, shared)
            return client.get(f"/visit/{number}").json

        answers = at_once(tab)

        assert answers == [{"name": str(number), "visits": 3, "handle": handle} for number in range(PEOPLE)]


class TestFirstRequests:
    """What is done once is done once, though all first requests come at the same moment."""

    def test_settings_are_resolved_once(self, desk, caplog):
        """One request resolves the settings while all others wait, and each of them then has its session."""
        app = desk(SESSION_ALLOW_PLAIN_HTTP=True)
        build = app.session_interface._build
        builds = []

        def slow(*arguments):
            builds.append(threading.get_ident())
            turnstile.all_came.wait(PATIENCE)
            return build(*arguments)

        app.session_interface = HardSessionInterface(slow)
        turnstile = app.session_interface._lock = Turnstile(app.session_interface._lock, PEOPLE)
        caplog.set_level("INFO", "hardsession")

        answers = at_once(lambda number: app.test_client().get(f"/visit/{number}").json["visits"])

        assert answers == [1] * PEOPLE
        assert len(builds) == 1
        messages = [record.getMessage() for record in caplog.records]
        assert sum("SESSION_ALLOW_PLAIN_HTTP" in message for message in messages) == 1
        assert sum("session_created" in message for message in messages) == PEOPLE

    def test_a_failure_is_everybodys(self, desk):
        """Settings that cannot work fail each of the requests, and none of them is left waiting."""
        app = desk(SESSION_PROFILE="unknown", PROPAGATE_EXCEPTIONS=False)

        assert at_once(lambda number: app.test_client().get(f"/visit/{number}").status_code) == [500] * PEOPLE


class CountedJSON(TaggedJSON):
    """The usual serializer, which tells who used it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded_by: list[int] = []
        self.wait_for: threading.Event | None = None

    def loads(self, payload: bytes, /) -> dict[str, Any]:
        self.loaded_by.append(threading.get_ident())
        if self.wait_for:
            self.wait_for.wait(PATIENCE)
        return super().loads(payload)


class TestOneSession:
    """A view that hands its request to threads, as `copy_current_request_context` does."""

    def test_is_opened_once(self, make_app, act):
        """When twenty threads touch a session first, one opens it, the others wait, and all see the same."""
        serializer = CountedJSON()
        app = make_app(SESSION_SERIALIZER=serializer)
        client = app.test_client()
        act(client, lambda: session.update(name="ida"))
        serializer.loaded_by.clear()

        interface = app.session_interface
        open_session = interface.open_session

        def watched(*arguments):
            current = open_session(*arguments)
            turnstile = current._lock = Turnstile(current._lock, PEOPLE)
            serializer.wait_for = turnstile.all_came
            return current

        def view():
            copies = [copy_current_request_context(lambda: session.get("name")) for _ in range(PEOPLE)]
            return at_once(lambda number: copies[number]())

        interface.open_session = watched

        assert act(client, view).value == ["ida"] * PEOPLE
        assert len(serializer.loaded_by) == 1

    def test_is_refused_once(self, client, act, events):
        """However many threads touch a session that came with a bad cookie, it is reported once."""
        client.set_cookie(NAME, "hs1_" + "A" * 200)

        def view():
            copies = [copy_current_request_context(lambda: dict(session)) for _ in range(PEOPLE)]
            return at_once(lambda number: copies[number]())

        assert act(client, view).value == [{}] * PEOPLE
        assert [name for name, _ in events] == ["session_rejected"]

    def test_takes_what_all_of_them_write(self, client, act):
        """What twenty threads store under keys of their own is all in the one cookie that the answer sets."""

        def view():
            copies = [
                copy_current_request_context(lambda number=number: session.update({str(number): number}))
                for number in range(PEOPLE)
            ]
            at_once(lambda number: copies[number]())

        act(client, view)

        assert act(client, lambda: dict(session)).value == {str(number): number for number in range(PEOPLE)}


class TestKeyFile:
    """A file of keys that changes under traffic."""

    @pytest.fixture
    def file(self, tmp_path):
        """A file with one key."""
        file = tmp_path / "keys"
        file.write_text(Key.generate().text)
        return file

    def test_rotation_logs_nobody_out(self, desk, file, token):
        """While keys come and go under twenty busy visitors, in two steps each, nobody loses a visit."""
        app = desk(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file))
        rotated = threading.Barrier(PEOPLE + 1)
        keys = [file.read_text()]

        def visitor(number):
            client = app.test_client()
            visits = []
            for _ in range(ROUNDS):
                rotated.wait(PATIENCE)  # from here on the operator adds a key while this visitor goes on
                visits += [client.get(f"/visit/{number}").json["visits"] for _ in range(3)]
                rotated.wait(PATIENCE)  # now the newest key is in force
                visits.append(client.get(f"/visit/{number}").json["visits"])
                rotated.wait(PATIENCE)  # and has sealed every cookie: the oldest key can go
            return visits, token(client)

        def operator():
            for _ in range(ROUNDS):
                rotated.wait(PATIENCE)
                keys.insert(0, Key.generate().text)
                replace(file, keys)
                rotated.wait(PATIENCE)
                rotated.wait(PATIENCE)
                keys.pop()
                replace(file, keys)

        results = at_once(lambda number: operator() if number == PEOPLE else visitor(number), PEOPLE + 1)

        for visits, text in results[:PEOPLE]:
            assert visits == list(range(1, ROUNDS * 4 + 1))
            assert from_text(text)[4:8].hex() == Key(keys[0]).id

    @pytest.fixture
    def slow_reader(self, make_app, file, monkeypatch):
        """An application one of whose threads reads the changed file, and waits with what it read until told to go on.

        It waits no longer than a second, for whoever tells it may have to wait for it.
        """
        app = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file))
        app.extensions["act"] = lambda: session.update(name="bob")
        app.test_client().get("/")
        app.extensions["has_read"], app.extensions["goes_on"] = threading.Event(), threading.Event()
        read_keys = key_sources.read_keys

        def slow(path):
            keys = read_keys(path)
            if threading.current_thread() is reader:
                app.extensions["has_read"].set()
                app.extensions["goes_on"].wait(1)
            return keys

        monkeypatch.setattr(key_sources, "read_keys", slow)
        reader = threading.Thread(target=lambda: app.test_client().get("/"))
        return app, reader

    def test_nobody_is_refused_while_another_reads_the_file(self, slow_reader, make_app, file, act, token):
        """A session that another process sealed with a new key opens, though a thread here is only just reading it."""
        here, reader = slow_reader
        replace(file, [Key.generate().text, file.read_text()])
        elsewhere = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file)).test_client()
        act(elsewhere, lambda: session.update(name="ida"))
        browser = here.test_client()
        browser.set_cookie(NAME, token(elsewhere))

        reader.start()
        here.extensions["has_read"].wait(PATIENCE)
        name = act(browser, lambda: session.get("name")).value
        here.extensions["goes_on"].set()
        reader.join()

        assert name == "ida"

    def test_a_slow_thread_brings_no_old_key_back(self, slow_reader, file, act, token, events):
        """A thread that read the file before the last change does not put what it read over what others read since."""
        app, reader = slow_reader
        client = app.test_client()
        act(client, lambda: session.update(name="ida"))
        stolen, leaked = token(client), file.read_text()
        app.extensions["act"] = lambda: session.update(name="bob")
        replace(file, [Key.generate().text, leaked])

        reader.start()
        app.extensions["has_read"].wait(PATIENCE)
        replace(file, [Key.generate().text])
        act(client, lambda: session.get("name"))
        app.extensions["goes_on"].set()
        reader.join()

        thief = app.test_client()
        thief.set_cookie(NAME, stolen)
        assert act(thief, lambda: session.get("name")).value is None
        assert events[-1] == ("session_rejected", {"session": None, "reason": "unknown_key"})

    def test_a_receiver_of_a_bad_file_may_touch_its_session(self, make_app, file):
        """Who is told that the file is bad reads the session of that request, and no thread waits for him for ever."""
        app = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file))
        app.extensions["act"] = lambda: session.update(visits=session.get("visits", 0) + 1)
        client = app.test_client()
        client.get("/")
        seen = []

        def receive(_sender, **_fields):
            seen.append(dict(session))

        signals.keys_refused.connect(receive, sender=app)
        file.write_text("no key")
        visitor = threading.Thread(target=client.get, args=("/",), daemon=True)
        visitor.start()
        visitor.join(PATIENCE)

        assert not visitor.is_alive()
        assert seen == [{"visits": 1}]
        app.extensions["act"] = lambda: seen.append(dict(session))
        client.get("/")
        assert seen[1] == {"visits": 2}
