"""A user's sessions: listed, ended and capped. On every store where the store matters, in memory otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from freezegun import freeze_time

from hardsession import ConfigError, HardSession, Key, SessionLimitError, current_session
from hardsession.errors import StoreError
from hardsession.record import EndReason
from hardsession.stores.memory import MemoryStore

from .races.stores import RECORD, TOMBSTONE, Watched, rows
from .races.traffic import hard, login, logout, make_app, owner, read, regenerate, send, write

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"
START = datetime(2030, 1, 1, 9, tzinfo=UTC)
USER = 6


@pytest.fixture
def memory():
    """A store in memory, watched."""
    return Watched(MemoryStore())


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


def logged_in(app: Flask, user: str = "ada", **options) -> str:
    """The token of a new browser that a user logs in with."""
    token = send(app, None, login(user), **options).token
    assert token
    return token


def handle_of(app: Flask, token: str) -> str:
    return send(app, token, lambda: current_session.handle).value


def listed(app: Flask, user: str = "ada") -> list:
    """The user's sessions, as an administrator sees them who has no session himself."""
    with app.app_context():
        return hard.sessions(user)


class TestList:
    """What `hard.sessions` shows."""

    def test_own_sessions(self, memory, clock):
        """A user sees his sessions, the newest first, and which of them he is using (OWASP ASVS 5.0, 7.5.2)."""
        app = make_app(memory)
        first = logged_in(app, agent=FIREFOX)
        clock.tick(60)
        second = logged_in(app, agent=SAFARI)
        logged_in(app, "bob")

        shown = send(app, first, hard.sessions).value

        assert [(entry.label, entry.current) for entry in shown] == [
            ("Safari on iPhone", False),
            ("Firefox on Linux", True),
        ]
        assert [entry.handle for entry in shown] == [handle_of(app, second), handle_of(app, first)]
        assert shown[1].created_at == shown[1].last_renewed_at == START
        assert shown[1].expires_at == START + timedelta(hours=12)
        assert [entry.address for entry in shown] == ["", ""]

    @pytest.mark.parametrize(
        ("agent", "label"),
        [
            (EDGE, "Edge on Windows"),
            ("Mozilla/5.0 (Linux; Android 16) Chrome/142.0", "Chrome on Android"),
            ("curl/8.5", ""),
            ("", ""),
            ("Macintosh; Intel Mac OS X", "macOS"),
            ("<script>alert(1)</script>Firefox/1", "Firefox"),
        ],
    )
    def test_label(self, memory, agent, label):
        """A label is made of our own words alone, whatever a client calls itself."""
        app = make_app(memory)
        logged_in(app, agent=agent)

        assert [entry.label for entry in listed(app)] == [label]

    def test_address_where_it_is_asked_for(self, memory):
        """An address is recorded where `SESSION_RECORD_ADDRESS` says so, and not shown in a log."""
        app = make_app(memory, SESSION_RECORD_ADDRESS=True)
        logged_in(app)

        [entry] = listed(app)

        assert entry.address == "127.0.0.1"
        assert "127.0.0.1" not in repr(entry)

    def test_what_is_over_is_not_listed(self, memory, clock):
        """A session that was logged out, ran out or vanished from the store is in no list."""
        app = make_app(memory)
        out, stays = logged_in(app), logged_in(app)
        others = {*rows(memory)}
        logged_in(app)
        send(app, out, logout)
        for name in {*rows(memory)} - others:
            memory.store.delete(name)

        assert [entry.handle for entry in listed(app)] == [handle_of(app, stays)]
        clock.tick(timedelta(hours=12))
        assert listed(app) == []

    def test_handle_stays_over_a_new_id(self, memory):
        """A new id of a session is the same entry, under the same handle."""
        app = make_app(memory)
        token = logged_in(app, agent=FIREFOX)
        handle = handle_of(app, token)

        for _ in range(3):
            token = send(app, token, regenerate).token

        assert [(entry.handle, entry.label) for entry in listed(app)] == [(handle, "Firefox on Linux")]

    def test_nobody_logged_in(self, memory):
        """Without a user there is nothing to list: that is an error, and not an empty list."""
        app = make_app(memory)

        with pytest.raises(ValueError, match="Name the user"), app.app_context():
            hard.sessions()
        assert isinstance(send(app, None, hard.sessions).errors[0], ValueError)

    def test_user_by_number(self, memory):
        """7 and "7" are one user."""
        app = make_app(memory)
        send(app, None, lambda: hard.login(7))

        with app.app_context():
            assert len(hard.sessions(7)) == len(hard.sessions("7")) == 1

    def test_nobody_is_guessed(self, memory):
        """A session whose owner only the application knows is in no list."""
        app = make_app(memory)
        send(app, None, write(username="ada"))

        assert listed(app) == []
        assert not any(".u." in name for name in memory.names)

    def test_login_by_a_key(self, memory):
        """A login by the key `user_id` is listed like any other."""
        app = make_app(memory)
        send(app, None, write(user_id="ada"))

        assert len(listed(app)) == 1


class TestRevoke:
    """What ends sessions from elsewhere."""

    def test_one(self, store, events):
        """One of a user's sessions is ended at once, for every copy of its cookie, and the others go on."""
        app = make_app(store)
        lost, here = logged_in(app), logged_in(app)
        handle = handle_of(app, lost)

        assert send(app, here, lambda: hard.revoke(handle)).value is True

        assert send(app, lost, lambda: (owner(), current_session.ended)).value == (None, "revoked")
        assert send(app, here, owner).value == "ada"
        assert [entry.handle for entry in listed(app)] == [handle_of(app, here)]
        assert [fields["session"] for name, fields in events if name == "session_revoked"] != []

    def test_unknown_handle(self, memory, events):
        """A handle that is nobody's ends nothing, and says so."""
        app = make_app(memory)
        token = logged_in(app)

        assert send(app, token, lambda: hard.revoke("A" * 22)).value is False

        assert send(app, token, owner).value == "ada"
        assert "session_revoked" not in [name for name, _ in events]

    def test_own_session(self, memory):
        """Who revokes the session he is using is logged out, and his cookie deleted."""
        app = make_app(memory)
        token = logged_in(app)

        answer = send(app, token, lambda: hard.revoke(current_session.handle))

        assert answer.deletes
        assert send(app, token, owner).value is None

    def test_others(self, store):
        """After a change of the password every other session is over, and this one has a new id."""
        app = make_app(store)
        others, here = [logged_in(app) for _ in range(3)], logged_in(app)
        bob = logged_in(app, "bob")

        answer = send(app, here, hard.revoke_others)

        assert answer.value == 3
        assert [send(app, token, owner).value for token in [*others, here]] == [None] * 4
        assert send(app, answer.token, owner).value == "ada"
        assert send(app, bob, owner).value == "bob"

    def test_user(self, store):
        """An administrator ends every session of a user, and nobody else's."""
        app = make_app(store)
        adas, bob = [logged_in(app) for _ in range(3)], logged_in(app, "bob")

        with app.app_context():
            assert hard.revoke_user("ada") == 3

        assert [send(app, token, owner).value for token in adas] == [None] * 3
        assert send(app, bob, owner).value == "bob"
        assert listed(app) == []
        assert send(app, logged_in(app), owner).value == "ada"

    def test_user_himself(self, memory):
        """Who logs himself out everywhere is logged out here too."""
        app = make_app(memory)
        token = logged_in(app)

        answer = send(app, token, lambda: hard.revoke_user("ada"))

        assert answer.deletes
        assert listed(app) == []

    def test_user_without_a_session(self, memory):
        """There is nothing to end for a user who has none."""
        app = make_app(memory)

        with app.app_context():
            assert hard.revoke_user("nobody") == 0

    def test_all(self, store, events):
        """Everybody is logged out, with and without a user's id, and can log in again at once."""
        app = make_app(store)
        tokens = [logged_in(app), logged_in(app, "bob"), send(app, None, write(cart=1)).token]

        with app.app_context():
            hard.revoke_all()

        assert [send(app, token, read).value for token in tokens] == [{}] * 3
        assert ("session_revoked", {"session": None}) in events
        assert send(app, logged_in(app), owner).value == "ada"
        assert send(app, send(app, None, write(cart=1)).token, read).value == {"cart": 1}

    def test_all_in_every_process(self, store, clock):
        """Another process that serves the same application has noticed after five seconds."""
        here, there = make_app(store), make_app(store)
        token = logged_in(there)
        assert send(there, token, owner).value == "ada"

        with here.app_context():
            hard.revoke_all()
        clock.tick(5)

        assert send(there, token, lambda: (owner(), current_session.ended)).value == (None, "revoked")
        assert send(there, logged_in(there), owner).value == "ada"

    def test_all_is_not_outlived_by_a_new_id(self, memory, clock):
        """A session that was ended with all others is not revived by a new id that a process gives it meanwhile."""
        here, there = make_app(memory), make_app(memory)
        token = logged_in(there)
        with here.app_context():
            hard.revoke_all()

        late = send(there, token, regenerate).token
        clock.tick(5)

        assert late is None or send(there, late, owner).value is None

    def test_all_twice(self, memory, clock):
        """What was ended once stays ended when everybody is logged out again."""
        app = make_app(memory)
        before = logged_in(app)
        with app.app_context():
            hard.revoke_all()
            between = logged_in(app)
            hard.revoke_all()

        assert [send(app, token, owner).value for token in (before, between, logged_in(app))] == [None, None, "ada"]

    def test_all_twice_at_once(self, store):
        """Of two who log everybody out at once neither is lost: who came between them is logged out as well."""
        app = make_app(store)
        between = []

        def other():
            hard.revoke_all()
            between.append(logged_in(app))

        with app.app_context():
            hard.revoke_all()
            store.meanwhile(other)
            hard.revoke_all()

        assert send(app, between[0], owner).value is None
        assert send(app, logged_in(app), owner).value == "ada"

    def test_all_by_one_who_is_logged_in(self, memory):
        """Whoever logs everybody out is logged out as well."""
        app = make_app(memory)
        token = logged_in(app)

        answer = send(app, token, hard.revoke_all)

        assert answer.deletes
        assert send(app, token, owner).value is None


class TestCap:
    """`SESSION_MAX_PER_USER`."""

    def test_oldest_goes(self, store, clock):
        """A login over the cap ends the oldest session (OWASP ASVS 5.0, 7.1.2)."""
        app = make_app(store, SESSION_MAX_PER_USER=2)
        tokens = []
        for _ in range(4):
            clock.tick(1)
            tokens.append(logged_in(app))

        answers = [send(app, token, lambda: (owner(), current_session.ended)).value for token in tokens]

        assert answers == [(None, "evicted")] * 2 + [("ada", None)] * 2
        assert len(listed(app)) == 2
        assert send(app, logged_in(app, "bob"), owner).value == "bob"

    def test_what_is_over_makes_room(self, memory, clock):
        """A session that was logged out does not count."""
        app = make_app(memory, SESSION_MAX_PER_USER=2)
        first, second = logged_in(app), logged_in(app)
        send(app, second, logout)

        third = logged_in(app)

        assert [send(app, token, owner).value for token in (first, third)] == ["ada", "ada"]

    def test_login_again_takes_no_place(self, memory):
        """The same user who proves again who he is, in the same browser, takes no second place."""
        app = make_app(memory, SESSION_MAX_PER_USER=1)
        token = logged_in(app)

        for _ in range(3):
            token = send(app, token, login("ada", method="webauthn")).token

        assert send(app, token, owner).value == "ada"
        assert len(listed(app)) == 1

    @pytest.mark.parametrize("room", [1, 3])
    def test_refused(self, store, room):
        """Where logins are refused the user is told so at the login, and nothing of his changes."""
        app = make_app(store, SESSION_MAX_PER_USER=room, SESSION_OVERFLOW="refuse")
        tokens = [logged_in(app) for _ in range(room)]

        answer = send(app, None, login())

        assert (answer.status, answer.cookies) == (500, [])
        assert isinstance(answer.errors[0], SessionLimitError)
        assert answer.errors[0].limit == room
        assert [send(app, token, owner).value for token in tokens] == ["ada"] * room

    def test_refusal_can_be_caught(self, memory):
        """The view may catch the refusal; its visitor is then as he was."""
        app = make_app(memory, SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")
        logged_in(app)

        def try_to():
            current_session["cart"] = 1
            with pytest.raises(SessionLimitError):
                hard.login("ada")

        answer = send(app, None, try_to)

        assert send(app, answer.token, lambda: (owner(), read())).value == (None, {"cart": 1})

    def test_logout_makes_room_at_once(self, memory):
        """Who logged out can log in again, where logins over the cap are refused."""
        app = make_app(memory, SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")

        for _ in range(3):
            token = logged_in(app)
            assert send(app, token, owner).value == "ada"
            send(app, token, logout)

    def test_login_that_was_never_saved(self, memory, clock):
        """A login that died before it was saved holds its place for a minute, and no longer."""
        app = make_app(memory, SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")

        def die():
            hard.login("ada")
            current_session.logout()

        send(app, None, die)
        clock.tick(59)
        assert isinstance(send(app, None, login()).errors[0], SessionLimitError)
        clock.tick(1)

        assert send(app, logged_in(app), owner).value == "ada"

    def test_login_by_a_key_ends_the_oldest(self, memory, clock):
        """A login that only the saved keys tell of cannot be refused any more: it ends the oldest one."""
        app = make_app(memory, SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")
        first = logged_in(app)
        clock.tick(1)

        second = send(app, None, write(user_id="ada")).token

        assert [send(app, token, owner).value for token in (first, second)] == [None, "ada"]

    def test_ceiling(self, memory, monkeypatch):
        """Without a cap a list ends at the ceiling."""
        monkeypatch.setattr("hardsession.registry.CEILING", 3)
        app = make_app(memory)

        for _ in range(5):
            logged_in(app)

        assert len(listed(app)) == 3


class TestKeys:
    """Lists and keys."""

    OLD, NEW = Key.generate().text, Key.generate().text

    def app_with(self, store, *keys, **config):
        return make_app(store, SESSION_SECRET_KEYS=list(keys), **config)

    def test_epoch_that_does_not_open(self, store):
        """One sealed with a key that is gone ends all sessions, and a login begins a new one."""
        other = self.app_with(store, self.OLD)
        with other.app_context():
            hard.revoke_all()
        app = self.app_with(store, self.NEW, SESSION_REGISTRY=False)
        token = logged_in(app)
        app = self.app_with(store, self.NEW)

        assert send(app, token, owner).value is None
        assert send(app, logged_in(app), owner).value == "ada"
        with app.app_context():
            hard.revoke_all()

    def test_list_under_two_keys(self, store):
        """A list that was written under a newer key, and not emptied under the older one, has each session once."""
        token = logged_in(self.app_with(store, self.OLD))
        app = self.app_with(store, self.NEW, self.OLD)

        def fail(call):
            if (call.kind, call.verb) == ("u", "replace"):
                raise StoreError("The server is gone.")

        store.before = fail
        assert send(app, None, login("ada")).status == 500
        store.before = lambda _: None

        assert [entry.handle for entry in listed(app)].count(handle_of(app, token)) == 1
        with app.app_context():
            assert hard.revoke_user("ada") == 2
        assert send(app, token, owner).value is None


class TestCounts:
    """How often a user's list and the epoch are asked for."""

    @pytest.fixture
    def app(self, store, clock):
        app = make_app(store)
        logged_in(app)
        store.calls.clear()
        return app

    def test_login(self, app, store):
        """A login reads the user's list once and writes it once."""
        logged_in(app)

        assert store.verbs("u") == ["get", "replace"]

    def test_epoch(self, app, store, clock):
        """The epoch of all is read once in five seconds, and at a login."""
        token = logged_in(app)
        assert store.verbs("x") == ["get"]

        for seconds, verbs in ((4, []), (1, ["get"]), (4, []), (1, ["get"])):
            clock.tick(seconds)
            send(app, token, read)
            assert store.verbs("x") == verbs

    def test_read_and_write(self, app, store):
        """Reading and writing a session asks for no list."""
        token = logged_in(app)
        store.calls.clear()

        send(app, token, read)
        send(app, token, write(a=1))
        send(app, token, logout)

        assert store.verbs("u", "x") == []


CALLS = {
    "sessions": lambda: hard.sessions("ada"),
    "revoke": lambda: hard.revoke("handle", "ada"),
    "revoke_others": lambda: hard.revoke_others(),
    "revoke_user": lambda: hard.revoke_user("ada"),
    "revoke_all": lambda: hard.revoke_all(),
}


class TestOff:
    """Without a registry."""

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("config", [{"SESSION_REGISTRY": False}, {"SESSION_STORE": None}])
    def test_calls_say_so(self, memory, config, call):
        """Where there is no list, every call of it is an error that names the setting."""
        app = make_app(memory, **config)

        with app.app_context(), pytest.raises(ConfigError, match="SESSION_REGISTRY"):
            CALLS[call]()

    def test_application_without_sessions(self):
        """So it is in an application without a key, and in one that has other sessions."""
        keyless, foreign = Flask("keyless"), Flask("foreign")
        HardSession(keyless)

        for app in (keyless, foreign):
            with app.app_context(), pytest.raises(ConfigError):
                hard.sessions("ada")

    def test_store_holds_rows_alone(self, memory):
        """No list is kept, and no epoch asked for."""
        app = make_app(memory, SESSION_REGISTRY=False)

        send(app, logged_in(app), read)

        assert all(".r." in name or ":r." in name for name in memory.names)


class TestOnesThatDied:
    """What a process leaves behind that dies between two steps."""

    def test_mark_is_finished_by_the_next_login(self, memory, clock):
        """A session that was marked to be ended, and was not, is ended by the next login."""
        app = make_app(memory, SESSION_MAX_PER_USER=1)
        old = logged_in(app)
        clock.tick(1)

        def die(call):
            if call.kind == "r" and call.verb == "get":
                memory.before = lambda _: None
                raise StoreError("The server is gone.")

        memory.before = die
        assert send(app, None, login()).status == 500
        assert send(app, old, owner).value == "ada"
        clock.tick(1)
        new = logged_in(app)

        assert [send(app, token, owner).value for token in (old, new)] == [None, "ada"]

    def test_ids_do_not_pile_up(self, memory):
        """However often a session got a new id, its entry names a few of them, and among them the one that lives."""
        app = make_app(memory)
        token = logged_in(app)
        for _ in range(30):
            token = send(app, token, regenerate).token

        with app.app_context():
            registry = app.session_interface._parts.registry
            user, _ = registry._read("ada", app.session_interface._parts.ring(0))
        assert len(user.entries[0].rows) <= 9
        with app.app_context():
            assert hard.revoke_user("ada") == 1
        assert send(app, token, owner).value is None
        assert rows(memory, RECORD) == []
        assert len(rows(memory, TOMBSTONE)) == 31


def test_reasons_have_names():
    """Each reason that a tombstone keeps is a word of its own."""
    assert len({reason.name for reason in EndReason}) == len(EndReason)
