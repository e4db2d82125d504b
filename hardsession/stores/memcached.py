"""A store on memcached: its cas numbers compare and write, on connections of our own that read nothing but bytes."""

from __future__ import annotations

import socket
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from ssl import SSLContext
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pymemcache.client.base import Client
from pymemcache.client.retrying import RetryingClient

from ..errors import StoreError
from . import Options, Outcome, Stored, Version, forget_after_fork

T = TypeVar("T")

Address = tuple[str, int] | str
"""A host and its port, or the path of a socket."""

_OURS = 0x68736D31
"""The flags of every item that is ours."""

_MONTH = 30 * 86400
_REST = 60
"""Seconds without use after which a connection is made anew, before what stands between drops it."""


class MemcachedStore:
    """Keeps values as items with memcached's own time to live.

    Args:
        servers: each key has its place on one of them, in whatever order they are named, and whichever are away.
        timeout: seconds to wait for a connection, and for an answer.
        tls_context: what speaks TLS with them.
    """

    atomic = True

    def __init__(
        self, servers: Iterable[Address], *, timeout: float = 2.0, tls_context: SSLContext | None = None
    ) -> None:
        self._servers = [_Server(address, timeout, tls_context) for address in servers]
        weakref.finalize(self, _close, self._servers)
        forget_after_fork(self)

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 2.0) -> MemcachedStore:
        """A store on `memcached://host:port` or `memcached:///path/of/a/socket`, or several with commas between."""
        return cls(_addresses(url), timeout=timeout)

    def get(self, key: str) -> Stored | None:
        return self._at(key).ask(lambda connection: connection.read(key))

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        return self._write(key, value, lambda to: bool(to.client.add(key, value, to.expiry(ttl), noreply=False)))

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        if self._write(key, value, lambda to: to.replace(key, value, ttl, version)):
            return Outcome.DONE
        return Outcome.GONE if self.get(key) is None else Outcome.CONFLICT

    def delete(self, key: str) -> None:
        self._at(key).ask(lambda connection: connection.client.delete(key, noreply=False))

    def forget_inherited(self) -> None:
        """A connection that parent and child both use mixes up their answers."""
        _close(self._servers)

    def _at(self, key: str) -> _Server:
        """Where a key stands, even when it is away: another server may hold what was ended since."""
        return max(self._servers, key=lambda server: sha256(f"{server.address} {key}".encode()).digest())

    def _write(self, key: str, value: bytes, write: Callable[[_Connection], bool]) -> bool:
        server = self._at(key)
        try:
            return server.ask(write)
        except StoreError as error:
            if "object too large" not in str(error.__cause__):
                raise
            limit = server.ask(lambda connection: connection.client.stats("settings")[b"item_size_max"])
            problem = f"memcached does not take {len(value)} bytes: it has {limit} for an item with its name (-I)."
            raise StoreError(problem) from error.__cause__


class _Server:
    """One memcached, and the connections to it that are at rest."""

    def __init__(self, address: Address, timeout: float, tls_context: SSLContext | None) -> None:
        self.address = address
        self._how = timeout, tls_context
        self._resting: list[_Connection] = []

    def ask(self, question: Callable[[_Connection], T]) -> T:
        try:
            connection = self._resting.pop()
        except IndexError:
            connection = _Connection(self.address, *self._how)
        try:
            connection.open()
            answer = question(connection)
        except BaseException as error:
            connection.client.close()  # who was interrupted has left his answer in it
            self.close()  # what ended one has ended those that rest
            if not isinstance(error, Exception):
                raise
            # pymemcache's errors are no family: of what it cannot read comes a ValueError, a KeyError and more.
            raise StoreError("memcached cannot be used.") from error
        self._resting.append(connection)
        return answer

    def close(self) -> None:
        """Close what is at rest."""
        with suppress(IndexError):
            while True:
                self._resting.pop().client.close()


class _Connection:
    """A connection, and which run of the server it leads to: cas numbers begin anew with each.

    A version is when the server was started (4 bytes), its process (4 bytes) and the cas number (8 bytes).
    """

    def __init__(self, address: Address, timeout: float, tls_context: SSLContext | None) -> None:
        self.client = Client(address, serde=self, connect_timeout=timeout, timeout=timeout)
        self._address, self._timeout, self._tls = address, timeout, tls_context
        self._used = 0.0

    def open(self) -> None:
        """Connect, if it is not, or has not been used for long."""
        now = time.monotonic()
        if now - self._used > _REST:
            self.client.close()
        self._used = now
        if self.client.sock is not None:
            return
        if not isinstance(self._address, str):  # pymemcache would try the first address of a name alone
            self.client.sock = socket.create_connection(self._address, self._timeout)
            self.client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                self.client.sock = self._tls.wrap_socket(self.client.sock, server_hostname=self._address[0])
        stats = self.client.stats()
        self._run = (stats[b"time"] - stats[b"uptime"]).to_bytes(4) + stats[b"pid"].to_bytes(4)
        self._ahead = stats[b"time"] - int(time.time())

    def read(self, key: str) -> Stored | None:
        value, number = self.client.gets(key)
        return None if value is None else Stored(value, Version(self._run + int(number).to_bytes(8)))

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> bool:
        if not version.startswith(self._run):
            return False
        number = int.from_bytes(version[len(self._run) :])
        return bool(self.client.cas(key, value, number, self.expiry(ttl), noreply=False))

    def expiry(self, ttl: int) -> int:
        """How memcached is told: more than 30 days are a date, on its clock."""
        return ttl if ttl <= _MONTH else int(time.time()) + self._ahead + ttl

    def serialize(self, _key: str, value: bytes) -> tuple[bytes, int]:
        return value, _OURS

    def deserialize(self, _key: str, value: bytes, flags: int) -> bytes | None:
        """The value, or nothing where somebody else wrote it: other flags can be a client's order to unpickle."""
        return value if flags == _OURS else None


def build(options: Options) -> MemcachedStore:
    """From a URL, or on the servers of the client in `SESSION_MEMCACHED`; without both, memcached on this machine."""
    client = options.settings.get("SESSION_MEMCACHED")
    if options.url is not None or client is None:
        return MemcachedStore.from_url(options.url or "memcached://localhost:11211", timeout=options.timeout)
    servers, tls_context = _servers(client)
    return MemcachedStore(servers, timeout=options.timeout, tls_context=tls_context)


def _addresses(url: str) -> Iterator[Address]:
    for place in url.partition("://")[2].removesuffix("/").split(","):
        if place.startswith("/"):
            yield place
            continue
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname, parts.port or 11211
        except ValueError:
            host = None
        if host is None or parts.netloc != place or "@" in place:
            raise ValueError("the memcached URL is not memcached://host:port, with commas between several")
        yield host, port


def _servers(client: Any) -> tuple[list[Address], SSLContext | None]:
    """Where a client goes, and with what TLS.

    It is asked for no value: it may unpickle it, take a server that is away for one that is empty, or go to another.
    """
    if isinstance(client, RetryingClient):
        client = client._client  # anything else that it has is a call
    try:
        parts = [*client.clients.values()] if hasattr(client, "clients") else getattr(client, "servers", [client])
        servers = [part.address if hasattr(part, "address") else part.server for part in parts]
    except (AttributeError, TypeError):
        raise ValueError(
            "SESSION_MEMCACHED is no client of pymemcache or python-memcached, and SESSION_STORE takes a URL"
        ) from None
    if not servers:
        raise ValueError("the client in SESSION_MEMCACHED has no server")
    return servers, getattr(parts[0], "tls_context", None)


def _close(servers: Iterable[_Server]) -> None:
    for server in servers:
        server.close()
