"""A store in this process's memory, for tests and demonstrations: gone with the process, and unknown to any other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Lock
from typing import NamedTuple

from . import Options, Outcome, Stored, Version, forget_after_fork, new_version


class _Row(NamedTuple):
    stored: Stored
    expires: float


class MemoryStore:
    """A dict under a lock."""

    atomic = True

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._lock = Lock()
        forget_after_fork(self)

    def get(self, key: str) -> Stored | None:
        row = self._rows.get(key)
        return row.stored if row and row.expires > time.time() else None

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        with self._lock:
            if self.get(key):
                return False
            self._write(key, value, ttl)
            return True

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        with self._lock:
            stored = self.get(key)
            if stored is None:
                return Outcome.GONE
            if stored.version != version:
                return Outcome.CONFLICT
            self._write(key, value, ttl)
            return Outcome.DONE

    def delete(self, key: str) -> None:
        with self._lock:
            self._rows.pop(key, None)

    def purge(self) -> int:
        with self._lock:
            expired = [key for key, row in self._rows.items() if row.expires <= time.time()]
            for key in expired:
                del self._rows[key]
        return len(expired)

    def keys(self, prefix: str) -> Iterator[str]:
        return (key for key in list(self._rows) if key.startswith(prefix))

    def forget_inherited(self) -> None:
        """Another thread of the parent may have held the lock, and no thread of this process will release it."""
        self._lock = Lock()

    def _write(self, key: str, value: bytes, ttl: int) -> None:
        self._rows[key] = _Row(Stored(value, new_version()), time.time() + ttl)


def build(_options: Options) -> MemoryStore:
    """A store of its own for each application."""
    return MemoryStore()
