"""Where the ring of keys comes from. Here is the clock that crypto has not: a key seals once its time has come."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Protocol

from .crypto.keys import Key, KeyMaterial, KeyRing, Passphrase, RingKey
from .errors import ConfigError, Problem

FILE_SETTING = "SESSION_SECRET_KEYS_FILE"
MIN_KEY_BYTES = 32
_FEWEST_DISTINCT_BYTES = 5


class KeySource(Protocol):
    """Gives the ring that is in force."""

    def ring(self, now: int) -> KeyRing:
        """The ring at this Unix time."""


class FixedKeys:
    """The keys of the settings, newest first."""

    def __init__(self, keys: Sequence[KeyMaterial]) -> None:
        """Raise ValueError where two of them are the same key."""
        self._ring_keys = [RingKey.derive(key.material()) for key in keys]
        self._seals_from = [key.seals_from for key in keys]
        self._until = float("-inf")
        self._ring = KeyRing(self._ring_keys)

    def ring(self, now: int) -> KeyRing:
        if now >= self._until:
            due = [position for position, start in enumerate(self._seals_from) if start <= now]
            self._ring = KeyRing(self._ring_keys, sealing=due[0] if due else -1)
            self._until = min((start for start in self._seals_from if start > now), default=float("inf"))
        return self._ring


class FileKeys:
    """A file of keys, one a line, newest first; it is read again when it changes, without a restart.

    A line may be empty or a comment (`#`). While the file is missing or wrong the keys read last stay in force.

    Args:
        path: the file.
        on_failure: called once for each bad state of the file, with the problem. It must not raise.
    """

    def __init__(self, path: str | os.PathLike[str], on_failure: Callable[[Problem], None]) -> None:
        """Raise ConfigError where the file cannot be used: there are no earlier keys to fall back on."""
        self._path = Path(path)
        self._on_failure = on_failure
        self._lock = Lock()
        self._state = self._look()
        self._keys = FixedKeys(read_keys(self._path))

    def ring(self, now: int) -> KeyRing:
        if self._look() != self._state:
            self._reload()
        return self._keys.ring(now)

    def _reload(self) -> None:
        """Read the file again. Who comes meanwhile waits, and seals nothing under a key that was replaced."""
        problems: Sequence[Problem] = ()
        with self._lock:
            state = self._look()
            if state == self._state:
                return
            try:
                self._keys = FixedKeys(read_keys(self._path))
            except ConfigError as error:
                problems = error.problems
            self._state = state
        for problem in problems:  # without the lock: who is told may touch its session, and so come here again
            self._on_failure(problem)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def read_keys(path: str | os.PathLike[str]) -> list[KeyMaterial]:
    """The keys of a file, newest first. Raise ConfigError where it cannot be used."""
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
        keys = [parse_key(line) for line in lines if line and not line.startswith("#")]
        if fault := next(filter(None, map(weakness, keys)), None):
            raise ValueError(fault)
        FixedKeys(keys)
        return keys
    except (OSError, ValueError) as error:
        fault = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, UnicodeError):
            fault = "it is no text in UTF-8"
        remedy = "Write one key a line, newest first, as `flask hardsession keygen` prints them."
        raise ConfigError([Problem(FILE_SETTING, f"the file cannot be used: {fault}.", remedy)]) from None


def parse_key(value: object) -> KeyMaterial:
    """The key that a setting's value stands for. ValueError, in words for a person, for what is none."""
    if isinstance(value, str | bytes):
        return Key(value)
    if isinstance(value, Key | Passphrase):
        return value
    raise ValueError(f"a {type(value).__name__} is no key")


def weakness(key: KeyMaterial, *, min_bytes: int = MIN_KEY_BYTES) -> str | None:
    """What makes a key too easy to guess, in words for a person; None for a good one."""
    material = key.material()
    if len(material) < min_bytes:
        return f"a key has {len(material)} bytes, and {min_bytes} are the least"
    if len(set(material)) < _FEWEST_DISTINCT_BYTES:
        return "a key is made of hardly any different bytes"
    words = key.text.encode("utf-8", "replace") if isinstance(key, Passphrase) else material
    text = "".join(chr(byte) for byte in words.lower() if chr(byte).isalnum())
    if any(word in text for word in _PLACEHOLDERS):
        return "a key is a placeholder from an example"
    return None


_PLACEHOLDERS = (
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "yoursecret",
    "mysecret",
    "secretkey",
    "supersecret",
    "placeholder",
    "insecure",
    "donotuse",
    "example",
    "developmentkey",
)
