"""The store contract: opaque bytes under a name, in four verbs.

Everything that survives two requests at once rests on one of them: `replace` never creates, and never writes over
what its caller has not seen. There is no unconditional write.

A store neither serialises, encrypts nor logs. Only `StoreError` leaves it, raised from the driver's error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from importlib import import_module
from typing import Any, NewType, Protocol, runtime_checkable
from weakref import WeakSet

from ..errors import StoreError

Version = NewType("Version", bytes)
"""Names one write of one key, and never comes again for it, not even after it was deleted and added anew."""

VERSION_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands under a key, and which write put it there."""

    value: bytes
    version: Version


class Outcome(Enum):
    """What became of a `replace`."""

    DONE = auto()
    GONE = auto()
    """Nothing stands there, or what does is expired or not ours."""
    CONFLICT = auto()
    """Somebody else wrote since the version was read."""


class Store(Protocol):
    """Keeps bytes under names, for at most so long.

    A key is printable ASCII without spaces, at most 128 characters, and its case counts. A missing, an expired and an
    evicted key are the same: None to `get`, free to `add`, GONE to `replace`. What stands under a key and was not
    written by this store is not ours: None, not free, GONE. Bytes come back exactly, empty ones too. Reads are
    strong: they see every write that was answered before.

    Every verb raises StoreError, from the driver's error, when the store cannot answer, within the time it is set to.
    A write that raised may have been done all the same.
    """

    @property
    def atomic(self) -> bool:
        """Whether `add` and `replace` compare and write in one step. Without that no logout is final."""

    def get(self, key: str) -> Stored | None:
        """What stands under the key."""

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        """Write it for `ttl` seconds, at least 1, if the key is free; say whether it was."""

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        """Write it for `ttl` seconds if the write that `version` names is still the last one."""

    def delete(self, key: str) -> None:
        """Make the key free. That it is already is no error."""


@runtime_checkable
class Purgeable(Protocol):
    """A store that does not get rid of expired values by itself."""

    def purge(self) -> int:
        """Remove what is expired, in batches that hold nobody up; say how much it was."""


@runtime_checkable
class Scannable(Protocol):
    """A store that can name what it holds."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key with this prefix, some of them perhaps expired, some perhaps named twice."""


def new_version() -> Version:
    """128 random bits: no two writes ever have the same."""
    return Version(os.urandom(VERSION_LENGTH))


@contextmanager
def store_errors(problem: str, kind: type[Exception] = Exception) -> Iterator[None]:
    """Raise StoreError, with these words, from an error of the driver's, which is of this kind."""
    try:
        yield
    except StoreError:
        raise
    except kind as error:
        raise StoreError(problem) from error


class Inherits(Protocol):
    """A store that holds what a forked process must not share with its parent: connections, a lock."""

    def forget_inherited(self) -> None:
        """Begin anew in a child."""


_inheriting: WeakSet[Inherits] = WeakSet()


def forget_after_fork(store: Inherits) -> None:
    """Have the store's `forget_inherited` called in every child that this process forks."""
    _inheriting.add(store)


def _forget_inherited() -> None:
    for store in list(_inheriting):
        store.forget_inherited()


with suppress(AttributeError):  # some operating systems do not fork
    os.register_at_fork(after_in_child=_forget_inherited)


STORES = {
    "memory": "",
    "filesystem": "",
    "redis": "redis",
    "memcached": "memcached",
    "mongodb": "mongodb",
    "sqlalchemy": "sqlalchemy",
    "dynamodb": "dynamodb",
    "cachelib": "cachelib",
}
"""Every store by the name that `SESSION_TYPE` takes, which is its module's, and the extra that installs its driver."""

NOT_ATOMIC = frozenset({"cachelib"})
"""Those on which no logout is final."""

SCHEMES = {
    "file": "filesystem",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "memcached": "memcached",
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
}
"""The store for a URL that `SESSION_STORE` takes; any other scheme is SQLAlchemy's."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a store is built from: a URL or its settings by their names, and seconds to wait for an answer."""

    url: str | None = field(repr=False)
    timeout: float
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def create(self) -> bool:
        """`SESSION_CREATE_TABLES`: whether a store makes the table or the index that it needs."""
        create = self.settings.get("SESSION_CREATE_TABLES")
        return create is None or bool(create)


def build(name: str, options: Options) -> Store:
    """Build a store, and import its driver now. It connects to nothing yet.

    Raise ImportError, in words for a person, without the driver, and ValueError for settings that cannot work.
    """
    try:
        store: Store = import_module(f"{__name__}.{name}").build(options)
    except ImportError as error:
        extra = STORES[name]
        remedy = f"Run `pip install 'hardsession[{extra}]'`" if extra else "It needs another operating system"
        raise ImportError(f"the {name} store cannot be imported ({error}). {remedy}") from error
    return store
