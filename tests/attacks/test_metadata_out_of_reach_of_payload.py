"""The attacker gets any keys and values he likes into his session, and reaches for what the library keeps beside it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import session

from hardsession import HardSession, current_session

FOREVER = 2**32 - 1
NAMES = [
    *("created_at", "seen_at", "last_seen_at", "expires_at", "authenticated_at", "renewed_at", "generation", "lineage"),
    *(
        "permanent",
        "_permanent",
        "new",
        "modified",
        "accessed",
        "header",
        "data",
        "loaded",
        "rules",
        "metadata",
        "flags",
    ),
    *("o", "e", "a", "m", "owner", "methods", "handle", "sid", "_id", "expires_in", "ended", "logged_out", "failed"),
    *("__class__", "__dict__", "_header", "_data", "_load", "_lock"),
]
TIMES = ("created_at", "last_seen_at", "authenticated_at", "expires_in", "handle", "permanent", "ended", "new")


def known():
    """All that the library says of the session."""
    return session.get("x"), *(getattr(current_session, name) for name in TIMES)


@pytest.fixture(params=["json", "msgpack"])
def mallory(clock, make_app, log_in, request):
    """Mallory's browser: he logged in an hour ago and would like to be fresh, and somebody else."""
    browser = log_in(make_app(SESSION_SERIALIZATION_FORMAT=request.param, SESSION_PROFILE="aal2"), "mallory")
    clock.tick(3000)
    return browser


@pytest.mark.parametrize(
    "value", [FOREVER, "admin", True, None, {"webauthn": FOREVER}, datetime(2100, 1, 1, tzinfo=UTC)]
)
def test_keys_of_the_same_names_change_nothing(mallory, act, seen_in, value):
    """Keys named like times, owner and flags are kept as data, and times, owner and flags are what they were."""
    act(mallory, lambda: session.update(a=1))
    before, said = seen_in(mallory).header, act(mallory, known).value

    act(mallory, lambda: session.update(dict.fromkeys(NAMES, value)))

    assert seen_in(mallory).header == before
    assert act(mallory, known).value == said
    assert act(mallory, lambda: {name: session[name] for name in NAMES}).value == dict.fromkeys(NAMES, value)


@pytest.mark.parametrize(
    "text",
    ["}", '"}', '","o":"admin', "\x00", "\x80", "\x80\x00\x00", "\x81\xa1o\xa5admin", "\x86\xcd\x7f\x01", "</session>"],
    ids=ascii,
)
def test_no_text_breaks_out_of_the_payload(mallory, act, seen_in, text):
    """Whatever a text holds, quotes, zeros or the bytes of a header, as a key or as a value, it stays a text."""
    act(mallory, lambda: session.update(a=1))
    before = seen_in(mallory).header

    act(mallory, lambda: session.update({text: text, "last": text * 20}))

    assert seen_in(mallory).header == before
    assert act(mallory, lambda: (session[text], session["last"])).value == (text, text * 20)


@pytest.mark.parametrize("pad_to", [None, 16, 100, 2048])
@pytest.mark.parametrize("compress", [False, True])
def test_end_of_the_payload_is_no_padding(make_app, log_in, act, pad_to, compress):
    """Data that ends like padding comes back whole, padded or not, compressed or not."""
    browser = log_in(make_app(SESSION_PAD_TO=pad_to, SESSION_COMPRESS=compress), "mallory")

    act(browser, lambda: session.update(z=b"\x80" + bytes(30), y="\x80\x00\x00"))

    assert act(browser, lambda: (session["z"], session["y"])).value == (b"\x80" + bytes(30), "\x80\x00\x00")


def test_authentication_time_comes_from_a_login_alone(mallory, act):
    """Mallory's session is as old as his login, whatever he stored meanwhile; only another login makes it fresh."""
    act(mallory, lambda: session.update(authenticated_at=FOREVER, methods={"webauthn": FOREVER}, _fresh=True))

    before = act(mallory, lambda: (session.get("x"), current_session.authenticated_at)[1]).value
    act(mallory, lambda: HardSession().login("mallory", method="totp"))
    after = act(mallory, lambda: (session.get("x"), current_session.authenticated_at)[1]).value

    assert before == datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    assert after == datetime(2026, 11, 24, 9, 50, tzinfo=UTC)


def test_attributes_cannot_be_set_through_the_proxy_by_keys(mallory, act):
    """A key is never looked up as an attribute, nor an attribute as a key."""
    act(mallory, lambda: session.update(permanent=True, a=1))

    assert act(mallory, lambda: (session.permanent, "created_at" in session, dict(session))).value == (
        False,
        False,
        {"permanent": True, "a": 1},
    )
