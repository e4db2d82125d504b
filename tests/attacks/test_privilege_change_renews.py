"""The attacker copied the cookie of a user before she was given a right, and hopes to share it."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session

KEYS = ["role", "roles", "permissions", "scopes", "groups", "is_admin", "is_staff", "mfa", "sudo"]


@pytest.mark.parametrize("key", KEYS)
def test_new_right_is_a_new_id(app, log_in, attacker, act, seen_in, key):
    """When a privilege is written, the session gets a new id, and the copy made before has not got the privilege."""
    victim = log_in(app)
    stolen, before = attacker.steals(victim), seen_in(victim).header

    act(victim, lambda: session.update({key: ["editor"]}))

    after = seen_in(victim).header
    assert (after.generation, after.lineage) == (before.generation + 1, before.lineage)
    assert after.authenticated_at == before.authenticated_at
    assert attacker.reads(stolen) == {}


@pytest.mark.parametrize("key", KEYS)
def test_right_taken_away_is_a_new_id(app, log_in, act, seen_in, key):
    """When a privilege is taken away, the session gets a new id as well."""
    victim = log_in(app, **{key: ["editor"]})
    before = seen_in(victim).header

    act(victim, lambda: session.pop(key))

    assert seen_in(victim).header.generation == before.generation + 1


def test_right_inside_a_list_counts(app, log_in, act, seen_in):
    """A privilege that is appended to a list, without an assignment, counts all the same."""
    victim = log_in(app, roles=["author"])
    before = seen_in(victim).header

    act(victim, lambda: session["roles"].append("editor"))

    assert seen_in(victim).header.generation == before.generation + 1


def test_id_changes_on_demand(app, log_in, act, seen_in):
    """An application whose privileges are elsewhere asks for the new id itself; clocks and data stay."""
    victim = log_in(app, draft="Ada's")
    before = seen_in(victim).header

    act(victim, lambda: HardSession().regenerate())

    after = seen_in(victim).header
    assert after.generation == before.generation + 1
    assert (after.created_at, after.expires_at) == (before.created_at, before.expires_at)
    assert act(victim, lambda: (session["draft"], current_session.authenticated_at is not None)).value == (
        "Ada's",
        True,
    )
