"""What a type checker knows of stores. It is read by type checkers and never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from hardsession.stores import Outcome, Purgeable, Scannable, Store, Stored, Version, new_version
from hardsession.stores.cachelib import CachelibStore
from hardsession.stores.dynamodb import DynamoDBStore
from hardsession.stores.filesystem import FilesystemStore
from hardsession.stores.memcached import MemcachedStore
from hardsession.stores.memory import MemoryStore
from hardsession.stores.mongodb import MongoDBStore
from hardsession.stores.redis import RedisStore
from hardsession.stores.sqlalchemy import SQLAlchemyStore
from hardsession.testing import OutageContract, StoreContract


def four_verbs(store: Store) -> None:
    assert_type(store.atomic, bool)
    assert_type(store.get("session:r.1"), Stored | None)
    assert_type(store.add("session:r.1", b"value", 60), bool)
    assert_type(store.replace("session:r.1", b"value", 60, new_version()), Outcome)
    assert_type(store.delete("session:r.1"), None)


def what_stands_there(stored: Stored) -> None:
    assert_type(stored.value, bytes)
    assert_type(stored.version, Version)
    assert_type(new_version(), Version)


def every_store_is_one(client: object) -> None:
    stores: list[Store] = [
        MemoryStore(),
        FilesystemStore("sessions", mode=0o600, timeout=2.0),
        CachelibStore(),
        DynamoDBStore(client, table="Sessions", create=True, timeout=2.0),
        MemcachedStore([("localhost", 11211)], timeout=2.0),
        MemcachedStore.from_url("memcached://localhost", timeout=2.0),
        MongoDBStore("mongodb://localhost", database="shop", collection="doors", create=True, timeout=2.0),
        RedisStore(client, wait=1, timeout=2.0),
        RedisStore.from_url("redis://localhost:6379", wait=1, timeout=2.0),
        SQLAlchemyStore("sqlite:///sessions.db", table="sessions", schema=None, create=True, timeout=2.0),
    ]
    print(stores)


def two_powers_more(purgeable: Purgeable, scannable: Scannable) -> None:
    assert_type(purgeable.purge(), int)
    assert_type(scannable.keys("session:"), Iterator[str])


class OneOfYourOwn:
    """Nothing has to be inherited."""

    atomic = True

    def get(self, key: str) -> Stored | None:
        return None

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        return True

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        return Outcome.GONE

    def delete(self, key: str) -> None:
        return None


def it_is_a_store() -> Store:
    return OneOfYourOwn()


def what_tests_it(contract: StoreContract, outage: OutageContract) -> None:
    contract.test_stale_version_is_a_conflict(it_is_a_store())
    print(outage)


def what_is_refused(store: Store) -> None:
    store.get(b"session:r.1")  # type: ignore[arg-type]
    store.add("session:r.1", "value", 60)  # type: ignore[arg-type]
    store.replace("session:r.1", b"value", 60, b"0" * 16)  # type: ignore[arg-type]
    RedisStore()  # type: ignore[call-arg]
