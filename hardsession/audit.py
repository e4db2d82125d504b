"""One listener of the signals: a structured line for each event in the logger `hardsession.audit`.

A line is a JSON object, as the OWASP Logging Cheat Sheet asks for: it names a session by its log name and holds
nothing that opens one. Refused and expired tokens cost their sender nothing, so their lines are limited, and the next
one says how many were left out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from threading import Lock
from weakref import finalize

from blinker import NamedSignal
from flask import Flask

from . import signals

LIMIT = 10
"""Lines a minute for each kind of event that can come at any rate, most of them at a client's will."""

_log = logging.getLogger("hardsession.audit")
_LIMITED = (
    signals.session_rejected,
    signals.session_expired,
    signals.session_use_after_end,
    signals.session_cloned,
    signals.session_too_large,
    signals.keys_refused,
    signals.write_refused,
    signals.store_failed,
)


class Audit:
    """Writes down the events of one application."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id
        self._lock = Lock()
        self._written: dict[tuple[object, ...], tuple[int, int]] = {}

    def listen(self, app: Flask) -> None:
        """Write every event of this application, for as long as it is there."""
        for signal in signals.ALL:
            writer = self._writer(signal)
            signal.connect(writer, sender=app, weak=False)
            finalize(app, signal.disconnect, writer).atexit = False

    def _writer(self, signal: NamedSignal) -> Callable[..., None]:
        limited = signal in _LIMITED
        level = logging.WARNING if limited else logging.INFO

        def write(_sender: object, **fields: object) -> None:
            omitted = self._omitted(signal.name, fields.get("reason")) if limited else 0
            if omitted is not None:
                line = {"event": signal.name, "app": self._app_id, **fields} | ({"omitted": omitted} if omitted else {})
                _log.log(level, "%s", json.dumps(line), extra={"hardsession": line})

        return write

    def _omitted(self, *kind: object) -> int | None:
        """How many lines of this kind were left out before this one; None: leave this one out as well."""
        this_minute = int(time.time()) // 60
        with self._lock:
            minute, count = self._written.get(kind, (this_minute, 0))
            if minute != this_minute:
                self._written[kind] = (this_minute, 1)
                return max(0, count - LIMIT)
            self._written[kind] = (minute, count + 1)
            return 0 if count < LIMIT else None
