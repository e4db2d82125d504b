"""What the tests of several stores do in the same way."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hardsession.errors import StoreError
from hardsession.stores import Store, Version
from hardsession.stores import sqlalchemy as module
from hardsession.stores.sqlalchemy import SQLAlchemyStore
from tests.servers import PATIENCE

VERSION = Version(b"v" * 16)
FOUR_VERBS: dict[str, Callable[[Any], Any]] = {
    "get": lambda store: store.get("k"),
    "add": lambda store: store.add("k", b"value", 60),
    "replace": lambda store: store.replace("k", b"value", 60, VERSION),
    "delete": lambda store: store.delete("k"),
}
VERBS = FOUR_VERBS | {"keys": lambda store: list(store.keys(""))}
"""Those of a store that can name what it holds."""


def add_in_eight_processes(make: Callable[[], Store]) -> None:
    """Have eight processes that fork make a store and, all at the same moment, add a key of their own."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(8)

    def work(number: int) -> None:
        store = make()
        barrier.wait(PATIENCE)
        assert store.add(f"k{number}", b"value", 60)

    children = [context.Process(target=work, args=(number,)) for number in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        for child in children:
            child.start()
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0] * 8


def refuse_a_value_over_the_limit(store: Store, size: int, limit: int) -> None:
    """Refuse a value that there is no room for, with both numbers, and keep the old one."""
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None

    for write in (
        lambda: store.add("new", bytes(size), 60),
        lambda: store.replace("k", bytes(size), 60, stored.version),
    ):
        with pytest.raises(StoreError, match=rf"{limit} .*{size}"):
            write()

    assert store.get("k") == stored
    assert store.get("new") is None


def purge_in_batches(url: str, run: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove no more than a batch with a statement, and nothing that lives; `run` is somebody else's connection."""
    monkeypatch.setattr(module, "_BATCH", 2)
    store = SQLAlchemyStore(url)
    for number in range(5):
        store.add(f"k{number}", b"value", 60)
    store.add("live", b"value", 60)
    run("UPDATE sessions SET expires = 1 WHERE name <> 'live'")
    deleted: list[int] = []
    sa.event.listen(
        store._engine,
        "after_cursor_execute",
        lambda _connection, cursor, statement, *_: statement.startswith("DELETE") and deleted.append(cursor.rowcount),
    )

    assert store.purge() == 5

    assert deleted == [2, 2, 1]
    assert list(store.keys("")) == ["live"]
