"""Cookie mode with a revocation store: on every store where the store matters, in memory otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from freezegun import freeze_time

from hardsession import ConfigError, NotSavedError, SessionLimitError, current_session
from hardsession.checks import run
from hardsession.errors import StoreError
from hardsession.extension import read_settings
from hardsession.record import Entry
from hardsession.revocation import Lineages, Recent
from hardsession.settings import Settings
from hardsession.stores.cachelib import CachelibStore
from hardsession.stores.memory import MemoryStore

from .races.stores import Outage, Watched
from .races.traffic import (
    KEY,
    Slow,
    at_once,
    clear_and_login,
    clear_and_write,
    hard,
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

START = datetime(2030, 1, 1, 9, tzinfo=UTC)
EVERY_KIND = ("r", "u", "x")


@pytest.fixture
def memory():
    """A store in memory, watched."""
    return Watched(MemoryStore())


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


def revocable(store, **config) -> Flask:
    """An application whose sessions are in cookies, and whose revocations are in a store."""
    return make_app(None, SESSION_REVOCATION_STORE=store, **config)


def logged_in(app: Flask, user: str = "ada", **data) -> str:
    token = send(app, None, login(user), write(**data)).token
    assert token
    return token


def who(app: Flask, *tokens: str) -> list[str | None]:
    """Whose session each token opens."""
    return [send(app, token, owner).value for token in tokens]


def why(app: Flask, token: str) -> str | None:
    """Why a token opens nothing."""
    return send(app, token, lambda: current_session.ended).value


def administrator(app: Flask, what):
    """Something done outside of any request."""
    with app.app_context():
        return what()


class TestEnds:
    """What ends a cookie, on every store."""

    @pytest.mark.parametrize("way", [logout, clear_and_write(message="Goodbye"), pop])
    def test_logout_kills_copies(self, store, way):
        """After a logout, in any of the ways there are, no copy of the cookie opens anything."""
        app = revocable(store)
        token = logged_in(app, user_id="ada", draft="Ada's")

        answer = send(app, token, way)

        assert (who(app, token), why(app, token)) == ([None], "logged_out")
        assert send(app, token, read).value == {}
        if answer.token:
            assert who(app, answer.token) == [None]

    @pytest.mark.parametrize(
        ("change", "reason", "user"),
        [
            (regenerate, "regenerated", "ada"),
            (write(role="admin"), "regenerated", "ada"),
            (login("ada", method="webauthn"), "regenerated", "ada"),
            (login("bob"), "logged_in", "bob"),
            (clear_and_login, "logged_in", "ada"),
            (write(email="other"), "regenerated", "ada"),
        ],
    )
    def test_new_id_kills_the_old_cookie(self, store, change, reason, user):
        """A login, a change of rights and a new id leave no older cookie alive, and the new one goes on."""
        app = revocable(store)
        old = logged_in(app, user_id="ada")

        new = send(app, old, change).token

        assert who(app, old, new) == [None, user]
        assert why(app, old) == reason
        assert who(app, send(app, new, regenerate).token) == [user]

    def test_change_of_somebody_unknown(self, store):
        """Where another key of the application's names somebody else, the cookie before opens nothing either."""
        app = revocable(store)
        old = send(app, None, write(email="ada@example.org")).token

        new = send(app, old, write(email="bob@example.org")).token

        assert [send(app, token, read).value for token in (old, new)] == [{}, {"email": "bob@example.org"}]

    def test_revoke_one_the_others_a_user_and_all(self, store):
        """Each call ends what it names and nothing else (OWASP ASVS 5.0, 7.4.2, 7.4.3, 7.4.5, 7.5.2)."""
        app = revocable(store)
        one, two, three, bob = *(logged_in(app) for _ in range(3)), logged_in(app, "bob")
        handle = send(app, one, lambda: current_session.handle).value

        assert send(app, two, lambda: hard.revoke(handle)).value is True
        assert who(app, one, two, three, bob) == [None, "ada", "ada", "bob"]
        answer = send(app, two, hard.revoke_others)
        assert answer.value == 1
        assert who(app, two, answer.token, three, bob) == [None, "ada", None, "bob"]
        assert administrator(app, lambda: hard.revoke_user("ada")) == 1
        assert who(app, answer.token, bob) == [None, "bob"]
        administrator(app, hard.revoke_all)
        assert who(app, bob) == [None]
        assert why(app, bob) == "revoked"
        assert who(app, logged_in(app)) == ["ada"]

    def test_list(self, store):
        """A user sees his sessions that live, without those that were logged out."""
        app = revocable(store)
        tokens = [logged_in(app) for _ in range(3)]
        send(app, tokens[0], logout)
        tokens[1] = send(app, tokens[1], regenerate).token

        shown = send(app, tokens[1], hard.sessions).value

        assert sorted(entry.current for entry in shown) == [False, True]

    def test_parallel_logins_never_exceed_a_cap(self, store):
        """Of 20 logins at once 5 are left, where 5 is the most."""
        app = revocable(store, SESSION_MAX_PER_USER=5)

        answers = at_once(*[lambda: send(app, None, login())] * 20)

        tokens = [answer.token for answer in answers if answer.token]
        assert who(app, *tokens).count("ada") == 5
        assert len(administrator(app, lambda: hard.sessions("ada"))) == 5


class TestRefusedLogins:
    """`SESSION_OVERFLOW` is "refuse"."""

    def test_full(self, memory):
        """A login over the cap is refused, until a session ends."""
        app = revocable(memory, SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")
        token = logged_in(app)

        assert isinstance(send(app, None, login()).errors[0], SessionLimitError)
        send(app, token, logout)
        assert who(app, logged_in(app)) == ["ada"]

    def test_slot_that_was_never_used(self, memory, clock):
        """A login that was taken back in its own request keeps it for a minute, and no longer."""
        app = revocable(memory, SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")
        send(app, None, login(), logout)

        assert isinstance(send(app, None, login()).errors[0], SessionLimitError)
        assert administrator(app, lambda: hard.sessions("ada")) == []
        clock.tick(60)
        assert who(app, logged_in(app)) == ["ada"]

    def test_login_at_save(self, memory):
        """A login that only a key tells of cannot be refused any more, so it evicts."""
        app = revocable(memory, SESSION_MAX_PER_USER=1, SESSION_OVERFLOW="refuse")
        first = logged_in(app)

        second = send(app, None, write(user_id="ada")).token

        assert who(app, first, second) == [None, "ada"]
        assert why(app, first) == "evicted"


class TestCounts:
    """What it costs."""

    def test_reads(self, memory):
        """An untouched session costs nothing, an anonymous one two reads, a user's three, garbage none."""
        app = revocable(memory)
        ada, nobody = logged_in(app), send(app, None, write(cart=1)).token
        send(app, nobody, read)  # once in each process the epoch is written anew
        memory.verbs(*EVERY_KIND)

        send(app, ada)
        assert memory.verbs(*EVERY_KIND) == []
        send(app, nobody, read)
        assert memory.verbs(*EVERY_KIND) == ["get"] * 2
        send(app, ada, read)
        assert memory.verbs(*EVERY_KIND) == ["get"] * 3
        send(app, "hs1_garbage", read)
        assert memory.verbs(*EVERY_KIND) == []

    def test_writes(self, memory):
        """A write reads the same again and writes nothing; a logout reads and writes one value."""
        app = revocable(memory)
        ada = logged_in(app)
        send(app, ada, read)
        memory.verbs(*EVERY_KIND)

        send(app, ada, write(cart=1))
        assert memory.verbs(*EVERY_KIND) == ["get"] * 6
        send(app, ada, logout)
        assert memory.verbs(*EVERY_KIND) == [*["get"] * 4, "add"]

    def test_one_value_for_each_session_that_was_touched(self, memory):
        """The store grows with what is ended or renewed, and not with sessions."""
        app = revocable(memory)
        tokens = [send(app, None, write(cart=1)).token for _ in range(20)]
        assert len(memory.held()) == 1

        for _ in range(3):
            tokens[0] = send(app, tokens[0], regenerate).token
        send(app, tokens[0], logout)
        send(app, tokens[1], logout)

        assert len(memory.held()) == 3

    def test_revocation_outlives_the_session(self, memory, clock):
        """What ends a session stays for as long as its cookie could last, and then goes."""
        app = revocable(memory)
        clock.tick(1)
        token = send(app, None, write(cart=1)).token
        send(app, token, logout)

        clock.tick(timedelta(hours=12, seconds=59))
        assert len(memory.held()) == 2
        clock.tick(1)
        assert len(memory.held()) == 1

    def test_it_outlives_a_later_login_that_it_did_not_know_of(self, memory, clock):
        """Who logs out with an older cookie ends the login of a moment ago for all of its life."""
        app = revocable(memory, SESSION_IDLE_TIMEOUT=43200)
        old = logged_in(app)
        clock.tick(timedelta(hours=6))
        new = send(app, old, login("ada")).token

        send(app, old, logout)

        for hours in (0, 6, 5):
            clock.tick(timedelta(hours=hours))
            assert who(app, new) == [None]


class TestStaleness:
    """`SESSION_REVOCATION_STALENESS`."""

    def test_fewer_reads(self, memory, clock):
        """Within it nothing is read a second time, and the user's epoch and that of all only once for all sessions."""
        app = revocable(memory, SESSION_REVOCATION_STALENESS=10)
        one, two = logged_in(app), logged_in(app)
        send(app, one, read)
        memory.verbs(*EVERY_KIND)

        clock.tick(9)
        send(app, one, read)
        assert memory.verbs(*EVERY_KIND) == []
        send(app, two, read)
        assert memory.verbs(*EVERY_KIND) == ["get"]
        clock.tick(1)
        send(app, one, read)
        assert memory.verbs(*EVERY_KIND) == ["get"] * 3

    @pytest.mark.parametrize("end", ["logout", "revoke_user", "revoke_all"])
    def test_another_process_hears_of_it_when_it_is_over(self, memory, clock, end):
        """Another process opens an ended session until the staleness is over, and not a second longer."""
        here, there = (revocable(memory, SESSION_REVOCATION_STALENESS=timedelta(seconds=10)) for _ in range(2))
        token = logged_in(here)
        assert who(there, token) == ["ada"]

        if end == "logout":
            send(here, token, logout)
        else:
            administrator(here, lambda: hard.revoke_user("ada") if end == "revoke_user" else hard.revoke_all())

        assert who(here, token) == [None]
        clock.tick(9)
        assert who(there, token) == ["ada"]
        clock.tick(1)
        assert who(there, token) == [None]

    @pytest.mark.parametrize(
        "change", [write(cart=1), regenerate, write(role="admin"), login("ada"), login("bob"), make_permanent]
    )
    def test_no_token_is_issued_on_it(self, memory, clock, change):
        """It never counts where a token is to be issued: a session that was ended elsewhere gets none."""
        here, there = (revocable(memory, SESSION_REVOCATION_STALENESS=10) for _ in range(2))
        token = logged_in(here)
        assert who(there, token) == ["ada"]
        send(here, token, logout)

        answer = send(there, token, read, change)

        assert (answer.status, answer.cookies) == (200, [])
        assert administrator(there, lambda: hard.sessions("bob")) == []

    def test_activity_is_no_token_either(self, memory, clock):
        """Nor does mere activity renew the cookie of a session that was ended elsewhere."""
        here, there = (revocable(memory, SESSION_REVOCATION_STALENESS=100) for _ in range(2))
        token = logged_in(here)
        assert who(there, token) == ["ada"]
        send(here, token, logout)
        clock.tick(61)

        answer = send(there, token, owner)

        assert (answer.value, answer.cookies) == ("ada", [])

    def test_what_is_kept_is_bounded(self, monkeypatch):
        """A process remembers so many sessions and no more."""
        monkeypatch.setattr("hardsession.revocation._MOST_KEPT", 2)
        recent = Recent(10)

        read = [recent.get(key, 0, lambda key=key: key * 2) for key in (1, 2, 3)]

        assert (read, len(recent._kept)) == ([2, 4, 6], 1)


class TestOldCookies:
    """Cookies that are not of now."""

    def test_from_before_the_revocation_store(self, memory):
        """A cookie from before the store was set has no epoch that could end it, so it is over."""
        token = logged_in(make_app(None))

        assert who(revocable(memory), token) == [None]

    def test_from_before_the_registry(self, memory):
        """A user's cookie without his epoch could not be revoked with his others, so it is over."""
        token = logged_in(revocable(memory, SESSION_REGISTRY=False))

        assert who(revocable(memory), token) == [None]

    def test_first_two_sessions_at_once(self, memory):
        """The first two sessions of all agree on the epoch."""
        app = revocable(memory)
        others = []

        def before(call):
            if call.verb == "add" and call.kind == "x":
                memory.before = lambda _: None
                others.append(send(app, None, write(cart=1)).token)

        memory.before = before
        token = send(app, None, write(cart=2)).token

        assert [send(app, each, read).value for each in (*others, token)] == [{"cart": 1}, {"cart": 2}]


class TestRaces:
    """Two requests at once."""

    def test_late_request_sets_no_cookie(self, store):
        """A request under way while its session is logged out, or gets a new id, sets no cookie: its write is lost."""
        app = revocable(store)
        for meanwhile in (logout, regenerate):
            token = logged_in(app)
            slow = Slow(app, token, read, write(late=1))
            send(app, token, meanwhile)

            assert slow.finish().cookies == []

    def test_double_click_on_login(self, store):
        """Two logins over one anonymous session both stand: the browser keeps the later cookie."""
        app = revocable(store)
        token = send(app, None, write(cart=1)).token
        slow = Slow(app, token, login("ada"))

        other = send(app, token, login("ada")).token
        answer = slow.finish()

        assert who(app, token, other, answer.token) == [None, "ada", "ada"]

    def test_double_click_on_proving_again(self, store):
        """So do two that prove again who they are."""
        app = revocable(store)
        token = logged_in(app)
        slow = Slow(app, token, login("ada", method="webauthn"))

        other = send(app, token, login("ada", method="webauthn")).token
        answer = slow.finish()

        assert who(app, token, other, answer.token) == [None, "ada", "ada"]

    def test_login_beaten_by_two_new_ids(self, store):
        """A login that is two ids behind has lost: its token would be dead."""
        app = revocable(store)
        token = logged_in(app)
        slow = Slow(app, token, login("ada"))
        for _ in range(2):
            token = send(app, token, regenerate).token

        assert slow.finish().cookies == []
        assert who(app, token) == ["ada"]

    def test_logout_by_key_over_a_new_id(self, store):
        """Who pops the user's key while the session gets a new id ends both, and takes nothing along."""
        app = revocable(store)
        token = logged_in(app, user_id="ada", cart=1)
        slow = Slow(app, token, read, pop)
        other = send(app, token, regenerate).token

        answer = slow.finish()

        assert (answer.token, answer.deletes) == (None, True)
        assert who(app, token, other) == [None, None]

    def test_revoke_user_during_login(self, store):
        """A login that began before its user was logged out everywhere does not count, and what it was over stays."""
        app = revocable(store)
        for before in (None, send(app, None, write(cart=1)).token):
            slow = Slow(app, before, login("ada"))
            administrator(app, lambda: hard.revoke_user("ada"))

            assert slow.finish().cookies == []
            assert administrator(app, lambda: hard.sessions("ada")) == []
        assert send(app, before, read).value == {"cart": 1}

    def test_login_whose_session_was_logged_out_meanwhile(self, store):
        """A login over a session that is logged out meanwhile is refused, and in no list."""
        app = revocable(store)
        token = logged_in(app, "bob")
        slow = Slow(app, token, login("ada"))
        send(app, token, logout)

        assert slow.finish().cookies == []
        assert administrator(app, lambda: hard.sessions("ada")) == []

    @pytest.mark.parametrize("first", [False, True])
    def test_new_id_while_logging_out(self, memory, first):
        """A new id that comes between a logout's look and its write is ended as well."""
        app = revocable(memory)
        token = logged_in(app)
        if not first:
            token = send(app, token, regenerate).token
        others = []

        def before(call):
            if call.verb in ("add", "replace") and call.kind == "x":
                memory.before = lambda _: None
                others.append(send(app, token, regenerate).token)

        memory.before = before
        answer = send(app, token, logout)

        assert answer.deletes
        assert who(app, token, *others) == [None, None]


class TestOutage:
    """The revocation store is away."""

    def test_nobody_is_taken_for_not_revoked(self, memory):
        """A page that reads its session fails; every change and logout fails, and sets no cookie."""
        app = revocable(memory)
        token = logged_in(app)

        with Outage(memory):
            for steps in ([read], [write(cart=1)], [logout], [login()], []):
                answer = send(app, token, *steps)
                assert (answer.status, answer.cookies) == ((500, []) if steps else (200, []))
                assert [type(error) for error in answer.errors] == [StoreError][: len(steps)]
            assert send(app, None, write(cart=1)).status == 500
        assert who(app, token) == ["ada"]

    def test_anonymous(self, memory):
        """Or it is served to nobody in particular, and a change still fails."""
        app = revocable(memory, SESSION_STORE_OUTAGE="anonymous")
        token = logged_in(app)

        with Outage(memory):
            assert send(app, token, read).value == {}
            for step in (write(cart=1), logout):
                assert (send(app, token, step).status, send(app, token, step).cookies) == (500, [])


class TestParts:
    """What else takes part."""

    def test_registry_off(self, memory):
        """Without lists a logout and a new id still end what was before, and the calls say what is off."""
        app = revocable(memory, SESSION_REGISTRY=False)
        token = logged_in(app)
        new = send(app, token, regenerate).token
        assert who(app, token, new) == [None, "ada"]

        with pytest.raises(ConfigError, match="SESSION_REVOCATION_STORE"):
            administrator(app, hard.revoke_all)
        send(app, new, logout)
        assert who(app, new) == [None]

    def test_header_and_cookie(self, memory):
        """A session in the header is ended by what ends those in cookies."""
        app = revocable(memory, SESSION_TOKEN_HEADER="X-Session-Token")
        browser = logged_in(app)
        client = app.test_client(use_cookies=False)

        def call(token, act):
            environ = {"act": act, "errors": []}
            return client.get("/", headers={"X-Session-Token": token}, environ_overrides=environ)

        seen = []
        token = call("new", login()).headers["X-Session-Token"]
        call(token, lambda: seen.append(owner()))
        assert send(app, browser, hard.revoke_others).value == 1
        call(token, lambda: seen.append(owner()))

        assert seen == ["ada", None]

    def test_save_now_stays_refused(self, memory):
        """`hard.save()` still has no answer to set a cookie in."""
        app = revocable(memory)

        answer = send(app, logged_in(app), write(cart=1), hard.save)

        assert isinstance(answer.errors[0], NotSavedError)

    def test_logout_after_the_timeout(self, memory, clock):
        """A logout with a cookie that timed out ends the copies that somebody kept busy."""
        app = revocable(memory)
        token = logged_in(app)
        clock.tick(1000)
        busy = send(app, token, owner).token
        clock.tick(1000)

        send(app, token, logout)

        assert who(app, busy) == [None]

    def test_unknown_reason(self, memory):
        """An end for a reason that this version does not know is a revocation."""
        app = revocable(memory)
        parts = app.session_interface.resolve(app)
        lineages = parts.mode._lineages
        token = logged_in(app)
        header = parts.mode._cookies.record(token, parts.ring(0)).header
        now = header.created_at

        lineages.finish(header.lineage, 99, header.expires_at, parts.ring(now), now)

        assert why(app, token) == "revoked"

    def test_slot_is_no_session(self, memory):
        """An entry of a list whose session was never saved lives no more."""
        lineages = Lineages(memory, key_prefix="", app_id="app", ring=lambda _: None, lifetime=1)

        assert lineages.lives(Entry(bytes(16), (), 1, 0, 2, False, "", "")) is False


class TestSettings:
    """`SESSION_REVOCATION_STORE` takes what `SESSION_TYPE` or `SESSION_STORE` takes."""

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ("memory", "memory"),
            ("Redis", "redis"),
            ("redis://localhost:1", "redis"),
            ("sqlite://", "sqlalchemy"),
            (MemoryStore(), "MemoryStore"),
        ],
    )
    def test_values(self, value, name):
        """A name, a URL or a store."""
        settings = Settings.read({"SESSION_SECRET_KEYS": [KEY], "SESSION_REVOCATION_STORE": value})

        assert settings.revocation_store.name == name
        assert settings.store is None

    @pytest.mark.parametrize(
        ("config", "fault"),
        [
            ({"SESSION_REVOCATION_STORE": "cachelib"}, "does not compare and write in one step"),
            ({"SESSION_REVOCATION_STORE": CachelibStore.__new__(CachelibStore)}, "does not compare"),
            ({"SESSION_REVOCATION_STORE": "cookie"}, "is no store that this version has. Use one of 'memory'"),
            ({"SESSION_REVOCATION_STORE": 7}, "is neither a URL nor a store"),
            ({"SESSION_REVOCATION_STORE": "memory", "SESSION_TYPE": "memory"}, "is for sessions in cookies"),
            ({"SESSION_REVOCATION_STALENESS": -1}, "is no duration from 0 s"),
        ],
    )
    def test_refused(self, config, fault):
        """What cannot work is refused at the start, with a remedy."""
        with pytest.raises(ConfigError, match=fault):
            Settings.read({"SESSION_SECRET_KEYS": [KEY]} | config)

    def test_driver_that_is_missing(self, monkeypatch):
        """A store that cannot be built is an error that names the setting."""
        app = revocable("sqlite+nosuchdriver://")

        with pytest.raises(ConfigError, match="SESSION_REVOCATION_STORE"):
            hard.ready(app)

    def test_check_of_copied_cookies_goes(self, memory):
        """The finding that a copied cookie outlives the logout (HS011) is gone."""
        assert "HS011" not in [finding.id for finding in run(read_settings(revocable(memory)))]
        assert "HS011" in [finding.id for finding in run(read_settings(make_app(None)))]
