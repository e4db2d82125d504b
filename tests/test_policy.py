"""When a session is over, and how its times move."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import timedelta

import pytest

from hardsession.crypto.ids import Lineage
from hardsession.errors import Refusal, Staleness, TokenRefused
from hardsession.policy import (
    MAX_SKEW,
    PROFILES,
    Freshness,
    Timeout,
    Timeouts,
    authenticate,
    begin,
    deauthenticate,
    demote,
    limits,
    over,
    regenerate,
    stale,
    touch,
    touch_due,
)
from hardsession.record import Header, Metadata

START = 1_800_000_000
IDLE, ABSOLUTE = 1800, 43200
TIMEOUTS = Timeouts.of(IDLE, ABSOLUTE)
LINEAGE = Lineage(bytes(range(16)))
METADATA = Metadata(owner="42", user_epoch=3, all_epoch=5, methods={"password": START})

EDGE = pytest.mark.parametrize(
    ("offset", "is_over"), [(-1, False), (0, True), (1, True)], ids=["second before", "limit", "second after"]
)


def header(**fields) -> Header:
    """A session of user 42 that began at START and is active."""
    usual = {
        "created_at": START,
        "seen_at": START,
        "expires_at": START + ABSOLUTE,
        "authenticated_at": START,
        "renewed_at": START,
        "generation": 4,
        "lineage": LINEAGE,
        "metadata": METADATA,
    }
    return Header(**(usual | fields))


class TestProfiles:
    """Presets by name."""

    MINUTE, HOUR, DAY = 60, 3600, 86400

    @pytest.mark.parametrize(
        ("name", "idle", "absolute", "touch"),
        [
            pytest.param("standard", 30 * MINUTE, 12 * HOUR, 60, id="standard"),
            pytest.param("aal1", None, 30 * DAY, 60, id="NIST SP 800-63B-4, 2.1.3"),
            pytest.param("aal2", 1 * HOUR, 24 * HOUR, 60, id="NIST SP 800-63B-4, 2.2.3"),
            pytest.param("aal3", 15 * MINUTE, 12 * HOUR, 45, id="NIST SP 800-63B-4, 2.3.3"),
            pytest.param("pci", 15 * MINUTE, 12 * HOUR, 45, id="PCI DSS 4.0, 8.2.8"),
            pytest.param("high", 5 * MINUTE, 4 * HOUR, 15, id="OWASP, high-value applications"),
        ],
    )
    def test_numbers_are_the_clauses(self, name, idle, absolute, touch):
        """Each preset has the numbers of the clause that it is named after."""
        assert PROFILES[name] == Timeouts(idle=idle, absolute=absolute, touch=touch)

    def test_there_are_six(self):
        """No preset is there that no test knows."""
        assert set(PROFILES) == {"standard", "aal1", "aal2", "aal3", "pci", "high"}


class TestTimeouts:
    """How long a session lasts."""

    @pytest.mark.parametrize(
        ("idle", "absolute", "touch"),
        [(1200, 9999, 60), (1199, 9999, 59), (100, 9999, 5), (19, 9999, 0), (None, 1200, 60), (None, 1199, 59)],
    )
    def test_touch_is_a_minute_or_a_twentieth(self, idle, absolute, touch):
        """Activity is written at most once a minute, and more often where a twentieth of the timeout is less."""
        assert Timeouts.of(idle, absolute).touch == touch

    @pytest.mark.parametrize("touch", [0, 1, 500])
    def test_touch_can_be_given(self, touch):
        """An interval of one's own stands, zero too."""
        assert Timeouts.of(IDLE, ABSOLUTE, touch) == Timeouts(IDLE, ABSOLUTE, touch)

    def test_are_frozen(self):
        """Timeouts are replaced, never changed."""
        with pytest.raises(FrozenInstanceError):
            TIMEOUTS.idle = 1

    @pytest.mark.parametrize(
        ("lifetime", "idle", "touch"),
        [(IDLE + 1, IDLE, 60), (IDLE, IDLE, 60), (IDLE - 1, IDLE - 1, 60), (600, 600, 30), (10, 10, 0)],
    )
    def test_sliding_lifetime_shortens_the_idle_timeout(self, lifetime, idle, touch):
        """A lifetime that slides is an idle timeout: it shortens ours, never extends it, and no other."""
        assert TIMEOUTS.shortened_to(lifetime, sliding=True) == Timeouts(idle, ABSOLUTE, touch)

    @pytest.mark.parametrize(("lifetime", "touch"), [(600, 30), (86400, 60)])
    def test_sliding_lifetime_where_there_is_no_idle_timeout(self, lifetime, touch):
        """Without an idle timeout the lifetime becomes one."""
        timeouts = Timeouts.of(None, ABSOLUTE)

        assert timeouts.shortened_to(lifetime, sliding=True) == Timeouts(lifetime, ABSOLUTE, touch)

    @pytest.mark.parametrize(
        ("lifetime", "absolute"),
        [(ABSOLUTE + 1, ABSOLUTE), (ABSOLUTE, ABSOLUTE), (ABSOLUTE - 1, ABSOLUTE - 1), (60, 60)],
    )
    def test_fixed_lifetime_shortens_the_absolute_timeout(self, lifetime, absolute):
        """A lifetime that does not slide counts from the start, and leaves the idle timeout."""
        assert TIMEOUTS.shortened_to(lifetime, sliding=False) == Timeouts(IDLE, absolute, 60)

    def test_rare_touch_is_shortened_too(self):
        """A touch interval of one's own does not outlast a shortened idle timeout."""
        timeouts = Timeouts(IDLE, ABSOLUTE, 800)

        assert timeouts.shortened_to(600, sliding=True).touch == 30
        assert timeouts.shortened_to(600, sliding=False).touch == 800


class TestOver:
    """Which clock ran out."""

    @EDGE
    def test_idle_edge(self, offset, is_over):
        """A session is idle too long in the second in which the timeout is reached."""
        session = header(seen_at=START + 100)

        assert over(session, TIMEOUTS, START + 100 + IDLE + offset) is (Timeout.IDLE if is_over else None)

    @EDGE
    def test_absolute_edge(self, offset, is_over):
        """However active, a session is over in the second in which its absolute timeout is reached."""
        now = START + ABSOLUTE + offset

        assert over(header(seen_at=START + ABSOLUTE - 1), TIMEOUTS, now) is (Timeout.ABSOLUTE if is_over else None)

    @EDGE
    def test_both_at_once(self, offset, is_over):
        """Where both clocks run out together, the one is named that no activity could have moved."""
        session = header(seen_at=START + ABSOLUTE - IDLE)

        assert over(session, TIMEOUTS, START + ABSOLUTE + offset) is (Timeout.ABSOLUTE if is_over else None)

    def test_nearer_limit_wins(self):
        """Both clocks run side by side, and either ends the session."""
        nearly_over = header(seen_at=START + ABSOLUTE - 10)

        assert over(nearly_over, TIMEOUTS, START + ABSOLUTE) is Timeout.ABSOLUTE
        assert over(header(), TIMEOUTS, START + IDLE) is Timeout.IDLE

    @EDGE
    def test_without_idle_timeout(self, offset, is_over):
        """Without an idle timeout inactivity ends nothing; the absolute one does."""
        now = START + ABSOLUTE + offset

        assert over(header(), Timeouts.of(None, ABSOLUTE), now) is (Timeout.ABSOLUTE if is_over else None)

    @EDGE
    def test_lowered_absolute(self, offset, is_over):
        """A lowered timeout ends sessions that were begun under a longer one."""
        session, lowered = header(seen_at=START + 999), Timeouts.of(IDLE, 1000)

        assert over(session, lowered, START + 1000 + offset) is (Timeout.ABSOLUTE if is_over else None)

    @EDGE
    def test_raised_absolute(self, offset, is_over):
        """A raised timeout extends no session that was begun under a shorter one."""
        session, raised = header(seen_at=START + ABSOLUTE - 1), Timeouts.of(IDLE, 2 * ABSOLUTE)

        assert over(session, raised, START + ABSOLUTE + offset) is (Timeout.ABSOLUTE if is_over else None)

    def test_lowered_then_raised_absolute(self):
        """A lowered timeout counts while it stands; raised again, what is left of the session is as it was."""
        session = header(seen_at=START + 1500)

        assert over(session, Timeouts.of(IDLE, 1000), START + 1500) is Timeout.ABSOLUTE
        assert over(session, TIMEOUTS, START + 1500) is None
        assert limits(session, TIMEOUTS)[1] == START + ABSOLUTE

    @EDGE
    def test_changed_idle(self, offset, is_over):
        """The idle timeout that now stands is the one that counts."""
        for idle in (300, 7200):
            timeouts = Timeouts.of(idle, ABSOLUTE)
            assert over(header(), timeouts, START + idle + offset) is (Timeout.IDLE if is_over else None)

    @pytest.mark.parametrize("field", ["created_at", "seen_at"])
    def test_skew(self, field):
        """Another server's clock may be 30 seconds ahead, to the second; what is further in the future is refused."""
        times = {"created_at": START, "seen_at": START + 40} | {field: START + 40}

        assert MAX_SKEW == 30
        assert over(header(**times), TIMEOUTS, START + 40 - 29) is None
        assert over(header(**times), TIMEOUTS, START + 40 - 30) is None
        with pytest.raises(TokenRefused) as caught:
            over(header(**times), TIMEOUTS, START + 40 - 31)
        assert caught.value.reason is Refusal.FUTURE

    def test_skew_does_not_extend(self):
        """A clock that is ahead gains a session nothing beyond its own limits."""
        session = header(created_at=START + 30, seen_at=START + 30, expires_at=START + 30 + ABSOLUTE)

        assert over(session, TIMEOUTS, START) is None
        assert over(session, TIMEOUTS, START + 30 + IDLE) is Timeout.IDLE

    def test_reasons_are_words(self):
        """The reasons are what events and `session.ended` say."""
        assert (Timeout.IDLE, Timeout.ABSOLUTE) == ("idle_timeout", "absolute_timeout")


class TestLimits:
    """When both clocks run out."""

    @pytest.mark.parametrize(
        ("timeouts", "expected"),
        [
            (TIMEOUTS, (START + 7 + IDLE, START + ABSOLUTE)),
            (Timeouts.of(None, ABSOLUTE), (START + ABSOLUTE, START + ABSOLUTE)),
            (Timeouts.of(None, 1000), (START + 1000, START + 1000)),
            (Timeouts.of(IDLE, 1000), (START + 7 + IDLE, START + 1000)),
            (Timeouts.of(IDLE, 2 * ABSOLUTE), (START + 7 + IDLE, START + ABSOLUTE)),
        ],
    )
    def test_both(self, timeouts, expected):
        """Idle counts from the last activity, absolute from the start and never beyond the frozen end."""
        assert limits(header(seen_at=START + 7), timeouts) == expected


class TestBegin:
    """A new session."""

    @pytest.mark.parametrize("permanent", [False, True])
    def test_starts_both_clocks(self, permanent):
        """Every time is now, the end is frozen, and nobody is logged in."""
        session = begin(TIMEOUTS, START, permanent=permanent)

        assert session == Header(
            created_at=START,
            seen_at=START,
            expires_at=START + ABSOLUTE,
            authenticated_at=0,
            renewed_at=START,
            generation=0,
            lineage=session.lineage,
            permanent=permanent,
            confirmed=True,
            metadata=Metadata(),
        )

    def test_has_a_lineage_of_its_own(self):
        """No two sessions share a handle."""
        handles = {begin(TIMEOUTS, START, permanent=False).lineage.handle for _ in range(50)}

        assert len(handles) == 50


class TestTouch:
    """Activity."""

    @pytest.mark.parametrize(("offset", "due"), [(-1, False), (0, True), (1, True)])
    def test_due(self, offset, due):
        """It is due in the second in which the interval is reached."""
        assert touch_due(header(), TIMEOUTS, START + 60 + offset) is due

    def test_due_at_once(self):
        """With an interval of zero every request is written down."""
        assert touch_due(header(), Timeouts.of(IDLE, ABSOLUTE, 0), START)

    def test_not_due_while_the_clock_is_behind(self):
        """A session that another server saw a moment ahead is not due."""
        assert not touch_due(header(seen_at=START + 20), TIMEOUTS, START)

    def test_moves_last_activity_alone(self):
        """Activity moves the idle clock and nothing else."""
        assert touch(header(), START + 100) == header(seen_at=START + 100)

    def test_never_goes_backwards(self):
        """A clock that is behind does not take activity back."""
        session = header(seen_at=START + 20)

        assert touch(session, START) == session

    @pytest.mark.parametrize(
        ("now", "seen"),
        [
            (START + ABSOLUTE - 2, START + ABSOLUTE - 2),
            (START + ABSOLUTE - 1, START + ABSOLUTE - 1),
            (START + ABSOLUTE, START + ABSOLUTE - 1),
            (START + ABSOLUTE + 1, START + ABSOLUTE - 1),
        ],
    )
    def test_stays_inside_the_session(self, now, seen):
        """Activity is never written at or after the end."""
        assert touch(header(), now).seen_at == seen


class TestRegenerate:
    """A new id for the same session."""

    def test_clocks_run_on(self):
        """Only the id is new: times, user and handle stay, so no renewal outlives the absolute timeout."""
        session = header(seen_at=START + 90)

        assert regenerate(session, START + 100) == replace(session, generation=5, renewed_at=START + 100)


class TestAuthenticate:
    """A login."""

    NOW = START + 500

    def login(self, before, *, owner="42", method="password", permanent=False):
        """A login at NOW."""
        return authenticate(before, TIMEOUTS, self.NOW, owner=owner, method=method, permanent=permanent)

    @pytest.mark.parametrize("permanent", [False, True])
    def test_without_a_session(self, permanent):
        """The first login of a visitor begins a session that is his and fresh."""
        session = self.login(None, permanent=permanent)

        assert session == Header(
            created_at=self.NOW,
            seen_at=self.NOW,
            expires_at=self.NOW + ABSOLUTE,
            authenticated_at=self.NOW,
            renewed_at=self.NOW,
            generation=0,
            lineage=session.lineage,
            permanent=permanent,
            metadata=Metadata(owner="42", methods={"password": self.NOW}),
        )

    @pytest.mark.parametrize(
        "before",
        [
            pytest.param(header(metadata=Metadata()), id="over nobody"),
            pytest.param(header(metadata=Metadata(owner="41", methods={"otp": START})), id="over another user"),
        ],
    )
    def test_over_somebody_else_is_a_new_session(self, before):
        """Who planted a session must not hold the handle of what comes after, nor lend it his methods."""
        session = self.login(before)

        assert session.lineage != before.lineage
        assert session.generation == 0
        assert session.metadata == Metadata(owner="42", methods={"password": self.NOW})
        assert (session.created_at, session.expires_at) == (self.NOW, self.NOW + ABSOLUTE)

    def test_same_user_keeps_his_handle(self):
        """Who proves again who he is keeps his handle, gets a new id, and both clocks start again."""
        session = self.login(header(), method="webauthn")

        assert session.lineage == LINEAGE
        assert session.generation == 5
        assert (session.created_at, session.seen_at, session.renewed_at) == (self.NOW,) * 3
        assert session.expires_at == self.NOW + ABSOLUTE
        assert session.authenticated_at == self.NOW

    def test_methods_add_up_for_the_same_user(self):
        """Each method keeps the time at which it was last used."""
        again = self.login(header(), method="password")
        other = self.login(header(), method="webauthn")

        assert again.metadata.methods == {"password": self.NOW}
        assert other.metadata.methods == {"password": START, "webauthn": self.NOW}

    @pytest.mark.parametrize("before", [None, header(), header(metadata=Metadata(owner="41", methods={"otp": START}))])
    def test_remembered_login_is_never_fresh(self, before):
        """Without a method nothing was proved: no time, no method, not even an earlier one."""
        session = self.login(before, method=None)

        assert session.authenticated_at == 0
        assert session.metadata == Metadata(owner="42")

    @pytest.mark.parametrize("before", [None, header(), header(metadata=Metadata())])
    def test_unknown_owner_is_nobody_twice(self, before):
        """Two logins whose user only the application knows are never taken for one user's."""
        session = self.login(before, owner=None)

        assert session.lineage != LINEAGE
        assert session.generation == 0
        assert session.metadata == Metadata(methods={"password": self.NOW})

    def test_does_not_change_what_was(self):
        """The old header stays as it was, its methods included."""
        before = header()

        self.login(before, method="webauthn")

        assert before == header()
        assert before.metadata.methods == {"password": START}


class TestDeauthenticate:
    """A logout after which the session goes on for nobody."""

    def test_forgets_the_user(self):
        """User, methods and handle are gone; the clocks run on under a new id."""
        before = header(seen_at=START + 90, permanent=True)

        session = deauthenticate(before, START + 100)

        assert session == replace(
            before,
            generation=5,
            renewed_at=START + 100,
            authenticated_at=0,
            lineage=session.lineage,
            metadata=Metadata(),
        )
        assert session.lineage != LINEAGE


class TestDemote:
    """A new id for an owner who is no longer known to be the one who logged in."""

    def test_keeps_the_owner_and_forgets_how_he_logged_in(self):
        """Owner, epochs, handle and clocks stay; freshness and methods go."""
        before = header(seen_at=START + 90)

        session = demote(before, START + 100)

        assert session == replace(
            before,
            generation=5,
            renewed_at=START + 100,
            authenticated_at=0,
            metadata=Metadata(owner="42", user_epoch=3, all_epoch=5),
        )


class TestFreshness:
    """How recently a user must have proved who he is."""

    @pytest.mark.parametrize(
        ("max_age", "seconds"),
        [(timedelta(minutes=5), 300), (300, 300), (1, 1), (1.9, 1), (timedelta(seconds=1.9), 1), (400 * 86400,) * 2],
    )
    def test_duration(self, max_age, seconds):
        """A timedelta or seconds; no fraction of a second lengthens it."""
        assert Freshness.of(max_age).max_age == seconds

    @pytest.mark.parametrize("max_age", [0, 0.9, -1, timedelta(0), float("nan"), float("inf"), 400 * 86400 + 1])
    def test_impossible_duration(self, max_age):
        """What nobody could ever meet is refused, and what has no end."""
        with pytest.raises(ValueError, match=r"max_age is no duration from .* Choose"):
            Freshness.of(max_age)

    @pytest.mark.parametrize("max_age", ["300", None, True, print])
    def test_no_duration(self, max_age):
        """Whatever is no time is refused, such as the view of a decorator without its brackets."""
        with pytest.raises(TypeError, match=r"max_age is no duration\. Give"):
            Freshness.of(max_age)

    @pytest.mark.parametrize("methods", [{"totp", "webauthn"}, ["webauthn", "totp"], iter(("totp", "webauthn"))])
    def test_methods(self, methods):
        """Any collection of names will do."""
        assert Freshness.of(300, methods).methods == {"totp", "webauthn"}

    @pytest.mark.parametrize("methods", ["webauthn", 7, b"webauthn", [None], [["webauthn"]]])
    def test_no_methods(self, methods):
        """One text alone would be read as its letters, and is refused; so is what is no text."""
        with pytest.raises(TypeError, match=r"methods (is no collection of texts|holds something that is no text)"):
            Freshness.of(300, methods)

    @pytest.mark.parametrize("methods", [[], [""], ["a b"], ['a"b'], ["a\\b"], ["a\r\nb"], ["schl\xfcssel"]])
    def test_impossible_methods(self, methods):
        """No method at all would shut the view for ever, and a name that is no token has no place in a header."""
        with pytest.raises(ValueError, match=r"(methods is empty|A method is named)"):
            Freshness.of(300, methods)


class TestStale:
    """Whether a session is as fresh as it is wanted, and why not."""

    @pytest.mark.parametrize(("offset", "is_over"), [(-1, False), (0, True), (1, True)])
    def test_edge(self, offset, is_over):
        """A proof is good until the second before the limit."""
        verdict = stale(header(), Freshness(300), START + 300 + offset)

        assert verdict == (Staleness.TOO_OLD if is_over else None)

    @pytest.mark.parametrize(("ahead", "is_over"), [(MAX_SKEW - 1, False), (MAX_SKEW, False), (MAX_SKEW + 1, True)])
    def test_proof_from_the_future(self, ahead, is_over):
        """A proof from the future is not believed, beyond what clocks may differ by."""
        verdict = stale(header(), Freshness(300), START - ahead)

        assert verdict == (Staleness.TOO_OLD if is_over else None)

    @pytest.mark.parametrize(
        ("session", "reason"),
        [
            (None, "anonymous"),
            (header(authenticated_at=0, metadata=Metadata()), "anonymous"),
            (header(metadata=Metadata()), "anonymous"),
            (header(authenticated_at=0, metadata=Metadata(owner="42")), "unproven"),
            (header(authenticated_at=0), "unproven"),
        ],
        ids=["no session", "nobody", "nobody with a time", "unproven", "methods without a time"],
    )
    def test_nothing_proved(self, session, reason):
        """Without a user and a time at which he proved who he is, nothing is fresh."""
        assert stale(session, Freshness(300), START) == reason
        assert stale(session, Freshness(300, frozenset({"password"})), START) == reason

    @pytest.mark.parametrize(
        ("methods", "reason"),
        [
            ({"webauthn"}, None),
            ({"webauthn", "password"}, None),
            ({"password"}, "too_old"),
            ({"password", "sms"}, "too_old"),
            ({"sms"}, "wrong_method"),
            ({"WebAuthn"}, "wrong_method"),
        ],
    )
    def test_methods(self, methods, reason):
        """Each method has a time of its own, and the latest of those that are asked for counts."""
        proved = header(
            authenticated_at=START,
            metadata=Metadata(owner="42", methods={"password": START - 300, "webauthn": START}),
        )

        assert stale(proved, Freshness(300, frozenset(methods)), START) == reason
