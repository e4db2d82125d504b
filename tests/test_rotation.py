"""Keys come and go: the newest seals, any opens, and a rotation logs nobody out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from flask import session
from freezegun import freeze_time

from hardsession import HardSession, Key, Passphrase
from hardsession.crypto.encoding import from_text

NAME = "__Host-Http-session"
START = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
OLD, NEW, OTHER = Key.generate(), Key.generate(), Key.generate()


@pytest.fixture
def clock():
    """A clock that stands still until it is told to tick."""
    with freeze_time(START) as frozen:
        yield frozen


@pytest.fixture
def browse(make_app):
    """A browser of an application with these keys, with the cookie of another one if given."""

    def make(*keys, cookie=None):
        client = make_app(SESSION_SECRET_KEYS=list(keys)).test_client()
        if cookie:
            client.set_cookie(NAME, cookie)
        return client

    return make


@pytest.fixture
def reads(act):
    """What a browser's session holds."""
    return lambda client: act(client, lambda: dict(session)).value


@pytest.fixture
def sealed_by(token):
    """Which of the keys sealed a browser's cookie."""

    def find(client, *keys):
        names = {key.id: key for key in (OLD, NEW, OTHER, *keys)}
        return names[from_text(token(client))[4:8].hex()]

    return find


class TestRing:
    """Several keys at once."""

    def test_newest_seals(self, browse, act, sealed_by):
        """A new session is sealed with the first key (CVE-2025-47278 was Flask sealing with the oldest)."""
        client = browse(NEW, OLD, OTHER)

        act(client, lambda: session.update(a=1))

        assert sealed_by(client) is NEW

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_any_opens(self, browse, act, token, reads, position):
        """A session opens whichever of the keys sealed it."""
        before = browse(OLD)
        act(before, lambda: session.update(a=1))
        keys = [NEW, OTHER]
        keys.insert(position, OLD)

        assert reads(browse(*keys, cookie=token(before))) == {"a": 1}

    def test_old_one_is_kept_while_only_read(self, browse, act, token, reads):
        """Reading a session that an older key sealed sets no cookie."""
        before = browse(OLD)
        act(before, lambda: session.update(a=1))
        after = browse(NEW, OLD, cookie=token(before))

        answer = act(after, lambda: session["a"])

        assert answer.cookies == []
        assert token(after) == token(before)

    def test_old_one_is_sealed_anew_when_written(self, browse, act, token, sealed_by, reads):
        """A write seals with the newest key, so the session outlives the older one; id and handle stay."""
        before = browse(OLD)
        act(before, lambda: session.update(a=1))
        handle = act(before, lambda: session.handle).value
        after = browse(NEW, OLD, cookie=token(before))

        act(after, lambda: session.update(b=2))

        assert sealed_by(after) is NEW
        assert act(after, lambda: session.handle).value == handle
        assert reads(browse(NEW, cookie=token(after))) == {"a": 1, "b": 2}

    def test_old_one_is_sealed_anew_when_touched(self, browse, act, token, sealed_by, clock, reads):
        """Activity that is written down seals with the newest key: a visitor who only reads is moved as well."""
        before = browse(OLD)
        act(before, lambda: session.update(a=1))
        after = browse(NEW, OLD, cookie=token(before))

        clock.tick(59)
        reads(after)
        assert sealed_by(after) is OLD

        clock.tick(1)
        reads(after)
        assert sealed_by(after) is NEW

    def test_removed_key_ends_its_sessions(self, browse, act, token, reads, events):
        """What a removed key sealed is an empty session, and is reported as such."""
        before = browse(OLD)
        act(before, lambda: session.update(a=1))

        after = browse(NEW, cookie=token(before))

        assert reads(after) == {}
        assert events[-1] == ("session_rejected", {"session": None, "reason": "unknown_key"})

    def test_hundred_keys(self, browse, act, token, reads, sealed_by):
        """A ring of a hundred keys seals with the first and opens what the first, the fiftieth and the last sealed."""
        keys = [Key.generate() for _ in range(100)]
        ring = browse(*keys)

        for position in (0, 49, 99):
            before = browse(keys[position])
            act(before, lambda: session.update(a=1))
            ring.set_cookie(NAME, token(before))
            assert reads(ring) == {"a": 1}

        act(ring, lambda: session.update(a=2))
        assert sealed_by(ring, *keys) is keys[0]


class TestSealFrom:
    """A key that opens at once and seals later."""

    @pytest.fixture
    def desk(self, browse, act, sealed_by):
        """Who seals now, for an application whose newest key seals from a moment on."""

        def make(seal_from):
            client = browse(Key(NEW.text, seal_from=seal_from), OLD)

            def seals():
                act(client, lambda: session.update(n=session.get("n", 0) + 1))
                return sealed_by(client)

            return seals

        return make

    @pytest.mark.parametrize(
        ("seal_from", "moment"),
        [
            (datetime(2026, 11, 24, 10, tzinfo=UTC), datetime(2026, 11, 24, 10, tzinfo=UTC)),
            (
                datetime(2026, 11, 24, 10, tzinfo=timezone(timedelta(hours=-5))),
                datetime(2026, 11, 24, 15, tzinfo=UTC),
            ),
            (datetime(2026, 11, 24, 9, 59, 59, 1, tzinfo=UTC), datetime(2026, 11, 24, 10, tzinfo=UTC)),
            (date(2026, 11, 25), datetime(2026, 11, 25, tzinfo=UTC)),
        ],
        ids=["UTC", "other time zone", "fraction of a second", "date"],
    )
    def test_edge(self, desk, clock, seal_from, moment):
        """The older key seals until the second before; from its own second on the newer one does."""
        seals = desk(seal_from)
        found = [seals()]

        for seconds in (-1, 0, 1):
            clock.move_to(moment + timedelta(seconds=seconds))
            found.append(seals())

        assert found == [OLD, OLD, NEW, NEW]

    @pytest.mark.parametrize("seal_from", [START, date(2026, 11, 24), date(1999, 1, 1)])
    def test_moment_that_has_come(self, desk, clock, seal_from):
        """A key whose time has come at the start seals from the start."""
        assert desk(seal_from)() is NEW

    def test_opens_before_it_seals(self, browse, act, token, clock, reads):
        """A key opens at once: another instance may already seal with it."""
        ahead = browse(NEW)
        act(ahead, lambda: session.update(a=1))

        behind = browse(Key(NEW.text, seal_from=START + timedelta(hours=1)), OLD, cookie=token(ahead))

        assert reads(behind) == {"a": 1}

    def test_several_take_over_one_after_the_other(self, browse, act, clock, sealed_by):
        """Of several keys the newest whose time has come seals."""
        client = browse(
            Key(NEW.text, seal_from=START + timedelta(seconds=20)),
            Key(OTHER.text, seal_from=START + timedelta(seconds=10)),
            OLD,
        )
        found = []

        for _ in range(5):
            act(client, lambda: session.update(n=session.get("n", 0) + 1))
            found.append(sealed_by(client))
            clock.tick(5)

        assert found == [OLD, OLD, OTHER, OTHER, NEW]

    def test_none_has_come(self, browse, act, clock, sealed_by):
        """Where no key's time has come, the last one seals rather than none."""
        later = START + timedelta(hours=1)
        client = browse(Key(NEW.text, seal_from=later), Key(OLD.text, seal_from=later))

        act(client, lambda: session.update(a=1))

        assert sealed_by(client) is OLD

    @pytest.mark.parametrize(
        "make",
        [
            lambda moment: Key(NEW.text, seal_from=moment),
            lambda moment: Passphrase("four cranes in the fog", "newsroom salt", seal_from=moment),
        ],
    )
    def test_naive_moment_is_refused(self, make):
        """A moment without a time zone is refused: instances would disagree about it."""
        with pytest.raises(ValueError, match="time zone"):
            make(datetime(2026, 11, 24, 10))


LATER = START + timedelta(minutes=10)
ROLLOUTS = {
    "order": [
        ([OLD], [OLD]),
        ([OLD, NEW], [OLD]),
        ([OLD, NEW], [OLD, NEW]),
        ([NEW, OLD], [OLD, NEW]),
        ([NEW, OLD], [NEW, OLD]),
    ],
    "seal_from": [
        ([OLD], [OLD]),
        ([Key(NEW.text, seal_from=LATER), OLD], [OLD]),
        ([Key(NEW.text, seal_from=LATER), OLD], [Key(NEW.text, seal_from=LATER), OLD]),
        ([Key(NEW.text, seal_from=LATER), OLD], [Key(NEW.text, seal_from=LATER), OLD]),
    ],
}


@pytest.mark.parametrize("rollout", ROLLOUTS.values(), ids=ROLLOUTS)
def test_rotation_in_two_steps_logs_nobody_out(browse, act, token, clock, reads, events, rollout):
    """While two instances get a key one after the other, first to open and then to seal, every visitor stays."""
    hard = HardSession()
    visitors = []

    for step, instances in enumerate(rollout):
        for keys in instances:
            arriving = browse(*keys)
            act(arriving, lambda: hard.login(7))
            visitors.append(token(arriving))
        for number, cookie in enumerate(visitors):
            for keys in (*instances, *instances[:1]):
                client = browse(*keys, cookie=cookie)
                act(client, lambda step=step: session.update(step=step))
                cookie = token(client)
                assert reads(client) == {"step": step}
            visitors[number] = cookie
        clock.tick(300)

    for cookie in visitors:
        assert reads(browse(NEW, cookie=cookie)) == {"step": len(rollout) - 1}
    assert {name for name, _ in events} == {"session_created"}


class TestPassphrase:
    """A key made from words."""

    WORDS = "four cranes in the fog"

    def test_works_end_to_end(self, browse, act, token, reads, sealed_by):
        """Two instances that know the words open each other's sessions, and may rotate to a random key."""
        before = browse(Passphrase(self.WORDS, "newsroom salt"))
        act(before, lambda: session.update(a=1))

        after = browse(NEW, Passphrase(self.WORDS, b"newsroom salt"), cookie=token(before))
        act(after, lambda: session.update(b=2))

        assert reads(after) == {"a": 1, "b": 2}
        assert sealed_by(after) is NEW

    def test_other_words_or_salt_open_nothing(self, browse, act, token, reads):
        """Words and salt both make the key."""
        before = browse(Passphrase(self.WORDS, "newsroom salt"))
        act(before, lambda: session.update(a=1))

        assert reads(browse(Passphrase(self.WORDS, "printing shop salt"), cookie=token(before))) == {}
        assert reads(browse(Passphrase(self.WORDS.title(), "newsroom salt"), cookie=token(before))) == {}

    def test_may_seal_later(self, browse, act, token, reads, clock, sealed_by):
        """A passphrase may wait for its moment as a key does."""
        client = browse(Passphrase(self.WORDS, "newsroom salt", seal_from=START + timedelta(seconds=1)), OLD)

        act(client, lambda: session.update(a=1))
        assert sealed_by(client) is OLD

        clock.tick(1)
        act(client, lambda: session.update(a=2))
        assert reads(browse(Passphrase(self.WORDS, "newsroom salt"), cookie=token(client))) == {"a": 2}
