"""The memory store."""

from __future__ import annotations

import multiprocessing
import warnings

import pytest

from hardsession import stores
from hardsession.stores import Options, Store
from hardsession.stores.memory import MemoryStore, build
from hardsession.testing import StoreContract

from .clock import MovedClock


class TestMemoryStore(MovedClock, StoreContract):
    shared = False

    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


def test_each_app_has_its_own() -> None:
    """Two apps that ask for memory see nothing of each other."""
    options = Options(None, 2, {})
    one, other = build(options), build(options)

    one.add("k", b"one", 60)

    assert other.get("k") is None


def test_fork_while_another_thread_writes() -> None:
    """A child that was forked in the middle of another thread's write does not wait for that thread for ever."""
    store = MemoryStore()
    child = multiprocessing.get_context("fork").Process(target=store.add, args=("k", b"child", 60))

    with store._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child.start()
    child.join(20)
    child.kill()

    assert child.exitcode == 0


def test_child_keeps_what_the_parent_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child forgets is the lock, not the values."""
    store = MemoryStore()
    monkeypatch.setattr(stores, "_inheriting", {store})
    store.add("k", b"parent", 60)
    lock = store._lock

    stores._forget_inherited()  # what a child does first

    assert store._lock is not lock
    assert store.get("k") is not None
