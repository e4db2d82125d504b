"""Two applications share a store. The attacker, a user of one, hopes that their prefixes let him into the other."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, Key, current_session

KEY = Key.generate().text
PAIRS = [
    ("shop", "shop2"),
    ("shop:", "shop:r."),
    ("", "r."),
    ("", "session:"),
    ("r.", "r.r."),
    ("shop", "Shop"),
    ("shop_", "shopX"),
    ("shop%", "shop%25"),
    ("shop*", "shop?"),
    ("[a]", "a"),
    ("a/", "a//"),
]


@pytest.fixture(params=PAIRS, ids=str)
def apps(request, make_app, store):
    """Two applications that have everything in common, their keys too, but the prefix."""
    return [
        make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[KEY], SESSION_KEY_PREFIX=prefix) for prefix in request.param
    ]


def test_cookie_of_one_is_nobodys_at_the_other(apps, log_in, attacker):
    """A session of one application is not there for the other."""
    here, there = apps
    for one, other in ((here, there), (there, here)):
        token = attacker.steals(log_in(one, "mallory", draft="Eve's"))

        assert attacker.against(other).reads(token) == {}
        assert attacker.against(one).reads(token) == {"draft": "Eve's"}


@pytest.mark.parametrize(
    "use",
    [
        lambda: HardSession().logout(),
        lambda: HardSession().login("mallory"),
        lambda: session.update(draft="Eve's"),
        lambda: HardSession().regenerate(),
    ],
    ids=["logout", "login", "write", "new id"],
)
def test_nothing_done_at_one_reaches_the_other(apps, log_in, attacker, act, intruder, use):
    """Whatever is done at the other application with a cookie of the first leaves the first one's session alone."""
    here, there = apps
    victim = log_in(here, "ada", draft="Ada's")
    before = intruder.dump()

    attacker.against(there).shows(attacker.steals(victim), use)

    assert intruder.dump().items() >= before.items()
    assert act(victim, lambda: (dict(session), current_session.ended)).value == ({"draft": "Ada's"}, None)


def test_row_of_one_opens_nothing_in_the_others_place(make_app, store, log_in, intruder, act):
    """Where keys and prefix are the same, `SESSION_APP_ID` still tells two applications' rows apart."""
    apps = [make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[KEY], SESSION_APP_ID=name) for name in ("shop", "desk")]
    mallory, ada = log_in(apps[0], "mallory", draft="Eve's"), log_in(apps[1], "ada", draft="Ada's")
    first, second = intruder.names()

    one, other = intruder.reads(first), intruder.reads(second)
    intruder.writes(first, other)
    intruder.writes(second, one)

    assert act(mallory, lambda: dict(session)).value == {}
    assert act(ada, lambda: dict(session)).value == {}
