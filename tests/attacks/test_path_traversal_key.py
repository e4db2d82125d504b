"""The attacker puts paths where names of rows may come from: his cookie, his user id, a prefix that was configured."""

from __future__ import annotations

import re

import pytest
from flask import session

from hardsession import HardSession

PATHS = [
    "../../../../etc/passwd",
    "/etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "C:\\Windows\\win.ini",
    "file:///etc/passwd",
    "session:r.../../x",
    "x\x00.session",
    "~root",
    "CON",
    ".lock",
    "*",
    "k\r\nset x 0 0 1",
]
OURS = re.compile(r"session:r\.[A-Za-z0-9_-]{43}")


@pytest.fixture
def outside(tmp_path):
    """What files there are outside of the store."""
    return lambda: {path for path in tmp_path.rglob("*") if path.relative_to(tmp_path).parts[0] != "sessions"}


@pytest.mark.parametrize("path", PATHS)
def test_cookie_names_no_row(store, app, act, path):
    """A path in the cookie is a token like any other that is not ours: the store is never asked for it."""
    environ = {"HTTP_COOKIE": f"__Host-Http-session={path}"}

    seen = act(app.test_client(use_cookies=False), lambda: dict(session), environ_overrides=environ)

    assert (seen.value, seen.response.status_code) == ({}, 200)
    assert store.verbs() == []


@pytest.mark.parametrize("path", PATHS)
def test_user_names_no_row(store, app, log_in, intruder, act, path):
    """A user whose id is a path, and who stores more of them, has a row with a name like everybody's."""
    browser = log_in(app, path, user_id=path, path=path)
    act(browser, lambda: HardSession().regenerate())

    assert act(browser, lambda: session["path"]).value == path
    assert all(OURS.fullmatch(name) for name in intruder.dump())


@pytest.mark.parametrize("prefix", ["../", "../../../../tmp/", "/etc/", "~/", "..", "*", "C:\\", "%2e%2e/", "a/./b/"])
def test_prefix_leads_nowhere_else(store, make_app, log_in, intruder, act, outside, prefix):
    """A prefix that is a path, which the operator may well want, is part of the name and of no path."""
    before = outside()
    browser = log_in(make_app(SESSION_STORE=store, SESSION_KEY_PREFIX=prefix), "ada", draft="Ada's")

    assert act(browser, lambda: session["draft"]).value == "Ada's"
    assert [name.startswith(f"{prefix}r.") for name in intruder.names()] == [True]
    assert {path for path in outside() - before if not path.name.startswith("sessions.db")} == set()


@pytest.mark.parametrize("path", PATHS)
def test_store_itself_leads_nowhere_else(store, path, outside):
    """Even a store that is asked for such a name, by nobody in this package, keeps it to itself."""
    name = path.replace("\r\n", "").replace(" ", "").replace("\x00", "")
    before = outside()

    assert store.store.get(name) is None
    assert store.store.add(name, b"value", 60)

    assert store.store.get(name).value == b"value"
    assert {path for path in outside() - before if not path.name.startswith("sessions.db")} == set()
