"""A store on any cache of cachelib, which cannot compare and write in one step, so no logout is final here.

A value has this store's mark and its version in front. Within one process writers of a key wait for each other, so
nothing is lost there. Of two processes that write at once, the later may undo what the earlier did.
"""

from __future__ import annotations

import pickle
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import IO, Any

from cachelib.base import BaseCache
from cachelib.file import FileSystemCache
from cachelib.serializers import FileSystemSerializer

from ..errors import StoreError
from . import VERSION_LENGTH, Options, Outcome, Stored, Version, forget_after_fork, new_version, store_errors

_MARK = b"hsc1"
_VALUE = len(_MARK) + VERSION_LENGTH
_LOCKS = 64
_FOLDER = "flask_session"
_VERBS = ("get", "add", "set", "delete", "has")
_UNREADABLE = (
    *(pickle.PickleError, EOFError, ArithmeticError, AttributeError),
    *(ImportError, LookupError, MemoryError, TypeError, ValueError),
)
"""What unpickling raises when somebody else's bytes stand under our key."""

# Each cache has another driver beneath it, with errors of its own.
_store_errors = partial(store_errors, "The cache cannot be used.")


class CachelibStore:
    """Keeps bytes in a cache, with the cache's own time to live.

    Args:
        cache: it is used as it is. Most caches unpickle what they hold before this store sees it, so whoever can write
            to such a cache runs code in the application. Without one it is files in `flask_session`, without pickle.
    """

    atomic = False

    def __init__(self, cache: BaseCache | None = None) -> None:
        self._given = cache
        self._folder = Path(_FOLDER).absolute()
        self.forget_inherited()
        forget_after_fork(self)

    def get(self, key: str) -> Stored | None:
        with _store_errors():
            try:
                found = self._cache.get(key)
            except _UNREADABLE:
                return None
        if not isinstance(found, bytes) or len(found) < _VALUE or not found.startswith(_MARK):
            return None
        return Stored(found[_VALUE:], Version(found[len(_MARK) : _VALUE]))

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        version = new_version()
        with self._alone(key), _store_errors():
            added = self._cache.add(key, _MARK + version + value, timeout=ttl)
            # Some caches let two of us add at once, some refuse what is expired, and some keep nothing and say yes.
            stored = self.get(key)
            if stored is not None:
                return stored.version == version
            if added:
                raise StoreError("The cache does not give back what it was given. It has to keep bytes.")
            if self._cache.has(key):
                return False
            self._set(key, version, value, ttl)
            return True

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        with self._alone(key), _store_errors():
            stored = self.get(key)
            if stored is None:
                return Outcome.GONE
            if stored.version != version:
                return Outcome.CONFLICT
            self._set(key, new_version(), value, ttl)
            return Outcome.DONE

    def delete(self, key: str) -> None:
        with self._alone(key), _store_errors():
            if not self._cache.delete(key) and self._cache.has(key):
                raise StoreError("The cache did not delete a value. Its log may say why.")

    def forget_inherited(self) -> None:
        """Another thread of the parent may have held a lock, and no thread of this process will release it."""
        self._locks = [Lock() for _ in range(_LOCKS)]

    @cached_property
    def _cache(self) -> BaseCache:
        return _files(self._folder) if self._given is None else self._given

    def _alone(self, key: str) -> Lock:
        return self._locks[hash(key) % _LOCKS]

    def _set(self, key: str, version: Version, value: bytes, ttl: int) -> None:
        if not self._cache.set(key, _MARK + version + value, timeout=ttl):
            raise StoreError(f"The cache did not take a value of {len(value)} bytes. Its log may say why.")


def build(options: Options) -> CachelibStore:
    """From the cache in `SESSION_CACHELIB`; without one, files in `flask_session`, as with flask-session."""
    cache = options.settings.get("SESSION_CACHELIB")
    if cache is not None and not all(callable(getattr(cache, verb, None)) for verb in _VERBS):
        raise ValueError("SESSION_CACHELIB is no cache of cachelib's")
    return CachelibStore(cache)


def _files(folder: Path) -> FileSystemCache:
    """A cache that prunes nothing, in a folder that nobody else looks into.

    cachelib's own way to name a file changed in 0.16, and every session would be gone with that.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    cache = FileSystemCache(str(folder), threshold=0, mode=0o600, hash_method=sha256)
    cache.serializer = _Bytes()
    return cache


class _Bytes(FileSystemSerializer):
    """Writes and reads bytes as they are, where cachelib would pickle."""

    def dump(self, value: Any, f: IO[bytes], protocol: int = 0) -> None:  # noqa: ARG002 - part of the interface
        f.write(value)

    def load(self, f: IO[bytes]) -> bytes:
        return f.read()
