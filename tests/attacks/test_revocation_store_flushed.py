"""The attacker has a cookie that was revoked, and the revocation store loses everything: a flush, a restart.

What ended his cookie is gone with the rest. But two numbers are sealed in each cookie that stood in the store as well,
and without them it is over: a store that forgets ends sessions, and revives none.
"""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session
from hardsession.stores.memory import MemoryStore
from tests.races.stores import Watched


@pytest.fixture
def shop(store, make_app):
    """An application with its revocations in a store."""
    return make_app(SESSION_REVOCATION_STORE=store)


def flush(store: Watched, *kinds: str) -> None:
    """Delete everything that the store holds, or what has these kinds of names."""
    for name in store.held():
        if not kinds or name.rpartition(".")[0][-1] in kinds:
            store.store.delete(name)


ENDS = {
    "logout": lambda: HardSession().logout(),
    "new id": lambda: HardSession().regenerate(),
    "revoke user": lambda: HardSession().revoke_user("ada"),
    "revoke all": lambda: HardSession().revoke_all(),
}


@pytest.mark.parametrize("end", ENDS)
def test_flush_revives_nothing(store, shop, log_in, attacker, act, end):
    """Whatever had ended the cookie, it is still dead after the flush, and after others have logged in."""
    victim = log_in(shop, draft="Ada's")
    copy = attacker.steals(victim)
    act(victim, ENDS[end])

    flush(store)

    assert attacker.against(shop).reads(copy) == {}
    log_in(shop, "ada")
    log_in(shop, "bob")
    assert attacker.against(shop).reads(copy) == {}


def test_everybody_logs_in_anew(store, shop, log_in, act):
    """It costs everybody his session, the anonymous ones too, and nobody is locked out."""
    ada, nobody = log_in(shop, draft="Ada's"), shop.test_client()
    act(nobody, lambda: session.update(cart=1))

    flush(store)

    seen = [act(browser, lambda: (dict(session), current_session.ended)).value for browser in (ada, nobody)]
    assert seen == [({}, "revoked")] * 2
    assert act(log_in(shop, draft="again"), lambda: dict(session)).value == {"draft": "again"}


def test_user_list_that_is_lost_ends_that_users_sessions(store, shop, log_in, attacker, act):
    """Where the list of one user alone is lost his sessions end, since nobody could list or revoke them any more."""
    ada, nobody = log_in(shop, draft="Ada's"), shop.test_client()
    act(nobody, lambda: session.update(cart=1))

    flush(store, "u")

    assert act(ada, lambda: dict(session)).value == {}
    assert act(nobody, lambda: dict(session)).value == {"cart": 1}


def test_cookie_of_another_store_is_dead(make_app, log_in, attacker):
    """A copy from before the operator moved to another store is dead there: it knows nothing of what was revoked."""
    key = {"SESSION_SECRET_KEYS": ["Zq3xV7kPw9LmB2nR5tYs8uHd4fGj6aCe"]}
    first, second = (make_app(SESSION_REVOCATION_STORE=MemoryStore(), **key) for _ in range(2))
    copy = attacker.steals(log_in(first, draft="Ada's"))
    log_in(second)

    assert attacker.against(second).reads(copy) == {}
