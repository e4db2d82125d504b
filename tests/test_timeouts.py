"""Idle and absolute timeout at once, on their edges, through the test client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import session
from freezegun import freeze_time

from hardsession import Key, current_session

START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


@pytest.mark.parametrize(("after", "alive"), [(1799, True), (1800, False), (1801, False)])
def test_idle_edge(client, act, clock, after, alive):
    """The idle timeout ends a session at its second, not before (ASVS 7.3.1)."""
    act(client, lambda: session.update(a=1))

    clock.tick(after)
    value, ended = act(client, lambda: (session.get("a"), session.ended)).value

    assert value == (1 if alive else None)
    assert ended == (None if alive else "idle_timeout")


@pytest.mark.parametrize(("after", "alive"), [(43199, True), (43200, False), (43201, False)])
def test_absolute_edge(client, act, clock, after, alive):
    """Activity keeps a session alive up to the absolute timeout and no second longer (ASVS 7.3.2)."""
    act(client, lambda: session.update(a=1))
    for _ in range(after // 1200):
        clock.tick(1200)
        assert act(client, lambda: session.get("a")).value == 1 or clock().timestamp() >= START.timestamp() + 43200

    clock.move_to(START + timedelta(seconds=after))
    value, ended = act(client, lambda: (session.get("a"), session.ended)).value

    assert value == (1 if alive else None)
    assert ended == (None if alive else "absolute_timeout")


def test_activity_moves_the_idle_clock(client, act, clock):
    """A request in time starts the idle timeout again."""
    act(client, lambda: session.update(a=1))

    clock.tick(1799)
    act(client, lambda: session.get("a"))
    clock.tick(1799)

    assert act(client, lambda: session.get("a")).value == 1


@pytest.mark.parametrize(("after", "written"), [(59, False), (60, True), (61, True)])
def test_touch_interval(client, act, clock, after, written):
    """Reading is written down as activity once a touch interval is over, not in every request."""
    act(client, lambda: session.update(a=1))

    clock.tick(after)

    assert bool(act(client, lambda: session.get("a")).cookies) is written


def test_passive_endpoint_is_no_activity(make_app, act, clock):
    """Polling an endpoint that is named passive does not keep a session alive, whether it reads or writes."""
    client = make_app(SESSION_PASSIVE_ENDPOINTS=["poll"]).test_client()
    act(client, lambda: session.update(a=1))

    clock.tick(1000)
    assert act(client, lambda: session.get("a"), "/poll").cookies == []
    act(client, lambda: session.update(b=2), "/poll")
    clock.tick(800)

    assert act(client, lambda: session.ended).value == "idle_timeout"


def test_expired_session_sets_and_deletes_nothing(client, act, clock, events):
    """An expired cookie is answered as if none had come, and reported."""
    act(client, lambda: session.update(a=1))
    name = act(client, lambda: session.handle) and events[0][1]["session"]

    clock.tick(1800)
    answer = act(client, lambda: dict(session))

    assert answer.value == {}
    assert answer.cookies == []
    assert events[-1] == ("session_expired", {"session": name, "reason": "idle_timeout"})


def test_write_after_expiry_begins_anew(client, act, clock):
    """What is stored after the end begins a new session with clocks of its own."""
    act(client, lambda: session.update(a=1))
    old = act(client, lambda: session.handle).value

    clock.tick(1800)
    act(client, lambda: session.update(b=2))
    data, handle, created = act(client, lambda: (dict(session), session.handle, session.created_at)).value

    assert data == {"b": 2}
    assert handle != old
    assert created == START + timedelta(seconds=1800)


@pytest.mark.parametrize(
    ("profile", "idle", "absolute"),
    [
        ("standard", 1800, 43200),
        ("aal1", None, 30 * 86400),
        ("aal2", 3600, 86400),
        ("aal3", 900, 43200),
        ("pci", 900, 43200),
        ("high", 300, 4 * 3600),
    ],
)
def test_profiles(make_app, act, clock, profile, idle, absolute):
    """Each preset ends sessions at the numbers of its clause (NIST SP 800-63B-4; PCI DSS 8.2.8; OWASP)."""
    client = make_app(SESSION_PROFILE=profile).test_client()
    act(client, lambda: session.update(a=1))

    limit = idle or absolute
    clock.tick(limit - 1)
    before = client.application.test_client()
    before.set_cookie("__Host-Http-session", client.get_cookie("__Host-Http-session").value)
    assert act(before, lambda: session.get("a")).value == 1

    clock.tick(1)
    assert act(client, lambda: session.ended).value == ("idle_timeout" if idle else "absolute_timeout")


def test_timeouts_by_timedelta_and_seconds(make_app, act, clock):
    """Both timeouts take seconds or a timedelta, and overrule the profile."""
    client = make_app(SESSION_IDLE_TIMEOUT=timedelta(minutes=2), SESSION_ABSOLUTE_TIMEOUT=200).test_client()
    act(client, lambda: session.update(a=1))

    clock.tick(119)
    assert act(client, lambda: session.expires_in).value == timedelta(seconds=1)
    clock.tick(81)

    assert act(client, lambda: session.ended).value == "absolute_timeout"


def test_shortened_configuration_ends_open_sessions(make_app, act, clock):
    """A lowered absolute timeout ends sessions that exceed it; raising it again extends none beyond its frozen end."""
    keys = [Key.generate().text]
    long, short, longer = (
        make_app(SESSION_PROFILE="aal1", SESSION_ABSOLUTE_TIMEOUT=seconds, SESSION_SECRET_KEYS=keys)
        for seconds in (1000, 500, 5000)
    )
    client = long.test_client()
    act(client, lambda: session.update(a=1))
    token = client.get_cookie("__Host-Http-session").value

    def ended(app):
        other = app.test_client()
        other.set_cookie("__Host-Http-session", token)
        return act(other, lambda: session.ended).value

    clock.tick(500)
    assert [ended(long), ended(short), ended(longer)] == [None, "absolute_timeout", None]
    clock.tick(500)
    assert [ended(long), ended(longer)] == ["absolute_timeout", "absolute_timeout"]


@pytest.mark.parametrize(("ahead", "accepted"), [(29, True), (30, True), (31, False)])
def test_clock_skew(client, act, clock, events, ahead, accepted):
    """A session of an instance whose clock is ahead opens within 30 seconds, and is refused beyond."""
    clock.tick(ahead)
    act(client, lambda: session.update(a=1))
    clock.move_to(START)

    value = act(client, lambda: session.get("a")).value

    assert value == (1 if accepted else None)
    assert (("session_rejected", {"session": None, "reason": "future"}) in events) is not accepted


def test_clock_that_goes_back_moves_nothing_back(client, act, clock):
    """A write by an instance whose clock is behind does not turn the session's activity back."""
    act(client, lambda: session.update(a=1))
    seen = act(client, lambda: session.last_seen_at).value

    clock.move_to(START - timedelta(seconds=20))
    act(client, lambda: session.update(b=1))

    assert act(client, lambda: session.last_seen_at).value == seen


class TestPermanent:
    """`session.permanent` and Flask's two settings for it."""

    def permanent(self):
        session.permanent = True
        session["a"] = 1

    def test_lifetime_slides_as_with_flask(self, make_app, act, clock):
        """`PERMANENT_SESSION_LIFETIME` shortens the idle timeout of a permanent session, and activity slides it."""
        client = make_app(PERMANENT_SESSION_LIFETIME=timedelta(minutes=5)).test_client()
        act(client, self.permanent)

        clock.tick(299)
        assert act(client, lambda: session.get("a")).value == 1
        clock.tick(299)
        assert act(client, lambda: session.get("a")).value == 1
        clock.tick(300)

        assert act(client, lambda: session.ended).value == "idle_timeout"

    def test_lifetime_is_absolute_without_refresh(self, make_app, act, clock):
        """Without `SESSION_REFRESH_EACH_REQUEST` the lifetime counts from the start."""
        client = make_app(PERMANENT_SESSION_LIFETIME=300, SESSION_REFRESH_EACH_REQUEST=False).test_client()
        act(client, self.permanent)

        clock.tick(299)
        assert act(client, lambda: session.get("a")).value == 1
        clock.tick(1)

        assert act(client, lambda: session.ended).value == "absolute_timeout"

    def test_lifetime_never_extends(self, make_app, act, clock):
        """A lifetime longer than the timeouts changes nothing."""
        client = make_app(PERMANENT_SESSION_LIFETIME=timedelta(days=31)).test_client()
        act(client, self.permanent)

        clock.tick(1800)

        assert act(client, lambda: session.ended).value == "idle_timeout"

    def test_lifetime_is_read_in_each_request(self, app, client, act, clock):
        """An application may set the lifetime in a `before_request`, as many do."""
        act(client, self.permanent)

        app.permanent_session_lifetime = timedelta(minutes=1)
        clock.tick(60)

        assert act(client, lambda: session.ended).value == "idle_timeout"

    def test_lifetime_leaves_other_sessions_alone(self, make_app, act, clock):
        """A session that is not permanent knows nothing of it."""
        client = make_app(PERMANENT_SESSION_LIFETIME=60).test_client()
        act(client, lambda: session.update(a=1))

        clock.tick(1000)

        assert act(client, lambda: session.get("a")).value == 1

    def test_cookie_says_what_is_left(self, client, act, clock):
        """A permanent session's cookie has Max-Age and Expires of the absolute timeout; another's has none."""
        plain = act(client, lambda: session.update(a=1)).cookies[0]
        clock.tick(100)
        permanent = act(client, lambda: setattr(session, "permanent", True)).cookies[0]

        assert "Max-Age" not in plain
        assert "Expires" not in plain
        assert "; Max-Age=43100;" in permanent
        assert "; Expires=Tue, 24 Nov 2026 21:00:00 GMT;" in permanent

    def test_default_of_new_sessions(self, make_app, act, clock):
        """With `SESSION_PERMANENT` sessions begin permanent, and begin so again after they were cleared."""
        client = make_app(SESSION_PERMANENT=True).test_client()

        def begin():
            session.permanent = False
            session.clear()
            session["a"] = 1
            return session.permanent

        assert act(client, begin).value is True
        assert act(client, lambda: session.permanent).value is True

    def test_permanence_can_end(self, client, act, clock):
        """A session that stops being permanent gets a cookie without Max-Age."""
        act(client, self.permanent)

        answer = act(client, lambda: setattr(session, "permanent", False))

        assert "Max-Age" not in answer.cookies[0]
        assert act(client, lambda: session.permanent).value is False


def test_times_are_told(client, act, clock):
    """A session tells its times as aware datetimes, and what is left of the nearer clock."""
    act(client, lambda: current_session.login("ada"))
    clock.tick(61)
    act(client, lambda: session.get("a"))
    clock.tick(9)

    times = act(
        client,
        lambda: (
            current_session.created_at,
            current_session.authenticated_at,
            current_session.last_seen_at,
            current_session.expires_in,
        ),
    ).value

    assert times == (START, START, START + timedelta(seconds=61), timedelta(seconds=1800 - 9))


def test_nothing_is_left_below_zero(make_app, act, clock):
    """What is left never counts below zero."""
    client = make_app(SESSION_IDLE_TIMEOUT=10).test_client()
    act(client, lambda: session.update(a=1))

    left = act(client, lambda: (clock.tick(20), session.expires_in)[1]).value

    assert left == timedelta(0)
