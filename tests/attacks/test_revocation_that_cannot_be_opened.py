"""The attacker got into the revocation store, and spoils what ended the cookie that he has.

What does not open counts as an end: he can log people out, and bring nobody back by it.
"""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession
from hardsession.stores import Store

SPOILED = {
    "empty": lambda value: b"",
    "one bit": lambda value: value[:-1] + bytes([value[-1] ^ 1]),
    "cut off": lambda value: value[:40],
    "another format": lambda value: b"\x80\x04K\x01.",
    "unknown key": lambda value: value[:4] + bytes(4) + value[8:],
}


@pytest.fixture
def shop(store, make_app):
    """An application with its revocations in a store."""
    return make_app(SESSION_REVOCATION_STORE=store, PROPAGATE_EXCEPTIONS=False)


def put(store: Store, name: str, value: bytes) -> None:
    store.delete(name)
    assert store.add(name, value, 3600)


def lineages(store, *, but=()):
    """The names of what ends sessions in cookies, and of the epoch of all."""
    return [name for name in store.held() if ":x." in name and name not in but]


@pytest.mark.parametrize("how", SPOILED)
def test_it_counts_as_an_end(store, shop, log_in, attacker, act, how):
    """Spoiled in any way, the revocation of his copy still ends it, and a logout over it still works."""
    victim = log_in(shop, draft="Ada's")
    copy = attacker.steals(victim)
    epoch = lineages(store)
    act(victim, lambda: HardSession().logout())
    [name] = lineages(store, but=epoch)

    put(store.store, name, SPOILED[how](store.store.get(name).value))

    thief = attacker.against(shop)
    assert thief.reads(copy) == {}
    assert thief.shows(copy, lambda: HardSession().logout()).response.status_code == 200
    assert thief.reads(copy) == {}


@pytest.mark.parametrize("how", SPOILED)
def test_spoiled_epoch_of_all_ends_all(store, shop, log_in, act, how):
    """Spoiled, the epoch of all ends every session, and the next login begins with a new one."""
    victim = log_in(shop, draft="Ada's")
    [name] = lineages(store)

    put(store.store, name, SPOILED[how](store.store.get(name).value))

    assert act(victim, lambda: dict(session)).value == {}
    assert act(log_in(shop, draft="again"), lambda: dict(session)).value == {"draft": "again"}


def test_revocation_of_another_session_does_not_open(store, shop, log_in, attacker, act):
    """The value of a session that only got a new id, put in the place of an end, is an end as well."""
    victim, mallory = log_in(shop, draft="Ada's"), log_in(shop, "mallory")
    epoch = lineages(store)
    act(mallory, lambda: HardSession().regenerate())
    [mine] = lineages(store, but=epoch)
    copy = attacker.steals(victim)
    act(victim, lambda: HardSession().logout())
    [name] = lineages(store, but=[*epoch, mine])

    put(store.store, name, store.store.get(mine).value)

    assert attacker.against(shop).reads(copy) == {}


def test_spoiled_list_is_an_outage(store, shop, log_in, act):
    """A user's list that does not open is no proof that he was not revoked: his pages fail, as in an outage."""
    victim = log_in(shop, draft="Ada's")
    [name] = [name for name in store.held() if ":u." in name]

    put(store.store, name, SPOILED["one bit"](store.store.get(name).value))

    answer = act(victim, lambda: dict(session))
    assert (answer.value, answer.response.status_code) == (None, 500)
