"""Redis."""

from __future__ import annotations

from typing import Any

import redis

from hardsession.stores import Store
from hardsession.stores.redis import RedisStore

from . import PATIENCE, Server


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

    def client(self, **options: Any) -> Any:
        """A client that does not try again."""
        options = {"socket_timeout": 1, "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0)} | options
        return redis.Redis.from_url(self.url, **options)

    def empty_store(self) -> Store:
        with self.client() as client:
            client.flushall()
        return RedisStore.from_url(self.url, timeout=PATIENCE)
