"""MongoDB: one server, with a password, with TLS, with its monitor of what is expired, and a replica set."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

import freezegun
from pymongo import MongoClient, WriteConcern
from pymongo.errors import OperationFailure

from hardsession.stores import Store
from hardsession.stores.mongodb import MongoDBStore

from . import PATIENCE, Server, certify

# pymongo looks at the clock to see what is left of its time, and a clock that tests move is not that.
freezegun.configure(extend_ignore_list=["pymongo"])


class MongoDB(Server):
    """One mongod, which removes nothing that is expired: the tests' clock is not its own."""

    program = "mongod"
    package = "mongodb-org-server of MongoDB"
    parameters: ClassVar[dict[str, str]] = {"ttlMonitorEnabled": "false"}

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        where = ["--dbpath", str(self.folder), "--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket"]
        parameters = {"diagnosticDataCollectionEnabled": "false"} | self.parameters
        flags = [flag for name, value in parameters.items() for flag in ("--setParameter", f"{name}={value}")]
        return [self.program, *where, "--wiredTigerCacheSizeGB", "0.25", *flags]

    def answers(self) -> bool:
        with self.client(timeoutMS=1000, connectTimeoutMS=1000) as client:
            return bool(client.admin.command("serverStatus")["pid"] == self.pid)

    def client(self, **options: Any) -> MongoClient[Any]:
        """A client that waits for as long as a busy machine may take. Close it, or use it in a `with`."""
        return MongoClient(self.url, **{"timeoutMS": PATIENCE * 1000} | options)

    def empty(self) -> None:
        """Remove what the tests have made."""
        with self.client() as client:
            for name in client.list_database_names():
                if name not in {"admin", "config", "local"}:
                    client.drop_database(name)

    def empty_store(self) -> Store:
        self.empty()
        return MongoDBStore(self.url, timeout=PATIENCE)


class ExpiringMongoDB(MongoDB):
    """One that looks every second for what is expired."""

    parameters: ClassVar[dict[str, str]] = {"ttlMonitorSleepSecs": "1"}


class MongoDBWithPassword(MongoDB):
    """One that asks for a password."""

    password = "correct-horse"

    @property
    def url(self) -> str:
        return f"mongodb://root:{self.password}@127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [*super().command(), "--auth"]

    def answers(self) -> bool:
        # The first user may be made without a password, and nobody else.
        with contextlib.suppress(OperationFailure), MongoClient("127.0.0.1", self.port, timeoutMS=1000) as client:
            client.admin.command("createUser", "root", pwd=self.password, roles=["root"])
        return super().answers()


class MongoDBWithTLS(MongoDB):
    """One that speaks TLS alone, with a certificate of its own authority (`ca.pem` in its folder)."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        certify(self.folder)

    @property
    def url(self) -> str:
        return f"{super().url}/?tls=true&tlsCAFile={self.folder}/ca.pem"

    def command(self) -> list[str]:
        return [*super().command(), "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", f"{self.folder}/server.pem"]


class MongoDBReplicaSet(MongoDB):
    """Three that are one together."""

    members = 3

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self.nodes = [_Member(*options) for _ in range(self.members)]

    @property
    def url(self) -> str:
        return f"mongodb://{','.join(node.address for node in self.nodes)}/?replicaSet={_Member.name}"

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        with self.nodes[0].client() as client, contextlib.suppress(OperationFailure):  # it is one already
            members = [{"_id": number, "host": node.address} for number, node in enumerate(self.nodes)]
            settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}
            client.admin.command("replSetInitiate", {"_id": _Member.name, "members": members, "settings": settings})
        self.settle()

    def settle(self) -> None:
        """Wait until one is the primary, and all others follow it."""
        with self.client() as client:
            client["settled"].collection.with_options(write_concern=WriteConcern(self.members)).delete_one({})

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        super().close()

    def primary(self) -> MongoDB:
        """The one that takes writes."""
        with self.client() as client:
            client.admin.command("ping")
            assert client.address is not None
            [node] = [node for node in self.nodes if node.port == client.address[1]]
            return node


class _Member(MongoDB):
    name = "rs"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{super().url}/?directConnection=true"

    def command(self) -> list[str]:
        return [*super().command(), "--replSet", self.name, "--oplogSize", "16"]
