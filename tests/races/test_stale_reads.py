"""A store that answers from a replica which lags behind: what is read may be old, what is written never goes by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask

from hardsession.stores import Outcome, Store, Stored, Version

from .stores import RECORD, TOMBSTONE, rows
from .traffic import clear_and_write, login, logout, make_app, owner, read, regenerate, send, write

CHANGES = {
    "write": write(late=1),
    "new id": regenerate,
    "new right": write(role="admin"),
    "login": login("ada"),
    "logout": logout,
    "clear and write": clear_and_write(late=1),
}


class Lagging:
    """A store whose reads, while it lags, give what stood there before. Writes go where they always do."""

    atomic = True

    def __init__(self, store: Store) -> None:
        self.store = store
        self._old: dict[str, Stored | None] = {}
        self._reads = 0

    @contextmanager
    def lagging(self, key: str, *, reads: int) -> Iterator[None]:
        """Have so many reads of this row after the block give what stands there now."""
        old = self.store.get(key)
        yield
        self._old, self._reads = {key: old}, reads

    def get(self, key: str) -> Stored | None:
        if key in self._old and self._reads:
            self._reads -= 1
            return self._old[key]
        return self.store.get(key)

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        return self.store.add(key, value, ttl)

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        return self.store.replace(key, value, ttl, version)

    def delete(self, key: str) -> None:
        self.store.delete(key)


@pytest.fixture
def replica(store: Any) -> Lagging:
    """A replica of each store in turn."""
    return Lagging(store)


@pytest.fixture
def app(replica: Lagging) -> Flask:
    """An application that reads from it."""
    return make_app(replica)


@pytest.fixture
def ada(app: Flask) -> str | None:
    """The token of a session that Ada is logged in to."""
    return send(app, None, login("ada"), write(old=1)).token


@pytest.mark.parametrize("reads", [1, 2, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_stale_replica_read(app, ada, replica, change, reads):
    """A request that still reads a session which was logged out brings nothing back, and lets nobody in."""
    [name] = rows(replica.store)
    with replica.lagging(name, reads=reads):
        send(app, ada, logout)

    answer = send(app, ada, CHANGES[change])

    assert rows(replica.store, TOMBSTONE) == [name]
    assert send(app, ada, owner).value is None
    assert answer.token is None or send(app, answer.token, owner).value is None


@pytest.mark.parametrize("reads", [1, 2, 3])
def test_stale_read_overwrites_no_write(app, ada, replica, reads):
    """A request that read an old version writes over no newer one: both writes are there."""
    [name] = rows(replica.store)
    with replica.lagging(name, reads=reads):
        send(app, ada, write(theirs=1))

    answer = send(app, ada, write(ours=1))

    assert answer.status == 200
    assert send(app, ada, read).value == {"old": 1, "theirs": 1, "ours": 1}


@pytest.mark.parametrize("reads", [1, 2])
def test_stale_read_of_an_id_that_was_given_up(app, ada, replica, reads):
    """A request that still reads the id before a login sets no cookie over the new one, and loses its write."""
    [name] = rows(replica.store)
    with replica.lagging(name, reads=reads):
        now = send(app, ada, regenerate).token

    answer = send(app, ada, write(late=1))

    assert (answer.status, answer.cookies) == (200, [])
    assert send(app, now, read).value == {"old": 1}
    assert len(rows(replica.store, RECORD)) == 1
