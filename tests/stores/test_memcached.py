"""The memcached store: whom it asks, what it reads, and what a memcached may hold, refuse and forget."""

from __future__ import annotations

import contextlib
import pickle
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import memcache
import pymemcache
import pytest
import trustme
from freezegun import freeze_time
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.exceptions import MemcacheError, MemcacheServerError, MemcacheUnexpectedCloseError

from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, Stored, Version, build, memcached
from hardsession.stores.memcached import MemcachedStore
from hardsession.testing import OutageContract, StoreContract
from tests.servers import PATIENCE
from tests.servers.memcached import Memcached

VERSION = Version(bytes.fromhex("6553f0ff 00000001 0000000000000007"))  # of the run that `Impostor` feigns
MONTH, LONG = 30 * 86400, 400 * 86400
VERBS: dict[str, Callable[[MemcachedStore], Any]] = {
    "get": lambda store: store.get("k"),
    "add": lambda store: store.add("k", b"value", 60),
    "replace": lambda store: store.replace("k", b"value", 60, VERSION),
    "delete": lambda store: store.delete("k"),
}


@pytest.fixture
def shared(server: Callable[..., Memcached]) -> Memcached:
    """A memcached for all tests that do it no harm."""
    return server(Memcached)


@pytest.fixture
def client(shared: Memcached) -> Iterator[Any]:
    """A client of an empty memcached."""
    with contextlib.closing(shared.client()) as client:
        client.flush_all()
        yield client


@pytest.fixture
def store(shared: Memcached, client: Any) -> MemcachedStore:
    return MemcachedStore.from_url(shared.url, timeout=PATIENCE)


@pytest.fixture
def running(untested: Callable[[str], NoReturn]) -> Iterator[Callable[..., Memcached]]:
    """Start a memcached to do harm to: `running("-I", "1m")`."""
    with contextlib.ExitStack() as stack:
        yield lambda *options, kind=Memcached: stack.enter_context(kind.running(untested, *options))


def read(store: MemcachedStore, key: str = "k") -> Stored:
    """Read what must be there."""
    stored = store.get(key)
    assert stored is not None
    return stored


class TestMemcachedStore(StoreContract):
    @pytest.fixture
    def store(self, shared: Memcached) -> MemcachedStore:
        self.server = shared
        return MemcachedStore.from_url(shared.url, timeout=PATIENCE)

    def plant(self, store: Store, key: str) -> None:
        with contextlib.closing(self.server.client()) as client:
            client.set(key, b"a value long enough to be one of ours")


class TestMemcachedStoreInOutage(OutageContract):
    @pytest.fixture
    def server(self, running: Callable[..., Memcached]) -> Memcached:
        return running()

    @pytest.fixture
    def store(self, server: Memcached) -> Store:
        return MemcachedStore.from_url(server.url, timeout=0.5)


# Clients of the application

CLIENTS: dict[str, Callable[[int], Any]] = {
    "python-memcached": lambda port: memcache.Client([f"127.0.0.1:{port}"]),
    "pymemcache": lambda port: pymemcache.Client(("127.0.0.1", port), serde=pymemcache.serde.pickle_serde),
    "pooled": lambda port: pymemcache.PooledClient(f"127.0.0.1:{port}", serde=pymemcache.serde.pickle_serde),
    "hash": lambda port: HashClient([("127.0.0.1", port)], serde=pymemcache.serde.pickle_serde, ignore_exc=True),
    "retrying": lambda port: RetryingClient(pymemcache.Client(("127.0.0.1", port)), attempts=3),
}
each_client = pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)


def like(make: Callable[[int], Any], server: Memcached, timeout: float = PATIENCE) -> MemcachedStore:
    """The store of an application that has such a client."""
    store = build("memcached", Options(None, timeout, {"SESSION_MEMCACHED": make(server.port)}))
    assert isinstance(store, MemcachedStore)
    return store


@each_client
@pytest.mark.parametrize(
    "clause",
    [
        StoreContract.test_bytes_come_back_exactly,
        StoreContract.test_stale_version_is_a_conflict,
        StoreContract.test_no_step_of_a_counter_is_lost,
        StoreContract.test_works_on_both_sides_of_a_fork,
    ],
)
def test_client_of_the_application(shared: Memcached, make: Callable[[int], Any], clause: Callable[..., None]) -> None:
    """The servers of whatever client an application has are as good as a URL, however it reads values itself."""
    clause(StoreContract(), like(make, shared))


@pytest.mark.parametrize("make", [CLIENTS["python-memcached"], CLIENTS["hash"]], ids=["python-memcached", "hash"])
@pytest.mark.parametrize(
    "clause",
    [
        OutageContract.test_server_gone,
        OutageContract.test_server_gone_from_the_start,
        OutageContract.test_server_frozen,
        OutageContract.test_server_frozen_from_the_start,
        OutageContract.test_restart_costs_one_call_at_most,
    ],
)
def test_outage_with_a_client_that_hides_it(
    running: Callable[..., Memcached], make: Callable[[int], Any], clause: Callable[..., None]
) -> None:
    """Where a client would answer that there is no such session, and go on so for a while, an outage is an outage."""
    server = running()

    clause(OutageContract(), like(make, server, 0.5), server)


class Bomb:
    """What unpickles to a file that its author wanted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@each_client
def test_pickle_is_never_loaded(shared: Memcached, make: Callable[[int], Any], client: Any, tmp_path: Path) -> None:
    """What an attacker wrote for a client to unpickle is not unpickled, and it is not ours."""
    store, path = like(make, shared), tmp_path / "ran"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        client.set("k", pickle.dumps(Bomb(path), protocol), flags=1)

        assert store.get("k") is None
        assert not store.add("k", b"value", 60)
        assert store.replace("k", b"value", 60, VERSION) is Outcome.GONE
        assert not path.exists()

    careless = memcache.Client([f"127.0.0.1:{shared.port}"])
    assert careless.get("k") is None
    assert path.exists()
    careless.disconnect_all()


FOREIGN: dict[str, Callable[[Any, str], Any]] = {
    "text": lambda client, key: client.set(key, b"text", flags=16),
    "compressed": lambda client, key: client.set(key, b"x\x9c\x03\x00\x00\x00\x00\x01", flags=8),
    "number": lambda client, key: (client.set(key, b"1"), client.incr(key, 1)),
    "empty": lambda client, key: client.set(key, b""),
    "large": lambda client, key: client.set(key, bytes(5_000_000), flags=2**32 - 1),
}


@pytest.mark.parametrize("plant", FOREIGN.values(), ids=FOREIGN)
def test_foreign_value(store: MemcachedStore, client: Any, plant: Callable[[Any, str], Any]) -> None:
    """A value that has not our flags is no outage."""
    contract = StoreContract()
    contract.plant = lambda _store, key: plant(client, key)  # type: ignore[method-assign]

    contract.test_foreign_value_is_no_outage(store)


# What goes to memcached


def test_round_trips(store: MemcachedStore, client: Any) -> None:
    """Every verb is one command; a `replace` that is refused may cost a second one."""
    commands = ("cmd_get", "cmd_set", "cmd_touch", "cmd_meta", "delete_hits", "delete_misses")

    def count(verb: Callable[[], Any]) -> int:
        before = client.stats()
        verb()
        after = client.stats()
        return sum(after[name.encode()] - before[name.encode()] for name in commands)

    store.add("k", b"value", 60)
    version = read(store).version

    assert count(lambda: store.get("k")) == 1
    assert count(lambda: store.add("k", b"other", 60)) == 1
    assert count(lambda: store.replace("k", b"new", 60, version)) == 1
    assert count(lambda: store.replace("k", b"newer", 60, version)) == 2
    assert count(lambda: store.delete("k")) == 1
    assert count(lambda: store.replace("k", b"newer", 60, version)) <= 2
    assert store.get("k") is None


def test_one_connection_is_enough(store: MemcachedStore, client: Any) -> None:
    """One request after another goes over the same connection."""
    before = client.stats()[b"total_connections"]

    for number in range(20):
        store.add(f"k{number}", b"value", 60)

    assert client.stats()[b"total_connections"] == before + 1


def test_connection_that_rested(store: MemcachedStore, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not used for long is made anew: a firewall may have dropped it without a word."""
    store.get("k")
    before = client.stats()[b"total_connections"]
    monkeypatch.setattr(memcached, "_REST", -1)

    store.get("k")

    assert client.stats()[b"total_connections"] == before + 1


def left(client: Any, key: str = "k") -> int:
    """The seconds that an item has left."""
    return int(client.raw_command(f"mg {key} t").removeprefix(b"HD t"))


@pytest.mark.parametrize("ttl", [60, MONTH - 1, MONTH, MONTH + 1, LONG])
def test_time_to_live_is_memcacheds_own(store: MemcachedStore, client: Any, ttl: int) -> None:
    """memcached itself forgets a value in time, after `add` and after `replace`."""
    store.add("k", b"value", ttl)
    assert ttl - 3 <= left(client) <= ttl

    store.replace("k", b"value", ttl + 5, read(store).version)

    assert ttl + 2 <= left(client) <= ttl + 5


@pytest.mark.parametrize("now", ["2001-01-01", "2035-01-01"])
def test_clock_that_is_wrong(store: MemcachedStore, client: Any, now: str) -> None:
    """A long time to live is as long when the application's clock and that of memcached differ by years."""
    with freeze_time(now):
        store.add("k", b"value", LONG)

    assert LONG - 3 <= left(client) <= LONG + 1


# Runs of a server


def test_version_of_an_earlier_run(running: Callable[..., Memcached]) -> None:
    """cas numbers begin anew with each run of memcached, and yet no version comes again."""
    server = running()
    store = MemcachedStore.from_url(server.url)
    store.add("k", b"value", 60)
    stored = read(store)
    server.stop()
    server.start()
    with pytest.raises(StoreError):
        store.get("k")
    store.add("k", b"value", 60)

    assert store.replace("k", b"stale", 60, stored.version) is Outcome.CONFLICT

    assert read(store).value == b"value"
    assert read(store).version[8:] == stored.version[8:]
    assert read(store).version[:8] != stored.version[:8]


def test_restart_costs_one_call_whatever_the_number_of_connections(running: Callable[..., Memcached]) -> None:
    """The first call that fails on an old connection ends all that rest."""
    server = running()
    store = MemcachedStore.from_url(server.url)
    barrier = threading.Barrier(5)
    threads = [
        threading.Thread(target=store._servers[0].ask, args=(lambda _connection: barrier.wait(PATIENCE),))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store._servers[0]._resting) == 5
    server.stop()
    server.start()

    with pytest.raises(StoreError):
        store.get("k")

    for _ in range(5):
        store.add("k", b"value", 60)


def test_interrupted_call(store: MemcachedStore) -> None:
    """The answer to a call that was interrupted is never taken for that to the next one."""
    store.add("k", b"value", 60)

    def interrupted(connection: Any) -> None:
        connection.client.sock.sendall(b"gets k\r\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store._servers[0].ask(interrupted)

    assert store.get("other") is None


def test_inherited_connections(store: MemcachedStore, client: Any) -> None:
    """What a child inherits it leaves alone, and connects anew."""
    store.get("k")
    before = client.stats()[b"total_connections"]

    store.forget_inherited()
    store.get("k")

    assert client.stats()[b"total_connections"] == before + 1


def test_without_cas_nothing_is_written_over(running: Callable[..., Memcached]) -> None:
    """A memcached that was told to keep no cas numbers cannot compare, and so refuses."""
    store = MemcachedStore.from_url(running("-C").url)
    store.add("k", b"value", 60)

    assert store.replace("k", b"new", 60, read(store).version) is Outcome.CONFLICT

    assert read(store).value == b"value"


# What does not speak memcached


class Impostor:
    """Answers `stats` as memcached does and anything else with `answer`, after which it hangs up."""

    STATS = b"STAT pid 1\r\nSTAT uptime 1\r\nSTAT time 1700000000\r\nEND\r\n"

    def __init__(self, answer: bytes, stats: bytes = STATS) -> None:
        self._answers = {b"stats": stats}
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.asked: list[bytes] = []

    def __enter__(self) -> MemcachedStore:
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return MemcachedStore([self._listener.getsockname()], timeout=PATIENCE)

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with self._listener.accept()[0] as connection:
            while (line := connection.recv(2**16)) in (b"stats \r\n", b"stats\r\n"):
                self.asked.append(b"stats")
                connection.sendall(self._answers[b"stats"])
            if line:
                self.asked.append(line)
                connection.sendall(self._answer)
        self._listener.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            self._listener.accept()[0].close()
            self.asked.append(b"again")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_lost_answer_is_not_asked_for_again(verb: Callable[[MemcachedStore], Any]) -> None:
    """Every command is sent once: who is told that it failed may find it done, and never finds it done twice."""
    impostor = Impostor(b"")
    with impostor as store, pytest.raises(StoreError) as caught:
        verb(store)

    assert isinstance(caught.value.__cause__, MemcacheUnexpectedCloseError)
    assert len(impostor.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"VALUE\r\n",
        b"VALUE k 0 many 1\r\n",
        b"VALUE other 0 1 1\r\nx\r\nEND\r\n",
        b"VALUE k 1752395057 1 one\r\nx\r\nEND\r\n",
        b"ERROR\r\n",
        b"CLIENT_ERROR unauthenticated\r\n",
        b"SERVER_ERROR out of memory reading request\r\n",
    ],
)
def test_answer_that_makes_no_sense(answer: bytes) -> None:
    """Whatever answers, only StoreError comes out."""
    with Impostor(answer) as store, pytest.raises(StoreError):
        store.get("k")


@pytest.mark.parametrize("stats", [b"ERROR\r\n", b"END\r\n", b"STAT time x\r\nSTAT uptime y\r\nSTAT pid z\r\nEND\r\n"])
def test_server_that_does_not_say_who_it_is(stats: bytes) -> None:
    """Something in front of memcached that hides which run it is cannot be used."""
    with Impostor(b"", stats) as store, pytest.raises(StoreError):
        store.get("k")


# Limits


def test_value_over_the_limit(running: Callable[..., Memcached]) -> None:
    """A value that is too large is an error with both numbers, and nothing is written over."""
    store = MemcachedStore.from_url(running("-I", "1m").url)
    store.add("k", b"value", 60)
    stored, large = read(store), bytes(2**20)

    for write in (partial(store.add, "new", large, 60), partial(store.replace, "k", large, 60, stored.version)):
        with pytest.raises(StoreError, match=r"1048576 bytes.* 1048576 ") as caught:
            write()
        assert isinstance(caught.value.__cause__, MemcacheServerError)

    assert store.get("new") is None
    assert read(store) == stored
    assert store.replace("k", bytes(2**20 - 200), 60, stored.version) is Outcome.DONE


def fill(store: MemcachedStore) -> None:
    """Write more of one size than a memory of two megabytes has room for."""
    for number in range(2000):
        store.add(f"k{number}", bytes(1000), 60)


def test_full_memory(running: Callable[..., Memcached]) -> None:
    """A memcached that evicts nothing refuses to write when it is full, and that is an outage."""
    store = MemcachedStore.from_url(running("-I", "1m", "-m", "2", "-M").url)

    with pytest.raises(StoreError) as caught:
        fill(store)

    assert isinstance(caught.value.__cause__, MemcacheServerError)
    assert "too large" not in str(caught.value.__cause__)
    assert read(store, "k0").value == bytes(1000)


def test_evicted_tombstone(running: Callable[..., Memcached]) -> None:
    """When memcached has evicted what is left of an ended session, no request in flight brings it back."""
    store = MemcachedStore.from_url(running("-I", "1m", "-m", "2").url)
    store.add("k", bytes(1000), 60)
    in_flight = read(store)
    store.replace("k", b"ended".ljust(1000), 60, in_flight.version)

    fill(store)

    assert store.get("k") is None
    assert store.replace("k", bytes(1000), 60, in_flight.version) is Outcome.GONE
    assert store.get("k") is None


def test_errors_quote_nothing(running: Callable[..., Memcached]) -> None:
    """What a failure leaves in a log holds neither key nor value."""
    server = running("-I", "1m")
    store, value = MemcachedStore.from_url(server.url), b"some value" * 2**18

    with pytest.raises(StoreError) as too_large:
        store.add("session:name", value, 60)
    server.stop()
    with pytest.raises(StoreError) as away:
        store.add("session:name", value, 60)

    for caught in (too_large, away):
        text = "".join(traceback.format_exception(caught.value))
        assert "session:name" not in text.replace('store.add("session:name"', "")
        assert "some value" not in text


# Names


@pytest.mark.parametrize("key", ["k\r\nflush_all", "k 0 0 1", "k\n", "k\0", "k\x85", "k" * 251])
@pytest.mark.parametrize("verb", ["get", "add", "delete"])
def test_key_that_would_be_a_command(store: MemcachedStore, client: Any, verb: str, key: str) -> None:
    """No key can hold a command of its own: nothing is sent at all."""
    client.set("here", b"value")
    before = client.stats()

    with pytest.raises(StoreError) as caught:
        getattr(store, verb)(key, *{"add": (b"value", 60)}.get(verb, ()))

    assert isinstance(caught.value.__cause__, MemcacheError)
    after = client.stats()
    assert {name: after[name] for name in (b"cmd_get", b"cmd_set", b"cmd_flush")} == {
        name: before[name] for name in (b"cmd_get", b"cmd_set", b"cmd_flush")
    }
    assert client.get("here") == b"value"


# Where memcached is


def test_several_servers(running: Callable[..., Memcached]) -> None:
    """A key has its place on one of several servers, in whatever order they are named, and nowhere else."""
    one, two = running(), running()
    store = MemcachedStore.from_url(f"memcached://127.0.0.1:{one.port},127.0.0.1:{two.port}", timeout=0.5)
    hosts = [("127.0.0.1", two.port), ("127.0.0.1", one.port)]
    others = [
        MemcachedStore.from_url(f"{two.url},127.0.0.1:{one.port}"),
        build("memcached", Options(None, 2, {"SESSION_MEMCACHED": HashClient(hosts)})),
        build(
            "memcached",
            Options(None, 2, {"SESSION_MEMCACHED": memcache.Client([f"{name}:{port}" for name, port in hosts])}),
        ),
    ]
    keys = [f"k{number}" for number in range(100)]
    for key in keys:
        assert store.add(key, b"value", 60)
    for other in others:
        assert [other.get(key) for key in keys] == [store.get(key) for key in keys]

    two.stop()
    away = set()
    for key in keys:
        try:
            store.delete(key)
        except StoreError:
            away.add(key)
    assert 25 < len(away) < 75

    for key in away:  # again and again, and never at the other server
        for verb in (store.get, store.delete):
            with pytest.raises(StoreError):
                verb(key)
        with pytest.raises(StoreError):
            store.add(key, b"value", 60)
    with contextlib.closing(one.client()) as client:
        assert client.stats()[b"curr_items"] == 0


class OnASocket(Memcached):
    """memcached that listens at a path."""

    @property
    def path(self) -> str:
        return str(self.folder / "socket")

    def command(self) -> list[str]:
        return [*super().command(), "-s", self.path]

    def client(self, **options: Any) -> Any:
        return pymemcache.Client(self.path, timeout=1, **options)


def test_socket_with_a_path(running: Callable[..., Memcached]) -> None:
    """memcached may listen at a path of this machine, for a URL and for either client."""
    server = running(kind=OnASocket)
    settings = (
        Options(f"memcached://{server.path}", 2, {}),
        Options(None, 2, {"SESSION_MEMCACHED": server.client()}),
        Options(None, 2, {"SESSION_MEMCACHED": memcache.Client([f"unix:{server.path}"])}),
    )

    for number, options in enumerate(settings):
        store = build("memcached", options)
        assert store.add(f"k{number}", b"value", 60)
        assert store.get("k0") is not None


class WithTLS(Memcached):
    """memcached that speaks TLS only."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.folder / "pem")
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)

    def command(self) -> list[str]:
        pem = self.folder / "pem"
        return [*super().command(), "-Z", "-o", f"ssl_chain_cert={pem},ssl_key={pem}"]

    def client(self, **options: Any) -> Any:
        return super().client(tls_context=self.context, **options)


def test_tls_of_the_application(running: Callable[..., Memcached]) -> None:
    """The TLS of the application's client is the store's; a certificate that it does not trust is an outage."""
    server = running(kind=WithTLS)
    store = build("memcached", Options(None, PATIENCE, {"SESSION_MEMCACHED": server.client()}))
    assert store.add("k", b"value", 60)
    assert store.get("k") is not None

    stranger = MemcachedStore([("127.0.0.1", server.port)], tls_context=ssl.create_default_context())
    with pytest.raises(StoreError) as caught:
        stranger.get("k")

    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_name_with_several_addresses(shared: Memcached, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name such as localhost may have an address first at which nobody listens."""
    closed = socket.create_server(("127.0.0.1", 0))
    addresses = [("127.0.0.1", closed.getsockname()[1]), ("127.0.0.1", shared.port)]
    closed.close()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)

    assert MemcachedStore.from_url("memcached://memcached.test").add("k", b"value", 60)


def test_built_from_a_url(shared: Memcached, client: Any) -> None:
    """`SESSION_STORE` says where memcached is, even beside a client for something else."""
    store = build("memcached", Options(shared.url, 2, {"SESSION_MEMCACHED": memcache.Client(["127.0.0.1:1"])}))

    store.add("k", b"value", 60)

    assert client.get("k") == b"value"


def test_built_without_anything() -> None:
    """Without a URL or a client it is the memcached of this machine, as with flask-session, not connected to yet."""
    store = build("memcached", Options(None, 2, {}))

    assert isinstance(store, MemcachedStore)
    assert [server.address for server in store._servers] == [("localhost", 11211)]


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("memcached://localhost", [("localhost", 11211)]),
        ("memcached://localhost:11212/", [("localhost", 11212)]),
        ("MEMCACHED://a:1,b,[::1]:3,[::1]", [("a", 1), ("b", 11211), ("::1", 3), ("::1", 11211)]),
        ("memcached:///run/memcached.sock", ["/run/memcached.sock"]),
    ],
)
def test_urls(url: str, addresses: list[Any]) -> None:
    """A URL names one server or several, by host and port or by path."""
    assert [server.address for server in MemcachedStore.from_url(url)._servers] == addresses


class OfPylibmc:
    """What a client of pylibmc has."""

    addresses = ("127.0.0.1",)


@pytest.mark.parametrize(
    ("url", "settings", "fault"),
    [
        ("memcached://", {}, "memcached URL"),
        ("memcached://a,,b", {}, "memcached URL"),
        ("memcached://:11211", {}, "memcached URL"),
        ("memcached://a:port", {}, "memcached URL"),
        ("memcached://a:99999", {}, "memcached URL"),
        ("memcached://[::1", {}, "memcached URL"),
        ("memcached://a/0", {}, "memcached URL"),
        ("memcached://a?timeout=1", {}, "memcached URL"),
        ("memcached://user:hunter2@a", {}, "memcached URL"),
        (None, {"SESSION_MEMCACHED": "localhost:11211"}, "SESSION_MEMCACHED"),
        (None, {"SESSION_MEMCACHED": ["localhost:11211"]}, "SESSION_MEMCACHED"),
        (None, {"SESSION_MEMCACHED": OfPylibmc()}, "no client of pymemcache or python-memcached"),
        (None, {"SESSION_MEMCACHED": memcache.Client([])}, "SESSION_MEMCACHED has no server"),
        (None, {"SESSION_MEMCACHED": HashClient([])}, "SESSION_MEMCACHED has no server"),
    ],
)
def test_refused_settings(url: str | None, settings: dict[str, Any], fault: str) -> None:
    """What cannot work is refused at the start, by name, and no password is quoted."""
    with pytest.raises(ValueError, match=fault) as caught:
        build("memcached", Options(url, 2, settings))

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
