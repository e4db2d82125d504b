"""A store in a table of DynamoDB, on boto3: a value has its version beside it, and every write has a condition."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from math import ceil
from typing import Any

import boto3
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from ..errors import StoreError
from . import VERSION_LENGTH, Options, Outcome, Stored, Version, forget_after_fork, new_version, store_errors

_LIMIT = 400 * 1024 - 256  # an item has 400 KB, and its key, its other attributes and all their names count
_KEY = {"AttributeName": "id", "KeyType": "HASH"}
_KEY_TYPE = {"AttributeName": "id", "AttributeType": "S"}
_EXPIRY = "expiration"
_PATIENCE = 20  # seconds that a new table may take

# DynamoDB keeps what is expired for days, so every condition looks at the time itself.
_FREE = (
    "attribute_not_exists(id) OR (attribute_type(content, :binary) AND attribute_type(version, :binary)"
    f" AND size(version) = :length AND {_EXPIRY} <= :now)"
)
_UNCHANGED = f"version = :seen AND {_EXPIRY} > :now"

_SERIALIZER, _DESERIALIZER = TypeSerializer(), TypeDeserializer()

# boto3's errors have no base in common, and on a broken answer it fails with any of Python's.
_store_errors = partial(store_errors, "DynamoDB cannot be used.")


class DynamoDBStore:
    """Keeps values as items of a table whose key is `id`, a text. flask-session's table is one.

    Args:
        client: a resource or a client of boto3. Without one the store makes a client, from boto3's own settings.
        table: the table's name.
        create: make the table when it is first needed, and switch its time to live on; otherwise both are yours.
        timeout: seconds to connect, and for each answer. A client of your own has its own.
    """

    atomic = True

    def __init__(
        self, client: Any = None, *, table: str = "Sessions", create: bool = True, timeout: float = 2.0
    ) -> None:
        self._own = client is None
        # A resource is for one thread, but the client in it is for many.
        self._client: Any = None if self._own else getattr(client.meta, "client", client)
        self._plain = self._own or not _takes_python(self._client)
        self._table = table
        self._create, self._ready = create, not create
        self._timeout = timeout
        forget_after_fork(self)

    def get(self, key: str) -> Stored | None:
        with _store_errors():
            answer = self._ask("get_item", Key=self._packed({"id": key}), ConsistentRead=True)
            return _stored(self._unpacked(answer.get("Item", {})))

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        version = new_version()
        found = self._put(key, value, version, ttl, _FREE, {":binary": "B", ":length": VERSION_LENGTH})
        # A driver that lost the answer sends the item again, and is refused by what it has just written.
        return found is None or found.get("version") == version

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        written = new_version()
        found = self._put(key, value, written, ttl, _UNCHANGED, {":seen": version})
        if found is None or found.get("version") == written:
            return Outcome.DONE
        return Outcome.CONFLICT if _stored(found) else Outcome.GONE

    def delete(self, key: str) -> None:
        with _store_errors():
            self._ask("delete_item", Key=self._packed({"id": key}))

    def keys(self, prefix: str) -> Iterator[str]:
        look = {"ProjectionExpression": "id", "FilterExpression": "attribute_exists(version)", "ConsistentRead": True}
        while True:
            with _store_errors():
                page = self._ask("scan", **look)
                keys = [self._unpacked(item)["id"] for item in page["Items"]]
            yield from (key for key in keys if key.startswith(prefix))
            if "LastEvaluatedKey" not in page:
                return
            look["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def forget_inherited(self) -> None:
        """A connection that parent and child both use mixes up their answers. The parent's stay open."""
        if self._own:
            self._client = None
        else:
            self._client.close()

    def _put(
        self, key: str, value: bytes, version: Version, ttl: int, condition: str, values: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Write if the condition holds. Otherwise, from the same step, what stands there instead."""
        if len(value) > _LIMIT:
            raise StoreError(f"DynamoDB takes {_LIMIT} bytes under a key, and not {len(value)}.")
        now = time.time()
        item = {"id": key, "content": value, "version": version, _EXPIRY: ceil(now) + ttl}
        with _store_errors():
            try:
                self._ask(
                    "put_item",
                    Item=self._packed(item),
                    ConditionExpression=condition,
                    ExpressionAttributeValues=self._packed(values | {":now": int(now)}),
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if _code(error) != "ConditionalCheckFailedException":
                    raise
                return _python(error.response.get("Item", {}))  # even a resource leaves this in DynamoDB's types
        return None

    def _ask(self, operation: str, **parameters: Any) -> Any:
        """Ask something of the table, which is made where it is missing, and again where it went away."""
        if self._client is None:
            self._client = _new_client(self._timeout)
        client = self._client
        ask = partial(getattr(client, operation), TableName=self._table, **parameters)
        if not self._ready:
            self._make_table(client)
        try:
            return ask()
        except ClientError as error:
            if _code(error) != "ResourceNotFoundException" or not self._create:
                raise
        self._make_table(client)
        return ask()

    def _make_table(self, client: Any) -> None:
        """Make what is missing. Any number of threads and workers may do so at once: who is late finds it done."""
        for _ in range(_PATIENCE):
            table = self._found_or_made(client)
            if table["TableStatus"] != "CREATING":
                break
            time.sleep(1)
        else:
            raise StoreError(f"The DynamoDB table {self._table} cannot be used {_PATIENCE} seconds after it was made.")
        if table["KeySchema"] != [_KEY] or _KEY_TYPE not in table["AttributeDefinitions"]:
            raise StoreError(f"The DynamoDB table {self._table} has another key than `id`, a text (S), alone.")
        self._switch_expiry_on(client)
        self._ready = True

    def _found_or_made(self, client: Any) -> Any:
        try:
            return client.describe_table(TableName=self._table)["Table"]
        except client.exceptions.ResourceNotFoundException:
            pass
        try:
            return client.create_table(
                TableName=self._table,
                KeySchema=[_KEY],
                AttributeDefinitions=[_KEY_TYPE],
                BillingMode="PAY_PER_REQUEST",
            )["TableDescription"]
        except client.exceptions.ResourceInUseException:
            return {"TableStatus": "CREATING"}

    def _switch_expiry_on(self, client: Any) -> None:
        if not self._expires(client):
            try:
                client.update_time_to_live(
                    TableName=self._table, TimeToLiveSpecification={"Enabled": True, "AttributeName": _EXPIRY}
                )
            except ClientError:
                if not self._expires(client):
                    raise

    def _expires(self, client: Any) -> bool:
        """Whether DynamoDB removes what is expired, or soon will."""
        found = client.describe_time_to_live(TableName=self._table)["TimeToLiveDescription"]
        return found["TimeToLiveStatus"] in {"ENABLING", "ENABLED"} and found["AttributeName"] == _EXPIRY

    def _packed(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: _SERIALIZER.serialize(value) for name, value in values.items()} if self._plain else values

    def _unpacked(self, item: dict[str, Any]) -> dict[str, Any]:
        return _python(item) if self._plain else item


def build(options: Options) -> DynamoDBStore:
    """From a resource or a client in `SESSION_DYNAMODB`; without, from the region and credentials that boto3 finds."""
    settings = options.settings
    given = settings.get("SESSION_DYNAMODB")
    names = {settings.get(name) or None for name in ("SESSION_DYNAMODB_TABLE", "SESSION_DYNAMODB_TABLE_NAME")} - {None}
    if given is None:
        _check_environment()
    elif not hasattr(getattr(getattr(given, "meta", None), "client", given), "put_item"):
        raise ValueError("SESSION_DYNAMODB is neither a resource nor a client of boto3 for DynamoDB")
    if len(names) > 1:
        raise ValueError("SESSION_DYNAMODB_TABLE and SESSION_DYNAMODB_TABLE_NAME name two tables")
    table = names.pop() if names else "Sessions"
    if not isinstance(table, str):
        raise ValueError("SESSION_DYNAMODB_TABLE is no text")
    return DynamoDBStore(given, table=table, create=options.create, timeout=options.timeout)


def _check_environment() -> None:
    """Credentials may come by network, so they are looked for when they are needed."""
    try:
        if boto3.session.Session().region_name is None:
            raise NoRegionError
    except BotoCoreError as error:
        raise ValueError(f"SESSION_DYNAMODB is not set, and boto3's own settings cannot work ({error})") from None


def _new_client(timeout: float) -> Any:
    """A client that does not try again. It is not made without credentials, which it would never look for again."""
    session = boto3.session.Session()
    if session.get_credentials() is None:
        raise NoCredentialsError
    retries = {"total_max_attempts": 1, "mode": "standard"}
    return session.client("dynamodb", config=Config(connect_timeout=timeout, read_timeout=timeout, retries=retries))


def _takes_python(client: Any) -> bool:
    """Whether a client is a resource's: it turns Python's types into DynamoDB's, and back."""
    parameters = {"Key": {"id": "k"}}
    model = client.meta.service_model.operation_model("GetItem")
    client.meta.events.emit("before-parameter-build.dynamodb.GetItem", params=parameters, model=model, context={})
    return parameters != {"Key": {"id": "k"}}


def _python(item: dict[str, Any]) -> dict[str, Any]:
    return {name: _DESERIALIZER.deserialize(value) for name, value in item.items()}


def _stored(item: dict[str, Any]) -> Stored | None:
    """What an item holds; None where it is expired or none of ours."""
    content, version, expires = (item.get(name) for name in ("content", "version", _EXPIRY))
    if not (isinstance(content, Binary) and isinstance(version, Binary) and isinstance(expires, Decimal)):
        return None
    lives = len(version.value) == VERSION_LENGTH and expires > int(time.time())
    return Stored(bytes(content.value), Version(bytes(version.value))) if lives else None


def _code(error: ClientError) -> Any:
    return error.response["Error"]["Code"]
