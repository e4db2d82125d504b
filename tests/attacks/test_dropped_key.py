"""A key leaked. The operator removes it, and whoever holds the key or a token of it is out."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import Key
from hardsession.errors import TokenRefused

LEAKED, NEW = Key.generate().text, Key.generate().text


def test_removed_key_ends_its_sessions(make_app, attacker, log_in, events):
    """Once a key is out of the ring, no token that it sealed opens, stolen or not."""
    stolen = attacker.steals(log_in(make_app(SESSION_SECRET_KEYS=[LEAKED])))

    app = make_app(SESSION_SECRET_KEYS=[NEW])

    assert attacker.against(app).reads(stolen) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "unknown_key"})


def test_thief_of_a_removed_key_forges_nothing(make_app, attacker, log_in, seen_in, forge):
    """What the thief seals with the removed key is refused."""
    record = seen_in(log_in(make_app(SESSION_SECRET_KEYS=[LEAKED]), "admin", role="admin"))

    app = make_app(SESSION_SECRET_KEYS=[NEW])

    assert attacker.against(app).reads(forge(app, record, key=LEAKED)) == {}


def test_removed_key_reads_no_later_session(make_app, attacker, log_in, break_open):
    """The thief cannot read, at home, what was sealed after the key was replaced."""
    app = make_app(SESSION_SECRET_KEYS=[NEW])
    stolen = attacker.steals(log_in(app, draft="Ada's"))

    assert break_open(stolen, NEW).payload
    with pytest.raises(TokenRefused, match="unknown_key"):
        break_open(stolen, LEAKED)


def test_key_removed_from_the_file_is_out_without_a_restart(make_app, attacker, log_in, act, tmp_path):
    """A key that leaves the file of keys is out with the next request."""
    file = tmp_path / "keys"
    file.write_text(LEAKED)
    app = make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file))
    victim = log_in(app, draft="Ada's")
    stolen = attacker.steals(victim)

    (tmp_path / "new").write_text(NEW)
    (tmp_path / "new").replace(file)

    assert attacker.against(app).reads(stolen) == {}
    assert act(victim, lambda: dict(session)).value == {}
