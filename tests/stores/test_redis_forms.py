"""The Redis store in every form of Redis: with a password or TLS, as Valkey, as a cluster, with Sentinels."""

from __future__ import annotations

import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any, NoReturn

import pytest
import redis
import valkey

from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, build
from hardsession.stores.redis import RedisStore
from hardsession.testing import OutageContract, StoreContract
from tests.servers import PATIENCE
from tests.servers.redis import (
    Redis,
    RedisCluster,
    RedisWithPassword,
    RedisWithTLS,
    Sentinels,
    Valkey,
)

GetServer = Callable[[type[Any]], Any]
HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "store-in-redis.md"
CLAUSES = [
    StoreContract.test_bytes_come_back_exactly,
    StoreContract.test_stale_version_is_a_conflict,
    StoreContract.test_keys_are_named_by_prefix,
    StoreContract.test_no_step_of_a_counter_is_lost,
    StoreContract.test_works_on_both_sides_of_a_fork,
]
each_clause = pytest.mark.parametrize("clause", CLAUSES)


def use(store: RedisStore, prefix: str = "") -> None:
    """Every verb."""
    key = prefix + token_hex(8)
    assert store.add(key, b"1", 60)
    assert not store.add(key, b"other", 60)
    stored = store.get(key)
    assert stored is not None
    assert store.replace(key, b"2", 60, stored.version) is Outcome.DONE
    assert store.replace(key, b"3", 60, stored.version) is Outcome.CONFLICT
    assert key in list(store.keys(prefix))
    store.delete(key)
    assert store.replace(key, b"3", 60, stored.version) is Outcome.GONE


# A password


@each_clause
def test_password_in_the_url(server: GetServer, clause: Callable[..., None]) -> None:
    """A URL with the server's password does."""
    clause(StoreContract(), build("redis", Options(server(RedisWithPassword).url, PATIENCE, {})))


def test_wrong_password_is_an_outage(server: GetServer) -> None:
    """So is a password that the server does not know, or none, and no text holds it."""
    url, wrong = server(RedisWithPassword).url, token_hex(8)

    for tried in (
        url.replace(RedisWithPassword.password, wrong),
        f"redis://127.0.0.1:{server(RedisWithPassword).port}",
    ):
        store = RedisStore.from_url(tried, timeout=PATIENCE)
        with pytest.raises(StoreError) as caught:
            store.get("k")
        assert isinstance(caught.value.__cause__, redis.AuthenticationError)
        assert wrong not in "".join(traceback.format_exception(caught.value)) + repr(store)


def rights(client: str) -> list[str]:
    """What the documents allow the user of such a client."""
    found = re.search(rf"^\| {client} \| `(.*)` \|$", HOW_TO.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1].replace("\\|", "|").split()


@pytest.mark.parametrize("wait", [0, 1])
@pytest.mark.parametrize("kind", [Redis, Sentinels, RedisCluster])
def test_user_with_the_documented_rights(server: GetServer, kind: type[Any], wait: int) -> None:
    """A user with the rights that the documents name can do everything that the store does, on keys with its prefix."""
    servers, password = server(kind), token_hex(8)
    rule = rights("a cluster") if kind is RedisCluster else rights("one server, or Sentinels")
    for node in getattr(servers, "nodes", [servers]):
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", "sessions", "reset", "on", f">{password}", *rule)
    store = RedisStore(servers.client(username="sessions", password=password), wait=wait, timeout=0.4)

    if wait and kind is Redis:
        with pytest.raises(StoreError, match="replica"):
            store.add("session:k", b"value", 60)
    else:
        use(store, "session:")
    with pytest.raises(StoreError) as caught:
        store.get("elsewhere")
    assert isinstance(caught.value.__cause__, redis.ResponseError)


# TLS


@each_clause
def test_tls_by_url(server: GetServer, clause: Callable[..., None]) -> None:
    """A URL with the authority of the server's certificate does."""
    clause(StoreContract(), build("redis", Options(server(RedisWithTLS).url, PATIENCE, {})))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda url: url.partition("?")[0], "certificate verify failed"),
        (lambda url: url.replace("127.0.0.1", "localhost"), "localhost"),
    ],
    ids=["unknown authority", "another name"],
)
def test_certificate_that_is_not_trusted_is_an_outage(
    server: GetServer, change: Callable[[str], str], fault: str
) -> None:
    """Nothing is sent to a server whose certificate is signed by somebody unknown, or is another server's."""
    store = RedisStore.from_url(change(server(RedisWithTLS).url), timeout=PATIENCE)

    with pytest.raises(StoreError) as caught:
        store.add("k", b"value", 60)

    assert isinstance(caught.value.__cause__, redis.ConnectionError)
    assert fault in str(caught.value.__cause__)


# Valkey


@each_clause
def test_valkey_by_url(server: GetServer, clause: Callable[..., None]) -> None:
    """Valkey answers redis-py as Redis does."""
    clause(StoreContract(), build("redis", Options(server(Valkey).url, PATIENCE, {})))


def of_valkey(port: int, **options: Any) -> Any:
    """A client of valkey-py, as it is made by default."""
    return valkey.Valkey(port=port, **options)


class TestValkeyClient(StoreContract):
    """Valkey's own client, whose errors are not redis-py's."""

    @pytest.fixture
    def store(self, server: GetServer) -> Store:
        self.client = of_valkey(server(Valkey).port)
        return build("redis", Options(None, 2, {"SESSION_REDIS": self.client}))

    def plant(self, store: Store, key: str) -> None:
        self.client.rpush(key, b"somebody's list")


class TestValkeyClientInOutage(OutageContract):
    @pytest.fixture
    def server(self, untested: Callable[[str], NoReturn]) -> Iterator[Valkey]:
        with Valkey.running(untested) as server:
            yield server

    @pytest.fixture
    def store(self, server: Valkey) -> Store:
        client = of_valkey(server.port, socket_timeout=0.5, socket_connect_timeout=0.5)
        return RedisStore(client)


def test_valkey_without_redis_py(server: GetServer) -> None:
    """An application that brings a client of valkey-py needs no redis-py."""
    code = (
        "import sys, valkey; sys.modules['redis'] = None; from hardsession.stores import Options, build;"
        "store = build('redis', Options(None, 2, {'SESSION_REDIS': valkey.Valkey(port=int(sys.argv[1]))}));"
        "assert store.add(sys.argv[2], b'value', 60)"
    )

    subprocess.run([sys.executable, "-c", code, str(server(Valkey).port), token_hex(8)], check=True, timeout=PATIENCE)


# A cluster


@pytest.fixture
def cluster(server: GetServer) -> RedisCluster:
    return server(RedisCluster)  # type: ignore[no-any-return]


class TestRedisCluster(StoreContract):
    """With a wait for each replica."""

    @pytest.fixture
    def store(self, cluster: RedisCluster) -> Store:
        self.client = cluster.client(socket_timeout=PATIENCE)
        return build("redis", Options(None, PATIENCE, {"SESSION_REDIS": self.client, "SESSION_REDIS_WAIT": 1}))

    def plant(self, store: Store, key: str) -> None:
        self.client.rpush(key, b"somebody's list")


@pytest.mark.parametrize("library", [redis, valkey])
@each_clause
def test_cluster_without_waiting(cluster: RedisCluster, library: Any, clause: Callable[..., None]) -> None:
    """Without waiting, with either library."""
    clause(StoreContract(), RedisStore(cluster.client(library, socket_timeout=PATIENCE)))


@pytest.mark.parametrize("library", [redis, valkey])
@pytest.mark.parametrize("wait", [0, 1])
def test_slot_on_the_move(cluster: RedisCluster, wait: int, library: Any) -> None:
    """A key is found while its slot moves to another master, and after it did, by clients that knew it elsewhere."""
    key = token_hex(8)
    client = cluster.client(library)
    slot, source = client.keyslot(key), cluster.holder(key)
    target = next(node for node in cluster.masters() if node is not source)
    stores = [RedisStore(cluster.client(library), wait=wait, timeout=PATIENCE) for _ in range(4)]
    assert stores[0].add(key, b"1", 60)
    assert (stored := stores[0].get(key)) is not None

    move(slot, source, target, key)
    assert stores[0].replace(key, b"2", 60, stored.version) is Outcome.DONE
    assert not stores[0].add(key, b"other", 60)
    settle(cluster, slot, target)

    assert (stored := stores[1].get(key)) is not None
    assert stored.value == b"2"
    assert stores[2].replace(key, b"3", 60, stored.version) is Outcome.DONE
    stores[3].delete(key)
    assert stores[0].get(key) is None


def move(slot: int, source: Redis, target: Redis, key: str) -> None:
    """Begin to move a slot, and take one key there."""
    with source.client() as old, target.client() as new:
        source_id, target_id = (client.execute_command("CLUSTER MYID").decode() for client in (old, new))
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        old.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)


def settle(cluster: RedisCluster, slot: int, target: Redis) -> None:
    """Have every master know who has a slot now."""
    with target.client() as client:
        name = client.execute_command("CLUSTER MYID").decode()
    for node in [target, *cluster.masters()]:
        with node.client() as client:
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)


def test_write_that_a_cluster_refuses(cluster: RedisCluster) -> None:
    """A refusal is an outage, and is not sent elsewhere."""
    store = RedisStore(cluster.client(), wait=1, timeout=PATIENCE)
    with cluster.holder("k").client() as client:
        client.config_set("min-replicas-to-write", 2)
        try:
            with pytest.raises(StoreError) as caught:
                store.add("k", b"value", 60)
        finally:
            client.config_set("min-replicas-to-write", 0)

    assert "NOREPLICAS" in str(caught.value.__cause__)
    assert store.get("k") is None


@pytest.mark.parametrize("option", ["read_from_replicas", "load_balancing_strategy"])
def test_client_that_reads_from_replicas_is_refused(cluster: RedisCluster, option: str) -> None:
    """A replica may not have heard of a logout yet."""
    client = cluster.client()
    setattr(client, option, True)

    with pytest.raises(ValueError, match=r"SESSION_REDIS.*replicas"):
        build("redis", Options(None, 2, {"SESSION_REDIS": client}))


def test_cluster_client_that_decodes_is_refused(cluster: RedisCluster) -> None:
    """As any other that does."""
    with pytest.raises(ValueError, match="decode_responses=False"):
        RedisStore(cluster.client(decode_responses=True))


# Sentinels


class TestSentinels(StoreContract):
    """With a wait for both replicas."""

    @pytest.fixture
    def store(self, server: GetServer) -> Store:
        self.client = server(Sentinels).client(socket_timeout=PATIENCE)
        return build("redis", Options(None, PATIENCE, {"SESSION_REDIS": self.client, "SESSION_REDIS_WAIT": 2}))

    def plant(self, store: Store, key: str) -> None:
        self.client.rpush(key, b"somebody's list")


@pytest.mark.parametrize("library", [redis, valkey])
@each_clause
def test_sentinels_without_waiting(server: GetServer, library: Any, clause: Callable[..., None]) -> None:
    """Without waiting, with either library."""
    clause(StoreContract(), RedisStore(server(Sentinels).client(library, socket_timeout=PATIENCE)))
