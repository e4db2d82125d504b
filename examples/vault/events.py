"""The library's signals, kept for the page to show. None of them carries a token."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count

from flask import Flask, g

from hardsession import signals


@dataclass(frozen=True)
class Event:
    """One signal. `session` names a session in logs and opens nothing."""

    number: int
    at: datetime
    name: str
    session: str | None
    reason: str


class Events:
    """The last signals that an application sent, the newest first."""

    def __init__(self, app: Flask) -> None:
        self._last: deque[Event] = deque(maxlen=8)
        self._numbers = count(1)
        for signal in signals.ALL:
            signal.connect(partial(self._note, signal.name), sender=app, weak=False)

    def last(self) -> tuple[Event, ...]:
        return tuple(self._last)

    def newest(self) -> int:
        """The number of the last one: see `since`."""
        return self._last[0].number if self._last else 0

    def since(self, number: int) -> set[str]:
        """The names of those that came after one."""
        return {event.name for event in self.last() if event.number > number}

    def _note(self, name: str, _sender: Flask, *, session: str | None = None, reason: str = "", **_: object) -> None:
        self._last.appendleft(Event(next(self._numbers), datetime.now(UTC), name, session, reason))
        if name == "session_rejected":
            g.refused = reason  # for the page that answers this very request
