"""The server forks its workers after it began to seal: were their randomness one, so would be their keystreams."""

from __future__ import annotations

import os
import warnings

import pytest

from hardsession.crypto.encoding import from_text
from hardsession.crypto.ids import Lineage, SessionSecret

WORKERS, SESSIONS = 8, 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_workers_never_draw_the_same(app, log_in, attacker):
    """Parent and children draw different salts, lineages and secrets, each time."""
    seal_some(app, log_in, attacker, 3)  # before the fork, so that any state there is gets inherited

    drawn = [
        line for worker in range(WORKERS) for line in in_a_fork(lambda: seal_some(app, log_in, attacker, SESSIONS))
    ]
    drawn += seal_some(app, log_in, attacker, SESSIONS)

    assert len(drawn) == 3 * SESSIONS * (WORKERS + 1)
    assert len(set(drawn)) == len(drawn)


def seal_some(app, log_in, attacker, count):
    """The random values of some new sessions, as hexadecimal texts."""
    drawn = []
    for _ in range(count):
        salt = from_text(attacker.steals(log_in(app)))[8:32]
        drawn += [salt.hex(), Lineage.new().value.hex(), SessionSecret.new().value.hex()]
    return drawn


def in_a_fork(work):
    """What a forked child makes of it."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left a thread behind
        child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            pipe.write("\n".join(work()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return lines
