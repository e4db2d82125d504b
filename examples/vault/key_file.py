"""The file that `SESSION_SECRET_KEYS_FILE` names: one key a line, the newest first."""

from pathlib import Path
from threading import Lock

from hardsession import Key


class KeyFile:
    """A key file and the two steps of a rotation. The library reads it again when it has changed.

    With several processes, let every one of them see a key before any seals with it: give the new key a
    `seal_from` date. One process needs no such care.
    """

    def __init__(self, path: Path) -> None:
        """Use the file at `path`, and make it with a first key if there is none."""
        self.path = path
        self._lock = Lock()
        if not path.exists():
            self._write([_new_key()])

    def add(self) -> None:
        """Put a new key on top: it seals from now on, the older ones still open. Nobody is logged out."""
        with self._lock:
            self._write([_new_key(), *self._read()])

    def retire(self) -> None:
        """Keep the newest key alone: what an older one sealed, and nobody sealed anew, ends."""
        with self._lock:
            self._write(self._read()[:1])

    def ids(self) -> list[str]:
        """Name the keys without telling them, as every cookie names the one that sealed it."""
        return [Key(text).id for text in self._read()]

    def _read(self) -> list[str]:
        return self.path.read_text(encoding="ascii").split()

    def _write(self, texts: list[str]) -> None:
        draft = self.path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text("\n".join(texts) + "\n", encoding="ascii")
        draft.replace(self.path)  # in one step: no reader meets half a file


def _new_key() -> str:
    return str(Key.generate().text)
