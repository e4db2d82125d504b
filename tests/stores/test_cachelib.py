"""The cachelib store: what caches swallow, refuse, unpickle and lose, and what this store makes of it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import multiprocessing
import pickle
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import cachelib.file
import cachelib.simple
import pytest
import redis
from cachelib import FileSystemCache, NullCache, RedisCache, SimpleCache
from cachelib.base import BaseCache
from cachelib.serializers import FileSystemSerializer
from flask import session
from freezegun import freeze_time
from redis.backoff import NoBackoff
from redis.retry import Retry

from hardsession import HardSession
from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, build
from hardsession.stores.cachelib import CachelibStore
from hardsession.testing import OutageContract, StoreContract
from tests.servers.redis import Redis

from .common import FOUR_VERBS, VERSION


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store's own files are, in an application that is started in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "flask_session"


@pytest.fixture
def store(folder: Path) -> CachelibStore:
    return CachelibStore()


def redis_cache(server: Redis) -> RedisCache:
    """An application's cache on a Redis, which waits for half a second and does not try again."""
    client = redis.Redis(
        port=server.port, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0), protocol=2
    )
    return RedisCache(client)


# What every store promises, on caches of different kinds


class LaterCaches:
    """Mix in: what the contract waits for is over at once, on the clock that caches in this process look at."""

    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def lapse(self) -> None:
        for module in (cachelib.file, cachelib.simple):
            self._monkeypatch.setattr(module, "time", lambda: time.time() + 3.1)


class TestCachelibStore(LaterCaches, StoreContract):
    @pytest.fixture
    def store(self, folder: Path) -> CachelibStore:
        self.folder = folder
        return CachelibStore()

    def plant(self, store: Store, key: str) -> None:
        other = FileSystemCache(str(self.folder), threshold=0, hash_method=hashlib.sha256)
        assert other.set(key, {"_user_id": "mallory"}, timeout=0)


class TestCachelibStoreOnFilesOfTheApplication(LaterCaches, StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> CachelibStore:
        self.cache = FileSystemCache(str(tmp_path / "cache"), threshold=0)
        return CachelibStore(self.cache)

    def plant(self, store: Store, key: str) -> None:
        self.cache.set(key, {"_user_id": "mallory"}, timeout=0)


class TestCachelibStoreInMemory(LaterCaches, StoreContract):
    shared = False

    @pytest.fixture
    def store(self) -> CachelibStore:
        self.cache = SimpleCache()
        return CachelibStore(self.cache)

    def plant(self, store: Store, key: str) -> None:
        self.cache.set(key, None, timeout=0)


class TestCachelibStoreOnRedis(StoreContract):
    @pytest.fixture
    def store(self, redis_server: Redis) -> CachelibStore:
        self.cache = RedisCache(port=redis_server.port)
        return CachelibStore(self.cache)

    def plant(self, store: Store, key: str) -> None:
        self.cache.set(key, "somebody's text", timeout=0)


class TestCachelibStoreOnRedisInOutage(OutageContract):
    @pytest.fixture
    def server(self, untested: Callable[[str], NoReturn]) -> Iterator[Redis]:
        with Redis.running(untested) as server:
            yield server

    @pytest.fixture
    def store(self, server: Redis) -> CachelibStore:
        return CachelibStore(redis_cache(server))


def test_says_that_it_is_not_atomic(store: CachelibStore) -> None:
    """It does not pass for a store on which a logout is final."""
    assert not store.atomic


# Two at once


class InOneProcess(CachelibStore):
    """Whatever is promised of atomic stores, as long as nobody else writes."""

    atomic = True


@pytest.mark.parametrize(
    "clause",
    [
        StoreContract.test_one_of_many_threads_adds,
        StoreContract.test_no_step_of_a_counter_is_lost,
        StoreContract.test_delete_wins_over_replace,
    ],
)
@pytest.mark.parametrize("cache", [None, SimpleCache()], ids=["files", "memory"])
def test_threads_of_one_process_lose_nothing(clause: Callable[..., None], cache: BaseCache | None) -> None:
    """Threads wait for each other, so on one process nothing is lost and a logout stays."""
    clause(StoreContract(), InOneProcess(cache))


class Meanwhile(SimpleCache):
    """A cache on which another process does something before what is written next is written."""

    def __init__(self) -> None:
        super().__init__()
        self.other = CachelibStore(self)
        self.work: Callable[[CachelibStore], Any] = lambda _other: None

    def set(self, *args: Any, **kwargs: Any) -> Any:
        self._do()
        return super().set(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        self._do()
        return super().add(*args, **kwargs)

    def _do(self) -> None:
        work, self.work = self.work, lambda _other: None
        work(self.other)


def test_two_processes_may_undo_each_other() -> None:
    """Why this store is not atomic: of two processes that replace what both read, the first loses its write."""
    cache = Meanwhile()
    store = CachelibStore(cache)
    store.add("k", b"record", 60)
    stored = store.get("k")
    assert stored is not None
    outcomes = []
    cache.work = lambda other: outcomes.append(other.replace("k", b"ended", 60, stored.version))

    outcomes.append(store.replace("k", b"record again", 60, stored.version))

    assert outcomes == [Outcome.DONE, Outcome.DONE]
    again = store.get("k")
    assert again is not None
    assert again.value == b"record again"


def test_refused_add_is_never_taken_for_done() -> None:
    """Who added a moment too late hears that the key was taken."""
    cache = Meanwhile()
    cache.work = lambda other: other.add("k", b"first", 60)

    assert not CachelibStore(cache).add("k", b"second", 60)


def test_overwritten_add_is_never_taken_for_done() -> None:
    """A cache that adds in two steps lets two processes add; who was written over hears so."""

    class TwoSteps(SimpleCache):
        def add(self, *args: Any, **kwargs: Any) -> Any:
            super().add(*args, **kwargs)
            other = CachelibStore(self)
            other._set("k", VERSION, b"other", 60)
            return True

    store = CachelibStore(TwoSteps())

    assert not store.add("k", b"mine", 60)

    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"other"


def test_command_sent_twice() -> None:
    """A driver that lost the answer and adds again is refused by what it has just written, and that is a success."""

    class Stutter(SimpleCache):
        def add(self, *args: Any, **kwargs: Any) -> Any:
            super().add(*args, **kwargs)
            return super().add(*args, **kwargs)

    store = CachelibStore(Stutter())

    assert store.add("k", b"1", 60)
    assert not store.add("k", b"other", 60)


def test_fork_while_another_thread_writes(store: CachelibStore) -> None:
    """A child that was forked in the middle of another thread's write does not wait for that thread for ever."""
    child = multiprocessing.get_context("fork").Process(target=store.add, args=("k", b"child", 60))

    with store._alone("k"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child.start()
    child.join(20)
    child.kill()

    assert child.exitcode == 0
    assert store.get("k") is not None


# Its own files


def test_own_files(store: CachelibStore, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is made before the first use; then there is a folder that nobody else looks into, where the app began."""
    assert not folder.exists()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    store.add("session:../../r.1", b"value", 60)

    assert folder.stat().st_mode & 0o777 == 0o700
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.name == hashlib.sha256(b"session:../../r.1").hexdigest()  # with every version of cachelib
    assert file.read_bytes()[4:8] == b"hsc1"  # no pickle


def test_own_files_are_never_pruned(store: CachelibStore) -> None:
    """More sessions than cachelib's threshold are no reason to end one."""
    for number in range(510):
        assert store.add(f"session:r.{number}", b"value", 60)

    assert all(store.get(f"session:r.{number}") for number in range(510))


class Bomb:
    """What unpickles to a file that its author wanted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_own_files_are_never_unpickled(store: CachelibStore, folder: Path, tmp_path: Path) -> None:
    """Whatever somebody put into the store's own folder, no code of it runs; in a cache that pickles it would."""
    store.add("k", b"value", 60)
    [file] = folder.iterdir()
    file.write_bytes(bytes(4) + pickle.dumps(Bomb(tmp_path / "ran")))

    assert store.get("k") is None
    assert not (tmp_path / "ran").exists()

    FileSystemCache(str(folder), threshold=0, hash_method=hashlib.sha256).get("k")
    assert (tmp_path / "ran").exists()


def test_last_second(store: CachelibStore) -> None:
    """A value lives until its last second and is gone in the one after it; in between cachelib's clock is coarse."""
    with freeze_time("2030-01-01") as clock:
        store.add("k", b"value", 10)

        clock.tick(9)
        assert store.get("k") is not None
        clock.tick(2)

        assert store.get("k") is None


def test_folder_that_cannot_be_made(store: CachelibStore, tmp_path: Path) -> None:
    """An application that may not write where it is started has an outage, until it may."""
    (tmp_path / "flask_session").write_bytes(b"")
    with pytest.raises(StoreError) as caught:
        store.get("k")
    assert isinstance(caught.value.__cause__, FileExistsError)

    (tmp_path / "flask_session").unlink()

    assert store.add("k", b"value", 60)


# What is not ours

FOREIGN = {
    "dict": {"_user_id": "mallory"},
    "text": "hsc1" + "v" * 16 + "value",
    "number": 7,
    "nothing": None,
    "list": [b"hsc1", b"v" * 16],
    "empty": b"",
    "short": b"hsc1" + b"v" * 15,
    "other mark": b"hsc2" + b"v" * 16 + b"value",
    "other bytes": bytearray(b"hsc1" + b"v" * 16 + b"value"),
}


@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_foreign_value(value: Any) -> None:
    """A value that the store did not write is no outage, whatever it is."""
    cache = SimpleCache()
    contract = StoreContract()
    contract.plant = lambda _store, key: cache.set(key, value, timeout=0)  # type: ignore[assignment,method-assign]

    contract.test_foreign_value_is_no_outage(CachelibStore(cache))


UNREADABLE = {
    "no pickle": b"cat",
    "cut off": pickle.dumps(b"hsc1" + b"v" * 90)[:50],
    "another protocol": b"\x80\x7f.",
    "no such module": b"cnowhere\nnothing\n.",
    "no such name": b"cos\nnothing\n.",
    "no such memory": b"\x8e" + b"\xff" * 8,
    "no memo": b"g1\n.",
    "no call": b"I1\n)R.",
    "nothing": b"",
}


@pytest.mark.parametrize("own", [True, False], ids=["own", "app's"])
@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_value(folder: Path, content: bytes, own: bool) -> None:
    """A value that does not even unpickle is no outage either."""
    cache = FileSystemCache(str(folder), threshold=0, hash_method=hashlib.sha256)
    contract = StoreContract()

    def plant(_store: Store, key: str) -> None:
        Path(cache._get_filename(key)).write_bytes(bytes(4) + content)

    contract.plant = plant  # type: ignore[assignment,method-assign]
    contract.test_foreign_value_is_no_outage(CachelibStore(None if own else cache))


def test_rows_of_flask_session(make_app: Callable[..., Any], act: Callable[..., Any]) -> None:
    """In a cache that flask-session uses too, no name meets one of its names: nobody reads or writes the other's."""
    cache = SimpleCache()
    theirs = "session:" + "q" * 43
    cache.set(theirs, {"_permanent": True, "user_id": 7}, timeout=0)
    app = make_app(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
    browser = app.test_client()
    browser.set_cookie("session", "q" * 43)

    assert act(browser, lambda: dict(session)).value == {}
    act(browser, lambda: session.update(user_id=8))
    assert act(browser, lambda: session["user_id"]).value == 8

    assert cache.get(theirs) == {"_permanent": True, "user_id": 7}
    assert [name[:10] for name in cache._cache if name != theirs] == ["session:r.", "session:u."]


# What caches swallow


class Refusing(SimpleCache):
    """A cache that answers as cachelib's do when something beneath them failed."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "__dict__").get("verb"):
            return lambda *args, **kwargs: False
        return super().__getattribute__(name)


def test_refused_replace() -> None:
    """A `set` that says False is an outage, not a success, and the error says how large the value was."""
    store = CachelibStore(Refusing("set"))
    store.add("k", b"value", 60)
    stored = store.get("k")
    assert stored is not None

    with pytest.raises(StoreError, match="5000 bytes"):
        store.replace("k", b"x" * 5000, 60, stored.version)

    assert store.get("k") == stored


def test_refused_add() -> None:
    """An `add` that says False though the key is free is tried as a `set`, and that one's answer counts."""
    cache = Refusing("add")
    store = CachelibStore(cache)
    assert store.add("k", b"value", 60)
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"value"
    cache.set = lambda *args, **kwargs: None  # type: ignore[method-assign]

    with pytest.raises(StoreError, match="5 bytes"):
        store.add("other", b"value", 60)


def test_refused_delete() -> None:
    """A `delete` that says False counts where nothing is left, and is an outage where something is."""
    store = CachelibStore(Refusing("delete"))
    store.delete("k")
    store.add("k", b"value", 60)

    with pytest.raises(StoreError, match="delete"):
        store.delete("k")


class Json(FileSystemSerializer):
    """As cachelib's own serializer for JSON, which came later: it cannot write bytes, and keeps that to itself."""

    def dump(self, value: Any, f: Any, protocol: int = 0) -> None:
        pass

    def load(self, f: Any) -> Any:
        return None


def test_cache_that_keeps_nothing(tmp_path: Path) -> None:
    """A cache that says yes and keeps nothing, or no bytes, is found out by the first session."""
    json = FileSystemCache(str(tmp_path / "json"), threshold=0)
    json.serializer = Json()

    for cache in (NullCache(), json):
        with pytest.raises(StoreError, match="does not give back"):
            CachelibStore(cache).add("k", b"value", 60)


def test_reading_that_failed_is_a_missing_value(
    store: CachelibStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """FileSystemCache logs an error of the disk and says None: the store cannot tell that from a missing value."""
    store.add("k", b"value", 60)
    [file] = folder.iterdir()
    file.unlink()
    file.mkdir()

    with caplog.at_level(logging.WARNING):
        assert store.get("k") is None
        assert store.replace("k", b"new", 60, VERSION) is Outcome.GONE

    assert "IsADirectoryError" in caplog.text
    with pytest.raises(StoreError, match="did not take"):
        store.add("k", b"value", 60)


class Broken(BaseCache):
    """A cache whose driver has errors of its own."""

    def _fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("no connection")

    get = add = set = delete = _fail


@pytest.mark.parametrize("verb", FOUR_VERBS.values(), ids=FOUR_VERBS)
def test_errors_of_the_driver(verb: Callable[[CachelibStore], Any]) -> None:
    """Whatever a cache raises is an outage with that as its cause."""
    with pytest.raises(StoreError) as caught:
        verb(CachelibStore(Broken()))

    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("cache", "verb"),
    [(Broken(), "add"), (NullCache(), "add"), (Refusing("set"), "replace"), (Refusing("delete"), "delete")],
)
def test_errors_quote_nothing(cache: BaseCache, verb: str) -> None:
    """What an outage leaves in a log holds neither key nor value."""
    store, key, value = CachelibStore(cache), "some:" + "name", b"some " + b"value"
    with contextlib.suppress(StoreError):
        store.add(key, value, 60)
    stored = None if verb == "add" else store.get(key)
    verbs: dict[str, Callable[[], Any]] = {
        "add": lambda: store.add(key, value, 60),
        "replace": lambda: store.replace(key, value, 60, stored.version if stored else VERSION),
        "delete": lambda: store.delete(key),
    }

    with pytest.raises(StoreError) as caught:
        verbs[verb]()

    text = "".join(traceback.format_exception(caught.value))
    assert "some:name" not in text
    assert "some value" not in text


# What a cache of the application is given


def test_cache_is_given_bytes_alone() -> None:
    """What a cache pickles is a bytes object and nothing else."""
    cache = SimpleCache()
    store = CachelibStore(cache)
    store.add("k", b"1", 60)
    stored = store.get("k")
    assert stored is not None
    store.replace("k", b"2", 60, stored.version)

    [(_, pickled)] = cache._cache.values()

    found = pickle.loads(pickled)
    assert type(found) is bytes
    assert found[:4] + found[20:] == b"hsc12"


def test_time_to_live_is_the_caches_own(redis_server: Redis) -> None:
    """Redis itself forgets a value in time, after `add` and after `replace`."""
    store = CachelibStore(redis_cache(redis_server))
    with redis_server.client() as client:
        client.flushall()
        store.add("k", b"value", 60)
        assert 58 <= client.ttl("k") <= 60

        stored = store.get("k")
        assert stored is not None
        store.replace("k", b"value", 1000, stored.version)

        assert 998 <= client.ttl("k") <= 1000


# Settings


def test_cache_of_the_application(make_app: Callable[..., Any], act: Callable[..., Any]) -> None:
    """`SESSION_CACHELIB` is used as it is, and holds what a browser's cookie refers to."""
    cache = SimpleCache()
    app = make_app(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
    browser = app.test_client()

    act(browser, lambda: session.update(cart=["tea"]))
    assert act(browser, lambda: session["cart"]).value == ["tea"]
    act(browser, lambda: HardSession().logout())

    assert act(browser, lambda: dict(session)).value == {}
    assert len(cache._cache) == 1  # its tombstone


def test_without_a_cache(folder: Path) -> None:
    """Without `SESSION_CACHELIB` it is files, as with flask-session, and nothing is made yet."""
    store = build("cachelib", Options(None, 2, {"SESSION_CACHELIB": None}))

    assert not folder.exists()
    assert store.add("k", b"value", 60)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("cache", ["/var/sessions", {}, object()])
def test_refused_settings(cache: Any) -> None:
    """What is no cache is refused at the start, by name."""
    with pytest.raises(ValueError, match="SESSION_CACHELIB"):
        build("cachelib", Options(None, 2, {"SESSION_CACHELIB": cache}))
