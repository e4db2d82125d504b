"""The DynamoDB store on an emulator: what a table may hold, who else uses it, and what boto3 does on its own."""

from __future__ import annotations

import multiprocessing
import socket
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, NoReturn

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, NoCredentialsError, ReadTimeoutError

from hardsession import stores
from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, Version, build
from hardsession.stores.dynamodb import DynamoDBStore
from hardsession.testing import OutageContract, StoreContract
from tests.servers.dynamodb import ACCESS, DynamoDB

from .clock import MovedClock
from .common import VERBS, VERSION, add_in_eight_processes, refuse_a_value_over_the_limit

KEY = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
TEXT_KEY: dict[str, Any] = KEY | {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}


@pytest.fixture(scope="module")
def shared_server(server: Callable[[type[DynamoDB]], DynamoDB]) -> DynamoDB:
    """An emulator for all tests that do it no harm."""
    return server(DynamoDB)


@pytest.fixture
def own_server(untested: Callable[[str], NoReturn]) -> Iterator[DynamoDB]:
    """An emulator to do harm to."""
    with DynamoDB.running(untested) as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Settings of boto3 in which this machine has no part."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def settle(environment: pytest.MonkeyPatch, url: str) -> None:
    """Have boto3 find a region, credentials, and this server."""
    environment.setenv("AWS_DEFAULT_REGION", ACCESS["region_name"])
    environment.setenv("AWS_ACCESS_KEY_ID", ACCESS["aws_access_key_id"])
    environment.setenv("AWS_SECRET_ACCESS_KEY", ACCESS["aws_secret_access_key"])
    environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)


@pytest.fixture
def client(shared_server: DynamoDB) -> Any:
    """A client of an emulator without tables."""
    shared_server.empty()
    return shared_server.client()


@pytest.fixture
def store(client: Any) -> DynamoDBStore:
    """A store on that client, which has its table."""
    store = DynamoDBStore(client)
    store.get("k")
    return store


class TestDynamoDBStore(MovedClock, StoreContract):
    limit = 404_000  # the emulator's; DynamoDB's is a little higher

    @pytest.fixture
    def store(self, shared_server: DynamoDB, environment: pytest.MonkeyPatch) -> DynamoDBStore:
        settle(environment, shared_server.url)
        shared_server.empty()
        self.client = shared_server.client()
        store = DynamoDBStore(timeout=20)  # 20 threads, on a busy machine
        store.get("k")  # makes the table, which takes as long as what the contract stores briefly may live
        return store

    def plant(self, store: Store, key: str) -> None:
        self.client.put_item(TableName="Sessions", Item={"id": {"S": key}, "val": {"B": b"a session of flask-session"}})


class TestDynamoDBStoreInOutage(OutageContract):
    @pytest.fixture
    def server(self, own_server: DynamoDB) -> DynamoDB:
        return own_server

    @pytest.fixture
    def store(self, server: DynamoDB, environment: pytest.MonkeyPatch) -> DynamoDBStore:
        settle(environment, server.url)
        return DynamoDBStore(timeout=1)


GIVEN: dict[str, Callable[[DynamoDB], Any]] = {
    "client": lambda server: server.client(),
    "client with retries": lambda server: server.client(retries={"max_attempts": 3, "mode": "standard"}),
    "resource": lambda server: server.resource(),
    "client of a resource": lambda server: server.resource().meta.client,
    "table": lambda server: server.resource().Table("Articles"),
}


@pytest.mark.parametrize(
    ("given", "clause"),
    [
        *product(
            ["client", "resource"],
            [
                StoreContract.test_bytes_come_back_exactly,
                StoreContract.test_stale_version_is_a_conflict,
                StoreContract.test_keys_are_named_by_prefix,
                StoreContract.test_no_step_of_a_counter_is_lost,
                StoreContract.test_works_on_both_sides_of_a_fork,
            ],
        ),
        *product(
            ["client with retries", "client of a resource", "table"],
            [StoreContract.test_stale_version_is_a_conflict, StoreContract.test_delete_makes_free],
        ),
    ],
)
def test_client_of_the_application(
    shared_server: DynamoDB, client: Any, given: str, clause: Callable[..., None]
) -> None:
    """A client or a resource of the application, which takes other types, does as well."""
    clause(StoreContract(), build("dynamodb", Options(None, 2, {"SESSION_DYNAMODB": GIVEN[given](shared_server)})))


# What stands in the table


OURS: dict[str, Any] = {
    "content": {"B": b"value"},
    "version": {"B": VERSION},
    "expiration": {"N": str(2**40)},
}
EXPIRED: dict[str, Any] = OURS | {"expiration": {"N": "1"}}
FOREIGN: dict[str, dict[str, Any]] = {
    "flask-session's": {"val": {"B": b"\x80"}, "expiration": {"N": str(2**40)}},
    "flask-session's, expired": {"val": {"B": b"\x80"}, "expiration": {"N": "1"}},
    "key alone": {},
    "text": OURS | {"content": {"S": "value"}},
    "number": OURS | {"content": {"N": "1"}},
    "no content": {name: value for name, value in OURS.items() if name != "content"},
    "version that is text": OURS | {"version": {"S": "v" * 16}},
    "short version": OURS | {"version": {"B": b"v"}},
    "long version": OURS | {"version": {"B": VERSION + b"v"}},
    "no expiry": {name: value for name, value in OURS.items() if name != "expiration"},
    "null": OURS | {"expiration": {"NULL": True}},
    "list": OURS | {"content": {"L": [{"M": {"a": {"SS": ["b"]}}}]}},
    "text, expired": EXPIRED | {"content": {"S": "value"}},
    "version that is text, expired": EXPIRED | {"version": {"S": "v" * 16}},
    "short version, expired": EXPIRED | {"version": {"B": b"v"}},
    "long version, expired": EXPIRED | {"version": {"B": VERSION + b"v"}},
}


@pytest.mark.parametrize("given", ["client", "resource"])
@pytest.mark.parametrize("item", FOREIGN.values(), ids=FOREIGN)
def test_foreign_item(shared_server: DynamoDB, client: Any, item: dict[str, Any], given: str) -> None:
    """An item of another shape is no session and no outage, and stays as it is, expired or not."""
    store = DynamoDBStore(GIVEN[given](shared_server))
    store.add("k", b"value", 60)
    key = {"id": {"S": "foreign"}}
    client.put_item(TableName="Sessions", Item=key | item)

    assert store.get("foreign") is None
    assert not store.add("foreign", b"mine", 60)
    assert store.replace("foreign", b"mine", 60, Version(b"w" * 16)) is Outcome.GONE

    assert client.get_item(TableName="Sessions", Key=key)["Item"] == key | item
    store.delete("foreign")
    assert store.add("foreign", b"mine", 60)


def test_expired_item_that_is_still_there(store: DynamoDBStore, client: Any) -> None:
    """DynamoDB goes on serving what is expired: it is None, GONE even under its own version, not changed, and free."""
    client.put_item(TableName="Sessions", Item={"id": {"S": "k"}} | EXPIRED)

    assert store.get("k") is None
    assert store.replace("k", b"back", 60, VERSION) is Outcome.GONE
    assert store.replace("k", b"back", 60, Version(b"w" * 16)) is Outcome.GONE
    assert store.get("k") is None
    assert item(client) == EXPIRED

    assert store.add("k", b"new", 60)
    assert store.replace("k", b"back", 60, VERSION) is Outcome.CONFLICT
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"new"


def test_expiry_is_what_dynamodb_looks_at(store: DynamoDBStore, client: Any) -> None:
    """The time to live is on for the attribute that holds the end in seconds, after `add` and after `replace`."""
    time_to_live = client.describe_time_to_live(TableName="Sessions")["TimeToLiveDescription"]
    assert time_to_live == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiration"}
    store.add("k", b"value", 60)
    assert -2 <= int(item(client)["expiration"]["N"]) - time.time() - 60 <= 2

    stored = store.get("k")
    assert stored is not None
    store.replace("k", b"value", 1000, stored.version)

    assert -2 <= int(item(client)["expiration"]["N"]) - time.time() - 1000 <= 2


def test_in_the_table_of_flask_session(client: Any) -> None:
    """flask-session's table does as it is, its sessions are not named, and none of them changes."""
    client.create_table(
        TableName="Sessions",
        KeySchema=TEXT_KEY["KeySchema"],
        AttributeDefinitions=TEXT_KEY["AttributeDefinitions"],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )
    client.update_time_to_live(
        TableName="Sessions", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expiration"}
    )
    theirs = {"id": {"S": "session:abc"}, "val": {"B": b"\x80"}, "expiration": {"N": "1"}}
    client.put_item(TableName="Sessions", Item=theirs)
    before = client.describe_table(TableName="Sessions")["Table"]
    store = DynamoDBStore(client)

    assert store.add("session:r.1", b"value", 60)

    assert list(store.keys("session:")) == ["session:r.1"]
    assert client.get_item(TableName="Sessions", Key={"id": {"S": "session:abc"}})["Item"] == theirs
    after = client.describe_table(TableName="Sessions")["Table"]
    assert after == before | {"ItemCount": 2, "TableSizeBytes": after["TableSizeBytes"]}


@pytest.mark.parametrize("given", ["client", "resource"])
def test_keys_in_pages(shared_server: DynamoDB, client: Any, given: str) -> None:
    """Every key is named once, however many pages they fill."""
    given_client = GIVEN[given](shared_server)
    store = DynamoDBStore(given_client)
    names = [f"k{number}" for number in range(7)]
    for name in names:
        store.add(name, b"value", 60)
    pages = Counted(given_client, "Scan")
    getattr(given_client.meta, "client", given_client).meta.events.register(
        "provide-client-params.dynamodb.Scan", lambda params, **_: params | {"Limit": 2}
    )

    assert sorted(store.keys("k")) == names

    assert len(pages.operations) == 4


@pytest.mark.parametrize("size", [409_345, 5_000_000])
def test_value_over_the_limit(store: DynamoDBStore, size: int) -> None:
    """A value that no item has room for is refused with both numbers, and the old one stands."""
    refuse_a_value_over_the_limit(store, size, 409_344)


def test_limit_leaves_room_for_the_rest_of_the_item(store: DynamoDBStore, client: Any) -> None:
    """With the longest key and the latest end, the largest value makes an item of 400 KB at most."""
    store.add("k" * 128, b"", 400 * 86400)
    [found] = client.scan(TableName="Sessions")["Items"]

    rest = sum(len(name) + len(*value.values()) for name, value in found.items())

    assert rest + 409_344 <= 400 * 1024


# Questions and answers


class Counted:
    """Notes every request that a client sends, or those of one kind, each time that it sends it."""

    def __init__(self, client: Any, operation: str = "") -> None:
        self.operations: list[str] = []
        name = f"before-send.dynamodb.{operation}".rstrip(".")
        getattr(client.meta, "client", client).meta.events.register(name, self._note)

    def _note(self, request: Any, **_: Any) -> None:
        self.operations.append(request.headers["X-Amz-Target"].decode().partition(".")[2])


def test_round_trips(store: DynamoDBStore, client: Any) -> None:
    """Every verb is one request, whatever comes of it; a process looks at its table once."""
    store.add("k", b"value", 60)
    stored = store.get("k")
    assert stored is not None
    sent = Counted(client)
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

    seen = {}
    for name, verb in verbs.items():
        sent.operations.clear()
        verb()
        seen[name] = list(sent.operations)

    assert seen == {
        "get": ["GetItem"],
        "add": ["PutItem"],
        "refused": ["PutItem"],
        "replace": ["PutItem"],
        "conflict": ["PutItem"],
        "gone": ["PutItem"],
        "delete": ["DeleteItem"],
        "keys": ["Scan"],
    }
    sent.operations.clear()
    DynamoDBStore(client).get("k")
    assert sent.operations == ["DescribeTable", "DescribeTimeToLive", "GetItem"]


def test_reads_are_strong(store: DynamoDBStore, client: Any) -> None:
    """Every read asks for what was last written."""
    asked: list[bool] = []
    client.meta.events.register(
        "provide-client-params.dynamodb", lambda params, **_: asked.append(params["ConsistentRead"])
    )

    store.get("k")
    list(store.keys(""))

    assert asked == [True, True]


@pytest.mark.parametrize("given", ["client", "resource"])
def test_request_sent_twice(shared_server: DynamoDB, client: Any, given: str) -> None:
    """When boto3 has lost an answer and asks again, it hears what became of it the first time."""
    store = DynamoDBStore(given := GIVEN[given](shared_server))
    store.get("k")
    sent = Counted(given, "PutItem")
    getattr(given.meta, "client", given).meta.events.register_first(
        "needs-retry.dynamodb", lambda attempts, **_: 0 if attempts == 1 else None
    )

    assert store.add("k", b"1", 60)
    assert sent.operations == ["PutItem"] * 2
    assert not store.add("k", b"other", 60)
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"1"
    assert store.replace("k", b"2", 60, stored.version) is Outcome.DONE
    assert store.replace("k", b"3", 60, stored.version) is Outcome.CONFLICT
    second = store.get("k")
    assert second is not None
    assert second.value == b"2"
    store.delete("k")
    assert store.replace("k", b"3", 60, stored.version) is Outcome.GONE


def answer(client: Any, operation: str, code: str, message: str = "No.", times: int = 10**6) -> None:
    """Have an operation refused, so many times."""
    refusals = iter(range(times))

    class Response:
        status_code = 400

    def refuse(**_: Any) -> Any:
        if next(refusals, None) is None:
            return None
        return Response, {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    client.meta.events.register(f"before-call.dynamodb.{operation}", refuse)


OPERATIONS = {"get": "GetItem", "add": "PutItem", "replace": "PutItem", "delete": "DeleteItem", "keys": "Scan"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "AccessDeniedException",
        "InternalServerError",
        "ExpiredTokenException",
    ],
)
def test_refused_request(store: DynamoDBStore, client: Any, verb: str, code: str) -> None:
    """What DynamoDB refuses or puts off is an outage; it is not taken for a session that is gone."""
    store.add("k", b"value", 60)
    answer(client, OPERATIONS[verb], code)

    with pytest.raises(StoreError) as caught:
        VERBS[verb](store)

    assert isinstance(caught.value.__cause__, ClientError)
    assert code in str(caught.value.__cause__)


def test_errors_quote_nothing(store: DynamoDBStore, client: Any) -> None:
    """What an outage leaves in a log holds neither key nor value."""
    client.delete_table(TableName="Sessions")
    client.create_table(
        TableName="Sessions",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    name, value = "session:" + "name", b"some " + b"value"

    for verb in (
        lambda: store.get(name),
        lambda: store.add(name, value, 60),
        lambda: store.replace(name, value, 60, VERSION),
        lambda: store.delete(name),
    ):
        with pytest.raises(StoreError) as caught:
            verb()

        text = "".join(traceback.format_exception(caught.value))
        assert "ValidationException" in text
        assert name not in text
        assert value.decode() not in text


# The table


def test_made_by_eight_processes_at_once(shared_server: DynamoDB, client: Any, environment: pytest.MonkeyPatch) -> None:
    """Workers that start together all get the table, and none an error."""
    settle(environment, shared_server.url)
    for _ in range(3):
        shared_server.empty()

        add_in_eight_processes(lambda: DynamoDBStore(timeout=20))

        assert client.scan(TableName="Sessions")["Count"] == 8
        assert client.describe_time_to_live(TableName="Sessions")["TimeToLiveDescription"]["AttributeName"]


def slowly(client: Any, looks: int) -> None:
    """Have a table take a while until it can be used, as DynamoDB's do and the emulator's do not."""
    left = iter(range(looks))

    def creating(parsed: dict[str, Any], **_: Any) -> None:
        if table := parsed.get("Table" if "Table" in parsed else "TableDescription"):
            table["TableStatus"] = "ACTIVE" if next(left, None) is None else "CREATING"

    client.meta.events.register("after-call.dynamodb.DescribeTable", creating)
    client.meta.events.register("after-call.dynamodb.CreateTable", creating)


@pytest.mark.parametrize("looks", [1, 5])
def test_table_that_takes_a_while(client: Any, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """Who makes a table waits until it can be used."""
    slowly(client, looks)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    assert DynamoDBStore(client).add("k", b"value", 60)

    assert waits == [1] * looks


def test_table_that_takes_too_long(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever; who comes later goes on waiting."""
    slowly(client, 25)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    store = DynamoDBStore(client)

    with pytest.raises(StoreError, match=r"Sessions.* 20 seconds"):
        store.add("k", b"value", 60)

    assert sum(waits) == 20
    assert store.add("k", b"value", 60)
    assert sum(waits) == 25


def test_made_by_others_between_look_and_request(
    shared_server: DynamoDB, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds that somebody else has just made the table goes on with that."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    other = DynamoDBStore(shared_server.client())
    client.meta.events.register("before-call.dynamodb.CreateTable", lambda **_: other.add("k", b"theirs", 60) and None)

    assert not DynamoDBStore(client).add("k", b"ours", 60)

    assert waits == [1]


def test_expiry_switched_on_by_others_meanwhile(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is refused, since somebody else has just switched the time to live on, goes on with that."""
    client.create_table(TableName="Sessions", **TEXT_KEY)

    class Response:
        status_code = 400

    def overtaken(**_: Any) -> Any:
        client.meta.events.unregister("before-call.dynamodb.UpdateTimeToLive", overtaken)
        client.update_time_to_live(
            TableName="Sessions", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expiration"}
        )
        return Response, {"Error": {"Code": "ValidationException", "Message": "TimeToLive is already enabled"}}

    client.meta.events.register("before-call.dynamodb.UpdateTimeToLive", overtaken)

    assert DynamoDBStore(client).add("k", b"value", 60)


def test_expiry_of_a_worker_that_died(client: Any) -> None:
    """A process that died between the table and its time to live leaves that to the next one."""
    client.create_table(TableName="Sessions", **TEXT_KEY)

    DynamoDBStore(client).get("k")

    assert client.describe_time_to_live(TableName="Sessions")["TimeToLiveDescription"]["AttributeName"] == "expiration"


def test_expiry_that_cannot_be_switched_on(client: Any) -> None:
    """A table whose time to live looks at something else would grow for ever, and is refused."""
    client.create_table(TableName="Sessions", **TEXT_KEY)
    client.update_time_to_live(
        TableName="Sessions", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
    )
    answer(client, "UpdateTimeToLive", "ValidationException", "TimeToLive is active on a different AttributeName")

    with pytest.raises(StoreError) as caught:
        DynamoDBStore(client).get("k")

    assert "different AttributeName" in str(caught.value.__cause__)
    assert DynamoDBStore(client, create=False).add("k", b"value", 60)


def test_table_that_went_away(store: DynamoDBStore, client: Any) -> None:
    """A table that somebody deleted is made again; a store that may not make one says so."""
    store.add("k", b"value", 60)
    client.delete_table(TableName="Sessions")
    with pytest.raises(StoreError) as caught:
        DynamoDBStore(client, create=False).get("k")
    assert "ResourceNotFoundException" in str(caught.value.__cause__)

    assert store.get("k") is None
    assert store.add("k", b"value", 60)


def test_table_that_is_being_deleted(store: DynamoDBStore, client: Any) -> None:
    """While a table goes away there is no room for another, and nobody tries for ever."""
    answer(client, "GetItem", "ResourceNotFoundException")

    with pytest.raises(StoreError):
        store.get("k")


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"name": "HASH"}, {"name": "S"}),
        ({"id": "HASH"}, {"id": "N"}),
        ({"id": "HASH", "when": "RANGE"}, {"id": "S", "when": "N"}),
    ],
)
def test_table_with_another_key(client: Any, schema: dict[str, str], types: dict[str, str]) -> None:
    """A table whose key cannot be ours is refused, and says why; it stays as it is."""
    client.create_table(
        TableName="Sessions",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in schema.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    store = DynamoDBStore(client)

    for verb in VERBS.values():
        with pytest.raises(StoreError, match=r"Sessions.*`id`"):
            verb(store)

    assert client.describe_time_to_live(TableName="Sessions")["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"


def test_table_with_an_index(client: Any) -> None:
    """What a table has besides its key is nobody's business."""
    client.create_table(
        TableName="Sessions",
        KeySchema=TEXT_KEY["KeySchema"],
        AttributeDefinitions=[*TEXT_KEY["AttributeDefinitions"], {"AttributeName": "owner", "AttributeType": "S"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "owners",
                "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )

    assert DynamoDBStore(client).add("k", b"value", 60)


def test_left_to_others(client: Any) -> None:
    """With `create=False` the store neither looks at its table nor changes it, and needs no right to."""
    client.create_table(TableName="Sessions", **TEXT_KEY)
    sent = Counted(client)
    store = build("dynamodb", Options(None, 2, {"SESSION_DYNAMODB": client, "SESSION_CREATE_TABLES": False}))

    assert store.add("k", b"value", 60)

    assert sent.operations == ["PutItem"]


@pytest.mark.parametrize("operation", ["DescribeTable", "CreateTable", "DescribeTimeToLive", "UpdateTimeToLive"])
def test_right_that_is_missing(client: Any, operation: str) -> None:
    """Who may not look at the table or make it is told which right is missing."""
    answer(client, operation, "AccessDeniedException", times=1)
    store = DynamoDBStore(client)

    with pytest.raises(StoreError) as caught:
        store.add("k", b"value", 60)

    assert operation in str(caught.value.__cause__)
    assert store.add("k", b"value", 60)


# Connections


class Stub(BaseHTTPRequestHandler):
    """Keeps its connections, as DynamoDB does and the emulator does not, and answers everybody the same."""

    protocol_version = "HTTP/1.1"
    body: ClassVar[bytes] = b"{}"
    status: ClassVar[int] = 200
    connections: ClassVar[list[Any]] = []

    def setup(self) -> None:
        self.connections.append(self.client_address)
        super().setup()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[tuple[str, type[Stub]]]:
    """A server that answers `{}` unless it is told otherwise."""

    class Own(Stub):
        connections: ClassVar[list[Any]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Own
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("given", ["nothing", "client", "resource"])
def test_child_leaves_the_parents_connections_alone(
    stub: tuple[str, type[Stub]], environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """What a child does first uses no connection that its parent has, and the parent's goes on."""
    url, server = stub
    settle(environment, url)
    client = {
        "nothing": lambda: None,
        "client": lambda: boto3.client("dynamodb"),
        "resource": lambda: boto3.resource("dynamodb"),
    }[given]()
    store = DynamoDBStore(client, create=False)
    assert store in stores._inheriting
    store.get("k")
    store.get("k")
    assert len(server.connections) == 1
    context = multiprocessing.get_context("fork")

    def work() -> None:
        assert store.get("k") is None

    child = context.Process(target=work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child.start()
    child.join(20)

    assert child.exitcode == 0
    assert len(server.connections) == 2
    store.get("k")
    assert len(server.connections) == 2
    monkeypatch.setattr(stores, "_inheriting", {store})
    stores._forget_inherited()
    store.get("k")
    assert len(server.connections) == 3


def test_silent_server_is_asked_once(environment: pytest.MonkeyPatch) -> None:
    """A request waits for a server that accepts and says nothing once, not as often as boto3 would try."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settle(environment, f"http://127.0.0.1:{server.getsockname()[1]}")
        environment.setenv("AWS_MAX_ATTEMPTS", "5")
        store = DynamoDBStore(timeout=0.1)

        with pytest.raises(StoreError) as caught:
            store.get("k")

        assert isinstance(caught.value.__cause__, ReadTimeoutError)
        server.accept()[0].close()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_server_that_hangs_up(environment: pytest.MonkeyPatch) -> None:
    """A server that closes instead of answering is an outage."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settle(environment, f"http://127.0.0.1:{server.getsockname()[1]}")
        Thread(target=lambda: server.accept()[0].close()).start()

        with pytest.raises(StoreError) as caught:
            DynamoDBStore(timeout=5).get("k")

        assert isinstance(caught.value.__cause__, ConnectionClosedError)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"[]"),
        (200, b"null"),
        (200, b"\xff\xfe{"),
        (200, b'{"Item": 5}'),
        (200, b'{"Item": {"content": {"B": "abc"}}}'),
        (200, b'{"Item": {"content": {"N": "1e999"}}}'),
        (200, b'{"Item": {"content": {"Q": "1"}}}'),
        (400, b'{"__type": 5}'),
        (500, b"<html>"),
        (503, b""),
    ],
)
@pytest.mark.parametrize("given", ["nothing", "resource"])
def test_answer_that_is_none(
    stub: tuple[str, type[Stub]], environment: pytest.MonkeyPatch, status: int, body: bytes, given: str
) -> None:
    """What boto3 stumbles over, in an answer that is not DynamoDB's, is an outage."""
    url, server = stub
    settle(environment, url)
    server.status, server.body = status, body
    config = Config(retries={"total_max_attempts": 1})
    store = DynamoDBStore(boto3.resource("dynamodb", config=config) if given == "resource" else None, create=False)

    with pytest.raises(StoreError) as caught:
        store.get("k")

    assert caught.value.__cause__ is not None


# Settings


def test_built_without_anything(shared_server: DynamoDB, client: Any, environment: pytest.MonkeyPatch) -> None:
    """Without a client it is what boto3 finds in the environment, and not connected to yet."""
    settle(environment, "http://127.0.0.1:1")
    store = build("dynamodb", Options(None, 2, {}))
    environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", shared_server.url)

    assert store.add("k", b"value", 60)

    assert client.list_tables()["TableNames"] == ["Sessions"]


def test_client_of_our_own(shared_server: DynamoDB, client: Any, environment: pytest.MonkeyPatch) -> None:
    """A client that we make waits as long as it is told to, and asks once."""
    settle(environment, shared_server.url)
    store = DynamoDBStore(timeout=3.5)

    store.get("k")

    config = store._client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (3.5, 3.5)
    assert config.retries["total_max_attempts"] == 1


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "Sessions"),
        ({"SESSION_DYNAMODB_TABLE": "Doors"}, "Doors"),
        ({"SESSION_DYNAMODB_TABLE_NAME": "Doors"}, "Doors"),
        ({"SESSION_DYNAMODB_TABLE": "Doors", "SESSION_DYNAMODB_TABLE_NAME": "Doors"}, "Doors"),
        ({"SESSION_DYNAMODB_TABLE": None, "SESSION_DYNAMODB_TABLE_NAME": ""}, "Sessions"),
        ({"SESSION_CREATE_TABLES": True}, "Sessions"),
    ],
)
def test_names_of_the_table(client: Any, settings: dict[str, Any], name: str) -> None:
    """The table has the name that either of flask-session's settings says."""
    build("dynamodb", Options(None, 2, {"SESSION_DYNAMODB": client} | settings)).get("k")

    assert client.list_tables()["TableNames"] == [name]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"SESSION_DYNAMODB": "http://localhost:8000"}, "SESSION_DYNAMODB "),
        ({"SESSION_DYNAMODB": boto3}, "SESSION_DYNAMODB "),
        ({"SESSION_DYNAMODB_TABLE": "Doors", "SESSION_DYNAMODB_TABLE_NAME": "Windows"}, "SESSION_DYNAMODB_TABLE_NAME"),
        ({"SESSION_DYNAMODB_TABLE": 5}, "SESSION_DYNAMODB_TABLE"),
    ],
)
def test_refused_settings(environment: pytest.MonkeyPatch, settings: dict[str, Any], fault: str) -> None:
    """What cannot work is refused at the start, by name."""
    settle(environment, "http://127.0.0.1:1")

    with pytest.raises(ValueError, match=fault):
        build("dynamodb", Options(None, 2, settings))


def test_client_for_something_else_is_refused() -> None:
    """A client of boto3 for another service is no client for DynamoDB."""
    with pytest.raises(ValueError, match="SESSION_DYNAMODB "):
        build("dynamodb", Options(None, 2, {"SESSION_DYNAMODB": boto3.client("s3", **ACCESS)}))


@pytest.mark.parametrize(
    ("variable", "value", "fault"), [("AWS_ACCESS_KEY_ID", "ours", "region"), ("AWS_PROFILE", "nobody", "nobody")]
)
def test_refused_environment(environment: pytest.MonkeyPatch, variable: str, value: str, fault: str) -> None:
    """Without a region, or with a profile that is not there, boto3 has no server: that is known at the start."""
    environment.setenv(variable, value)

    with pytest.raises(ValueError, match=f"SESSION_DYNAMODB .*{fault}"):
        build("dynamodb", Options(None, 2, {}))


def test_credentials_that_come_late(shared_server: DynamoDB, client: Any, environment: pytest.MonkeyPatch) -> None:
    """Credentials may come by network, so they are looked for when they are needed, and again until they are there."""
    environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", shared_server.url)
    store = build("dynamodb", Options(None, 2, {}))
    for verb in VERBS.values():
        with pytest.raises(StoreError) as caught:
            verb(store)  # type: ignore[arg-type]
        assert isinstance(caught.value.__cause__, NoCredentialsError)

    settle(environment, shared_server.url)

    assert store.add("k", b"value", 60)


def item(client: Any, key: str = "k") -> dict[str, Any]:
    """What stands under a key, beside the key."""
    found = client.get_item(TableName="Sessions", Key={"id": {"S": key}})["Item"]
    del found["id"]
    return found  # type: ignore[no-any-return]
