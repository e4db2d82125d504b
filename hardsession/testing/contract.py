"""The store contract as tests: a store that passes them is one that sessions can rest on.

For pytest, and made of the standard library alone. A clause that a store cannot be asked is skipped and says why.
"""

from __future__ import annotations

import multiprocessing
import random
import string
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from secrets import token_hex
from threading import Barrier
from typing import Protocol, TypeVar
from unittest import SkipTest

from ..errors import StoreError
from ..stores import VERSION_LENGTH, Outcome, Purgeable, Scannable, Store, Stored, Version

_Result = TypeVar("_Result")
_THREADS = 20
_ROUNDS = 20
_PATIENCE = 60
_BRIEF, _LONG = 2, 400 * 86400


class StoreContract:
    """What every store promises.

    Subclass it and say how the store is made::

        from hardsession.testing import StoreContract

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self):
                return MyStore(...)

    It need not be empty: every test takes names of its own. `pytest.register_assert_rewrite("hardsession.testing")` in
    `conftest.py`, before the import, has pytest show the values of what failed.
    """

    limit = 2**20
    """The largest value that the store takes, in bytes."""

    shared = True
    """Whether other processes see the same values."""

    def lapse(self) -> None:
        """Wait until a time to live of two seconds is over, on a clock that may count in whole seconds."""
        time.sleep(3.1)

    def plant(self, store: Store, key: str) -> None:
        """Put something under the key that the store would never write, past it and without expiry."""
        raise SkipTest("nothing foreign can be put under a key of this store: override `plant` where it can")

    # Reading and writing

    def test_missing_is_none(self, store: Store) -> None:
        """Nothing stands under a key that nobody wrote."""
        assert store.get(_key()) is None

    def test_bytes_come_back_exactly(self, store: Store) -> None:
        """A value comes back as it was, whatever its bytes look like, from `add` and from `replace`."""
        for value in (
            b"",
            b"\0",
            b"\0" * 16,
            bytes(range(256)),
            b" \r\n",
            b"7",
            b"\xff\xfe",
            b"\x80\x04N.",
            b"'\"%s\\",
        ):
            key = _key()
            version = _put(store, key, value)
            assert _read(store, key).value == value

            assert store.replace(key, value[::-1], 60, version) is Outcome.DONE
            assert _read(store, key).value == value[::-1]

    def test_largest_value_comes_back(self, store: Store) -> None:
        """A value as large as the limit comes back whole."""
        key, value = _key(), random.randbytes(self.limit)

        _put(store, key, value)

        assert _read(store, key).value == value

    def test_too_large_value_is_never_cut(self, store: Store) -> None:
        """A value over the limit comes back whole or is refused with StoreError, and then the old one stands."""
        key, value = _key(), random.randbytes(2 * self.limit)
        version = _put(store, key, b"old")

        refused = False
        try:
            assert store.replace(key, value, 60, version) is Outcome.DONE
        except StoreError:
            refused = True

        assert _read(store, key).value == (b"old" if refused else value)

    def test_keys_do_not_collide(self, store: Store) -> None:
        """Keys that differ in case, in their end or in any other character are different keys, up to the longest."""
        base = _key()
        keys = [base, base.upper(), *(base + char for char in string.punctuation + string.ascii_letters)]
        keys += [base + tail for tail in ("/../../etc/passwd", "../../..", "a/b", "a//b", "%2e", "\\0", "--", "';--")]
        keys += [base.ljust(127, "x") + char for char in "aAbB"]

        for number, key in enumerate(keys):
            assert store.add(key, b"%d" % number, 60), key

        assert [_read(store, key).value for key in keys] == [b"%d" % number for number in range(len(keys))]

    # Versions

    def test_add_twice_keeps_the_first(self, store: Store) -> None:
        """`add` on a key that is there is False and changes neither its value nor its version."""
        key = _key()
        version = _put(store, key, b"first")

        assert not store.add(key, b"second", 60)
        assert not store.add(key, b"first", 60)

        assert _read(store, key) == Stored(b"first", version)

    def test_replace_writes_over_what_was_read(self, store: Store) -> None:
        """`replace` under the version that was read is DONE, and the value and its version are new."""
        key = _key()
        version = _put(store, key, b"old")

        assert store.replace(key, b"new", 60, version) is Outcome.DONE

        assert _read(store, key).value == b"new"
        assert _read(store, key).version != version

    def test_replace_creates_nothing(self, store: Store) -> None:
        """`replace` on a missing key is GONE and leaves it missing, whether it was never there or was deleted."""
        key = _key()
        version = _put(store, key)
        store.delete(key)
        never = _key()

        assert store.replace(key, b"back", 60, version) is Outcome.GONE
        assert store.replace(never, b"back", 60, version) is Outcome.GONE

        assert store.get(key) is store.get(never) is None

    def test_stale_version_is_a_conflict(self, store: Store) -> None:
        """`replace` under a version that is not the last write's is CONFLICT and changes nothing."""
        key, other = _key(), _key()
        first = _put(store, key, b"1")
        foreign = _put(store, other, b"1")
        assert store.replace(key, b"2", 60, first) is Outcome.DONE
        second = _read(store, key)

        assert store.replace(key, b"3", 60, first) is Outcome.CONFLICT
        assert store.replace(key, b"3", 60, foreign) is Outcome.CONFLICT

        assert _read(store, key) == second

    def test_same_value_again_is_a_conflict(self, store: Store) -> None:
        """A version names a write and not a value: after A, B and A again, the first A's is stale."""
        key = _key()
        first = _put(store, key, b"A")
        assert store.replace(key, b"B", 60, first) is Outcome.DONE
        assert store.replace(key, b"A", 60, _read(store, key).version) is Outcome.DONE

        assert store.replace(key, b"C", 60, first) is Outcome.CONFLICT

        assert _read(store, key).value == b"A"

    def test_version_outlives_no_delete(self, store: Store) -> None:
        """A version read before `delete` is stale after `add`, even of the same value."""
        key = _key()
        version = _put(store, key)
        store.delete(key)
        again = _put(store, key)

        assert store.replace(key, b"stale", 60, version) is Outcome.CONFLICT

        assert again != version
        assert _read(store, key).value == b"value"

    def test_no_version_comes_again(self, store: Store) -> None:
        """Every write of a key has a version of its own, reading changes none."""
        key = _key()
        versions = [_put(store, key)]
        for _ in range(_ROUNDS):
            assert store.replace(key, b"value", 60, versions[-1]) is Outcome.DONE
            versions.append(_read(store, key).version)
            assert _read(store, key).version == versions[-1]
            store.delete(key)
            versions.append(_put(store, key))

        assert len(set(versions)) == len(versions)

    # Ends

    def test_delete_makes_free(self, store: Store) -> None:
        """A deleted key is missing and can be added."""
        key = _key()
        _put(store, key, b"old")

        store.delete(key)

        assert store.get(key) is None
        assert store.add(key, b"new", 60)
        assert _read(store, key).value == b"new"

    def test_delete_twice_is_silent(self, store: Store) -> None:
        """Deleting what is not there is no error."""
        key = _key()
        store.delete(key)
        _put(store, key)

        store.delete(key)
        store.delete(key)

        assert store.get(key) is None

    def test_expired_is_missing(self, store: Store) -> None:
        """An expired key is None, GONE to `replace`, silently deleted, and can be added, with a version of its own."""
        key, deleted = _key(), _key()
        version = _put(store, key, b"old", ttl=_BRIEF)
        _put(store, deleted, b"old", ttl=_BRIEF)

        self.lapse()
        store.delete(deleted)

        assert store.get(key) is store.get(deleted) is None
        assert store.replace(key, b"back", 60, version) is Outcome.GONE
        assert store.get(key) is None
        assert store.add(key, b"new", 60)
        assert store.replace(key, b"stale", 60, version) is Outcome.CONFLICT
        assert _read(store, key).value == b"new"

    def test_replace_resets_the_time_to_live(self, store: Store) -> None:
        """`replace` sets the time to live anew, longer or shorter than before; an `add` that is refused does not."""
        longer, shorter, refused = _key(), _key(), _key()
        assert store.replace(longer, b"new", 60, _put(store, longer, ttl=_BRIEF)) is Outcome.DONE
        assert store.replace(shorter, b"new", _BRIEF, _put(store, shorter, ttl=60)) is Outcome.DONE
        _put(store, refused, ttl=_BRIEF)
        assert not store.add(refused, b"new", 60)

        self.lapse()

        assert _read(store, longer).value == b"new"
        assert store.get(shorter) is store.get(refused) is None

    def test_time_to_live_of_400_days(self, store: Store) -> None:
        """The longest time to live is not taken for a date that has passed."""
        key = _key()

        version = _put(store, key, b"old", ttl=_LONG)
        assert _read(store, key).value == b"old"

        assert store.replace(key, b"new", _LONG, version) is Outcome.DONE
        assert _read(store, key).value == b"new"

    def test_purge_spares_what_lives(self, store: Store) -> None:
        """`purge` removes what is expired, says how much, and touches nothing else."""
        if not isinstance(store, Purgeable):
            raise SkipTest("this store gets rid of expired values by itself")
        live, renewed, expired = _key(), _key(), [_key() for _ in range(3)]
        version = _put(store, live)
        assert store.replace(renewed, b"new", 60, _put(store, renewed, ttl=_BRIEF)) is Outcome.DONE
        for key in expired:
            _put(store, key, ttl=_BRIEF)

        self.lapse()

        assert store.purge() >= len(expired)
        assert store.purge() == 0
        assert _read(store, live) == Stored(b"value", version)
        assert _read(store, renewed).value == b"new"
        assert [store.add(key, b"new", 60) for key in expired] == [True] * len(expired)

    def test_keys_are_named_by_prefix(self, store: Store) -> None:
        """`keys` names every key with a prefix, taken literally, and no other."""
        if not isinstance(store, Scannable):
            raise SkipTest("this store cannot name what it holds")
        base = _key()
        for tail in ("a*", "a%", "a_", "a?", "a[b]", "a\\", "aa", "A*", "ab"):
            _put(store, base + tail)

        for prefix in ("a*", "a%", "a_", "a?", "a[b", "a\\", "ab", "A"):
            assert set(store.keys(base + prefix)) == {base + {"a[b": "a[b]", "A": "A*"}.get(prefix, prefix)}
        assert len(set(store.keys(base))) == 9
        assert set(store.keys(base + "z")) == set()

    def test_foreign_value_is_no_outage(self, store: Store) -> None:
        """What the store did not write is None, not free, GONE, and can be deleted."""
        key = _key()
        version = _put(store, _key())
        self.plant(store, key)

        assert store.get(key) is None
        assert not store.add(key, b"mine", 60)
        assert store.replace(key, b"mine", 60, version) is Outcome.GONE
        assert store.get(key) is None

        store.delete(key)
        assert store.add(key, b"mine", 60)

    # Two at once

    def test_one_of_many_threads_adds(self, store: Store) -> None:
        """Of 20 threads that add one key, one is told that it did, and its value stands."""
        _only_atomic(store)
        for _ in range(5):
            key = _key()

            added = _at_once(*(partial(store.add, key, b"%d" % number, 60) for number in range(_THREADS)))

            assert added.count(True) == 1
            assert _read(store, key).value == b"%d" % added.index(True)

    def test_one_of_many_threads_takes_over_what_expired(self, store: Store) -> None:
        """Of 20 threads that add an expired key, one is told that it did, and its value stands."""
        _only_atomic(store)
        key = _key()
        _put(store, key, b"old", ttl=_BRIEF)
        self.lapse()

        added = _at_once(*(partial(store.add, key, b"%d" % number, 60) for number in range(_THREADS)))

        assert added.count(True) == 1
        assert _read(store, key).value == b"%d" % added.index(True)

    def test_no_step_of_a_counter_is_lost(self, store: Store) -> None:
        """20 threads that compare and set a counter lose no step."""
        _only_atomic(store)
        key = _key()
        _put(store, key, b"0")

        def count() -> None:
            for _ in range(3):
                _step(store, key)

        _at_once(*[count] * _THREADS)

        assert _read(store, key).value == b"%d" % (3 * _THREADS)

    def test_delete_wins_over_replace(self, store: Store) -> None:
        """A `replace` that races a `delete` leaves nothing, whichever comes first."""
        _only_atomic(store)
        for number in range(_ROUNDS):
            key = _key()
            verbs: list[Callable[[], object]] = [
                partial(store.replace, key, b"back", 60, _put(store, key)),
                partial(store.delete, key),
            ]

            _at_once(*verbs[:: 1 if number % 2 else -1])  # whoever comes last tends to go first

            assert store.get(key) is None

    def test_works_on_both_sides_of_a_fork(self, store: Store) -> None:
        """A forked child and its parent go on with the same store, and neither gets the other's answers."""
        if "fork" not in multiprocessing.get_all_start_methods():
            raise SkipTest("this operating system does not fork")
        context = multiprocessing.get_context("fork")
        _use(store, _key())
        key, both = _key(), context.Barrier(2)
        child = context.Process(target=_use, args=(store, key, both.wait))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
            child.start()

        _use(store, _key(), both.wait)
        child.join(_PATIENCE)
        child.kill()
        child.join()

        assert child.exitcode == 0
        assert not self.shared or _read(store, key).value == _count(key, _ROUNDS)


class Server(Protocol):
    """A server that a test may do harm to."""

    def stop(self) -> None:
        """End it, as when it is killed."""

    def start(self) -> None:
        """Start it again, at the same address."""

    def freeze(self) -> None:
        """Halt it: connections stay, and nothing answers (`SIGSTOP`)."""

    def thaw(self) -> None:
        """Let it go on (`SIGCONT`)."""


class OutageContract:
    """What a store promises when its server fails.

    Subclass it and give it a server that nobody else uses, and a store that is set to wait for no more than a second::

    from hardsession.testing import OutageContract

    class TestMyStoreInOutage(OutageContract):
        @pytest.fixture
        def server(self):
            ...  # stop(), start(), freeze(), thaw(); nobody else's server

        @pytest.fixture
        def store(self, server):
            return MyStore(server.address, timeout=0.5)
    """

    patience: float = 5
    """Seconds within which every verb must have failed: what the store is set to, and room for a busy machine."""

    def test_server_gone(self, store: Store, server: Server) -> None:
        """Without its server every verb raises StoreError from the driver's error, in time, until it is back."""
        _use(store, _key())
        server.stop()
        try:
            self._all_fail(store)
        finally:
            server.start()

        _use(store, _key())

    def test_server_gone_from_the_start(self, store: Store, server: Server) -> None:
        """A store that has never reached its server raises StoreError as well, and works once it is there."""
        server.stop()
        try:
            self._all_fail(store)
        finally:
            server.start()

        _use(store, _key())

    def test_server_frozen(self, store: Store, server: Server) -> None:
        """A server that does not answer holds nobody up for longer than the store is set to."""
        _use(store, _key())
        server.freeze()
        try:
            self._all_fail(store)
        finally:
            server.thaw()

        _use(store, _key())

    def test_server_frozen_from_the_start(self, store: Store, server: Server) -> None:
        """Nor does one that takes a connection and says nothing."""
        server.freeze()
        try:
            self._all_fail(store)
        finally:
            server.thaw()

        _use(store, _key())

    def test_restart_costs_one_call_at_most(self, store: Store, server: Server) -> None:
        """After a restart that nobody saw, one call may fail on its old connection, and no second one."""
        _use(store, _key())
        server.stop()
        server.start()

        with suppress(StoreError):
            store.get(_key())

        _use(store, _key())

    def _all_fail(self, store: Store) -> None:
        key, version = _key(), Version(b"\0" * VERSION_LENGTH)
        verbs: list[Callable[[], object]] = [
            partial(store.get, key),
            partial(store.add, key, b"value", 60),
            partial(store.replace, key, b"value", 60, version),
            partial(store.delete, key),
        ]
        for verb in verbs:
            start = time.monotonic()
            cause = _cause_of_failure(verb)
            assert cause is not None, f"{verb} succeeded, or raised StoreError without a cause"
            assert not isinstance(cause, StoreError)
            assert time.monotonic() - start < self.patience


def _key() -> str:
    """A key that nobody else has."""
    return f"contract:{token_hex(8)}:"


def _put(store: Store, key: str, value: bytes = b"value", ttl: int = 60) -> Version:
    """Add what must not be there yet; its version."""
    assert store.add(key, value, ttl)
    return _read(store, key).version


def _read(store: Store, key: str) -> Stored:
    """Read what must be there."""
    stored = store.get(key)
    assert stored is not None
    return stored


def _use(store: Store, key: str, begin: Callable[[float], object] = lambda _seconds: None) -> None:
    """Write a key many times, and find it each time as it was left."""
    version = _put(store, key)
    begin(_PATIENCE)
    for number in range(1, _ROUNDS + 1):
        value = _count(key, number)
        assert store.replace(key, value, 60, version) is Outcome.DONE
        stored = _read(store, key)
        assert stored.value == value
        version = stored.version


def _count(key: str, number: int) -> bytes:
    return b"%s %d" % (key.encode(), number)


def _step(store: Store, key: str) -> None:
    """Add one to a number, however often others come first."""
    end = time.monotonic() + _PATIENCE
    outcome = Outcome.CONFLICT
    while outcome is not Outcome.DONE:
        assert time.monotonic() < end, f"a counter could not be changed: {outcome}"
        stored = _read(store, key)
        outcome = store.replace(key, b"%d" % (int(stored.value) + 1), 60, stored.version)
        time.sleep(random.uniform(0, 0.01))


def _at_once(*tasks: Callable[[], _Result]) -> list[_Result]:
    """Do all of it at the same moment, each in a thread of its own."""
    barrier = Barrier(len(tasks))

    def run(task: Callable[[], _Result]) -> _Result:
        barrier.wait(_PATIENCE)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def _only_atomic(store: Store) -> None:
    if not store.atomic:
        raise SkipTest("this store does not compare and write in one step, and says so")


def _cause_of_failure(verb: Callable[[], object]) -> BaseException | None:
    try:
        verb()
    except StoreError as error:
        return error.__cause__
    return None
