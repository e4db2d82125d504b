"""Mallory's rights are taken away while a page of his is still at work, and he has it write what it had read."""

from __future__ import annotations

import pytest

from hardsession import HardSession, current_session
from tests.races.traffic import Slow, login, make_app, owner, read, send, write

REMOVALS = {
    "pop": lambda: current_session.pop("role"),
    "other role": write(role="reader"),
    "from a list": lambda: current_session["roles"].remove("admin"),
    "login anew": lambda: (HardSession().login("mallory"), current_session.pop("role"))[1],
}
LATE = {
    "writes": write(late=1),
    "writes the role again": write(role="admin", late=1),
    "writes the list again": lambda: write(roles=[*current_session["roles"], "owner"])(),
    "writes everything again": lambda: current_session.update(dict(current_session)),
    "asks for a new id": lambda: HardSession().regenerate(),
    "makes it permanent": lambda: setattr(current_session, "permanent", True),
}


@pytest.fixture
def app(store):
    """An application on the store."""
    return make_app(store)


@pytest.fixture
def mallory(app):
    """The cookie of an administrator."""
    return send(app, None, login("mallory"), write(role="admin", roles=["admin", "reader"], quota=5)).token


def rights(app, tokens, removal):
    """What the sessions of these cookies still allow, of what the removal took away."""
    sessions = [send(app, token, read).value for token in tokens if token]
    if removal == "from a list":
        return {right for data in sessions for right in data.get("roles", [])}
    return {data.get("role") for data in sessions}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("removal", REMOVALS)
def test_slow_page_brings_no_right_back(app, mallory, removal, late):
    """Whatever the slow page does, the right that was taken away is in no session, under no id."""
    slow = Slow(app, mallory, read, LATE[late])
    now = send(app, mallory, REMOVALS[removal]).token

    answer = slow.finish()

    assert answer.status == 200
    assert "admin" not in rights(app, [mallory, now, answer.token], removal)
    assert send(app, now, owner).value == "mallory"


@pytest.mark.parametrize("late", ["writes", "writes the list again", "asks for a new id", "makes it permanent"])
@pytest.mark.parametrize("removal", REMOVALS)
def test_removal_in_the_midst_of_saving(app, store, mallory, removal, late):
    """Nor is it in any where the removal comes between the page's end and its last write to the store."""
    removed = []
    store.meanwhile(lambda: removed.append(send(app, mallory, REMOVALS[removal]).token))

    answer = send(app, mallory, LATE[late])

    assert len(removed) == 1
    assert "admin" not in rights(app, [mallory, *removed, answer.token], removal)
    assert send(app, removed[0], owner).value == "mallory"


@pytest.mark.parametrize("late", ["writes", "makes it permanent"])
def test_removal_from_a_key_of_the_applications_own(app, mallory, late):
    """What was removed from a key that tells the library nothing stays removed, where the page left that key alone."""
    slow = Slow(app, mallory, read, LATE[late])
    send(app, mallory, lambda: current_session.pop("quota"))

    slow.finish()

    assert "quota" not in send(app, mallory, read).value
