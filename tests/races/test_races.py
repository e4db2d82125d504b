"""Two requests at once, on every store: what is over stays over, and what either wrote is there."""

from __future__ import annotations

import json
from threading import Barrier

import pytest
from flask import flash, get_flashed_messages, session
from freezegun import freeze_time

from hardsession import Key
from hardsession.errors import ConflictError

from .stores import PATIENCE, rows
from .traffic import (
    Slow,
    at_once,
    clear_and_login,
    clear_and_write,
    login,
    logout,
    make_app,
    make_permanent,
    owner,
    pop,
    read,
    regenerate,
    send,
    write,
)

PURGED = pytest.mark.parametrize("store", ["memory", "filesystem", "sqlite"], indirect=True)


@pytest.fixture
def token(app):
    """The token of a session that nobody is logged in to."""
    return send(app, None, write(start=1)).token


@pytest.fixture
def ada(app, token):
    """The token of a session that Ada is logged in to."""
    return send(app, token, login("ada")).token


class TestEnd:
    """A session that is over stays over, whoever is still under way with it."""

    def test_save_does_not_resurrect_a_session_logged_out_elsewhere(self, app, ada, store, events):
        """A slow page that writes after a logout brings nothing back, and sets no cookie."""
        slow = Slow(app, ada, read, write(late=1))
        send(app, ada, logout)

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert send(app, ada, owner).value is None
        assert rows(store) == []
        assert "write_refused" in [name for name, _ in events]

    def test_touch_does_not_resurrect_either(self, store):
        """Nor does a slow page that only writes its activity down."""
        app = make_app(store, SESSION_TOUCH_INTERVAL=0)
        ada = send(app, None, login("ada")).token
        slow = Slow(app, ada, read)
        send(app, ada, logout)

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert rows(store) == []

    @pytest.mark.parametrize(
        "change", [login("bob"), regenerate, write(role="editor")], ids=["login", "new id", "role"]
    )
    def test_save_does_not_resurrect_after_regenerate(self, app, ada, store, change):
        """A slow page that writes under an id that was given up keeps neither that id nor its write."""
        slow = Slow(app, ada, read, write(late=1))
        new = send(app, ada, change).token

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert send(app, ada, read).value == {}
        assert "late" not in send(app, new, read).value
        assert len(rows(store)) == 1

    @pytest.mark.parametrize("change", [regenerate, write(role="editor"), pop], ids=["new id", "role", "pop"])
    def test_new_id_does_not_resurrect_either(self, app, ada, store, change):
        """Nor does a slow page that gets itself a new id."""
        slow = Slow(app, ada, read, change)
        send(app, ada, logout)

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert rows(store) == []

    def test_a_login_does_not_resurrect_what_was_logged_out(self, app, ada, store):
        """A slow login in a session that was logged out meanwhile is refused: the logout came from the same browser."""
        slow = Slow(app, ada, read, login("ada"))
        send(app, ada, logout)

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert rows(store) == []

    def test_tombstone_expired_during_request(self, app, ada, store):
        """Without its tombstone an ended session is as dead: nothing is written where nothing stands."""
        slow = Slow(app, ada, read, write(late=1))
        send(app, ada, logout)
        for name in store.held():
            store.store.delete(name)

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert store.held() == []

    @PURGED
    def test_tombstone_expired_at_the_edge(self, store):
        """In the second in which the tombstone expires, and in those around it, a write brings nothing back."""
        for seconds in (3659, 3660, 3661):
            with freeze_time("2026-11-24 09:00:00") as clock:
                app = make_app(store, SESSION_ABSOLUTE_TIMEOUT=3600)
                ada = send(app, None, login("ada")).token
                slow = Slow(app, ada, read, write(late=1))
                send(app, ada, logout)
                clock.tick(seconds)

                answer = slow.finish()

                assert (answer.status, answer.cookies) == (200, [])
                assert rows(store) == []

    def test_logout_by_a_page_that_the_timeout_overtook(self, store):
        """A logout after the idle timeout is final too: a page that began in time does not bring the session back."""
        with freeze_time("2026-11-24 09:00:00") as clock:
            app = make_app(store)
            ada = send(app, None, login("ada")).token
            clock.tick(1799)
            slow = Slow(app, ada, read, write(late=1))
            clock.tick(1)
            send(app, ada, logout)

            slow.finish()

            assert send(app, ada, owner).value is None

    def test_logout_that_takes_long(self, store):
        """A logout ends what a login made of its session, however long the logout itself is under way."""
        with freeze_time("2026-11-24 09:00:00") as clock:
            app = make_app(store)
            old = send(app, None, write(start=1)).token
            slow = Slow(app, old, read, logout)
            new = send(app, old, login("ada")).token
            clock.tick(90)

            slow.finish()

            assert send(app, new, owner).value is None


class TestCookie:
    """An answer that lost sets no cookie: it would overwrite the winner's."""

    def test_stale_request_does_not_overwrite_the_new_cookie(self, app, token):
        """The answer of a slow page leaves the cookie of the login alone."""
        slow = Slow(app, token, read, write(late=1))
        new = send(app, token, login("ada")).token

        assert slow.finish().cookie_after(new) == new

    @pytest.mark.parametrize(
        "change", [read, write(late=1), write(role="editor"), regenerate], ids=["read", "write", "role", "new id"]
    )
    def test_late_request_after_login_sets_no_cookie(self, app, token, store, change):
        """A request that left before the login, and arrives after it, sets none and deletes none."""
        send(app, token, login("ada"))

        answer = send(app, token, change)

        assert (answer.status, answer.cookies) == (200, [])
        assert len(rows(store)) == 1

    @pytest.mark.parametrize("how", [login(), clear_and_login], ids=["login", "clear and login"])
    @pytest.mark.parametrize("seconds", [0, 59])
    def test_late_request_within_a_minute(self, store, how, seconds):
        """For a minute the browser may not know yet, whichever way the application logs in."""
        with freeze_time("2026-11-24 09:00:00") as clock:
            app = make_app(store)
            token = send(app, None, write(start=1)).token
            send(app, token, how)
            clock.tick(seconds)

            assert send(app, token, write(late=1)).cookies == []

    @pytest.mark.parametrize("seconds", [60, 61])
    def test_request_after_a_minute(self, store, seconds):
        """After a minute the old id is any other that is over: who writes begins a session."""
        with freeze_time("2026-11-24 09:00:00") as clock:
            app = make_app(store)
            token = send(app, None, write(start=1)).token
            send(app, token, login("ada"))
            clock.tick(seconds)

            answer = send(app, token, write(late=1))

            assert send(app, answer.token, read).value == {"late": 1}

    def test_resealing_does_not_overwrite_a_login(self, store):
        """An answer whose token was due under a new key sets none once the session has another id."""
        old_key, new_key = Key.generate().text, Key.generate().text
        before = make_app(store, SESSION_SECRET_KEYS=[old_key])
        after = make_app(store, SESSION_SECRET_KEYS=[new_key, old_key], SESSION_TOUCH_INTERVAL=0)
        token = send(before, None, write(start=1)).token
        slow, touching = Slow(after, token, read, write(late=1)), Slow(after, token, read)
        new = send(after, token, login("ada")).token

        assert slow.finish().cookie_after(new) == new
        assert touching.finish().cookie_after(new) == new
        assert send(after, new, owner).value == "ada"


class TestWrites:
    """What two requests wrote is there."""

    def test_parallel_writes_to_different_keys_all_survive(self, app, token):
        """Fifty requests that read the same session and each write a key of their own leave fifty keys."""
        barrier = Barrier(50)

        def visit(number):
            return lambda: send(app, token, read, lambda: barrier.wait(PATIENCE), write(**{f"key{number}": number}))

        answers = at_once(*map(visit, range(50)))

        assert {answer.status for answer in answers} == {200}
        assert send(app, token, read).value == {"start": 1} | {f"key{number}": number for number in range(50)}

    def test_parallel_flashes_all_survive(self, app, token):
        """Twenty requests each flash a message, and one shows an older one: it is gone, and the twenty are there."""
        send(app, token, lambda: flash("old"))
        barrier = Barrier(21)

        def visit(number):
            return lambda: send(app, token, read, lambda: barrier.wait(PATIENCE), lambda: flash(f"new {number}"))

        def show():
            return send(app, token, read, lambda: barrier.wait(PATIENCE), get_flashed_messages)

        answers = at_once(show, *map(visit, range(20)))

        assert answers[0].value == ["old"]
        assert sorted(send(app, token, get_flashed_messages).value) == sorted(f"new {number}" for number in range(20))

    def test_write_during_regenerate_is_kept(self, app, token):
        """What was written while another request got a new id is there under that id."""
        slow = Slow(app, token, read, login("ada"), write(ours=1))
        send(app, token, write(theirs=1))

        answer = slow.finish()

        assert send(app, answer.token, read).value == {"start": 1, "theirs": 1, "ours": 1}

    def test_write_between_the_two_writes_of_a_login_is_kept(self, app, token, store):
        """So is what was written after the new row was added and before the old one ended."""

        store.meanwhile(lambda: send(app, token, write(theirs=1)))

        answer = send(app, token, login("ada"))

        assert send(app, answer.token, read).value == {"start": 1, "theirs": 1}

    def test_permanence_survives_a_merge(self, app, token):
        """A session that one request made permanent is so, though another one wrote a key first."""
        slow = Slow(app, token, read, make_permanent)
        send(app, token, write(theirs=1))

        answer = slow.finish()

        assert "Expires=" in answer.cookies[0]
        assert send(app, token, lambda: session.permanent).value
        assert send(app, token, read).value == {"start": 1, "theirs": 1}

    def test_permanence_survives_a_login(self, app, token):
        """Nor does a login elsewhere take it back."""
        slow = Slow(app, token, read, login("ada"))
        send(app, token, make_permanent)

        answer = slow.finish()

        assert "Expires=" in answer.cookies[0]
        assert send(app, answer.token, lambda: session.permanent).value

    def test_purge_during_write(self, store):
        """A purge between the read and the write of a session that lives takes nothing."""
        if not hasattr(store.store, "purge"):
            return  # Redis forgets what is expired by itself
        app = make_app(store)
        token = send(app, None, write(start=1)).token
        slow = Slow(app, token, read, write(late=1))
        store.store.purge()

        slow.finish()

        assert send(app, token, read).value == {"start": 1, "late": 1}

    @PURGED
    def test_purge_of_the_row_that_is_written(self, store):
        """A purge of a session that expires meanwhile leaves the write nothing to write over: it is refused."""
        with freeze_time("2026-11-24 09:00:00") as clock:
            app = make_app(store, SESSION_ABSOLUTE_TIMEOUT=3600)
            token = send(app, None, write(start=1)).token
            slow = Slow(app, token, read, write(late=1))
            clock.tick(3661)
            store.store.purge()

            answer = slow.finish()

            assert (answer.status, answer.cookies) == (200, [])
            assert store.held() == []


class TestOneKey:
    """Both changed the same key."""

    def test_same_key_conflict_follows_the_setting_merge(self, app, token, events):
        """By default the later write counts, and an event names the key and not its value."""
        slow = Slow(app, token, read, write(colour="red"))
        send(app, token, write(colour="blue"))

        assert slow.finish().status == 200

        assert send(app, token, read).value["colour"] == "red"
        assert [fields["keys"] for name, fields in events if name == "write_merged"] == [["colour"]]

    def test_same_key_conflict_follows_the_setting_raise(self, store, events):
        """With "raise" the later write is refused with an error, and changes nothing."""
        app = make_app(store, SESSION_CONFLICT="raise")
        token = send(app, None, write(start=1)).token
        slow = Slow(app, token, read, write(colour="red", other=1))
        send(app, token, write(colour="blue"))

        answer = slow.finish()

        assert (answer.status, answer.cookies, [type(error) for error in answer.errors]) == (500, [], [ConflictError])
        assert send(app, token, read).value == {"start": 1, "colour": "blue"}
        assert "write_merged" not in [name for name, _ in events]

    @pytest.mark.parametrize("meanwhile", [read, write(theirs=1)], ids=["activity", "other key"])
    def test_no_conflict_where_keys_differ(self, store, meanwhile):
        """Activity written down elsewhere, or another key, is no conflict under either setting."""
        app = make_app(store, SESSION_CONFLICT="raise", SESSION_TOUCH_INTERVAL=0)
        token = send(app, None, write(start=1)).token
        slow = Slow(app, token, read, write(ours=1))
        send(app, token, meanwhile)

        assert slow.finish().status == 200

        assert send(app, token, read).value["ours"] == 1

    def test_login_is_no_conflict(self, store):
        """Nor does it keep anybody from logging in that another page was open."""
        app = make_app(store, SESSION_CONFLICT="raise", SESSION_TOUCH_INTERVAL=0)
        token = send(app, None, write(start=1)).token
        slow = Slow(app, token, read, login("ada"))
        send(app, token, read)

        assert send(app, slow.finish().token, owner).value == "ada"

    def test_refused_write_is_not_called_merged(self, app, token, store, events):
        """A write that was merged once and then lost to a logout is reported as refused, and as nothing else."""
        store.meanwhile(lambda: send(app, token, write(colour="blue")), lambda: send(app, token, logout))

        send(app, token, write(colour="red"))

        names = [name for name, _ in events]
        assert "write_refused" in names
        assert "write_merged" not in names

    @pytest.mark.parametrize("change", [write(ours=1), login()], ids=["write", "login"])
    def test_what_another_instance_stored_cannot_be_read_here(self, store, app, token, change):
        """What newer code on another instance stored, and this one cannot read, costs the write and no error page."""

        class Newer:
            def dumps(self, data):
                return b"newer:" + json.dumps(data).encode()

            def loads(self, payload):
                return json.loads(payload.removeprefix(b"newer:"))

        other = make_app(store, SESSION_SERIALIZER=Newer())
        slow = Slow(app, token, read, change)
        send(other, token, write(theirs=1))

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert send(other, token, read).value == {"start": 1, "theirs": 1}


class TestIdentity:
    """Who is logged in."""

    def test_identity_changed_elsewhere_wins(self, app, ada, store):
        """A slow page of Ada's changes nothing in what is Bob's session by then."""
        slow = Slow(app, ada, read, write(draft="Ada's"))
        bob = send(app, ada, login("bob")).token

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert send(app, bob, read).value == {}
        assert send(app, bob, owner).value == "bob"

    @pytest.mark.parametrize("how", [login("bob"), write(user_id="bob")], ids=["login", "by key"])
    def test_what_one_user_wrote_meanwhile_never_reaches_the_next(self, app, token, how):
        """Ada's page writes while Bob logs in over her session: it is not his."""
        ada = send(app, token, lambda: (login("ada")(), write(user_id="ada")())).token
        slow = Slow(app, ada, read, how)
        send(app, ada, write(draft="Ada's"))

        bob = slow.finish().token

        assert send(app, bob, owner).value == "bob"
        assert "draft" not in send(app, bob, read).value

    def test_keep_holds_for_what_was_written_meanwhile(self, app, token):
        """`login(keep=…)` lets only the named keys through, whoever wrote the others."""
        slow = Slow(app, token, read, login("ada", keep=["cart"]))
        send(app, token, write(cart=["tea"], junk=1))

        ada = slow.finish().token

        assert send(app, ada, read).value == {"cart": ["tea"]}

    def test_csrf_token_planted_during_login(self, store):
        """Who planted an anonymous cookie cannot slip his csrf token in while the victim logs in."""
        name = "sid"
        app = make_app(store, SESSION_COOKIE_NAME=name)
        token = send(app, None, write(start=1), name=name).token
        slow = Slow(app, token, read, login("ada"), name=name)
        send(app, token, write(csrf_token="planted"), name=name)

        ada = slow.finish().token

        assert send(app, ada, read, name=name).value == {"start": 1}

    def test_login_twice_at_once(self, app, token, store):
        """A double click on "log in": both requests are logged in, and whichever cookie comes last works."""
        barrier = Barrier(2)

        def click():
            return send(app, token, read, lambda: barrier.wait(PATIENCE), login("ada"))

        answers = at_once(click, click)

        assert [send(app, answer.token, owner).value for answer in answers] == ["ada", "ada"]
        assert send(app, token, owner).value is None

    @pytest.mark.parametrize(
        "how", [login(), write(user_id="ada"), clear_and_login], ids=["login", "by key", "clear and login"]
    )
    def test_login_a_moment_after_another(self, app, token, how):
        """The second click arrives when the first was answered, with the id that it replaced: it is logged in too."""
        first = send(app, token, how)

        second = send(app, token, how)

        assert [send(app, answer.token, owner).value for answer in (first, second)] == ["ada", "ada"]

    def test_login_against_a_right_taken_away(self, app, token):
        """Who logs in again while a right of his is taken away does not keep it."""
        ada = send(app, token, lambda: (login("ada")(), write(role="admin")())).token
        slow = Slow(app, ada, read, login("ada"))
        less = send(app, ada, write(role="reader")).token

        answer = slow.finish()

        roles = [send(app, t, read).value.get("role") for t in {ada, less, answer.token} - {None}]
        assert "admin" not in roles

    def test_logout_during_login(self, app, token, store):
        """A logout that overtakes a login wins; one that comes while the login is answered ends what it made."""
        slow = Slow(app, token, read, login("ada"))
        send(app, token, logout)

        assert slow.finish().token is None
        assert rows(store) == []

    @pytest.mark.parametrize("how", [login(), clear_and_login], ids=["login", "clear and login"])
    def test_logout_with_the_id_before_the_login(self, app, token, store, how):
        """A logout that left before the login's answer came ends the session that the login made."""
        ada = send(app, token, how).token

        send(app, token, logout)

        assert send(app, ada, owner).value is None
        assert rows(store) == []

    @pytest.mark.parametrize("first", [regenerate, logout])
    def test_logout_against_regenerate(self, app, ada, store, first):
        """Whichever of a logout and a new id comes first, nobody is logged in afterwards."""
        second = logout if first is regenerate else regenerate
        slow = Slow(app, ada, read, second)
        other = send(app, ada, first)

        answer = slow.finish()

        assert rows(store) == []
        tokens = [ada, other.token, answer.token]
        assert [send(app, token, owner).value for token in tokens if token] == [None] * len([*filter(None, tokens)])

    def test_logout_and_write_in_one_request(self, app, ada, store):
        """A page that logs out and says goodbye in a new session is final over a slow one, too."""
        slow = Slow(app, ada, read, write(late=1))
        bye = send(app, ada, clear_and_write(bye=1)).token

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert send(app, bye, read).value == {"bye": 1}
        assert len(rows(store)) == 1
