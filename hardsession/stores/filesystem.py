"""A store in a folder: one file a key, whole or not there at all, whoever pulls the plug.

A file holds::

    0   4   magic     "hsf1"
    4  16   version   random, new with each write
    20  8   expires   Unix seconds
    28  2   k         length of the key
    30  k   key       what the name is a hash of, so that a file that was moved is not taken for another
    30+k …  value

Files lie in 256 folders by the first byte of their name, each with one lock file that is never removed. Writers hold
its `flock`; readers need none, since a file is only ever replaced as a whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from math import ceil
from pathlib import Path
from stat import S_ISREG
from struct import Struct
from urllib.parse import unquote, urlsplit

from . import Options, Outcome, Stored, Version, new_version, store_errors

_MAGIC = b"hsf1"
_HEAD = Struct(">4s16sQH")
_LOCK = ".lock"
_DRAFT = ".new"
_BATCH = 500
_PAUSE = 0.005

_store_errors = partial(store_errors, "The session folder cannot be used.", OSError)


class FilesystemStore:
    """Keeps each value in a file of its own, on one machine's local file system.

    Args:
        folder: where; it is made with mode 0700.
        mode: the mode of each file.
        timeout: seconds to wait for another writer.
    """

    atomic = True

    def __init__(self, folder: str | os.PathLike[str], *, mode: int = 0o600, timeout: float = 2.0) -> None:
        self._folder = Path(folder).absolute()
        self._mode = mode
        self._timeout = timeout

    def get(self, key: str) -> Stored | None:
        with _store_errors():
            return _read(self._path(key), key)

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        path = self._path(key)
        with _store_errors(), self._locked(path.parent):
            if os.path.lexists(path) and not _is_expired(path):
                return False
            self._write(path, key, value, ttl)
            return True

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        path = self._path(key)
        with _store_errors(), self._locked(path.parent):
            stored = _read(path, key)
            if stored is None:
                return Outcome.GONE
            if stored.version != version:
                return Outcome.CONFLICT
            self._write(path, key, value, ttl)
            return Outcome.DONE

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _store_errors(), self._locked(path.parent):
            path.unlink(missing_ok=True)
            _sync(path.parent)

    def purge(self) -> int:
        with _store_errors():
            return sum(self._purge(shard) for shard in self._shards())

    def keys(self, prefix: str) -> Iterator[str]:
        with _store_errors():
            for shard in self._shards():
                for path in _values(shard):
                    key = _key(path)
                    if key is not None and key.startswith(prefix) and self._path(key) == path:
                        yield key

    def _path(self, key: str) -> Path:
        """Where a key's file is. The name is a hash: no key, whatever it holds, names another place."""
        name = sha256(key.encode()).hexdigest()
        return self._folder / name[:2] / name[2:]

    @contextlib.contextmanager
    def _locked(self, shard: Path) -> Iterator[None]:
        """Keep other writers out. `flock` belongs to a descriptor, and a fresh one excludes threads and forks alike."""
        descriptor = self._lock_file(shard)
        try:
            _lock(descriptor, self._timeout)
            yield
        finally:
            # Closing is not enough: a child that was forked meanwhile has the descriptor too, and with it the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _lock_file(self, shard: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileNotFoundError):
            return os.open(shard / _LOCK, flags, 0o600)
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, shard):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                _sync(folder.parent)
        return os.open(shard / _LOCK, flags, 0o600)

    def _write(self, path: Path, key: str, value: bytes, ttl: int) -> None:
        name = key.encode()
        head = _HEAD.pack(_MAGIC, new_version(), ceil(time.time()) + ttl, len(name))
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_DRAFT)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), self._mode)
                file.write(head + name + value)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        _sync(path.parent)

    def _shards(self) -> Iterator[Path]:
        return (shard for number in range(256) if (shard := self._folder / f"{number:02x}").is_dir())

    def _purge(self, shard: Path) -> int:
        with self._locked(shard):  # nobody writes here now, so a draft is what a writer left that died
            for draft in shard.glob(f".*{_DRAFT}"):
                draft.unlink(missing_ok=True)
        expired, purged = [path for path in _values(shard) if _is_expired(path)], 0
        for start in range(0, len(expired), _BATCH):
            with self._locked(shard):
                for path in expired[start : start + _BATCH]:
                    if _is_expired(path):  # it may have been written anew since
                        path.unlink(missing_ok=True)
                        purged += 1
        return purged


def build(options: Options) -> FilesystemStore:
    """From `file:///folder`, or flask-session's settings and their defaults.

    `SESSION_FILE_THRESHOLD` prunes nothing here.
    """
    settings = options.settings
    mode = settings.get("SESSION_FILE_MODE") or 0o600
    if not isinstance(mode, int):
        raise ValueError("SESSION_FILE_MODE is no number, such as 0o600")
    if options.url is None:
        folder = settings.get("SESSION_FILE_DIR") or "flask_session"
    else:
        where = urlsplit(options.url)
        folder = unquote(where.path)
        if where.netloc or not folder.startswith("/"):
            raise ValueError("SESSION_STORE names no folder as file:///folder does")
    return FilesystemStore(folder, mode=mode, timeout=options.timeout)


def _lock(descriptor: int, timeout: float) -> None:
    """Wait for the lock, but not for ever: its holder may be a process that stands still."""
    end = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - nothing secret


def _values(shard: Path) -> Iterator[Path]:
    return (path for path in shard.iterdir() if not path.name.startswith("."))


def _read(path: Path, key: str) -> Stored | None:
    """The value in a file; None where there is none, it is expired, or it is not ours."""
    data = _content(path)
    head = _head(data)
    if data is None or head is None:
        return None
    version, expires, end = head
    if expires <= time.time() or data[_HEAD.size : end] != key.encode():
        return None
    return Stored(data[end:], version)


def _content(path: Path, size: int = -1) -> bytes | None:
    """What a file holds, or begins with; None where there is none. A link, a folder or a pipe holds nothing of ours."""
    try:
        if not S_ISREG(path.lstat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        return None


def _head(data: bytes | None) -> tuple[Version, int, int] | None:
    """Version, expiry and where the value begins; None for a file that this store did not write."""
    if data is None or len(data) < _HEAD.size:
        return None
    magic, version, expires, length = _HEAD.unpack_from(data)
    return (Version(version), expires, _HEAD.size + length) if magic == _MAGIC else None


def _key(path: Path) -> str | None:
    """The key in a file; a foreign file's may be anything."""
    data = _content(path)
    head = _head(data)
    return None if data is None or head is None else data[_HEAD.size : head[2]].decode("ascii", "replace")


def _is_expired(path: Path) -> bool:
    head = _head(_content(path, _HEAD.size))
    return head is not None and head[1] <= time.time()


def _sync(folder: Path) -> None:
    """A new name is safe only once its folder is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
