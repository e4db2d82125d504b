"""How long to try a write that others keep coming before."""

from __future__ import annotations

import random
import time

from .errors import ConflictError

_PAUSE = 0.05


class Patience:
    """Waits a little after a conflict: it means that somebody else got through, so this gives up late, and for good."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._tries = 0

    def wait(self) -> None:
        """Pause, or raise ConflictError after 10 seconds, or after 2 and 50 tries."""
        self._tries += 1
        waited = time.monotonic() - self._start
        if waited > 10 or (waited > 2 and self._tries >= 50):
            raise ConflictError("Other requests kept changing this session for too long. Try again.")
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - nothing secret
