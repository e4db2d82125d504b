"""The intruder may list the store's rows, as a backup or a monitor may, and sends what he sees there as a cookie."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session
from hardsession.crypto.encoding import from_text, to_text

PREFIX = "session:r."
COOKIES = {
    "its name": lambda name, value: name,
    "its name without the prefix": lambda name, value: name.removeprefix(PREFIX),
    "its name in hexadecimal": lambda name, value: from_text(name.removeprefix(PREFIX)).hex(),
    "its name encoded again": lambda name, value: to_text(name.encode()),
    "its name as long as a token": lambda name, value: (name.removeprefix(PREFIX) * 4)[:160],
    "its value": lambda name, value: to_text(value),
    "its value as a reference": lambda name, value: to_text(value[:3] + b"\x02" + value[4:]),
    "its name behind the head of its value": lambda name, value: to_text(
        value[:3] + b"\x02" + value[4:8] + from_text(name.removeprefix(PREFIX)) * 4
    ),
}


@pytest.mark.parametrize("cookie", COOKIES)
def test_nothing_in_the_store_is_a_cookie(victim, attacker, intruder, store, cookie):
    """Nothing that names a row or stands in it opens a session, and it never comes to asking the store."""
    [name] = intruder.names()
    made = COOKIES[cookie](name, intruder.reads(name))
    store.verbs()

    seen = attacker.shows(made, lambda: (dict(session), session.new, current_session.ended))

    assert seen.value == ({}, True, None)
    assert store.verbs() == []


@pytest.mark.parametrize("cookie", COOKIES)
def test_ended_row(victim, attacker, intruder, store, act, cookie):
    """The name and the tombstone of a session that is over are no more than that."""
    [name] = intruder.names()
    act(victim, lambda: HardSession().logout())
    made = COOKIES[cookie](name, intruder.reads(name))
    store.verbs()

    assert attacker.reads(made) == {}
    assert store.verbs() == []


def test_public_names_of_a_session(victim, attacker, act, store, events):
    """Nor are its handle, which a list of devices shows, and its name in the logs."""
    handle = act(victim, lambda: current_session.handle).value
    act(victim, lambda: HardSession().regenerate())
    [log_name] = [fields["session"] for name, fields in events if name == "session_regenerated"][-1:]
    store.verbs()

    assert [attacker.reads(public) for public in (handle, log_name)] == [{}, {}]
    assert store.verbs() == []
