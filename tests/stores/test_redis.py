"""The Redis store: what a Redis may hold, refuse, forget and be asked twice."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
import redis

from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, build
from hardsession.stores.redis import RedisStore
from hardsession.testing import OutageContract, StoreContract
from tests.servers.redis import Redis

from .common import VERBS, VERSION


@pytest.fixture
def client(redis_server: Redis) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def store(redis_server: Redis, client: redis.Redis) -> RedisStore:
    return RedisStore.from_url(redis_server.url)


@pytest.fixture
def own_server(untested: Callable[[str], NoReturn]) -> Iterator[Redis]:
    """A Redis to do harm to."""
    with Redis.running(untested) as server:
        yield server


class TestRedisStore(StoreContract):
    @pytest.fixture
    def store(self, redis_server: Redis) -> RedisStore:
        self.server = redis_server
        return RedisStore.from_url(redis_server.url, timeout=20)  # 20 threads, on a busy machine

    def plant(self, store: Store, key: str) -> None:
        with self.server.client() as client:
            client.rpush(key, b"somebody's list")


class TestRedisStoreInOutage(OutageContract):
    @pytest.fixture
    def server(self, own_server: Redis) -> Redis:
        return own_server

    @pytest.fixture
    def store(self, server: Redis) -> RedisStore:
        return RedisStore.from_url(server.url, timeout=0.5)


@pytest.mark.parametrize(
    "clause",
    [
        StoreContract.test_bytes_come_back_exactly,
        StoreContract.test_stale_version_is_a_conflict,
        StoreContract.test_keys_are_named_by_prefix,
        StoreContract.test_no_step_of_a_counter_is_lost,
        StoreContract.test_works_on_both_sides_of_a_fork,
    ],
)
def test_client_of_the_application(redis_server: Redis, clause: Callable[..., None]) -> None:
    """A client as redis-py makes it by default, which speaks RESP3, does as well."""
    with redis.Redis(port=redis_server.port) as client:
        clause(StoreContract(), build("redis", Options(None, 2, {"SESSION_REDIS": client})))


def test_silent_server_is_asked_once() -> None:
    """A request waits for a server that accepts and says nothing once, not as often as the driver would try."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = RedisStore.from_url(f"redis://127.0.0.1:{server.getsockname()[1]}", timeout=0.1)

        with pytest.raises(StoreError) as caught:
            store.get("k")

        assert isinstance(caught.value.__cause__, redis.TimeoutError)
        server.accept()[0].close()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


FOREIGN: dict[str, Callable[[redis.Redis, str], Any]] = {
    "hash": lambda client, key: client.hset(key, "a", "b"),
    "set": lambda client, key: client.sadd(key, "a"),
    "stream": lambda client, key: client.xadd(key, {"a": "b"}),
    "number": lambda client, key: client.incr(key),
    "empty": lambda client, key: client.set(key, b""),
    "short": lambda client, key: client.set(key, b"fifteen bytes..", ex=60),
}


@pytest.mark.parametrize("plant", FOREIGN.values(), ids=FOREIGN)
def test_foreign_value(store: RedisStore, client: redis.Redis, plant: Callable[[redis.Redis, str], Any]) -> None:
    """A value of another type, or one too short to be ours, is no outage."""
    contract = StoreContract()
    contract.plant = lambda _store, key: plant(client, key)  # type: ignore[method-assign]

    contract.test_foreign_value_is_no_outage(store)


def test_foreign_keys_are_not_named(store: RedisStore, client: redis.Redis) -> None:
    """A key that is no text does not break the list of keys."""
    client.set(b"session:\xff", b"")
    store.add("session:r.1", b"value", 60)

    assert list(store.keys("session:")) == ["session:r.1"]


def test_round_trips(store: RedisStore, client: redis.Redis) -> None:
    """Every verb is one command; an `add` that is refused may cost a second one."""
    counts = {}
    store.add("k", b"value", 60)
    for name in ("get", "add", "replace", "delete"):
        before = client.info("stats")["total_commands_processed"]
        VERBS[name](store)
        counts[name] = client.info("stats")["total_commands_processed"] - before - 1

    # A script counts as one command and one for each that it calls.
    assert counts == {"get": 1, "add": 1 + 2, "replace": 2, "delete": 1}


def test_time_to_live_is_redis_own(store: RedisStore, client: redis.Redis) -> None:
    """Redis itself forgets a value in time, after `add` and after `replace`."""
    store.add("k", b"value", 60)
    assert 58 <= client.ttl("k") <= 60

    stored = store.get("k")
    assert stored is not None
    store.replace("k", b"value", 1000, stored.version)

    assert 998 <= client.ttl("k") <= 1000


class Stutter(redis.Redis):
    """A client that loses the first answer to every command, and asks again."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        super().execute_command(*args, **options)
        return super().execute_command(*args, **options)


def test_command_sent_twice(redis_server: Redis, client: redis.Redis) -> None:
    """Who asks again because the answer was lost hears what became of it the first time."""
    store = RedisStore(Stutter(port=redis_server.port))

    assert store.add("k", b"1", 60)
    assert not store.add("k", b"other", 60)
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"1"
    assert store.replace("k", b"2", 60, stored.version) is Outcome.DONE
    assert store.replace("k", b"3", 60, stored.version) is Outcome.CONFLICT
    assert store.get("k") != stored
    store.delete("k")
    assert store.replace("k", b"3", 60, stored.version) is Outcome.GONE


# What Redis refuses


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_refused_command(store: RedisStore, client: redis.Redis, redis_server: Redis, verb: Callable[..., Any]) -> None:
    """A command that Redis does not allow is an outage; it is not taken for a session that is gone."""
    store.add("k", b"value", 60)
    client.acl_setuser("reader", enabled=True, passwords=["+pw"], keys=["*"], commands=["+eval", "+hello"])

    with pytest.raises(StoreError) as caught:
        verb(RedisStore(redis_server.client(username="reader", password="pw")))

    assert isinstance(caught.value.__cause__, redis.RedisError)


def test_full_memory(own_server: Redis) -> None:
    """A Redis that is full refuses to write, and that is an outage."""
    store = RedisStore.from_url(own_server.url)
    store.add("k", b"value", 60)
    stored = store.get("k")
    assert stored is not None
    with own_server.client() as client:
        client.config_set("maxmemory", "1mb")

        for write in (
            lambda: store.add("new", b"value", 60),
            lambda: store.replace("k", b"new", 60, stored.version),
        ):
            with pytest.raises(StoreError) as caught:
                write()
            assert isinstance(caught.value.__cause__, redis.ResponseError)
        assert store.get("k") == stored


@pytest.mark.parametrize("wait", [0, 1])
def test_errors_quote_nothing(own_server: Redis, redis_server: Redis, wait: int) -> None:
    """What an outage leaves in a log holds neither key nor value."""
    with own_server.client() as client:
        client.replicaof("127.0.0.1", redis_server.port)  # and so it takes no writes
        store = RedisStore.from_url(own_server.url, wait=wait)

        with pytest.raises(StoreError) as caught:
            store.add("session:name", b"some value", 60)

    text = "".join(traceback.format_exception(caught.value))
    assert "read only replica" in text
    assert "session:name" not in text.replace('store.add("session:name"', "")
    assert "some value" not in text.replace('b"some value"', "")


# Replicas


class Rotating(redis.ConnectionPool):
    """Hands out the connection that has rested longest, as a pool of several threads may."""

    def release(self, connection: Any) -> None:
        super().release(connection)
        self._available_connections.reverse()


@pytest.fixture
def replica(own_server: Redis, untested: Callable[[str], NoReturn]) -> Iterator[Redis]:
    """A replica of `own_server`."""
    with Redis.running(untested, "--replicaof", "127.0.0.1", str(own_server.port)) as replica:
        with replica.client() as client:
            end = time.monotonic() + 20
            while client.info("replication")["master_link_status"] != "up":
                assert time.monotonic() < end, "the replica does not find its master"
                time.sleep(0.02)
        yield replica


@pytest.mark.parametrize("pool", [redis.ConnectionPool, Rotating])
def test_write_waits_for_a_replica(own_server: Redis, replica: Redis, pool: type[redis.ConnectionPool]) -> None:
    """With `wait` a write counts once a replica has it, on whichever connections a pool has; else it is StoreError."""
    client = redis.Redis(connection_pool=pool.from_url(own_server.url))
    for connection in [client.client() for _ in range(3)]:
        connection.close()
    store, impatient = RedisStore(client, wait=1, timeout=20), RedisStore(client, wait=1, timeout=0.4)
    assert store.add("k", b"1", 60)
    stored = store.get("k")
    assert stored is not None
    with replica.client() as there:
        assert there.get("k") == stored.version + b"1"
    assert not store.add("k", b"other", 60)
    assert store.replace("k", b"2", 60, VERSION) is Outcome.CONFLICT

    replica.freeze()
    for write in (
        lambda: impatient.replace("k", b"2", 60, stored.version),
        lambda: impatient.add("new", b"value", 60),
        lambda: impatient.delete("k"),
    ):
        start = time.monotonic()
        with pytest.raises(StoreError, match="replica"):
            write()
        assert time.monotonic() - start < 5
    replica.thaw()

    assert store.add("another", b"value", 60)
    assert store.get("k") is None
    client.close()


def test_wait_without_replicas(own_server: Redis) -> None:
    """Where there is no replica to wait for, nothing counts, and reading goes on."""
    store = RedisStore.from_url(own_server.url, wait=1, timeout=0.2)

    with pytest.raises(StoreError, match="1 replica"):
        store.add("k", b"value", 60)

    assert store.get("k") is not None


# Settings


@pytest.mark.parametrize("option", ["?decode_responses=true", "?decode_responses=1"])
def test_decoding_client_is_refused(redis_server: Redis, option: str) -> None:
    """A client that decodes would break on every value: it is refused at the start, and the error says what to do."""
    with pytest.raises(ValueError, match="decode_responses=False"):
        RedisStore(redis.Redis(port=redis_server.port, decode_responses=True))
    with pytest.raises(ValueError, match="decode_responses=False"):
        RedisStore.from_url(redis_server.url + option)


def test_built_from_a_url(redis_server: Redis, client: redis.Redis) -> None:
    """`SESSION_STORE` says where Redis is, even beside a client for something else."""
    store = build("redis", Options(redis_server.url, 2, {"SESSION_REDIS": redis.Redis(port=1)}))

    store.add("k", b"value", 60)

    assert client.exists("k")


def test_built_without_anything() -> None:
    """Without a URL or a client it is the Redis of this machine, as with flask-session, and not connected to yet."""
    store = build("redis", Options(None, 2, {}))

    assert isinstance(store, RedisStore)
    assert store._client.connection_pool.connection_kwargs["host"] == "localhost"


@pytest.mark.parametrize(
    ("url", "settings", "fault"),
    [
        ("redis://localhost/?sockettimeout=3", {}, "sockettimeout"),
        ("redis://localhost:port", {}, "port"),
        ("redis://localhost/?socket_timeout=soon", {}, "socket_timeout"),
        (None, {"SESSION_REDIS": "redis://localhost"}, "SESSION_REDIS"),
        (None, {"SESSION_REDIS_WAIT": "one"}, "SESSION_REDIS_WAIT"),
        (None, {"SESSION_REDIS_WAIT": -1}, "SESSION_REDIS_WAIT"),
    ],
)
def test_refused_settings(url: str | None, settings: dict[str, Any], fault: str) -> None:
    """What cannot work is refused at the start, by name."""
    with pytest.raises(ValueError, match=fault):
        build("redis", Options(url, 2, settings))


@pytest.mark.parametrize("url", ["rediss://localhost", "unix:///run/redis.sock", "redis://:pw@localhost/2?protocol=3"])
def test_urls_that_redis_knows(url: str) -> None:
    """Every kind of URL that redis-py knows can be used."""
    assert build("redis", Options(url, 2, {})).atomic
