"""Redis: one server, with a password or TLS, Valkey, a cluster, and a master with its replicas and Sentinels."""

from __future__ import annotations

import itertools
import subprocess
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import redis

from hardsession.stores import Store
from hardsession.stores.redis import RedisStore

from . import PATIENCE, Server, certify, free_port


def once(library: Any = redis) -> Any:
    """What has a client of redis-py, or of a library like it, not try again."""
    return library.retry.Retry(library.backoff.NoBackoff(), 0)


class Redis(Server):
    """Redis, which keeps nothing on the disk."""

    program = package = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [self.program, *where, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]

    def answers(self) -> bool:
        with self.client() as client:
            return bool(client.info("server")["process_id"] == self.pid)

    @property
    def runs(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._process is not None

    def client(self, **options: Any) -> Any:
        """A client that does not try again."""
        return redis.Redis.from_url(self.url, **{"socket_timeout": 1, "retry": once()} | options)

    def empty_store(self) -> Store:
        with self.client() as client:
            client.flushall()
        return RedisStore.from_url(self.url, timeout=PATIENCE)


class Valkey(Redis):
    """Valkey, spoken to by redis-py."""

    program = package = "valkey-server"


class RedisWithPassword(Redis):
    """Redis that asks for a password."""

    password = "correct-horse"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [*super().command(), "--requirepass", self.password]


class RedisWithTLS(Redis):
    """Redis that speaks TLS alone, with a certificate of its own authority (`ca.pem` in its folder)."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        certify(self.folder)

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.port}?ssl_ca_certs={self.folder}/ca.pem"

    def command(self) -> list[str]:
        files = itertools.chain.from_iterable(
            (f"--tls-{what}-file", str(self.folder / name))
            for what, name in {"cert": "server.pem", "key": "server.pem", "ca-cert": "ca.pem"}.items()
        )
        return [*super().command(), "--port", "0", "--tls-port", str(self.port), *files, "--tls-auth-clients", "no"]


class _Several(Server):
    """Several servers that are one together."""

    program = package = Redis.program
    nodes: list[Redis]
    """Those that hold data."""

    sentinels: Sequence[Redis] = ()

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        for node in [*self.nodes, *self.sentinels]:
            node.start()
        self.join()
        self.settle()

    def join(self) -> None:
        """Make one of them."""

    def settle(self) -> None:
        """Wait until every server does its part."""
        end = time.monotonic() + PATIENCE
        while not self.answers():
            assert time.monotonic() < end, "the servers do not find each other"
            time.sleep(0.05)

    def stop(self) -> None:
        for node in [*self.nodes, *self.sentinels]:
            node.stop()

    def close(self) -> None:
        for node in [*self.nodes, *self.sentinels]:
            node.close()
        super().close()

    def masters(self) -> list[Redis]:
        """Those that take writes."""
        return [node for node in self.nodes if node.runs and _ask(node, "INFO", "replication")["role"] == "master"]

    def replicas(self) -> list[Redis]:
        """Those that have what their master has."""
        said = {node: _ask(node, "INFO", "replication") for node in self.nodes if node.runs}
        return [node for node in said if said[node].get("master_link_status") == "up"]

    def cut_off(self, *replicas: Redis) -> None:
        """Halt replicas, and have their masters give them up: even when they are thawed they have missed what came."""
        masters = self.masters()
        for replica in replicas:
            replica.freeze()
        for master in masters:
            with master.client() as client:
                client.client_kill_filter(_type="slave")  # the others are back at once

    @abstractmethod
    def holder(self, key: str) -> Redis:
        """The master that has a key."""

    @abstractmethod
    def client(self, **options: Any) -> Any:
        """A client of the whole that does not try again."""

    def empty_store(self) -> Store:
        client = self.client(socket_timeout=PATIENCE)
        client.flushall()
        return RedisStore(client, timeout=PATIENCE)


class RedisCluster(_Several):
    """Three masters, each with a replica that takes its place a second after it is lost."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self.nodes = [_ClusterNode(*options) for _ in range(6)]

    def join(self) -> None:
        addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
        create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True, timeout=PATIENCE)

    def answers(self) -> bool:
        content = all(_ask(node, "CLUSTER INFO")["cluster_state"] == "ok" for node in self.nodes)
        return content and len(self.replicas()) == 3

    def holder(self, key: str) -> Redis:
        port = self.client().get_node_from_key(key).port
        return next(node for node in self.nodes if node.port == port)

    def client(self, library: Any = redis, **options: Any) -> Any:
        nodes = [library.cluster.ClusterNode("127.0.0.1", node.port) for node in self.nodes]
        kind = getattr(library.cluster, "RedisCluster", None) or library.cluster.ValkeyCluster
        options = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": once(library)} | options
        return kind(startup_nodes=nodes, **options)


class _ClusterNode(Redis):
    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self.bus: int = free_port()

    def command(self) -> list[str]:
        cluster = ["--cluster-enabled", "yes", "--cluster-port", str(self.bus), "--cluster-node-timeout", "1000"]
        return [*super().command(), *cluster, "--cluster-announce-ip", "127.0.0.1"]


class Sentinels(_Several):
    """A master, two replicas, and three Sentinels that have one replace it half a second after it is lost."""

    name = "sessions"

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        master = Redis(*options)
        self.nodes = [master, *(Redis("--replicaof", "127.0.0.1", str(master.port), *options) for _ in range(2))]
        lines = (
            f"sentinel monitor {self.name} 127.0.0.1 {master.port} 2",
            f"sentinel down-after-milliseconds {self.name} 500",
            f"sentinel failover-timeout {self.name} 3000",
        )
        self.sentinels = [_Sentinel(*lines) for _ in range(3)]

    def answers(self) -> bool:
        seen = [_ask(node, "INFO", "sentinel")["master0"] for node in self.sentinels]
        content = all((master["slaves"], master["sentinels"]) == (2, 3) for master in seen)
        return content and len(self.replicas()) == 2

    def holder(self, key: str) -> Redis:
        return self.masters()[0]

    def client(self, library: Any = redis, **options: Any) -> Any:
        timeouts = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": once(library)}
        addresses = [("127.0.0.1", node.port) for node in self.sentinels]
        sentinel = library.sentinel.Sentinel(addresses, sentinel_kwargs=timeouts)
        return sentinel.master_for(self.name, **timeouts | options)


class _Sentinel(Redis):
    """Keeps what it knows in the file that it is started with."""

    def __init__(self, *lines: str) -> None:
        super().__init__()
        self.lines = lines

    def command(self) -> list[str]:
        file = self.folder / "sentinel.conf"
        if not file.exists():
            file.write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", *self.lines]))
        return [self.program, str(file), "--sentinel"]


def _ask(node: Redis, *command: str) -> dict[str, Any]:
    with node.client() as client:
        return client.execute_command(*command)  # type: ignore[no-any-return]
