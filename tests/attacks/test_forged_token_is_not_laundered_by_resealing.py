"""The attacker shows a forged token and has the application write, hoping to get it back sealed by the server."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from flask import session

from hardsession import HardSession, Key, current_session
from hardsession.crypto.ids import Lineage
from hardsession.record import Metadata, PayloadFormat, Record

NAME = "__Host-Http-session"
LEAKED, NEW = Key.generate().text, Key.generate().text
WRITES = {
    "store": lambda: session.update(a=1),
    "set what was there": lambda: session.update(role="admin"),
    "append": lambda: session.setdefault("roles", []).append("x"),
    "regenerate": lambda: (HardSession().regenerate(), session.update(a=1)),
    "permanent": lambda: (setattr(session, "permanent", True), session.update(a=1)),
    "log in": lambda: HardSession().login("mallory"),
}


@pytest.fixture
def forgery(app, victim, seen_in, forge):
    """A session of an administrator that the attacker sealed with a key of his own."""
    header = replace(seen_in(victim).header, metadata=Metadata(owner="admin", methods={"webauthn": 2**31}))
    return forge(app, Record(header, b'{"role":"admin","roles":["root"],"user_id":"admin"}'), key=LEAKED)


@pytest.mark.parametrize("way", WRITES)
def test_nothing_of_it_is_in_what_the_server_seals(app, attacker, forgery, seen_in, way):
    """Whatever is written in that request begins a new session: no key, owner or time of the forgery is in it."""
    browser = app.test_client()
    browser.set_cookie(NAME, forgery)

    attacker.act(browser, WRITES[way])

    sealed = seen_in(browser)
    assert b"root" not in sealed.payload
    assert b"user_id" not in sealed.payload
    assert sealed.header.metadata.owner in (None, "mallory")
    assert "webauthn" not in sealed.header.metadata.methods
    assert sealed.header.generation == 0


def test_it_is_not_sealed_anew_by_a_request_that_only_reads(app, attacker, forgery):
    """Reading is no way to get it sealed."""
    assert attacker.shows(forgery).cookies == []


class TestLeakedKeyThatWasKept:
    """The operator added a new key and left the leaked one in the ring, which is no remedy; this is how far it goes."""

    @pytest.fixture
    def forged(self, clock, make_app, log_in, seen_in, forge):
        """A forged session, made to last as long as its fields allow."""
        app = make_app(SESSION_SECRET_KEYS=[LEAKED])
        header = seen_in(log_in(app)).header
        made = replace(header, expires_at=2**32 - 1, lineage=Lineage.new())
        return forge(app, Record(made, b'{"role":"admin"}'), key=LEAKED)

    def test_it_opens_and_is_resealed(self, make_app, attacker, act, forged, break_open):
        """A key that opens is trusted: what it sealed moves to the new key, as every honest session does."""
        browser = make_app(SESSION_SECRET_KEYS=[NEW, LEAKED]).test_client()
        browser.set_cookie(NAME, forged)

        act(browser, lambda: session.update(a=1))

        assert break_open(attacker.steals(browser), NEW)

    @pytest.mark.parametrize(("after", "opens"), [(43199, True), (43200, False), (43201, False)])
    def test_resealing_gives_it_no_more_time(self, clock, make_app, act, forged, after, opens):
        """However it was dated and however often it is sealed anew, it ends with the configured absolute timeout."""
        browser = make_app(SESSION_SECRET_KEYS=[NEW, LEAKED]).test_client()
        browser.set_cookie(NAME, forged)

        for step in range(after // 1200):
            clock.tick(1200)
            act(browser, lambda step=step: session.update(a=step))
        clock.tick(after % 1200)

        assert act(browser, lambda: session.get("role")).value == ("admin" if opens else None)

    def test_dating_it_ahead_gives_thirty_seconds(self, clock, make_app, attacker, log_in, seen_in, forge):
        """A forged beginning lies at most the allowed skew in the future, so the end is at most that much later."""
        app = make_app(SESSION_SECRET_KEYS=[NEW, LEAKED])
        header = seen_in(log_in(app)).header
        start = header.created_at

        def dated(ahead):
            made = replace(header, created_at=start + ahead, seen_at=start + ahead, expires_at=2**32 - 1)
            return forge(app, Record(made, b'{"role":"admin"}'), key=LEAKED)

        assert [attacker.against(app).reads(dated(ahead)) for ahead in (30, 31)] == [{"role": "admin"}, {}]

    @pytest.mark.parametrize("format", [PayloadFormat.JSON, PayloadFormat.MESSAGE_PACK, PayloadFormat.CUSTOM])
    def test_it_forges_sessions_but_runs_no_code(self, make_app, attacker, log_in, seen_in, forge, tmp_path, format):
        """Whoever holds a key can make any session, and still no payload is ever executed: a pickle is garbage."""
        app, trace = make_app(SESSION_SECRET_KEYS=[NEW, LEAKED]), tmp_path / "it ran"
        payload = pickle.dumps({"a": Touch(trace)}, protocol=0)

        token = forge(app, Record(seen_in(log_in(app)).header, payload, format), key=LEAKED)

        assert attacker.against(app).reads(token) == {}
        assert not trace.exists()

    def test_removing_the_key_ends_what_was_not_resealed(self, make_app, attacker, forged):
        """Without the key, the forgeries that were kept for later are worth nothing."""
        app = make_app(SESSION_SECRET_KEYS=[NEW])

        assert attacker.against(app).reads(forged) == {}


def test_malformed_record_is_not_mended(app, attacker, victim, seen_in, forge, act):
    """A record of our own key that breaks the format's rules is refused, not put right by the next write."""
    good = seen_in(victim)
    header = good.header
    broken = [
        replace(header, created_at=header.seen_at + 1),
        replace(header, expires_at=header.seen_at - 1),
    ]
    plaintexts = [Record(made, good.payload).pack() for made in broken]
    plaintexts += [bytes([good.pack()[0] | bit]) + good.pack()[1:] for bit in (0b0000_0010, 0b0100_0000, 0b1000_0000)]
    unknown = msgspec.msgpack.encode({"o": "admin", "z": 1})
    plaintexts.append(good.pack()[:41] + len(unknown).to_bytes(2, "big") + unknown + good.payload)
    plaintexts.append(good.pack()[:41] + (5000).to_bytes(2, "big") + good.payload)

    for plaintext in plaintexts:
        browser = app.test_client()
        browser.set_cookie(NAME, forge(app, plaintext))
        act(browser, lambda: session.update(a=1))
        assert act(browser, lambda: (dict(session), current_session.authenticated_at)).value == ({"a": 1}, None)


class Touch:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)
