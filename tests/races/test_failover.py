"""A Redis master that is killed while fifty people are at work: what was acknowledged stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from threading import Event, Thread
from typing import Any, NoReturn

import pytest
import redis
from flask import Flask

from hardsession.errors import StoreError
from hardsession.stores import Outcome, Store, Stored
from hardsession.stores.redis import RedisStore
from tests.servers import PATIENCE
from tests.servers.redis import RedisCluster, Sentinels

from .traffic import login, logout, make_app, owner, read, send, write

BROWSERS = 60
WRITES = 3
KINDS = {"cluster": RedisCluster, "sentinel": Sentinels}


@pytest.fixture(params=KINDS)
def servers(request: pytest.FixtureRequest, untested: Callable[[str], NoReturn]) -> Iterator[Any]:
    """Servers of our own, one of which is to be killed."""
    with KINDS[request.param].running(untested) as servers:
        yield servers


class Browser:
    """Somebody who logs in, writes and logs out, again and again, and notes what he was told.

    Every second time he does not log out, and leaves a session behind that nobody touches until the end.
    """

    def __init__(self, app: Flask, name: str) -> None:
        self._app, self._name = app, name
        self._pause = Random(name)
        self.rounds = 0
        self.kept: list[tuple[str, int]] = []
        """Tokens of sessions that must be there, with the number that each holds at least."""
        self.ended: list[str] = []
        """Tokens of sessions that must be over."""
        self.faults: list[str] = []
        self.errors: list[Exception] = []
        self.slowest = 0.0

    def run(self, over: Event) -> None:
        """Go on until it is over."""
        while not over.is_set():
            token = self._ask(over, None, login(self._name), write(n=0)).token
            if token is None:
                continue
            number = self._write(over, token)
            if len(self.kept) <= len(self.ended):
                self.kept.append((token, number))
            elif self._log_out(over, token):
                self.ended.append(token)
                self.rounds += 1

    def _write(self, over: Event, token: str) -> int:
        """Count up; the number that was acknowledged last."""
        acknowledged = 0
        for number in range(1, WRITES + 1):
            answer = self._ask(over, token, read, write(n=number))
            if answer.values and not acknowledged <= answer.values[0].get("n", -1) < number:
                self.faults.append(f"{self._name} was told {acknowledged} and found {answer.values[0]}")
            if answer.status == 200:
                acknowledged = number
        return acknowledged

    def _log_out(self, over: Event, token: str) -> bool:
        """Try until it is acknowledged."""
        while not over.is_set():
            if self._ask(over, token, logout).status == 200:
                return True
        return False

    def _ask(self, over: Event, token: str | None, *steps: Callable[[], Any]) -> Any:
        start = time.monotonic()
        answer = send(self._app, token, *steps)
        self.slowest = max(self.slowest, time.monotonic() - start)
        self.errors += answer.errors
        over.wait(self._pause.uniform(0, 0.1))  # whoever only tries again keeps the servers from what they have to do
        return answer

    def lost(self) -> list[str]:
        """What was acknowledged, and is not so."""
        lost = list(self.faults)
        for token, number in self.kept:
            user, held = send(self._app, token, owner, read).values
            if user != self._name or held.get("n", -1) < number:
                lost.append(f"{self._name} was told {number}, and {user} finds {held}")
        for token in self.ended:
            user, held = send(self._app, token, owner, read).values
            if user is not None or held:
                lost.append(f"{self._name} logged out, and {user} finds {held}")
        return lost


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that comes by itself. A server that takes over or gives up closes its connections."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(redis.RedisError):
            if holds():
                return
        time.sleep(0.02)
    pytest.fail(what)


def test_redis_master_killed_mid_traffic(servers: Any) -> None:
    """With `SESSION_REDIS_WAIT = 1` no write, login or logout that was acknowledged is lost, and work goes on.

    A cluster's replica takes over with no replica of its own, so the server that was killed comes back. Where a master
    has two replicas, one of them has been cut off for a while, and it is the other one that must take over.
    """
    client = servers.client(socket_timeout=2)
    browsers = [
        Browser(make_app(RedisStore(client, wait=1, timeout=2)), f"reader {number}") for number in range(BROWSERS)
    ]
    over = Event()
    threads = [Thread(target=browser.run, args=(over,), daemon=True) for browser in browsers]
    for thread in threads:
        thread.start()

    def each_has_logged_out_again() -> None:
        before = [browser.rounds for browser in browsers]
        until(lambda: all(b.rounds > r for b, r in zip(browsers, before, strict=True)), "no work goes on")

    try:
        each_has_logged_out_again()
        (victim, *others), cut_off = servers.masters(), servers.replicas()[: len(servers.sentinels) // 3]
        if cut_off:
            servers.cut_off(*cut_off)
            each_has_logged_out_again()
        victim.stop()
        for replica in cut_off:
            replica.thaw()
        until(lambda: len(servers.masters()) > len(others), "no replica took over")
        if not cut_off:
            victim.start()
        each_has_logged_out_again()
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)

    assert [lost for browser in browsers for lost in browser.lost()] == []
    assert {type(error) for browser in browsers for error in browser.errors} == {StoreError}
    assert max(browser.slowest for browser in browsers) < 10


def test_write_that_no_replica_had(servers: Any) -> None:
    """It is lost with its master although it was acknowledged; with `SESSION_REDIS_WAIT` it is not acknowledged."""
    client = servers.client()
    hasty = RedisStore(client)
    patient = RedisStore(client, wait=2 if servers.sentinels else 1, timeout=1.6)
    assert patient.add("k", b"logged in", 60)
    before = hasty.get("k")
    assert before is not None
    victim, replicas = servers.holder("k"), servers.replicas()
    servers.cut_off(*replicas)

    assert hasty.replace("k", b"logged out", 60, before.version) is Outcome.DONE
    with pytest.raises(StoreError, match="replica"):
        patient.replace("k", b"logged out", 60, before.version)
    victim.stop()
    for replica in replicas:
        replica.thaw()

    until(lambda: found(hasty) is not None, "no replica took over")
    assert found(hasty) == before


def found(store: Store) -> Stored | None:
    """What the store has, if it can be asked."""
    with suppress(StoreError):
        return store.get("k")
    return None
