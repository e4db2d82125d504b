"""A clock that tests move, for the stores that look at the clock of this process."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from freezegun import freeze_time

from hardsession.stores import Outcome, Store


class MovedClock:
    """Mix in: what the contract waits for is over at once, and the last second is looked at from both sides."""

    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def lapse(self) -> None:
        now: Callable[[], float] = time.time
        self._monkeypatch.setattr(time, "time", lambda: now() + 3.1)

    def test_last_second(self, store: Store) -> None:
        """A value lives for its last second, and no longer."""
        with freeze_time("2030-01-01") as clock:
            assert store.add("k", b"old", 10)
            stored = store.get("k")
            assert stored is not None

            clock.tick(9)
            assert store.get("k") == stored
            assert not store.add("k", b"new", 10)
            assert store.replace("k", b"newer", 10, stored.version) is Outcome.DONE
            clock.tick(10)

            assert store.get("k") is None
            assert store.replace("k", b"back", 10, stored.version) is Outcome.GONE
            assert store.add("k", b"new", 10)

    def test_never_a_moment_too_early(self, store: Store) -> None:
        """A value lives for its whole time to live, at whatever fraction of a second it began."""
        with freeze_time("2030-01-01 00:00:00.99") as clock:
            assert store.add("k", b"old", 1)
            clock.tick(0.98)
            assert store.get("k") is not None
            clock.tick(1.1)
            assert store.get("k") is None
