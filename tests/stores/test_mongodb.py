"""The MongoDB store: what a collection may hold, who else uses it, and what a client or a URL may ask for."""

from __future__ import annotations

import gc
import multiprocessing
import socket
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from types import SimpleNamespace
from typing import Any, NoReturn

import pymongo
import pytest
from bson import Binary, CodecOptions, DatetimeMS, Int64, ObjectId, encode
from bson.codec_options import TypeEncoder, TypeRegistry
from bson.raw_bson import RawBSONDocument
from dns import resolver
from pymongo import MongoClient, _csot
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, InvalidOperation, OperationFailure, PyMongoError
from pymongo.monitoring import CommandListener

from hardsession import stores
from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, Version, build
from hardsession.stores.mongodb import MongoDBStore
from hardsession.testing import OutageContract, StoreContract
from tests.servers.mongodb import ExpiringMongoDB, MongoDB, MongoDBReplicaSet, MongoDBWithPassword, MongoDBWithTLS

from .clock import MovedClock
from .common import VERBS, VERSION, refuse_a_value_over_the_limit

LIMIT = 16_776_704
NEVER = DatetimeMS(4102444800000)


@pytest.fixture(scope="module")
def shared_server(server: Callable[[type[MongoDB]], MongoDB]) -> MongoDB:
    """A mongod for all tests that do it no harm."""
    return server(MongoDB)


@pytest.fixture
def own_server(untested: Callable[[str], NoReturn]) -> Iterator[MongoDB]:
    """A mongod to do harm to."""
    with MongoDB.running(untested) as server:
        yield server


@pytest.fixture
def client(shared_server: MongoDB) -> Iterator[MongoClient[Any]]:
    """A client of a mongod without databases."""
    shared_server.empty()
    with shared_server.client() as client:
        yield client


@pytest.fixture
def documents(client: MongoClient[Any]) -> Collection[Any]:
    """The collection where sessions are."""
    return client["flask_session"]["sessions"]


@pytest.fixture
def store(shared_server: MongoDB, client: MongoClient[Any]) -> MongoDBStore:
    return MongoDBStore(shared_server.url, timeout=20)


class TestMongoDBStore(MovedClock, StoreContract):
    limit = LIMIT

    @pytest.fixture
    def store(self, shared_server: MongoDB, documents: Collection[Any]) -> MongoDBStore:
        self.documents = documents
        return MongoDBStore(shared_server.url, timeout=20)  # 20 threads, on a busy machine

    def plant(self, store: Store, key: str) -> None:
        self.documents.insert_one({"_id": key, "id": key, "val": b"\x80", "expiration": DatetimeMS(0)})


class TestMongoDBStoreInOutage(OutageContract):
    @pytest.fixture
    def server(self, own_server: MongoDB) -> MongoDB:
        return own_server

    @pytest.fixture
    def store(self, server: MongoDB) -> MongoDBStore:
        return MongoDBStore(server.url, timeout=1)


# The client of an application


class Texts(TypeEncoder):
    """Writes a type that MongoDB does not know."""

    python_type = frozenset

    def transform_python(self, value: Any) -> Any:
        return sorted(value)


GIVEN: dict[str, dict[str, Any]] = {
    "as it is": {},
    "of other types": {
        "document_class": RawBSONDocument,
        "tz_aware": True,
        "uuidRepresentation": "standard",
        "type_registry": TypeRegistry([Texts()]),
    },
    "of less than it needs": {"w": 0, "readPreference": "secondary", "readConcernLevel": "available"},
    "that waits long": {"timeoutMS": None, "w": 5, "journal": True, "datetime_conversion": "DATETIME_MS"},
}


@pytest.mark.filterwarnings("ignore:MongoClient opened before fork")
@pytest.mark.parametrize(
    ("given", "clause"),
    [
        *product(
            GIVEN,
            [
                StoreContract.test_bytes_come_back_exactly,
                StoreContract.test_stale_version_is_a_conflict,
                StoreContract.test_delete_makes_free,
                StoreContract.test_keys_are_named_by_prefix,
                StoreContract.test_no_step_of_a_counter_is_lost,
            ],
        ),
        ("as it is", StoreContract.test_works_on_both_sides_of_a_fork),
    ],
)
def test_client_of_the_application(
    shared_server: MongoDB, client: MongoClient[Any], given: str, clause: Callable[..., None]
) -> None:
    """A client of the application does as well, whatever it asks for and takes."""
    with shared_server.client(**GIVEN[given]) as own:
        clause(StoreContract(), build("mongodb", Options(None, 20, {"SESSION_MONGODB": own})))


class Sent(CommandListener):
    """Notes every command that a client sends."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def started(self, event: Any) -> None:
        self.events.append(event)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass

    def names(self) -> list[str]:
        """What was sent since the last look."""
        events, self.events = self.events, []
        return [event.command_name for event in events]


def test_round_trips(shared_server: MongoDB, client: MongoClient[Any]) -> None:
    """Every verb is one command; to be told why a write was refused is a second. A process makes its index once."""
    sent = Sent()
    with shared_server.client(event_listeners=[sent]) as own:
        store = MongoDBStore(own)
        assert store.get("k") is None
        assert sent.names() == ["find"]
        store.add("k", b"value", 60)
        assert sent.names() == ["createIndexes", "update"]
        stored = store.get("k")
        assert stored is not None
        verbs: dict[str, Callable[[], Any]] = {
            "get": lambda: store.get("k"),
            "add": lambda: store.add("new", b"value", 60),
            "refused": lambda: store.add("k", b"value", 60),
            "replace": lambda: store.replace("k", b"new", 60, stored.version),
            "conflict": lambda: store.replace("k", b"newer", 60, stored.version),
            "gone": lambda: store.replace("none", b"new", 60, stored.version),
            "delete": lambda: store.delete("k"),
            "keys": lambda: list(store.keys("")),
        }
        sent.names()

        assert {name: (verb(), sent.names())[1] for name, verb in verbs.items()} == {
            "get": ["find"],
            "add": ["update"],
            "refused": ["update", "find"],
            "replace": ["update"],
            "conflict": ["update", "find"],
            "gone": ["update", "find"],
            "delete": ["delete"],
            "keys": ["find"],
        }


@pytest.mark.parametrize("given", GIVEN)
def test_what_is_asked_for(shared_server: MongoDB, client: MongoClient[Any], given: str) -> None:
    """Reads see what a majority has, and writes wait for it, but not for ever, whatever the client says."""
    sent = Sent()
    with shared_server.client(**GIVEN[given] | {"event_listeners": [sent], "timeoutMS": None}) as own:
        store = MongoDBStore(own, timeout=1.5)

        for verb in VERBS.values():
            verb(store)

    concerns = {
        event.command_name: event.command.get("writeConcern") or event.command.get("readConcern")
        for event in sent.events
        if event.command_name != "endSessions"
    }
    majority = {"w": "majority", "wtimeout": 1500}
    assert concerns == {
        "createIndexes": majority,
        "update": majority,
        "delete": majority,
        "find": {"level": "majority"},
    }


# What stands in the collection


OURS: dict[str, Any] = {"content": b"value", "version": VERSION, "expiration": NEVER}
EXPIRED: dict[str, Any] = OURS | {"expiration": DatetimeMS(1)}
SHAPES: dict[str, dict[str, Any]] = {
    "flask-session's": {"id": "session:abc", "val": b"\x80"},
    "key alone": {"content": None, "version": None},
    "text": {"content": "value"},
    "number": {"content": 1},
    "list": {"content": [b"value"]},
    "no content": {"content": None},
    "version that is text": {"version": "v" * 16},
    "version that is a list": {"version": [VERSION]},
    "version in a list of lists": {"version": [[VERSION], VERSION, None]},
    "version of another kind": {"version": Binary(VERSION, 4)},
    "short version": {"version": b"v"},
    "long version": {"version": VERSION + b"v"},
    "expiry that is a number": {"expiration": Int64(2**40)},
    "expiry that is a list": {"expiration": [NEVER, DatetimeMS(1)]},
    "document": {"content": {"0": b"value"}},
}
FOREIGN = {
    **SHAPES,
    **{f"{name}, expired": {"expiration": DatetimeMS(1)} | shape for name, shape in SHAPES.items()},
    "no expiry": {"expiration": None},
    "bytes that are no text": {"content": b"\xff\xfe"},
}


@pytest.mark.parametrize("shape", FOREIGN)
def test_foreign_document(store: MongoDBStore, documents: Collection[Any], shape: str) -> None:
    """A document of another shape is no session and no outage, and stays as it is, expired or not."""
    fields = OURS | FOREIGN[shape]
    if shape.startswith("flask-session's"):
        fields = {name: value for name, value in fields.items() if name not in {"content", "version"}}
    if shape == "bytes that are no text":
        fields = {"content": RawBSONDocument(b"\x0f\0\0\0\x02a\0\x03\0\0\0\xff\xfe\0\0"), "version": VERSION}
    documents.insert_one({"_id": "foreign"} | {name: value for name, value in fields.items() if value is not None})
    before = raw(documents, "foreign")

    assert store.get("foreign") is None
    assert not store.add("foreign", b"mine", 60)
    assert store.replace("foreign", b"mine", 60, VERSION) is Outcome.GONE
    assert store.replace("foreign", b"mine", 60, Version(b"w" * 16)) is Outcome.GONE

    assert raw(documents, "foreign") == before
    store.delete("foreign")
    assert store.add("foreign", b"mine", 60)


def test_version_of_any_bytes(store: MongoDBStore, documents: Collection[Any]) -> None:
    """The lowest and the highest version are versions."""
    for number, version in enumerate((bytes(16), b"\xff" * 16)):
        documents.insert_one({"_id": f"k{number}"} | OURS | {"version": version})

        assert store.get(f"k{number}") == stores.Stored(b"value", Version(version))
        assert store.replace(f"k{number}", b"new", 60, Version(version)) is Outcome.DONE


def test_expired_document_that_is_still_there(store: MongoDBStore, documents: Collection[Any]) -> None:
    """MongoDB goes on serving what is expired: it is None, GONE even under its own version, not changed, and free."""
    documents.insert_one({"_id": "k", "more": 1} | EXPIRED)
    before = raw(documents, "k")

    assert store.get("k") is None
    assert store.replace("k", b"back", 60, VERSION) is Outcome.GONE
    assert store.replace("k", b"back", 60, Version(b"w" * 16)) is Outcome.GONE
    assert store.get("k") is None
    assert raw(documents, "k") == before

    assert store.add("k", b"new", 60)
    assert not store.add("k", b"newer", 60)
    assert store.replace("k", b"back", 60, VERSION) is Outcome.CONFLICT
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"new"
    assert set(documents.find_one()) == {"_id", *OURS}


def test_foreign_keys_are_not_named(store: MongoDBStore, documents: Collection[Any]) -> None:
    """A name that is no text of ours does not break the list of keys, and neither does what has no name."""
    no_text = RawBSONDocument(encode({"_id": "session:r.x"}).replace(b"x", b"\xff"))
    named = [{"_id": name} for name in (ObjectId(), 5, "session:é", "session:r.é", {"a": "session:r.1"})]
    documents.insert_many([no_text, *named])
    store.add("session:r.1", b"value", 60)

    assert list(store.keys("session:")) == ["session:r.1"]


def test_keys_in_pages(store: MongoDBStore, documents: Collection[Any]) -> None:
    """Every key is named once, however many answers they fill."""
    documents.insert_many([{"_id": f"k{number:05}"} | OURS for number in range(5000)])

    assert list(store.keys("k")) == [f"k{number:05}" for number in range(5000)]


@pytest.mark.parametrize("size", [LIMIT + 1, 17_000_000])
def test_value_over_the_limit(store: MongoDBStore, size: int) -> None:
    """A value that no document has room for is refused with both numbers, and the old one stands."""
    refuse_a_value_over_the_limit(store, size, LIMIT)


def test_limit_leaves_room_for_the_rest_of_the_document(store: MongoDBStore) -> None:
    """The largest value fits under the longest key, with the latest end."""
    assert store.add("k" * 128, bytes(LIMIT), 400 * 86400)
    stored = store.get("k" * 128)
    assert stored is not None
    assert store.replace("k" * 128, bytes(LIMIT), 400 * 86400, stored.version) is Outcome.DONE


@pytest.mark.parametrize(
    ("database", "collection"),
    [
        ("mongo的db名称(数据库名称)", "mongo的collect名称(表名称)"),
        ("(мои)сессии", "сессии (все)"),
        ("n" * 63, "n" * 63),
        ("one-two", "one.two"),
    ],
)
def test_names_of_every_kind(client: MongoClient[Any], database: str, collection: str) -> None:
    """A database and a collection may have any name that MongoDB takes."""
    settings = {"SESSION_MONGODB": client, "SESSION_MONGODB_DB": database, "SESSION_MONGODB_COLLECT": collection}
    store = build("mongodb", Options(None, 20, settings))

    assert store.add("session:r.1", b"value", 60)
    stored = store.get("session:r.1")
    assert stored is not None
    assert store.replace("session:r.1", b"new", 60, stored.version) is Outcome.DONE

    assert [document["_id"] for document in client[database][collection].find()] == ["session:r.1"]


# An answer that was lost


def test_command_sent_twice(store: MongoDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again because the answer was lost hears what became of it the first time."""
    once: Any = Collection.replace_one

    def twice(*arguments: Any, **options: Any) -> Any:
        with suppress(DuplicateKeyError):
            once(*arguments, **options)
        return once(*arguments, **options)

    monkeypatch.setattr(Collection, "replace_one", twice)

    assert store.add("k", b"1", 60)
    assert not store.add("k", b"other", 60)
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"1"
    assert store.replace("k", b"2", 60, stored.version) is Outcome.DONE
    assert store.replace("k", b"3", 60, stored.version) is Outcome.CONFLICT
    store.delete("k")
    assert store.replace("k", b"3", 60, stored.version) is Outcome.GONE


def test_what_was_answered_outlives_a_crash(own_server: MongoDB) -> None:
    """A mongod that is killed has kept every write that it answered."""
    store = MongoDBStore(own_server.url, timeout=20)
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None
    store.add("deleted", b"value", 60)

    assert store.replace("k", b"new", 60, stored.version) is Outcome.DONE
    store.delete("deleted")
    own_server.stop()
    own_server.start()

    with suppress(StoreError):
        store.get("k")
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"new"
    assert store.get("deleted") is None


# The index


def test_mongodb_removes_what_is_expired(untested: Callable[[str], NoReturn]) -> None:
    """What is expired goes by itself, what was replaced in between at its later end, and what lives stays."""
    with ExpiringMongoDB.running(untested) as server, server.client() as client:
        store, documents = MongoDBStore(server.url), client["flask_session"]["sessions"]
        store.add("live", b"value", 600)
        store.add("renewed", b"value", 1)
        stored = store.get("renewed")
        assert stored is not None
        store.replace("renewed", b"value", 600, stored.version)
        store.add("expired", b"value", 1)
        documents.insert_one({"id": "session:abc", "val": b"\x80", "expiration": DatetimeMS(1)})
        end = time.monotonic() + 20

        while documents.count_documents({}) > 2:
            assert time.monotonic() < end, "nothing is removed"
            time.sleep(0.1)

        assert list(store.keys("")) == ["live", "renewed"]


def test_in_the_collection_of_flask_session(store: MongoDBStore, documents: Collection[Any]) -> None:
    """flask-session's documents are not named, none of them changes, and both have the one index."""
    documents.create_index("expiration", expireAfterSeconds=0)
    theirs = {"id": "session:abc", "val": b"\x80", "expiration": DatetimeMS(1)}
    documents.insert_one(theirs)
    before = documents.index_information()

    assert store.add("session:abc", b"value", 60)

    assert list(store.keys("session:")) == ["session:abc"]
    assert documents.index_information() == before
    store.delete("session:abc")
    assert documents.find_one({}, {"_id": False})["id"] == "session:abc"


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ("expiration", {}),
        ("expiration", {"expireAfterSeconds": 3600}),
        ("expiration", {"expireAfterSeconds": 0, "name": "theirs"}),
        ("expiration", {"expireAfterSeconds": 0, "sparse": True}),
        ([("id", 1)], {"name": "expiration_1"}),
    ],
)
def test_index_of_somebody_else(
    store: MongoDBStore, documents: Collection[Any], keys: Any, options: dict[str, Any]
) -> None:
    """An index that is in the way of ours is left as it is."""
    documents.create_index(keys, **options)
    before = documents.index_information()

    assert store.add("k", b"value", 60)
    assert store.add("another", b"value", 60)

    assert before.items() <= documents.index_information().items()


def test_index_that_refuses(store: MongoDBStore, documents: Collection[Any]) -> None:
    """A value that an index of somebody else refuses is an outage. It is not taken for a key that is in use."""
    documents.create_index("id", unique=True)
    store.add("k", b"value", 60)

    with pytest.raises(StoreError) as caught:
        store.add("another", b"value", 60)

    assert "id_1" in str(caught.value.__cause__)
    assert not store.add("k", b"value", 60)
    documents.drop_index("id_1")
    documents.create_index("id", unique=True, sparse=True)
    assert store.add("another", b"value", 60)


def test_eight_processes_begin_at_once(shared_server: MongoDB, documents: Collection[Any]) -> None:
    """Any number of processes make database, collection and index at the same moment."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(8), context.Queue()
    arguments = [(shared_server.url, f"k{number}", barrier, answers) for number in range(8)]
    processes = [context.Process(target=begin, args=each) for each in arguments]
    for process in processes:
        process.start()
    results = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)

    assert results == [None] * 8
    assert documents.count_documents({}) == 9
    assert documents.index_information()["expiration_1"]["expireAfterSeconds"] == 0


def begin(url: str, key: str, barrier: Any, answers: Any) -> None:
    """A worker's first request."""
    try:
        store = MongoDBStore(url, timeout=20)
        barrier.wait(60)
        assert store.add(key, b"value", 60)
        store.add("one for all", b"value", 60)
        answers.put(None)
    except BaseException as error:
        answers.put(repr(error))


def test_index_is_left_to_others(client: MongoClient[Any], documents: Collection[Any]) -> None:
    """With `SESSION_CREATE_TABLES = False` the store makes none."""
    store = build("mongodb", Options(None, 2, {"SESSION_MONGODB": client, "SESSION_CREATE_TABLES": False}))

    assert store.add("k", b"value", 60)

    assert list(documents.index_information()) == ["_id_"]


# Rights, passwords and TLS


@pytest.fixture(scope="module")
def locked_server(untested: Callable[[str], NoReturn]) -> Iterator[MongoDBWithPassword]:
    """A mongod that asks for a password."""
    with MongoDBWithPassword.running(untested) as server:
        yield server


RIGHTS = ("find", "insert", "update", "remove", "createIndex")


@pytest.mark.parametrize("missing", [*RIGHTS, None])
def test_rights(locked_server: MongoDBWithPassword, missing: str | None) -> None:
    """A user needs five rights on the collection; without one, what needs it is an outage whose cause names it."""
    locked_server.empty()
    actions = [right for right in RIGHTS if right != missing]
    with locked_server.client() as root:
        database = root["shop"]
        for name in ("dropAllUsersFromDatabase", "dropAllRolesFromDatabase"):
            database.command(name)
        privilege = {"resource": {"db": "shop", "collection": "sessions"}, "actions": actions}
        database.command("createRole", "sessions", privileges=[privilege], roles=[])
        database.command("createUser", "ours", pwd="staple", roles=["sessions"])
    url = f"mongodb://ours:staple@127.0.0.1:{locked_server.port}/shop"
    store = MongoDBStore(url)

    refused = {name: cause for name, verb in VERBS.items() if (cause := cause_of(store, verb))}

    assert (
        set(refused)
        == {
            "find": {"get", "replace", "keys"},
            "insert": {"add"},
            "update": {"add", "replace"},
            "remove": {"delete"},
            "createIndex": {"add"},
            None: set(),
        }[missing]
    )
    assert all(isinstance(cause, OperationFailure) and cause.code == 13 for cause in refused.values())


def cause_of(store: MongoDBStore, verb: Callable[[MongoDBStore], Any]) -> BaseException | None:
    """What broke a verb, if something did."""
    try:
        verb(store)
    except StoreError as error:
        return error.__cause__
    return None


def test_wrong_password(locked_server: MongoDBWithPassword) -> None:
    """A password that is refused is an outage, and stands in no text."""
    store = MongoDBStore(f"mongodb://root:wrong-horse@127.0.0.1:{locked_server.port}", timeout=1)

    for verb in VERBS.values():
        with pytest.raises(StoreError) as caught:
            verb(store)
        assert isinstance(caught.value.__cause__, PyMongoError)
        assert "wrong-horse" not in "".join(traceback.format_exception(caught.value))


def test_tls(untested: Callable[[str], NoReturn]) -> None:
    """A URL may ask for TLS, with an authority of one's own."""
    with MongoDBWithTLS.running(untested) as server:
        assert MongoDBStore(server.url, timeout=20).add("k", b"value", 60)
        with pytest.raises(StoreError):
            MongoDBStore(f"mongodb://127.0.0.1:{server.port}/?tls=true", timeout=1).get("k")


def test_errors_quote_nothing(own_server: MongoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an outage leaves in a log holds neither key nor value, not even when it comes after a refusal."""
    store = MongoDBStore(own_server.url, timeout=1)
    store.add("session:name", b"some value", 60)
    added = store._is_added

    def then_away(*arguments: Any) -> bool:
        refused = added(*arguments)
        own_server.stop()
        return refused

    monkeypatch.setattr(store, "_is_added", then_away)

    with pytest.raises(StoreError) as caught:
        store.add("session:name", b"some value", 60)

    assert isinstance(caught.value.__cause__, PyMongoError)
    text = "".join(traceback.format_exception(caught.value))
    assert "session:name" not in text.replace('store.add("session:name"', "")
    assert "some value" not in text.replace('b"some value"', "")


# A replica set


@pytest.fixture
def replica_set(untested: Callable[[str], NoReturn]) -> Iterator[MongoDBReplicaSet]:
    """Three that are one, to do harm to."""
    with MongoDBReplicaSet.running(untested) as server:
        yield server


def test_write_waits_for_a_majority(replica_set: MongoDBReplicaSet) -> None:
    """A write that no majority takes is StoreError in time, also by a client that would wait for ever."""
    primary = replica_set.primary()
    with replica_set.client(timeoutMS=None, serverSelectionTimeoutMS=3000, w=1, readPreference="secondary") as own:
        patient, store = MongoDBStore(own, timeout=0.5), MongoDBStore(replica_set.url, timeout=0.5)
        assert MongoDBStore(own, timeout=20).add("k", b"value", 60)
        stored = patient.get("k")
        assert stored is not None
        for node in replica_set.nodes:
            if node is not primary:
                node.freeze()

        for each in (patient, store):
            start = time.monotonic()
            with pytest.raises(StoreError):
                each.replace("k", b"new", 60, stored.version)
            assert time.monotonic() - start < 8

        for node in replica_set.nodes:
            if node is not primary:
                node.thaw()


def test_primary_that_is_lost(replica_set: MongoDBReplicaSet) -> None:
    """Another takes its place, and knows every write that was answered, a logout among them."""
    store = MongoDBStore(replica_set.url, timeout=2)
    for number in range(50):
        assert store.add(f"k{number}", b"old", 60)
    versions = [found.version for number in range(50) if (found := store.get(f"k{number}"))]
    primary = replica_set.primary()

    done = []
    for number, version in enumerate(versions):
        if number == 25:
            primary.stop()
        with suppress(StoreError):
            if store.replace(f"k{number}", b"ended", 60, version) is Outcome.DONE:
                done.append(number)

    end = time.monotonic() + 60
    while True:
        with suppress(StoreError):
            if store.add("after", b"value", 60) or store.get("after"):
                break
        assert time.monotonic() < end, "no other takes its place"
    assert len(done) >= 25
    for number in done:
        stored = store.get(f"k{number}")
        assert stored is not None
        assert stored.value == b"ended"


# Connections


def test_connects_when_it_is_used() -> None:
    """Nothing is connected to before the first session is read, and then for as long as is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        store = build("mongodb", Options(f"mongodb://127.0.0.1:{server.getsockname()[1]}", 0.3, {}))
        with pytest.raises(BlockingIOError):
            server.accept()

        start = time.monotonic()
        with pytest.raises(StoreError):
            store.get("k")

        assert time.monotonic() - start < 5
        server.accept()[0].close()


def test_client_of_our_own(shared_server: MongoDB) -> None:
    """A client that we make waits as long as it is told to and asks once, whatever the URL says."""
    asked = "timeoutMS=90000&connectTimeoutMS=90000&retryWrites=true&retryReads=true"
    store = MongoDBStore(f"{shared_server.url}/?{asked}", timeout=3.5)

    options = client_of(store).options

    assert options.timeout == 3.5
    assert options.pool_options.connect_timeout == 3.5
    assert not options.retry_reads
    assert not options.retry_writes


def test_client_of_our_own_ends_with_its_store(shared_server: MongoDB) -> None:
    """A store that nobody has any more leaves no connection and no thread; a client of the application goes on."""
    store = MongoDBStore(shared_server.url, timeout=20)
    store.get("k")
    client = client_of(store)
    with shared_server.client() as given:
        MongoDBStore(given).get("k")

        del store
        gc.collect()

        with pytest.raises(InvalidOperation):
            client.admin.command("ping")
        given.admin.command("ping")


def test_store_that_is_forgotten_in_the_midst_of_a_call(shared_server: MongoDB) -> None:
    """Its client is closed even where garbage is collected in a call that is just being given its time limit."""
    store = MongoDBStore(shared_server.url, timeout=20)
    store.get("k")
    client = client_of(store)

    half_way = _csot.TIMEOUT.set(1.0)  # and the deadline is yet to be set
    try:
        del store
        gc.collect()
    finally:
        _csot.TIMEOUT.reset(half_way)

    with pytest.raises(InvalidOperation):
        client.admin.command("ping")


def test_child_has_a_client_of_its_own(store: MongoDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child does first needs nothing that its parent has, without a warning, and the parent goes on."""
    assert store in stores._inheriting
    assert store.add("k", b"value", 60)
    parents = client_of(store)
    context = multiprocessing.get_context("fork")

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert store.get("k") is not None
            assert client_of(store) is not parents
            gc.collect()

    child = context.Process(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child.start()
    child.join(20)

    assert child.exitcode == 0
    assert client_of(store) is parents
    assert store.get("k") is not None
    monkeypatch.setattr(stores, "_inheriting", {store})
    stores._forget_inherited()
    assert store.get("k") is not None
    assert client_of(store) is not parents
    parents.close()


def test_servers_that_dns_names(
    shared_server: MongoDB, documents: Collection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `mongodb+srv` nobody is asked before the first session is read, and an answer that fails is an outage."""
    questions: list[str] = []
    known: list[bool] = []

    def resolve(name: Any, kind: Any, **_: Any) -> Any:
        questions.append(str(kind))
        if kind != "SRV" or not known:
            raise resolver.NoAnswer if known else resolver.NXDOMAIN
        host = SimpleNamespace(to_text=lambda **_: "one.cluster.example")
        return [SimpleNamespace(target=host, port=shared_server.port, priority=0, weight=0)]

    found = socket.getaddrinfo
    monkeypatch.setattr(resolver, "resolve", resolve)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: found("127.0.0.1", *rest, **more))
    url = "mongodb+srv://all.cluster.example/shop?tls=false&w=0"
    store = build("mongodb", Options(url, 20, {"SESSION_MONGODB_COLLECT": "doors"}))
    assert not questions
    with pytest.raises(StoreError):
        store.get("k")

    known.append(True)

    assert store.add("k", b"value", 60)
    assert documents.database.client["shop"]["doors"].count_documents({}) == 1


# Settings


def test_built_without_anything() -> None:
    """Without a URL or a client it is the MongoDB of this machine, as with flask-session, and not connected to yet."""
    store = build("mongodb", Options(None, 2, {}))

    assert isinstance(store, MongoDBStore)
    assert client_of(store)._topology_settings.seeds == {("localhost", 27017)}
    assert store._sessions().full_name == "flask_session.sessions"


@pytest.mark.parametrize(
    ("path", "settings", "name"),
    [
        ("", {}, "flask_session.sessions"),
        ("/", {"SESSION_MONGODB_COLLECT": ""}, "flask_session.sessions"),
        ("/shop", {}, "shop.sessions"),
        ("/shop?w=0", {"SESSION_MONGODB_DB": "bar", "SESSION_MONGODB_COLLECT": "doors"}, "shop.doors"),
        ("", {"SESSION_MONGODB_DB": "bar", "SESSION_CREATE_TABLES": None}, "bar.sessions"),
    ],
)
def test_names_in_a_url(path: str, settings: dict[str, Any], name: str) -> None:
    """The database is the URL's, else the setting's, else flask-session's."""
    given = {"SESSION_MONGODB": "something else"} | settings
    store = build("mongodb", Options(f"mongodb://localhost{path}", 2, given))

    assert isinstance(store, MongoDBStore)
    assert store._sessions().full_name == name


def test_flask_pymongo(client: MongoClient[Any], documents: Collection[Any]) -> None:
    """An object of Flask-PyMongo's has a client."""
    store = build("mongodb", Options(None, 2, {"SESSION_MONGODB": SimpleNamespace(cx=client, db=client["shop"])}))

    assert store.add("k", b"value", 60)

    assert documents.count_documents({}) == 1


@pytest.mark.parametrize(
    ("url", "settings", "fault"),
    [
        ("mongodb://", {}, "URL"),
        ("mongodb://localhost:port", {}, "URL"),
        ("mongodb://one,two/?directConnection=true", {}, "options"),
        ("mongodb://user:correct/horse@localhost", {}, "escape"),
        ("mongodb://user:correct@horse@localhost", {}, "escape"),
        (None, {"SESSION_MONGODB": "mongodb://localhost"}, "SESSION_MONGODB "),
        (None, {"SESSION_MONGODB": pymongo}, "SESSION_MONGODB "),
        (None, {"SESSION_MONGODB": SimpleNamespace(cx=None)}, "SESSION_MONGODB "),
        (None, {"SESSION_MONGODB_DB": 5}, "SESSION_MONGODB_DB"),
        (None, {"SESSION_MONGODB_DB": "n" * 64}, "SESSION_MONGODB_DB"),
        (None, {"SESSION_MONGODB_DB": "名" * 22}, "SESSION_MONGODB_DB"),
        (None, {"SESSION_MONGODB_DB": "one.two"}, "name"),
        (None, {"SESSION_MONGODB_COLLECT": b"sessions"}, "SESSION_MONGODB_COLLECT"),
        (None, {"SESSION_MONGODB_COLLECT": "one$"}, "name"),
    ],
)
def test_refused_settings(url: str | None, settings: dict[str, Any], fault: str) -> None:
    """What cannot work is refused at the start, by name, and without the password."""
    with pytest.raises(ValueError, match=fault) as caught:
        build("mongodb", Options(url, 2, settings))

    assert not any(part in str(caught.value) for part in ("correct", "horse"))


def client_of(store: Any) -> Any:
    return store._sessions().database.client


def raw(documents: Collection[Any], key: str) -> bytes:
    """Every byte of a document."""
    options: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
    found = documents.with_options(codec_options=options).find_one({"_id": key})
    assert found is not None
    return bytes(found.raw)
