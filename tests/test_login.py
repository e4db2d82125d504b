"""Who a session belongs to: login, logout, and what an application's own keys say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import session
from freezegun import freeze_time

from hardsession import HardSession, current_session

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
NAME = "__Host-Http-session"


@pytest.fixture
def hard():
    """The extension, whose methods act on the current session."""
    return HardSession()


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


@pytest.fixture
def header(act):
    """What is sealed in a browser's cookie."""
    return lambda client: act(client, lambda: (session.get("x"), current_session.header)[1]).value


class TestLogin:
    """`hard.login(user_id)`."""

    def test_gives_a_new_session(self, client, act, hard, header, events):
        """A login changes the id and the public handle, so that who planted the old one holds nothing (ASVS 7.2.4)."""
        act(client, lambda: session.update(a=1))
        before = header(client)

        act(client, lambda: hard.login("ada"))

        after = header(client)
        assert after.lineage != before.lineage
        assert after.metadata.owner == "ada"
        assert events[-1] == (
            "session_regenerated",
            {"session": after.lineage.log_name, "previous": before.lineage.log_name},
        )

    def test_starts_both_clocks(self, client, act, hard, header, clock):
        """A login starts the idle and the absolute timeout again, and says when it was (NIST SP 800-63B-4, 5.2)."""
        act(client, lambda: session.update(a=1))
        clock.tick(1000)

        act(client, lambda: hard.login("ada", method="webauthn"))

        sealed, now = header(client), int(START.timestamp()) + 1000
        assert (sealed.created_at, sealed.seen_at, sealed.authenticated_at, sealed.renewed_at) == (now,) * 4
        assert sealed.expires_at == now + 43200
        assert sealed.metadata.methods == {"webauthn": now}

    def test_again_by_the_same_user(self, client, act, hard, header, clock):
        """Who proves again who he is keeps handle, data and earlier methods, under a new id."""
        act(client, lambda: (hard.login("ada"), session.update(draft="x")))
        before = header(client)
        clock.tick(60)

        act(client, lambda: hard.login("ada", method="totp"))

        after = header(client)
        assert after.lineage == before.lineage
        assert after.generation == before.generation + 1
        assert after.metadata.methods == {"password": before.created_at, "totp": before.created_at + 60}
        assert act(client, lambda: session["draft"]).value == "x"

    def test_id_as_number_and_text_is_one_user(self, client, act, hard, header):
        """7 and "7" are the same user."""
        act(client, lambda: (hard.login(7), session.update(draft="x")))
        before = header(client)

        act(client, lambda: hard.login("7"))

        assert header(client).lineage == before.lineage

    def test_keeps_what_an_anonymous_visitor_stored(self, client, act, hard):
        """A cart filled before the login is there after it."""
        act(client, lambda: session.update(cart=["tea"], csrf_token="t"))

        act(client, lambda: hard.login("ada"))

        assert act(client, lambda: dict(session)).value == {"cart": ["tea"], "csrf_token": "t"}

    def test_drops_a_csrf_token_that_can_be_planted(self, make_app, act, hard):
        """Where a sibling site can plant a cookie, the token in an anonymous session is not kept over the login."""
        client = make_app(SESSION_COOKIE_NAME="sid").test_client()
        act(client, lambda: session.update(cart=["tea"], csrf_token="planted"))

        act(client, lambda: hard.login("ada"))

        assert act(client, lambda: dict(session)).value == {"cart": ["tea"]}

    def test_as_another_user_drops_data(self, client, act, hard, header):
        """Nothing that one user left reaches the next; what the login itself stores does."""
        act(client, lambda: (hard.login("ada"), session.update(draft="ada's", theme="dark")))
        before = header(client)

        def relogin():
            session["theme"] = "light"
            hard.login("bob")
            at_once = dict(session)
            session["greeted"] = True
            return at_once

        at_once = act(client, relogin).value

        assert at_once == {"theme": "light"}
        assert act(client, lambda: dict(session)).value == {"theme": "light", "greeted": True}
        assert header(client).lineage != before.lineage

    def test_keep_narrows(self, client, act, hard):
        """`keep` names the only keys of before that are kept."""
        act(client, lambda: session.update(cart=["tea"], csrf_token="t", seen=1))

        act(client, lambda: (session.update(new=1), hard.login("ada", keep=("cart", "missing"))))

        assert act(client, lambda: dict(session)).value == {"cart": ["tea"], "new": 1}

    def test_of_an_empty_session(self, client, act, hard, events):
        """A login needs no key in the session, which stays false."""
        act(client, lambda: hard.login("ada"))

        assert act(client, lambda: (bool(session), current_session.authenticated_at is not None)).value == (False, True)
        assert [name for name, _ in events] == ["session_created"]

    def test_survives_its_last_key(self, client, act, hard, header):
        """A session that was logged in without a key in it is not over when its last key goes, such as a flash."""
        act(client, lambda: (hard.login("ada"), session.update(flash="hello")))

        act(client, lambda: session.pop("flash"))

        assert header(client).metadata.owner == "ada"

    def test_through_the_session(self, client, act, header):
        """`current_session.login` is the same login."""
        act(client, lambda: current_session.login("ada"))

        assert header(client).metadata.owner == "ada"

    def test_shows_at_once(self, client, act, clock):
        """Within the request of the login the session already tells its new times."""
        times = act(client, lambda: (current_session.login("ada"), current_session.authenticated_at)[1]).value

        assert times == START


class TestLogout:
    """`hard.logout()` and the ways applications log out without it."""

    @pytest.fixture
    def logged_in(self, client, act, hard, events):
        """A browser that is logged in."""
        act(client, lambda: (hard.login("ada"), session.update(user_id="ada", draft="x")))
        events.clear()
        return client

    @pytest.mark.parametrize("way", ["logout", "clear", "pop everything"])
    def test_deletes_the_cookie(self, logged_in, act, hard, events, token, way):
        """Logging out, clearing and emptying end the session and delete its cookie."""
        ways = {
            "logout": hard.logout,
            "clear": lambda: session.clear(),
            "pop everything": lambda: [session.pop(key) for key in list(session)],
        }

        act(logged_in, ways[way])

        assert token(logged_in) is None
        assert [(name, fields["reason"]) for name, fields in events] == [("session_destroyed", "logged_out")]

    @pytest.mark.parametrize("way", [lambda: session.pop("user_id"), lambda: session.update(user_id=None)])
    def test_popping_the_identity_alone_is_a_logout(self, logged_in, act, header, events, way):
        """Without its user's key a session goes on for nobody, under a new id and handle."""
        before = header(logged_in)

        act(logged_in, way)

        after = header(logged_in)
        assert after.lineage != before.lineage
        assert after.metadata.owner is None
        assert after.authenticated_at == 0
        assert (after.created_at, after.expires_at) == (before.created_at, before.expires_at)
        assert act(logged_in, lambda: session["draft"]).value == "x"
        assert [name for name, _ in events] == ["session_destroyed", "session_created"]

    def test_with_a_message_for_the_next_page(self, logged_in, act, header, events):
        """What is stored after a logout begins a new session that knows nothing of the old."""
        before = header(logged_in)

        act(logged_in, lambda: (session.clear(), session.update(flash="bye")))

        after = header(logged_in)
        assert act(logged_in, lambda: dict(session)).value == {"flash": "bye"}
        assert after.lineage != before.lineage
        assert after.metadata.owner is None
        assert [name for name, _ in events] == ["session_destroyed", "session_created"]

    @pytest.mark.parametrize("end", ["logout", "clear"])
    def test_keeps_the_order_to_forget_a_remember_cookie(self, logged_in, act, end):
        """Flask-Login's `_remember` survives, or its cookie would log the user in again."""

        def act_so():
            session["_remember"] = "clear"
            getattr(current_session, end)()
            return dict(session)

        left = act(logged_in, act_so).value

        assert left == {"_remember": "clear"}

    def test_keeps_no_order_to_set_a_remember_cookie(self, logged_in, act, hard):
        """Who is logged out is not to be remembered."""
        left = act(logged_in, lambda: (session.update(_remember="set"), hard.logout(), dict(session))[2]).value

        assert left == {}

    def test_of_a_refused_cookie_deletes_it(self, client, act, hard, events):
        """Logging out with a cookie that does not open deletes it, and reports no end of a session."""
        client.set_cookie(NAME, "hs1_" + "A" * 200)

        answer = act(client, hard.logout)

        assert answer.cookies[0].startswith(f"{NAME}=;")
        assert [name for name, _ in events] == ["session_rejected"]

    def test_without_a_cookie_sets_nothing(self, client, act, hard):
        """Logging out without a session sets and deletes nothing."""
        assert act(client, hard.logout).cookies == []

    def test_tutorial_login_over_a_session(self, logged_in, act, header):
        """Flask's tutorial clears and then writes `user_id`: a new session of that user, not fresh."""
        before = header(logged_in)

        act(logged_in, lambda: (session.clear(), session.update(user_id=8)))

        after = header(logged_in)
        assert after.lineage != before.lineage
        assert after.metadata.owner == "8"
        assert after.authenticated_at == 0


class TestKeys:
    """What an application's own keys say, without a call."""

    def test_identity_key_that_appears(self, client, act, header, clock, events):
        """Writing an identity key is a login: a new session with clocks of its own, whose user is not fresh."""
        act(client, lambda: session.update(cart=["tea"]))
        before = header(client)
        clock.tick(600)

        act(client, lambda: session.update(username="ada"))

        after = header(client)
        assert after.lineage != before.lineage
        assert after.created_at == before.created_at + 600
        assert after.authenticated_at == 0
        assert after.metadata.owner is None
        assert act(client, lambda: session["cart"]).value == ["tea"]
        assert events[-1][0] == "session_regenerated"

    def test_user_id_names_the_owner(self, client, act, header):
        """`user_id` is a user's id, so it owns the session, as text."""
        act(client, lambda: session.update(user_id=7))

        assert header(client).metadata.owner == "7"

    def test_owner_that_changes_drops_data(self, client, act, header):
        """When `user_id` goes from one user to another, what the first left is dropped."""
        act(client, lambda: session.update(user_id=7, draft="x", theme="dark"))
        before = header(client)

        act(client, lambda: session.update(user_id=8, theme="dark"))

        assert act(client, lambda: dict(session)).value == {"user_id": 8, "theme": "dark"}
        assert header(client).metadata.owner == "8"
        assert header(client).lineage != before.lineage

    def test_username_that_changes_drops_nothing(self, client, act, header):
        """A username is not certainly another user's: the id changes, the data stays."""
        act(client, lambda: session.update(username="ada", draft="x"))
        before = header(client)

        act(client, lambda: session.update(username="bob"))

        assert act(client, lambda: session["draft"]).value == "x"
        assert header(client).lineage != before.lineage

    def test_email_of_the_same_user(self, client, act, hard, header):
        """Another identity key of a known user gives a new id, keeps handle and data, and costs freshness."""
        act(client, lambda: (hard.login(7), session.update(user_id=7, email="a@example.org")))
        before = header(client)

        act(client, lambda: session.update(email="b@example.org"))

        after = header(client)
        assert after.lineage == before.lineage
        assert after.generation == before.generation + 1
        assert after.authenticated_at == 0
        assert after.metadata.owner == "7"
        assert after.metadata.methods == {}
        assert act(client, lambda: session["user_id"]).value == 7

    def test_login_beside_the_key_counts(self, client, act, hard, header):
        """With a call to `login` in the same request the key's change takes no freshness away."""
        act(client, lambda: (session.update(user_id=7), hard.login(7)))

        assert header(client).authenticated_at > 0

    @pytest.mark.parametrize("change", [lambda: session.update(role="admin"), lambda: session["roles"].append("admin")])
    def test_privilege_that_changes(self, client, act, hard, header, change):
        """A changed privilege, also inside a list, gives a new id and keeps everything else."""
        act(client, lambda: (hard.login(7), session.update(roles=["author"])))
        before = header(client)

        act(client, change)

        after = header(client)
        assert after.generation == before.generation + 1
        assert after.lineage == before.lineage
        assert after.authenticated_at == before.authenticated_at

    def test_privilege_removed_with_the_last_key(self, client, act, hard, header):
        """A privilege key that was the last one goes with a new id, and the login stays."""
        act(client, lambda: (hard.login(7), session.update(role="admin")))
        before = header(client)

        act(client, lambda: session.pop("role"))

        assert header(client).generation == before.generation + 1
        assert header(client).metadata.owner == "7"

    def test_other_keys_change_nothing(self, client, act, header):
        """Any other key keeps the id."""
        act(client, lambda: session.update(user_id=7))
        before = header(client)

        act(client, lambda: session.update(cart=1))

        assert header(client).generation == before.generation
        assert header(client).lineage == before.lineage

    def test_configured_keys(self, make_app, act, header):
        """An application names its own identity and privilege keys."""
        app = make_app(SESSION_IDENTITY_KEYS=["member"], SESSION_PRIVILEGE_KEYS=["level"])
        client = app.test_client()
        act(client, lambda: session.update(a=1))
        before = header(client)

        act(client, lambda: session.update(username="x", role="y"))
        unchanged = header(client)
        act(client, lambda: session.update(level=2))
        raised = header(client)
        act(client, lambda: session.update(member=1))

        assert unchanged.generation == before.generation
        assert raised.generation == before.generation + 1
        assert header(client).lineage != before.lineage


class TestRegenerate:
    """`regenerate()`, in its three spellings."""

    @pytest.mark.parametrize("spelling", ["extension", "session", "interface"])
    def test_gives_a_new_id(self, app, client, act, hard, header, clock, spelling):
        """The id is new, data, handle and clocks stay."""
        spellings = {
            "extension": hard.regenerate,
            "session": lambda: current_session.regenerate(),
            "interface": lambda: app.session_interface.regenerate(session),
        }
        act(client, lambda: session.update(a=1))
        before = header(client)
        clock.tick(100)

        act(client, spellings[spelling])

        after = header(client)
        assert after.generation == before.generation + 1
        assert after.renewed_at == before.renewed_at + 100
        assert (after.lineage, after.created_at, after.expires_at) == (
            before.lineage,
            before.created_at,
            before.expires_at,
        )
        assert act(client, lambda: session["a"]).value == 1

    def test_of_no_session_does_nothing(self, client, act, hard):
        """There is no id to change before a session begins."""
        assert act(client, hard.regenerate).cookies == []


def test_freshness_is_the_login_not_the_activity(client, act, hard, clock):
    """Activity does not make a login younger."""
    act(client, lambda: hard.login("ada"))
    clock.tick(600)
    act(client, lambda: session.update(a=1))

    assert act(client, lambda: current_session.authenticated_at).value == START
    assert act(client, lambda: current_session.created_at + timedelta(0)).value == START
