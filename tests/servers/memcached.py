"""memcached."""

from __future__ import annotations

from typing import Any

from pymemcache.client.base import Client

from hardsession.stores import Store
from hardsession.stores.memcached import MemcachedStore

from . import PATIENCE, Server


class Memcached(Server):
    """memcached. It takes values of 8 MB; `-I 1m` sets the limit that it has by default."""

    program = package = "memcached"

    @property
    def url(self) -> str:
        return f"memcached://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        where = ["-u", "root", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
        return [self.program, *where, "-m", "64", "-t", "1", "-I", "8m"]

    def answers(self) -> bool:
        client = self.client()
        try:
            return bool(client.stats()[b"pid"] == self.pid)
        finally:
            client.close()

    def client(self, **options: Any) -> Any:
        """A client that waits for each answer."""
        options = {"connect_timeout": 1, "timeout": 1, "default_noreply": False} | options
        return Client(("127.0.0.1", self.port), **options)

    def empty_store(self) -> Store:
        client = self.client()
        client.flush_all()
        client.close()
        return MemcachedStore.from_url(self.url, timeout=PATIENCE)
