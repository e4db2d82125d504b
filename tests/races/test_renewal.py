"""Ids that are renewed from time to time, and who comes with which of them meanwhile: on every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from freezegun import freeze_time

from hardsession import ConflictError, NotSavedError, current_session
from hardsession.signals import session_cloned, session_regenerated, session_renewed, write_refused
from hardsession.stores import Outcome

from .stores import Outage, Watched, rows
from .traffic import Slow, at_once, hard, login, logout, make_app, owner, read, regenerate, send, write

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
INTERVAL = 120
MOVED = 4


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is told to tick."""
    with freeze_time(START, ignore=["pymongo"]) as frozen:
        yield frozen


@pytest.fixture
def app(store: Watched) -> Flask:
    """An application that renews ids as often as it may."""
    return make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL)


@pytest.fixture
def ada(app: Flask, clock: Any) -> str:
    """The token of Ada's session, which is due for a new id."""
    token = send(app, None, login(), write(draft="Ada's")).token
    assert token
    clock.tick(INTERVAL)
    return token


@pytest.fixture
def renew(app: Flask) -> Callable[[str], str]:
    """Have an id renewed; the new token."""

    def do(token: str) -> str:
        after = send(app, token, read).token
        assert after
        return after

    return do


def heard(signal: Any, app: Flask) -> list[dict[str, Any]]:
    """What a signal says from now on, for as long as the list is held."""
    said: list[dict[str, Any]] = []
    signal.connect(lambda _sender, **fields: said.append(fields), sender=app, weak=False)
    return said


def known() -> tuple[Any, ...]:
    """What stays the same over a renewal."""
    return owner(), read(), current_session.created_at, current_session.authenticated_at, current_session.handle


def revoke(app: Flask) -> None:
    """What an administrator does, in a process of his own."""
    with app.app_context():
        hard.revoke_user("ada")


class TestRenewal:
    """One browser, one request after the other."""

    @pytest.mark.parametrize(("seconds", "renewed"), [(-1, False), (0, True), (1, True)])
    def test_edge(self, app, ada, clock, seconds, renewed):
        """An id that has been in use for the interval is renewed by the request that comes then."""
        clock.tick(seconds)

        assert (send(app, ada, read).token is not None) == renewed

    def test_nothing_else_changes(self, app, ada):
        """Data, owner, handle and the proof of who he is stay."""
        answer = send(app, ada, known)

        assert answer.token
        assert send(app, answer.token, known).value == answer.value

    def test_absolute_clock_runs_on(self, app, ada, clock):
        """However often its id is renewed, the session ends when it would have ended."""
        token = ada
        for _ in range(35):
            token = send(app, token, read).token or token
            clock.tick(1200)
        assert send(app, token, owner).value == "ada"
        clock.tick(12 * 3600 - INTERVAL - 35 * 1200)

        assert send(app, token, lambda: current_session.ended).value == "absolute_timeout"

    def test_interval_begins_when_it_is_used(self, app, ada, clock, renew):
        """A new id is renewed an interval after its own token came first, and not at all before that."""
        token = renew(ada)
        clock.tick(INTERVAL)
        assert send(app, token, read).token is None  # its first use
        clock.tick(INTERVAL - 1)
        assert send(app, token, read).token is None
        clock.tick(60)

        assert send(app, token, read).token

    def test_confirmed_by_a_write(self, app, ada, renew):
        """A request that writes anyway confirms the id in the same write."""
        token = renew(ada)

        send(app, token, write(new=1))

        assert send(app, token, lambda: (current_session.accessed, current_session.header.confirmed)).value[1]
        assert send(app, token, read).value == {"draft": "Ada's", "new": 1}

    def test_write_renews(self, app, ada):
        """A request that writes is renewed with what it wrote."""
        token = send(app, ada, write(new=1)).token

        assert send(app, token, read).value == {"draft": "Ada's", "new": 1}

    def test_events(self, app, ada, renew):
        """One event tells of the new id, and it is not that of a change of rights."""
        renewed, regenerated = heard(session_renewed, app), heard(session_regenerated, app)

        token = renew(ada)
        send(app, ada, write(late=1))

        name = send(app, token, lambda: (current_session.accessed, current_session.header.lineage.log_name)).value[1]
        assert (renewed, regenerated) == ([{"session": name}], [])

    def test_passive_endpoint(self, store, clock):
        """What is no activity renews nothing, and still learns of a new id, which confirms it."""
        active = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL)
        passive = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_PASSIVE_ENDPOINTS=["view"])
        old = send(active, None, login()).token
        clock.tick(INTERVAL)

        assert send(passive, old, read).token is None
        send(active, old, read)
        token = send(passive, old, read).token

        assert token
        seen = send(passive, token, lambda: current_session.last_seen_at).value
        send(passive, token, read)
        assert send(active, token, lambda: (current_session.last_seen_at, current_session.header.confirmed)).value == (
            seen,
            True,
        )

    def test_store_round_trips(self, app, store, clock):
        """A renewal reads, adds and replaces one row; its user's list is read and written once."""
        token = send(app, None, login()).token
        clock.tick(INTERVAL)
        store.calls.clear()

        send(app, token, read)

        assert [(call.kind, call.verb) for call in store.calls if call.kind != "x"] == [
            ("r", "get"),
            ("r", "add"),
            ("u", "get"),
            ("u", "replace"),
            ("r", "replace"),
        ]

    def test_session_that_no_list_has(self, store, clock):
        """Where the list of sessions came later than a session, its id stays, and so does what it writes."""
        token = send(make_app(store, SESSION_REGISTRY=False), None, login()).token
        app = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL)
        clock.tick(INTERVAL)

        answer = send(app, token, write(new=1))

        assert (answer.status, answer.cookies) == (200, [])
        assert send(app, token, lambda: (owner(), read())).value == ("ada", {"new": 1})
        assert len(rows(store)) == 1

    def test_listed_as_one(self, app, ada, renew):
        """A user's list has one session, before and after, and none after its logout."""
        handles = [send(app, ada, lambda: [one.handle for one in hard.sessions("ada")]).value]
        token = renew(ada)
        handles.append(send(app, token, lambda: [one.handle for one in hard.sessions("ada")]).value)
        send(app, token, logout)

        assert handles[0] == handles[1] == [*handles[0]]
        assert len(handles[0]) == 1
        with app.app_context():
            assert hard.sessions("ada") == []

    def test_list_does_not_grow(self, app, ada, clock, renew, store):
        """Rows that lead on leave a user's list in time; those that a session stands in never do."""
        token = ada
        for _ in range(20):
            token = renew(token)
            send(app, token, read)
            clock.tick(INTERVAL)

        revoke(app)
        assert send(app, token, owner).value is None
        assert rows(store) == []


class TestOldId:
    """Requests that bring the id from before a renewal."""

    def test_lost_renewal_answer_keeps_the_user_in(self, app, ada, clock, renew):
        """While nobody uses the new id the old one works, and each of its answers brings the new one again."""
        renew(ada)  # the answer gets lost

        for _ in range(30):
            clock.tick(1200)
            answer = send(app, ada, owner, write(x=1))
            assert answer.value is None
            assert (answer.values[0], answer.token is not None) == ("ada", True)
        assert send(app, answer.token, owner).value == "ada"

    def test_at_most_a_day(self, store, clock):
        """After a day the old id is over."""
        app = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_PROFILE="aal1")
        old = send(app, None, login()).token
        clock.tick(INTERVAL)
        ttls = []
        replace = store.store.replace

        def note(key: str, value: bytes, ttl: int, version: bytes) -> Outcome:
            ttls.append((value[3], ttl))
            return replace(key, value, ttl, version)

        store.store.replace = note  # type: ignore[method-assign]
        send(app, old, read)
        store.store.replace = replace  # type: ignore[method-assign]

        assert dict(ttls)[MOVED] == 86400

    def test_reading_brings_the_new_token(self, app, ada, renew):
        """Who has nothing to write is told of the new id as well."""
        token = renew(ada)

        again = send(app, ada, read)

        assert again.value == {"draft": "Ada's"}
        assert send(app, again.token, known).value == send(app, token, known).value

    def test_touch_that_is_lost_brings_no_token(self, app, store, ada, renew):
        """Where the session ends before it is told, no token is set."""
        token = renew(ada)
        store.meanwhile(lambda: send(app, token, logout))

        answer = send(app, ada, read)

        assert (answer.status, answer.cookies) == (200, [])
        assert send(app, ada, owner).value is None

    @pytest.mark.parametrize(("seconds", "works"), [(59, True), (60, True), (61, False)])
    def test_edge(self, app, ada, clock, renew, seconds, works):
        """It works for 60 seconds after the new one was used."""
        token = renew(ada)
        clock.tick(5)
        send(app, token, read)
        clock.tick(seconds)

        answer = send(app, ada, owner)

        assert answer.value == ("ada" if works else None)
        assert (answer.token is not None) == works

    def test_copied_cookie_after_renewal_is_reported(self, app, ada, clock, renew):
        """A copy of the old id opens nothing; an event names its session, which goes on."""
        token = renew(ada)
        send(app, token, read)
        clock.tick(61)
        cloned = heard(session_cloned, app)

        answer = send(app, ada, lambda: (owner(), current_session.ended))

        assert (answer.value, answer.cookies) == ((None, "cloned"), [])
        name = send(app, token, lambda: (current_session.accessed, current_session.header.lineage.log_name)).value[1]
        assert cloned == [{"session": name, "revoked": False}]
        assert send(app, token, owner).value == "ada"

    def test_copied_cookie_after_renewal_can_end_the_session(self, store, clock):
        """With "revoke" the session ends for both, since nobody knows which of them is the user."""
        app = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_CLONE_POLICY="revoke")
        old = send(app, None, login()).token
        clock.tick(INTERVAL)
        token = send(app, old, read).token
        send(app, token, read)
        clock.tick(61)
        cloned = heard(session_cloned, app)

        send(app, old, read)

        assert [event["revoked"] for event in cloned] == [True]
        for dead in (old, token):
            assert send(app, dead, lambda: (owner(), current_session.ended)).value == (None, "cloned")
        assert rows(store) == []

    def test_revoking_wins_over_a_write(self, store, clock):
        """A write that comes between does not keep the session."""
        app = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_CLONE_POLICY="revoke")
        old = send(app, None, login()).token
        clock.tick(INTERVAL)
        token = send(app, old, read).token
        send(app, token, read)
        clock.tick(61)
        store.meanwhile(lambda: send(app, token, write(x=1)))

        send(app, old, read)

        assert send(app, token, owner).value is None

    def test_session_that_begins_after_a_copy(self, app, ada, clock, renew):
        """Who came with a copy is a visitor like any other: a session of his own can begin, with no data of Ada's."""
        token = renew(ada)
        send(app, token, read)
        clock.tick(61)

        own = send(app, ada, write(csrf="x")).token

        assert send(app, own, lambda: (owner(), read())).value == (None, {"csrf": "x"})
        assert send(app, token, owner).value == "ada"

    def test_logout_with_it(self, app, ada, clock, renew, store):
        """A logout with the old id ends the session, however late, and whatever was renewed in between."""
        first = renew(ada)
        send(app, first, read)
        clock.tick(INTERVAL)
        second = renew(first)

        send(app, ada, logout)

        assert [send(app, token, owner).value for token in (ada, first, second)] == [None] * 3
        assert rows(store) == []


class TestMeanwhile:
    """Requests that read the session before a renewal, and write after it."""

    def test_write_meets_moved_row(self, app, ada, renew, store):
        """The write reaches the successor, and its answer brings that one's token."""
        slow = Slow(app, ada, read, write(slow=1))
        token = renew(ada)

        answer = slow.finish()

        assert answer.status == 200
        for one in (token, answer.token):
            assert send(app, one, lambda: (owner(), read())).value == ("ada", {"draft": "Ada's", "slow": 1})
        assert len(rows(store)) == 1

    @pytest.mark.parametrize("change", [regenerate, write(role="admin"), login("ada", method="webauthn")])
    def test_new_id_meets_moved_row(self, app, ada, renew, store, change):
        """A login or a change of rights goes on from the successor, and ends it."""
        slow = Slow(app, ada, read, write(slow=1), change)
        token = renew(ada)
        send(app, token, write(other=1))

        answer = slow.finish()

        held = send(app, answer.token, lambda: (owner(), read())).value
        assert held[0] == "ada"
        assert {"draft": "Ada's", "slow": 1, "other": 1}.items() <= held[1].items()
        assert [send(app, dead, owner).value for dead in (ada, token)] == [None, None]
        assert len(rows(store)) == 1

    def test_logout_against_renewal(self, app, ada, renew, store):
        """A logout that began before a renewal ends what came of it."""
        slow = Slow(app, ada, read, logout)
        token = renew(ada)

        answer = slow.finish()

        assert answer.deletes
        assert [send(app, dead, owner).value for dead in (ada, token)] == [None, None]
        assert rows(store) == []

    @pytest.mark.parametrize(("change", "refused"), [(read, 0), (write(x=1), 1)])
    def test_renewal_against_logout(self, app, ada, store, change, refused):
        """A renewal that began before a logout brings nothing back, and only a write that is lost is reported."""
        events = heard(write_refused, app)
        slow = Slow(app, ada, read, change)
        send(app, ada, logout)

        answer = slow.finish()

        assert (answer.status, answer.cookies, len(events)) == (200, [], refused)
        assert rows(store) == []

    def test_logout_between_the_steps_of_a_renewal(self, app, ada, store):
        """So it is when the logout comes after the new row was added."""
        store.meanwhile(lambda: send(app, ada, logout))

        answer = send(app, ada, read)

        assert (answer.status, answer.cookies) == (200, [])
        assert rows(store) == []

    def test_write_between_the_steps_of_a_renewal(self, app, ada, store):
        """A write that comes between is kept."""
        passive = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_PASSIVE_ENDPOINTS=["view"])

        def before(call: Any) -> None:
            if (call.kind, call.verb) == ("r", "replace"):
                store.before = lambda _: None
                send(passive, ada, write(other=1))

        store.before = before
        token = send(app, ada, write(mine=1)).token

        assert send(app, token, read).value == {"draft": "Ada's", "other": 1, "mine": 1}
        assert len(rows(store)) == 1

    def test_two_renewals_at_once_leave_one_successor(self, app, ada, store):
        """Both answers bring a token of the one session that there is."""
        slow = [Slow(app, ada, read, write(**{name: 1})) for name in "ab"]

        tokens = [one.finish().token for one in slow]

        assert all(tokens)
        for token in tokens:
            assert send(app, token, lambda: (owner(), read())).value == ("ada", {"draft": "Ada's", "a": 1, "b": 1})
        assert (len(rows(store)), len(rows(store, MOVED))) == (1, 1)

    def test_fifty_parallel_requests(self, app, ada, store):
        """Fifty requests of two tabs across a renewal stay logged in, lose nothing, and leave one session."""
        works = [lambda n=n: send(app, ada, owner, write(**{f"k{n}": n})) for n in range(50)]

        answers = at_once(*works)

        tokens = {answer.token for answer in answers if answer.token}
        assert [answer.values[0] for answer in answers] == ["ada"] * 50
        assert tokens
        for token in tokens:
            held = send(app, token, lambda: (owner(), len(read()))).value
            assert held == ("ada", 51)
        assert len(rows(store)) == 1

    def test_revoke_during_renewal(self, app, ada, store):
        """Who is logged out everywhere while his id is renewed is logged out."""
        slow = Slow(app, ada, read, write(x=1))
        revoke(app)

        answer = slow.finish()

        assert (answer.status, answer.cookies) == (200, [])
        assert (rows(store), send(app, ada, owner).value) == ([], None)

    @pytest.mark.parametrize("at", range(1, 7))
    def test_revoke_between_the_steps_of_a_renewal(self, app, ada, store, at):
        """So it is before each call that a renewal makes."""
        calls = iter(range(1, 1000))

        def before(_call: Any) -> None:
            if next(calls) == at:
                store.before = lambda _: None
                revoke(app)

        store.before = before
        answer = send(app, ada, read)
        store.before = lambda _: None
        if at == 6:
            revoke(app)

        assert answer.status == 200
        assert [send(app, token, owner).value for token in (ada, answer.token) if token] in ([None], [None, None])
        assert (rows(store), rows(store, MOVED)) == ([], [])

    def test_conflict_that_is_refused(self, store, clock):
        """With SESSION_CONFLICT = "raise" a renewal that fails leaves no row behind."""
        app = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_CONFLICT="raise", SESSION_REGISTRY=False)
        token = send(app, None, write(a=0)).token
        clock.tick(INTERVAL)
        slow = Slow(app, token, read, write(a=1))
        other = make_app(
            store, SESSION_PASSIVE_ENDPOINTS=["view"], SESSION_RENEWAL_INTERVAL=INTERVAL, SESSION_REGISTRY=False
        )
        send(other, token, write(a=2))

        answer = slow.finish()

        assert (answer.status, answer.cookies, type(answer.errors[0])) == (500, [], ConflictError)
        assert send(app, token, read).value == {"a": 2}
        assert len(rows(store)) == 1

    def test_new_row_that_is_lost(self, store, clock):
        """Where the store loses the new row before it is used, the session stays where it was."""
        settings = {"SESSION_RENEWAL_INTERVAL": INTERVAL, "SESSION_REGISTRY": False}
        app, other = make_app(store, **settings), make_app(store, SESSION_PASSIVE_ENDPOINTS=["view"], **settings)
        token = send(app, None, write(a=0)).token
        old = rows(store)
        clock.tick(INTERVAL)

        def lose() -> None:
            send(other, token, write(b=1))
            for name in set(rows(store)) - set(old):
                store.store.delete(name)

        store.meanwhile(lose)
        answer = send(app, token, read)

        assert (answer.status, answer.cookies) == (200, [])
        assert send(other, token, read).value == {"a": 0, "b": 1}


class TestSaveNow:
    """`hard.save()` in what runs for longer than an id."""

    def test_follows_every_renewal(self, app, ada, clock, renew):
        """What it writes reaches the session under the id that it has by then."""
        tokens = [ada]

        def renewed() -> None:
            clock.tick(60)  # what is not written down renews nothing
            tokens.append(renew(tokens[-1]))
            send(app, tokens[-1], read)
            clock.tick(INTERVAL)

        answer = send(
            app, ada, write(n=1), hard.save, renewed, write(n=2), hard.save, renewed, write(n=3), hard.save, renewed
        )

        assert answer.status == 200
        assert send(app, answer.token or tokens[-1], read).value == {"draft": "Ada's", "n": 3}

    def test_renews_nothing(self, app, ada, store):
        """It has no answer to set a token in, so it leaves the id as it is, and writes nothing that is not new."""
        answer = send(app, ada, write(n=1), hard.save, lambda: store.calls.clear(), hard.save, lambda: store.verbs())

        assert answer.value == []
        assert len(rows(store)) == 1

    def test_after_the_end(self, app, ada, renew):
        """Where the session ended after its renewal, that is told."""

        def over() -> bool:
            send(app, renew(ada), logout)
            current_session["n"] = 1
            with pytest.raises(NotSavedError) as caught:
                hard.save()
            return caught.value.ended

        assert send(app, ada, read, over).value is True

    def test_old_id_writes_nothing_of_itself(self, app, ada, renew, store):
        """Who came with the old id and changed nothing is told of the new one by the answer, and not before."""
        renew(ada)

        answer = send(app, ada, read, lambda: store.calls.clear(), hard.save, lambda: store.verbs())

        assert answer.value == []
        assert answer.token


@pytest.mark.parametrize("done", [False, True], ids=["not done", "answer lost"])
def test_crash_between_each_two_steps(store, clock, done):
    """Wherever a renewal dies, the user is still logged in with the cookie that he has, and can be logged out."""
    app = make_app(store, SESSION_RENEWAL_INTERVAL=INTERVAL)
    at = 0
    while True:
        at += 1
        token = send(app, None, login(), write(draft="Ada's")).token
        clock.tick(INTERVAL)
        with Outage(store, at=at, done=done) as outage:
            answer = send(app, token, read)

        assert answer.status == (500 if outage.failed else 200)
        assert answer.cookies == [] or not outage.failed
        assert send(app, token, lambda: (owner(), read())).value == ("ada", {"draft": "Ada's"})
        revoke(app)
        assert send(app, token, owner).value is None
        if not outage.failed:
            break
    assert at > 5
