"""Where sessions are when they are not in the cookie: on a shelf, which is a store that the page can look at."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from flask import g

from hardsession import HardSessionError
from hardsession.stores import Outcome, Store, Stored, Version
from hardsession.stores.memory import MemoryStore

REDIS_URL = "redis://localhost:6379"


class ShelfError(Exception):
    """The store that was asked for cannot be had. The text says what to do."""


class Shelf:
    """A store that shows the row that a request read last: `place` and `row` are for the page.

    An application passes its store, or the URL of one, to `SESSION_STORE` as it is.
    """

    def __init__(self, store: Store, place: str) -> None:
        self._store = store
        self.place = place

    @property
    def atomic(self) -> bool:
        return self._store.atomic

    @property
    def row(self) -> tuple[str, bytes] | None:
        """Name and value of the row that this request read."""
        row: tuple[str, bytes] | None = g.get("row")
        return row

    def get(self, key: str) -> Stored | None:
        stored = self._store.get(key)
        if stored is not None:
            g.row = (key, stored.value)
        return stored

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        return self._store.add(key, value, ttl)

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        return self._store.replace(key, value, ttl, version)

    def delete(self, key: str) -> None:
        self._store.delete(key)


def put_up(name: str, folder: Path) -> Shelf:
    """The shelf that STORE names; files go below `folder`. ShelfError where there can be none."""
    build = _BUILDERS.get(name)
    if build is None:
        raise ShelfError(f"STORE={name} is no store of this demo. Choose one: {', '.join(_BUILDERS)}.")
    try:
        return build(folder)
    except ImportError as error:
        raise ShelfError(f"STORE={name} cannot be used here: {error}. {_REMEDIES[name]}") from error


def _memory(_folder: Path) -> Shelf:
    return Shelf(MemoryStore(), "the memory of this process")


def _filesystem(folder: Path) -> Shelf:
    from hardsession.stores.filesystem import FilesystemStore

    path = folder / "sessions"
    return Shelf(FilesystemStore(path), f"a file below {path}")


def _sqlite(folder: Path) -> Shelf:
    from hardsession.stores.sqlalchemy import SQLAlchemyStore

    path = folder / "sessions.db"
    return Shelf(SQLAlchemyStore(f"sqlite:///{path}"), f"the table sessions in {path}")


def _redis(_folder: Path) -> Shelf:
    from hardsession.stores.redis import RedisStore

    url = os.environ.get("REDIS_URL") or REDIS_URL
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2] or parts.path  # a password that stands before it is nobody's business
    try:
        store = RedisStore.from_url(url)
        store.get("vault:")
    except (HardSessionError, ValueError) as error:
        raise ShelfError(
            f"Redis cannot be used at {where}: {error.__cause__ or error} "
            f"Start it (redis-server), or say where it is: REDIS_URL={REDIS_URL}."
        ) from error
    return Shelf(store, f"Redis at {where}")


_BUILDERS: dict[str, Callable[[Path], Shelf]] = {
    "memory": _memory,
    "filesystem": _filesystem,
    "sqlite": _sqlite,
    "redis": _redis,
}
_REMEDIES = {
    "filesystem": "Choose another store.",
    "sqlite": "Install its driver: python -m pip install sqlalchemy",
    "redis": "Install its driver: python -m pip install redis",
}
