"""The intruder in the store puts something else where a user's list of sessions stands."""

from __future__ import annotations

import pickle

import pytest

from hardsession import HardSession, current_session
from hardsession.errors import StoreError

hard = HardSession()
VALUES = {
    "nothing": b"",
    "noise": b"\x00" * 300,
    "pickle": pickle.dumps({"ada": []}),
    "our magic alone": b"\x86\xcd\x7f\x06",
    "our magic and noise": b"\x86\xcd\x7f\x06" + bytes(300),
}


@pytest.fixture
def list_of(store, app, log_in):
    """The name of a user's list, by making one."""

    def find(user):
        before = {name for name in store.names if ".u." in name or ":u." in name}
        log_in(app, user)
        [name] = {name for name in store.names if ".u." in name or ":u." in name} - before
        return name

    return find


@pytest.mark.parametrize("value", VALUES)
def test_what_is_no_list(app, list_of, intruder, act, value):
    """It frees nobody and is written over by nobody: every question about the user is an error, and stays one."""
    name = list_of("ada")
    intruder.writes(name, VALUES[value])

    with app.app_context(), pytest.raises(StoreError, match="list"):
        hard.sessions("ada")
    with app.app_context(), pytest.raises(StoreError, match="list"):
        hard.revoke_user("ada")
    with pytest.raises(StoreError, match="list"):
        act(app.test_client(), lambda: hard.login("ada"))

    assert intruder.reads(name) == VALUES[value]


def test_list_of_another_user(app, list_of, intruder, log_in, act):
    """Bob's list in Ada's place is no list of Ada's, so it hides none of her sessions from her."""
    adas, bobs = list_of("ada"), list_of("bob")
    intruder.writes(adas, intruder.reads(bobs))

    with app.app_context(), pytest.raises(StoreError, match="list"):
        hard.sessions("ada")


def test_who_is_logged_in_stays_so(app, list_of, intruder, log_in, act):
    """A broken list costs nobody the session that he has, nor his logout."""
    browser = log_in(app, "ada")
    name = next(name for name in intruder.store.names if ":u." in name)
    intruder.writes(name, b"broken")

    assert act(browser, lambda: current_session.owner).value == "ada"
    act(browser, lambda: hard.logout())
    assert act(browser, lambda: current_session.owner).value is None
