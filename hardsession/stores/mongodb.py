"""A store in a collection of MongoDB, on pymongo: a value has its version beside it, every write has a condition."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from contextvars import Context
from functools import partial
from math import ceil
from typing import Any

from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, InvalidName, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from ..errors import StoreError
from . import VERSION_LENGTH, Options, Outcome, Stored, Version, forget_after_fork, new_version, store_errors

_LIMIT = 2**24 - 512  # a document has 16 MB, and its key, its other fields and all their names count
_NAME_LIMIT = 63
_OTHER_INDEX = {85, 86}
"""What MongoDB calls it when the field, or the name that the index would have, has another one."""

# MongoDB puts binaries in order by their length first, and only then by what they are of and what they hold. The
# schema keeps out what a plain condition would let in: a list that has such a thing in it.
_OURS: dict[str, Any] = {
    "version": {"$gte": bytes(VERSION_LENGTH), "$lte": b"\xff" * VERSION_LENGTH},
    "$jsonSchema": {
        "required": ["content", "version", "expiration"],
        "properties": {
            "content": {"bsonType": "binData"},
            "version": {"bsonType": "binData"},
            "expiration": {"bsonType": "date"},
        },
    },
}

_Document = dict[str, Any]

# Beside its own errors, pymongo has those of BSON, of DNS and of its warnings.
_store_errors = partial(store_errors, "MongoDB cannot be used.")


class MongoDBStore:
    """Keeps values as documents whose `_id` is the key. flask-session's documents may be in the same collection.

    Reads come from the primary and from what its majority has, and writes wait for that, whatever a client says.

    Args:
        client: a client of pymongo, or a URL. The database of a URL has precedence.
        database: the database's name.
        collection: the collection's name.
        create: make the index that expires documents when one is first added; otherwise that is yours.
        timeout: seconds for each call, and for a majority to have a write. A client of your own has its own.
    """

    atomic = True

    def __init__(
        self,
        client: MongoClient[Any] | str,
        *,
        database: str = "flask_session",
        collection: str = "sessions",
        create: bool = True,
        timeout: float = 2.0,
    ) -> None:
        self._client = client
        self._database, self._collection = database, collection
        self._create = create
        self._patience = ceil(timeout * 1000)
        self._opened: dict[str, Collection[_Document]] = {}
        if isinstance(client, str):
            weakref.finalize(self, _close, self._opened)
            forget_after_fork(self)
            if client.startswith("mongodb+srv:"):
                return  # looking for its servers may be a question to the network
        try:
            self._sessions()
        except InvalidName as error:
            raise ValueError(f"MongoDB cannot have a database or a collection of that name ({error})") from None
        except (PyMongoError, ValueError):  # which may quote the URL, password and all
            raise ValueError(
                "pymongo cannot use the MongoDB URL: look at its options, and escape what is special in a password"
            ) from None

    def get(self, key: str) -> Stored | None:
        live = _OURS | {"_id": key, "expiration": {"$gt": _date()}}
        with _store_errors():
            found = self._sessions().find_one(live, {"content": True, "version": True})
        return None if found is None else Stored(bytes(found["content"]), Version(found["version"]))

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        document = _document(value, ttl)
        if self._is_added(key, document):
            return True
        # A driver that lost the answer sends the document again, and is refused by what it has just written.
        stored = self.get(key)
        return stored is not None and stored.version == document["version"]

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        document = _document(value, ttl)
        unchanged = _OURS | {"_id": key, "version": version, "expiration": {"$gt": _date()}}
        with _store_errors():
            if self._sessions().replace_one(unchanged, document).matched_count:
                return Outcome.DONE
        stored = self.get(key)
        if stored is None:
            return Outcome.GONE
        return Outcome.DONE if stored.version == document["version"] else Outcome.CONFLICT

    def delete(self, key: str) -> None:
        with _store_errors():
            self._sessions().delete_one({"_id": key})

    def keys(self, prefix: str) -> Iterator[str]:
        prefixed = {"$gte": prefix, "$lt": f"{prefix}\x7f"}  # which is behind all that a key may go on with
        with _store_errors():
            for found in self._sessions().find({"_id": prefixed}, {"_id": True}):
                if found["_id"].isascii():
                    yield found["_id"]

    def forget_inherited(self) -> None:
        """The threads of a client stay with the parent. What came along is kept, as pymongo has yet to clear it up."""
        self._inherited = self._opened.pop("sessions", None)

    def _sessions(self) -> Collection[_Document]:
        """The collection. Threads that are the first together make several clients, of which one is used."""
        found = self._opened.get("sessions")
        return self._opened.setdefault("sessions", self._open()) if found is None else found

    def _open(self) -> Collection[_Document]:
        if isinstance(self._client, str):
            database = _new_client(self._client, self._patience).get_default_database(self._database)
        else:
            database = self._client[self._database]
        return database.get_collection(
            self._collection,
            codec_options=CodecOptions(unicode_decode_error_handler="replace"),
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern("majority", wtimeout=self._patience),
        )

    def _is_added(self, key: str, document: _Document) -> bool:
        """Insert it, or write over what is in the way and expired, and say whether that was possible."""
        free = _OURS | {"_id": key, "expiration": {"$lte": _date()}}
        with _store_errors():
            if self._create:
                self._make_index()
            try:
                self._sessions().replace_one(free, document, upsert=True)
            except DuplicateKeyError as error:
                if (error.details or {}).get("keyPattern") != {"_id": 1}:  # an index that somebody else made
                    raise
                return False
        return True

    def _make_index(self) -> None:
        """Have what is expired removed. Any number of threads and workers may do so at once."""
        try:
            self._sessions().create_index("expiration", expireAfterSeconds=0)
        except OperationFailure as error:
            if error.code not in _OTHER_INDEX:
                raise
        self._create = False


def build(options: Options) -> MongoDBStore:
    """From a URL, or a client in `SESSION_MONGODB`; without both, MongoDB on this machine."""
    settings = options.settings
    given = settings.get("SESSION_MONGODB")
    client = given if isinstance(given, MongoClient) else getattr(given, "cx", None)
    if options.url is not None or given is None:
        client = options.url or "mongodb://localhost:27017"
    elif not isinstance(client, MongoClient):
        raise ValueError("SESSION_MONGODB is no MongoClient of pymongo's, nor a Flask-PyMongo object that has one")
    return MongoDBStore(
        client,
        database=_name(settings.get("SESSION_MONGODB_DB") or "flask_session", "SESSION_MONGODB_DB"),
        collection=_name(settings.get("SESSION_MONGODB_COLLECT") or "sessions", "SESSION_MONGODB_COLLECT"),
        create=options.create,
        timeout=options.timeout,
    )


def _name(name: Any, setting: str) -> str:
    if not isinstance(name, str) or len(name.encode()) > _NAME_LIMIT:
        raise ValueError(f"{setting} is no text of at most {_NAME_LIMIT} bytes")
    return name


def _new_client(url: str, patience: int) -> MongoClient[Any]:
    """A client that connects when it is first used, and does not try again. Nothing in a URL makes it wait longer.

    The first time limits a whole call. The others are for what pymongo does beside calls, such as its last words.
    """
    names = ("timeoutMS", "connectTimeoutMS", "socketTimeoutMS", "serverSelectionTimeoutMS")
    limits: dict[str, Any] = dict.fromkeys(names, patience)
    return MongoClient(url, connect=False, retryReads=False, retryWrites=False, **limits)


def _close(opened: dict[str, Collection[_Document]]) -> None:
    """Close the client, wherever that may be: garbage is collected in the midst of other calls, with their limits."""
    for collection in opened.values():
        Context().run(collection.database.client.close)


def _document(value: bytes, ttl: int) -> _Document:
    if len(value) > _LIMIT:
        raise StoreError(f"MongoDB takes {_LIMIT} bytes under a key, and not {len(value)}.")
    return {"content": value, "version": new_version(), "expiration": DatetimeMS(1000 * (ceil(time.time()) + ttl))}


def _date() -> DatetimeMS:
    """Now, in whole seconds."""
    return DatetimeMS(1000 * int(time.time()))
