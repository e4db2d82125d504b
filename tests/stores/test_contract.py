"""The contract itself: every clause of it is broken by a store that somebody might write, and is heard to break."""

from __future__ import annotations

import inspect
import multiprocessing
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any
from unittest import SkipTest

import pytest

from hardsession.errors import StoreError
from hardsession.stores import Outcome, Stored, Version, new_version
from hardsession.stores.memory import MemoryStore
from hardsession.testing import OutageContract, StoreContract

DONE, GONE, CONFLICT = Outcome


class Broken:
    """A store that keeps the contract, in few words, for others to break."""

    atomic = True

    def __init__(self) -> None:
        self.rows: dict[str, tuple[bytes, Version, float]] = {}

    def get(self, key: str) -> Stored | None:
        row = self.rows.get(self.name(key))
        return Stored(row[0], row[1]) if row and self.lives(row) and not self.is_foreign(key) else None

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        if self.get(key) or self.is_foreign(key):
            return False
        self.write(key, value, ttl)
        return True

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        stored = self.get(key)
        if stored is None:
            return GONE
        if stored.version != version:
            return CONFLICT
        self.write(key, value, ttl)
        return DONE

    def delete(self, key: str) -> None:
        self.rows.pop(self.name(key), None)

    def purge(self) -> int:
        expired = [key for key, row in self.rows.items() if not self.lives(row)]
        for key in expired:
            del self.rows[key]
        return len(expired)

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.rows if key.startswith(prefix)]

    # What most of the broken ones change

    def name(self, key: str) -> str:
        return key

    def kept(self, value: bytes) -> bytes:
        return value

    def version(self, key: str, value: bytes) -> Version:
        return new_version()

    def lives(self, row: tuple[bytes, Version, float]) -> bool:
        return row[2] > time.time()

    def is_foreign(self, key: str) -> bool:
        return key in self.rows and self.rows[key][0] == b"foreign"

    def write(self, key: str, value: bytes, ttl: int) -> None:
        self.rows[self.name(key)] = (self.kept(value), self.version(key, value), time.time() + ttl)


BROKEN: dict[str, list[type[Broken]]] = {}


def breaks(clause: Callable[..., None]) -> Callable[[type[Broken]], type[Broken]]:
    """Say which clause a store breaks."""

    def note(store: type[Broken]) -> type[Broken]:
        BROKEN.setdefault(clause.__name__, []).append(store)
        return store

    return note


C = StoreContract


@breaks(C.test_missing_is_none)
class Defaults(Broken):
    def get(self, key: str) -> Stored | None:
        return super().get(key) or Stored(b"", Version(b""))


@breaks(C.test_bytes_come_back_exactly)
class EndsAtNul(Broken):
    def kept(self, value: bytes) -> bytes:
        return value.partition(b"\0")[0]


@breaks(C.test_bytes_come_back_exactly)
class Strips(Broken):
    def kept(self, value: bytes) -> bytes:
        return value.strip()


@breaks(C.test_bytes_come_back_exactly)
class EmptyIsMissing(Broken):
    def get(self, key: str) -> Stored | None:
        stored = super().get(key)
        return stored if stored and stored.value else None


@breaks(C.test_largest_value_comes_back)
@breaks(C.test_too_large_value_is_never_cut)
class Cuts(Broken):
    def kept(self, value: bytes) -> bytes:
        return value[: 2**16]


@breaks(C.test_keys_do_not_collide)
class IgnoresCase(Broken):
    def name(self, key: str) -> str:
        return key.lower()


@breaks(C.test_keys_do_not_collide)
class CutsKeys(Broken):
    def name(self, key: str) -> str:
        return key[:127]


@breaks(C.test_keys_do_not_collide)
class NormalisesPaths(Broken):
    def name(self, key: str) -> str:
        return key.replace("//", "/")


@breaks(C.test_add_twice_keeps_the_first)
class AddOverwrites(Broken):
    def add(self, key: str, value: bytes, ttl: int) -> bool:
        free = self.get(key) is None
        self.write(key, value, ttl)
        return free


@breaks(C.test_replace_writes_over_what_was_read)
class KeepsItsVersion(Broken):
    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        outcome = super().replace(key, value, ttl, version)
        if outcome is DONE:
            self.rows[key] = (value, version, time.time() + ttl)
        return outcome


@breaks(C.test_replace_creates_nothing)
class Upserts(Broken):
    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        if self.get(key) is None:
            self.write(key, value, ttl)
            return GONE
        return super().replace(key, value, ttl, version)


@breaks(C.test_stale_version_is_a_conflict)
class LastWriterWins(Broken):
    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        stored = self.get(key)
        return GONE if stored is None else super().replace(key, value, ttl, stored.version)


@breaks(C.test_stale_version_is_a_conflict)
class WritesAndComplains(Broken):
    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        outcome = super().replace(key, value, ttl, version)
        if outcome is CONFLICT:
            self.write(key, value, ttl)
        return outcome


@breaks(C.test_same_value_again_is_a_conflict)
@breaks(C.test_version_outlives_no_delete)
class ComparesValues(Broken):
    def version(self, key: str, value: bytes) -> Version:
        return Version(value)


@breaks(C.test_no_version_comes_again)
@breaks(C.test_version_outlives_no_delete)
class CountsAnewAfterDelete(Broken):
    def version(self, key: str, value: bytes) -> Version:
        row = self.rows.get(key)
        return Version(b"%d" % (int(row[1]) + 1 if row else 0))


@breaks(C.test_delete_makes_free)
class DeletesInName(Broken):
    def delete(self, key: str) -> None:
        if stored := self.get(key):
            self.rows[key] = (b"", stored.version, time.time() + 60)


@breaks(C.test_delete_twice_is_silent)
class DeletesOnce(Broken):
    def delete(self, key: str) -> None:
        del self.rows[key]


@breaks(C.test_expired_is_missing)
class NeverExpires(Broken):
    def lives(self, row: tuple[bytes, Version, float]) -> bool:
        return True


@breaks(C.test_expired_is_missing)
class RevivesExpired(Broken):
    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        row = self.rows.get(key)
        if row and row[1] == version:
            self.write(key, value, ttl)
            return DONE
        return super().replace(key, value, ttl, version)


@breaks(C.test_expired_is_missing)
class ExpiredIsNotFree(Broken):
    def add(self, key: str, value: bytes, ttl: int) -> bool:
        return key not in self.rows and super().add(key, value, ttl)


@breaks(C.test_replace_resets_the_time_to_live)
class KeepsTheFirstTimeToLive(Broken):
    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        before = self.rows.get(key)
        outcome = super().replace(key, value, ttl, version)
        if before and outcome is DONE:
            self.rows[key] = (*self.rows[key][:2], before[2])
        return outcome


@breaks(C.test_replace_resets_the_time_to_live)
class RefusedAddProlongs(Broken):
    def add(self, key: str, value: bytes, ttl: int) -> bool:
        if self.get(key):
            self.rows[key] = (*self.rows[key][:2], time.time() + ttl)
        return super().add(key, value, ttl)


@breaks(C.test_time_to_live_of_400_days)
class TakesLongTimesForDates(Broken):
    def write(self, key: str, value: bytes, ttl: int) -> None:
        super().write(key, value, ttl if ttl <= 30 * 86400 else int(ttl - time.time()))


@breaks(C.test_purge_spares_what_lives)
class PurgesEverything(Broken):
    def purge(self) -> int:
        purged = len(self.rows)
        self.rows.clear()
        return purged


@breaks(C.test_purge_spares_what_lives)
class PurgesNothing(Broken):
    def purge(self) -> int:
        return 0


@breaks(C.test_keys_are_named_by_prefix)
class TakesPrefixesForPatterns(Broken):
    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.rows if key.startswith(prefix.rstrip("*%_"))]


@breaks(C.test_foreign_value_is_no_outage)
class ReadsForeignValues(Broken):
    def is_foreign(self, key: str) -> bool:
        return False


@breaks(C.test_foreign_value_is_no_outage)
class WritesOverForeignValues(Broken):
    def add(self, key: str, value: bytes, ttl: int) -> bool:
        if self.is_foreign(key):
            self.delete(key)
        return super().add(key, value, ttl)


@breaks(C.test_one_of_many_threads_adds)
@breaks(C.test_one_of_many_threads_takes_over_what_expired)
@breaks(C.test_no_step_of_a_counter_is_lost)
class LooksAndThenWrites(Broken):
    def write(self, key: str, value: bytes, ttl: int) -> None:
        time.sleep(0.01)
        super().write(key, value, ttl)


@breaks(C.test_delete_wins_over_replace)
class RevivesDeleted(Broken):
    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        outcome = super().replace(key, value, ttl, version)
        time.sleep(0.01)
        if outcome is DONE:
            self.write(key, value, ttl)
        return outcome


@breaks(C.test_works_on_both_sides_of_a_fork)
class SharesWhatItInherits(Broken):
    """Parent and child get each other's answers, as on one socket."""

    def __init__(self) -> None:
        super().__init__()
        self.answers, self.questions = multiprocessing.get_context("fork").Pipe(duplex=False)

    def get(self, key: str) -> Stored | None:
        self.questions.send(super().get(key))
        time.sleep(random.uniform(0, 0.005))
        answer: Stored | None = self.answers.recv()
        return answer


class Contract(StoreContract):
    """The contract, for stores in memory and without long waits."""

    limit = 2**17
    shared = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def lapse(self) -> None:
        now = time.time
        self.monkeypatch.setattr(time, "time", lambda: now() + 3)

    def plant(self, store: Any, key: str) -> None:
        store.rows[key] = (b"foreign", new_version(), time.time() + 60)


CLAUSES = [name for name, _ in inspect.getmembers(StoreContract, inspect.isfunction) if name.startswith("test_")]


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_can_be_broken(clause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each clause hears of a store that breaks it."""
    for broken in BROKEN[clause]:
        with monkeypatch.context() as patch, pytest.raises((AssertionError, LookupError, UnpicklingError)):
            getattr(Contract(patch), clause)(broken())


AT_ONCE = {
    "test_one_of_many_threads_adds",
    "test_one_of_many_threads_takes_over_what_expired",
    "test_no_step_of_a_counter_is_lost",
    "test_delete_wins_over_replace",
}


@pytest.mark.parametrize("clause", sorted(set(CLAUSES) - AT_ONCE))
def test_every_clause_can_be_kept(clause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store that the broken ones derive from breaks nothing."""
    getattr(Contract(monkeypatch), clause)(Broken())


def test_store_with_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may refuse what is too large, if it keeps what it has."""

    class Limited(Broken):
        def kept(self, value: bytes) -> bytes:
            if len(value) > Contract.limit:
                raise StoreError("This store takes values of 131072 bytes.")
            return value

    Contract(monkeypatch).test_largest_value_comes_back(Limited())
    Contract(monkeypatch).test_too_large_value_is_never_cut(Limited())


# What a store cannot be asked


class Plain:
    """A store with the four verbs alone, which says that it does not compare and write in one step."""

    atomic = False

    def __init__(self) -> None:
        store = MemoryStore()
        self.get, self.add, self.replace, self.delete = store.get, store.add, store.replace, store.delete


def test_clauses_that_do_not_apply() -> None:
    """What a store does not claim is skipped, by name; everything else it is asked."""
    skipped = set()
    contract = StoreContract()
    contract.lapse = lambda: pytest.skip("asked")  # type: ignore[method-assign]
    contract.shared = False
    for clause in CLAUSES:
        try:
            getattr(contract, clause)(Plain())
        except SkipTest:
            skipped.add(clause)
        except pytest.skip.Exception:
            pass

    assert skipped == {
        "test_purge_spares_what_lives",
        "test_keys_are_named_by_prefix",
        "test_foreign_value_is_no_outage",
        "test_one_of_many_threads_adds",
        "test_one_of_many_threads_takes_over_what_expired",
        "test_no_step_of_a_counter_is_lost",
        "test_delete_wins_over_replace",
    }


def test_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing forks there is nothing to ask."""
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])

    with pytest.raises(SkipTest):
        StoreContract().test_works_on_both_sides_of_a_fork(MemoryStore())


def test_pytest_is_not_imported() -> None:
    """`hardsession.testing` needs nothing that hardsession does not."""
    code = "import sys, hardsession.testing; sys.exit('pytest' in sys.modules or '_pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Outages


class Trouble:
    """A server for `Distant`."""

    def __init__(self) -> None:
        self.up, self.restarts = True, 0

    def stop(self) -> None:
        self.up = False

    def start(self) -> None:
        self.up = True
        self.restarts += 1

    freeze, thaw = stop, start


class Distant(MemoryStore):
    """A store with a server, and what it does when that fails."""

    def __init__(self, server: Trouble) -> None:
        super().__init__()
        self.server = server

    def get(self, key: str) -> Stored | None:
        self.ask()
        return super().get(key)

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        self.ask()
        return super().add(key, value, ttl)

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        self.ask()
        return super().replace(key, value, ttl, version)

    def delete(self, key: str) -> None:
        self.ask()
        super().delete(key)

    def ask(self) -> None:
        if not self.server.up:
            self.fail()

    def fail(self) -> None:
        raise StoreError("The server is gone.") from ConnectionError("refused")


class Hangs(Distant):
    def fail(self) -> None:
        time.sleep(0.1)
        super().fail()


class LetsTheDriversErrorOut(Distant):
    def fail(self) -> None:
        raise ConnectionError("refused")


class HidesTheCause(Distant):
    def fail(self) -> None:
        raise StoreError("The server is gone.")


class NamesItselfAsTheCause(Distant):
    def fail(self) -> None:
        raise StoreError("The server is gone.") from StoreError("The server is gone.")


class TakesOutagesForMissing(Distant):
    def get(self, key: str) -> Stored | None:
        return super().get(key) if self.server.up else None


class NeverComesBack(Distant):
    """One that keeps its broken connection, whether it saw it break or not."""

    def ask(self) -> None:
        if self.server.restarts:
            self.fail()


OUTAGES = [name for name, _ in inspect.getmembers(OutageContract, inspect.isfunction) if name.startswith("test_")]


def outage_contract() -> OutageContract:
    contract = OutageContract()
    contract.patience = 0.1
    return contract


@pytest.mark.parametrize("clause", OUTAGES)
def test_outage_clause_can_be_kept(clause: str) -> None:
    """A store that fails as it should passes."""
    server = Trouble()

    getattr(outage_contract(), clause)(Distant(server), server)

    assert server.up


@pytest.mark.parametrize("clause", [clause for clause in OUTAGES if "restart" not in clause])
@pytest.mark.parametrize(
    "broken", [Hangs, LetsTheDriversErrorOut, HidesTheCause, NamesItselfAsTheCause, TakesOutagesForMissing]
)
def test_outage_clause_can_be_broken(broken: type[Distant], clause: str) -> None:
    """A store that hangs, answers, or hides what happened does not, and the server is started again all the same."""
    server = Trouble()

    with pytest.raises((AssertionError, ConnectionError)):
        getattr(outage_contract(), clause)(broken(server), server)

    assert server.up


@pytest.mark.parametrize("clause", OUTAGES)
def test_store_that_never_comes_back(clause: str) -> None:
    """Nor does one that goes on failing when the server is back."""
    server = Trouble()

    with pytest.raises((AssertionError, StoreError)):
        getattr(outage_contract(), clause)(NeverComesBack(server), server)
