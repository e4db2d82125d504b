"""The stores that behaviour is tested on, and wrappers that count their calls, break them, and say whose turn it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, current_thread
from typing import Any

from hardsession.errors import StoreError
from hardsession.stores import Outcome, Store, Stored, Version
from hardsession.stores.cachelib import CachelibStore
from hardsession.stores.filesystem import FilesystemStore
from hardsession.stores.memory import MemoryStore
from hardsession.stores.sqlalchemy import SQLAlchemyStore
from tests.servers import PATIENCE, Server
from tests.servers.dynamodb import DynamoDB
from tests.servers.mariadb import MariaDB
from tests.servers.memcached import Memcached
from tests.servers.mongodb import MongoDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis

SERVED: dict[str, type[Server]] = {
    "redis": Redis,
    "memcached": Memcached,
    "mongodb": MongoDB,
    "dynamodb": DynamoDB,
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
}
NAMES = tuple(os.environ.get("HARDSESSION_STORES", "memory filesystem sqlite " + " ".join(SERVED)).split())
"""The stores that behaviour, races and attacks are run on. `HARDSESSION_STORES` chooses some; the stores' own tests run
all the same."""

RECORD, TOMBSTONE = 3, 5


def make_store(name: str, folder: Path, server: Callable[[type[Server]], Server]) -> Store:
    """An empty store of that name."""
    match name:
        case "memory":
            return MemoryStore()
        case "filesystem":
            return FilesystemStore(folder / "sessions", timeout=PATIENCE)
        case "sqlite":
            return SQLAlchemyStore(f"sqlite:///{folder}/sessions.db", timeout=PATIENCE)
        case "cachelib":  # which is not among NAMES, since it is not atomic
            with contextlib.chdir(folder):
                return CachelibStore()
    return server(SERVED[name]).empty_store()


def rows(store: Watched, kind: int = RECORD) -> list[str]:
    """The names of all rows of one kind."""
    return [name for name in sorted(store.names) if (stored := store.store.get(name)) and stored.value[3] == kind]


@dataclass(frozen=True)
class Call:
    """One call of a store: which verb, on which row, by which thread."""

    verb: str
    key: str
    thread: str

    @property
    def kind(self) -> str:
        """What stands under the key: "r" a row, "u" a user's list, "x" an epoch."""
        return self.key.rpartition(".")[0][-1]


class Watched:
    """A store that notes its calls and, before and after each, asks a test.

    What `before` raises, happens instead of the call; what `after` raises, after it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.atomic = store.atomic
        self.calls: list[Call] = []
        self.names: set[str] = set()
        """Every key that it was ever asked for: not every store can name what it holds."""
        self.before: Callable[[Call], None] = _nothing
        self.after: Callable[[Call], None] = _nothing

    def get(self, key: str) -> Stored | None:
        return self._call("get", key)  # type: ignore[no-any-return]

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        return self._call("add", key, value, ttl)  # type: ignore[no-any-return]

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        return self._call("replace", key, value, ttl, version)  # type: ignore[no-any-return]

    def delete(self, key: str) -> None:
        self._call("delete", key)

    def meanwhile(self, *works: Callable[[], Any]) -> None:
        """Do one of these before each of the next calls of `replace`."""
        left = list(works)

        def before(call: Call) -> None:
            if call.verb == "replace" and left:
                self.before = _nothing
                left.pop(0)()
                self.before = before

        self.before = before

    def held(self) -> list[str]:
        """Every key that something stands under now."""
        return [name for name in sorted(self.names) if self.store.get(name) is not None]

    def verbs(self, *kinds: str) -> list[str]:
        """What was called since the last look, on rows, or on "u" users' lists and "x" epochs."""
        calls, self.calls = self.calls, []
        return [call.verb for call in calls if call.kind in (kinds or "r")]

    def _call(self, verb: str, key: str, *arguments: Any) -> Any:
        call = Call(verb, key, current_thread().name)
        self.calls.append(call)
        self.names.add(key)
        self.before(call)
        result = getattr(self.store, verb)(key, *arguments)
        self.after(call)
        return result


class Outage:
    """Breaks a store from its n-th call on: before that call is done or, `done`, when only its answer is lost."""

    def __init__(self, store: Watched, *, at: int = 1, done: bool = False, thread: str | None = None) -> None:
        self._store, self._at, self._done, self._thread = store, at, done, thread
        self.calls = 0

    def __enter__(self) -> Outage:
        self._store.before, self._store.after = self._before, self._after
        return self

    def __exit__(self, *_: object) -> None:
        self._store.before = self._store.after = _nothing

    @property
    def failed(self) -> int:
        """How many calls failed."""
        return max(0, self.calls - self._at + 1)

    def _before(self, call: Call) -> None:
        if self._thread in (None, call.thread):
            self.calls += 1
            if self.calls > self._at or (self.calls == self._at and not self._done):
                raise StoreError("The server is gone.") from OSError("connection refused")

    def _after(self, call: Call) -> None:
        if self._thread in (None, call.thread) and self.calls == self._at:
            raise StoreError("The server is gone.") from OSError("connection reset")


class Turns:
    """Lets the threads of several requests into a store one call at a time, in the order that a test gives.

    `order` is a list of thread names; when it is over, the first thread that waits comes first. `taken` is the order
    that came of it, `choices` who else could have come. `crash` names a thread, and the call from which on it fails.
    """

    def __init__(
        self, store: Watched, threads: list[str], order: list[str], crash: tuple[str, int] | None = None
    ) -> None:
        self._store, self._order, self._crash = store, list(order), crash
        self.crashed = False
        self._running, self._waiting = set(threads), set[str]()
        self._condition = Condition()
        self._next: str | None = None
        self.taken: list[str] = []
        self.choices: list[list[str]] = []
        self.log: list[str] = []

    def __enter__(self) -> Turns:
        self._store.before = self._wait
        return self

    def __exit__(self, *_: object) -> None:
        self._store.before = _nothing

    def over(self, thread: str) -> None:
        """A request has been answered."""
        with self._condition:
            self._running.discard(thread)
            self._choose()

    def _wait(self, call: Call) -> None:
        if call.kind == "x" or (call.kind, call.verb) == ("r", "add"):
            return  # nobody else knows the name of a new row, so its place in the order makes no difference
        with self._condition:
            self._waiting.add(call.thread)
            self._choose()
            if not self._condition.wait_for(lambda: self._next == call.thread, PATIENCE):
                raise AssertionError(f"{call.thread} never had its turn after {self.taken}")
            self._next = None
            self._waiting.discard(call.thread)
            self.log.append(f"{call.thread}:{call.verb}({call.kind}{call.key[-4:]})")
            if self._crash and self._crash[0] == call.thread and self.taken.count(call.thread) >= self._crash[1]:
                self.crashed = True
                raise StoreError("The server is gone.")

    def _choose(self) -> None:
        """Once every request waits, name the one that comes next."""
        if self._next is not None or not self._running or self._waiting != self._running:
            return
        candidates = sorted(self._waiting)
        wanted = self._order[len(self.taken)] if len(self.taken) < len(self._order) else candidates[0]
        self._next = wanted if wanted in candidates else candidates[0]
        self.taken.append(self._next)
        self.choices.append(candidates)
        self._condition.notify_all()


def orders(run: Callable[[list[str]], Turns]) -> Iterator[Turns]:
    """Run something in every order that its threads' calls can come in."""
    pending: list[list[str]] = [[]]
    while pending:
        order = pending.pop()
        turns = run(order)
        for place in range(len(order), len(turns.taken)):
            others = [other for other in turns.choices[place] if other != turns.taken[place]]
            pending += [[*turns.taken[:place], other] for other in others]
        yield turns


def _nothing(_call: Call) -> None:
    pass
