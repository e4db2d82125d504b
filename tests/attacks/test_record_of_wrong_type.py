"""The intruder, another program, or an older version of the application put something else into the victim's row."""

from __future__ import annotations

import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from bson import DatetimeMS
from flask import session
from pymemcache.client.base import Client

from hardsession import HardSession, current_session
from hardsession.errors import StoreError
from hardsession.stores.cachelib import CachelibStore
from hardsession.stores.dynamodb import DynamoDBStore
from hardsession.stores.filesystem import FilesystemStore
from hardsession.stores.memcached import MemcachedStore
from hardsession.stores.mongodb import MongoDBStore
from hardsession.stores.redis import RedisStore
from hardsession.stores.sqlalchemy import SQLAlchemyStore
from tests.races.stores import TOMBSTONE


class Bomb:
    """What unpickles to a file that its author wanted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


VALUES = {
    "empty": b"",
    "integer": b"1",
    "JSON": b'{"_user_id": "mallory"}',
    "pickle": pickle.dumps({"_user_id": "mallory"}),
    "MessagePack": b"\x81\xa8_user_id\xa7mallory",
    "5 MB": bytes(5_000_000),
    "5 MB in our format": b"\x86\xcd\x7f\x03" + bytes(5_000_000),
    "5 MB tombstone": b"\x86\xcd\x7f\x05" + bytes(5_000_000),
    "our magic alone": b"\x86\xcd\x7f",
    "another format": b"\x86\xcd\x80\x03" + bytes(200),
    "another purpose": b"\x86\xcd\x7f\x01" + bytes(200),
    "purpose that does not exist": b"\x86\xcd\x7f\xff" + bytes(200),
}
USES = {
    "reads": lambda: session.get("draft"),
    "writes": lambda: session.update(new=1),
    "logs in": lambda: HardSession().login("ada"),
    "asks for a new id": lambda: HardSession().regenerate(),
}


@pytest.fixture
def row(victim, intruder):
    """The name of the victim's row."""
    [name] = intruder.names()
    return name


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("value", VALUES)
def test_bytes_that_are_no_record(row, victim, intruder, act, value, use):
    """They open nothing, whatever the victim does, are no error, and stay as they are."""
    if not fits(intruder, row, VALUES[value]):
        return

    answer = act(victim, USES[use])

    assert answer.response.status_code == 200
    assert "draft" not in act(victim, lambda: dict(session)).value
    assert intruder.reads(row) == VALUES[value]


@pytest.mark.parametrize("value", VALUES)
def test_logout_is_final_all_the_same(row, victim, attacker, intruder, act, value):
    """A logout needs nothing that opens: the one thing that is ever written over such a row is its end."""
    token = attacker.steals(victim)
    if not fits(intruder, row, VALUES[value]):
        return

    answer = act(victim, lambda: HardSession().logout())

    assert answer.response.status_code == 200
    assert (intruder.names(), intruder.names(TOMBSTONE)) == ([], [row])
    assert attacker.shows(token, lambda: (dict(session), current_session.ended)).value == ({}, "logged_out")


def fits(intruder, row, value):
    """Put a value into a row, unless it is over the store's limit: then nobody can."""
    try:
        intruder.writes(row, value)
    except StoreError as error:
        return str(len(value)) not in str(error)
    return True


def test_pickle_is_never_loaded(row, victim, intruder, act, tmp_path):
    """Whatever is in the store, no code of it runs."""
    path = tmp_path / "ran"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        intruder.writes(row, pickle.dumps(Bomb(path), protocol))
        assert act(victim, lambda: dict(session)).value == {}

    assert pickle.loads(pickle.dumps(Bomb(path))) is None
    assert path.exists()


FOREIGN = {
    "filesystem": {
        "pickle": lambda path: path.write_bytes(pickle.dumps({"_user_id": "mallory"})),
        "empty": lambda path: path.write_bytes(b""),
        "5 MB": lambda path: path.write_bytes(b"hsf2" + bytes(5_000_000)),
        "link": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        "folder": lambda path: (path.unlink(), path.mkdir()),
    },
    "sqlite": {"integer": 1, "text": '{"_user_id": "mallory"}', "real": 1.5},
    "postgresql": {"empty": b"", "short": b"fifteen bytes..", "long": b"seventeen bytes.."},
    "mariadb": {"empty": b"", "short": b"fifteen bytes..", "long": b"seventeen bytes.."},
    "cachelib": {
        "pickle": lambda path: path.write_bytes(bytes(4) + pickle.dumps({"_user_id": "mallory"})),
        "bomb": lambda path: path.write_bytes(bytes(4) + pickle.dumps(Bomb(path.with_name("ran")))),
        "empty": lambda path: path.write_bytes(b""),
        "5 MB": lambda path: path.write_bytes(bytes(4) + b"hsc2" + bytes(5_000_000)),
        "link": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        "folder": lambda path: (path.unlink(), path.mkdir()),
    },
    "memcached": {
        "pickle": lambda client, key: client.set(key, pickle.dumps({"_user_id": "mallory"}), flags=1),
        "text": lambda client, key: client.set(key, b'{"_user_id": "mallory"}', flags=16),
        "integer": lambda client, key: (client.set(key, b"1", flags=2), client.incr(key, 1)),
        "empty": lambda client, key: client.set(key, b""),
        "5 MB": lambda client, key: client.set(key, bytes(5_000_000)),
    },
    "mongodb": {
        "session of flask-session": {"id": "session:abc", "val": b"\x80", "expiration": DatetimeMS(2**42)},
        "text": {"content": "mallory", "version": bytes(16), "expiration": DatetimeMS(2**42)},
        "list": {"content": [b"mallory"], "version": [bytes(16)], "expiration": [DatetimeMS(2**42)]},
        "map": {"content": {"_user_id": "mallory"}, "version": bytes(16), "expiration": DatetimeMS(2**42)},
        "operator": {"content": b"mallory", "version": {"$gt": b""}, "expiration": DatetimeMS(2**42)},
        "nothing": {},
    },
    "dynamodb": {
        "session of flask-session": {"val": {"B": b"\x80"}, "expiration": {"N": "9999999999"}},
        "text": {"content": {"S": "mallory"}, "version": {"B": bytes(16)}, "expiration": {"N": "9999999999"}},
        "map": {"content": {"M": {"_user_id": {"S": "mallory"}}}, "version": {"S": "1"}},
        "nothing": {},
    },
    "redis": {
        "list": lambda redis, key: redis.rpush(key, "a"),
        "hash": lambda redis, key: redis.hset(key, "_user_id", "mallory"),
        "set": lambda redis, key: redis.sadd(key, "a"),
        "integer": lambda redis, key: redis.incr(key),
        "empty": lambda redis, key: redis.set(key, b""),
    },
}


@pytest.mark.parametrize("use", [*USES, "logs out"])
@pytest.mark.parametrize(
    ("store", "foreign"), [(name, foreign) for name in FOREIGN for foreign in FOREIGN[name]], indirect=["store"]
)
def test_what_the_store_did_not_write(request, store, row, victim, intruder, act, foreign, use):
    """What was put there past the store, and is no value of the store's, is no session, no error, and stays."""
    what = FOREIGN[request.node.callspec.params["store"]][foreign]
    seen = put(store.store, row, what)

    answer = act(victim, USES.get(use, lambda: HardSession().logout()))

    assert answer.response.status_code == 200
    assert "draft" not in act(victim, lambda: dict(session)).value
    assert seen() == seen.before


class Seen:
    """What stands under a name, past the store, now and when it was put there."""

    def __init__(self, look: Any) -> None:
        self._look = look
        self.before = look()

    def __call__(self) -> Any:
        return self._look()


def put(store: Any, name: str, what: Any) -> Seen:
    """Put something under a row's name with the tools of the file system, the database or Redis."""
    match store:
        case FilesystemStore():
            path = store._path(name)
            what(path)
            return Seen(lambda: (path.is_symlink(), path.is_dir() or path.read_bytes()))
        case CachelibStore():
            path = Path(store._cache._get_filename(name))
            what(path)
            return Seen(lambda: (path.is_symlink(), path.is_dir() or path.read_bytes()))
        case SQLAlchemyStore() if store._engine.dialect.name != "sqlite":  # whose columns take nothing of another type
            update = sa.text("UPDATE sessions SET version = :version WHERE name = :name")
            select = sa.text("SELECT value, version FROM sessions WHERE name = :name")
            with store._engine.connect() as database:
                database.execute(update, {"version": what, "name": name})

            def look():
                with store._engine.connect() as database:
                    return database.execute(select, {"name": name}).all()

            return Seen(look)
        case SQLAlchemyStore():
            database = sqlite3.connect(store._engine.url.database, isolation_level=None)
            database.execute("UPDATE sessions SET value = ? WHERE name = ?", (what, name))
            return Seen(lambda: database.execute("SELECT value FROM sessions WHERE name = ?", (name,)).fetchall())
        case RedisStore():
            store._client.delete(name)
            what(store._client, name)
            return Seen(lambda: store._client.dump(name))
        case MemcachedStore():
            address = store._at(name).address
            with closing(Client(address, default_noreply=False)) as client:
                what(client, name)

            def look():
                with closing(Client(address)) as client:
                    return client.gets(name)

            return Seen(look)
        case MongoDBStore():
            documents = store._sessions()
            documents.replace_one({"_id": name}, what)
            return Seen(lambda: documents.find_one({"_id": name}))
        case DynamoDBStore():
            client, key = store._client, {"id": {"S": name}}
            client.put_item(TableName="Sessions", Item=key | what)
            return Seen(lambda: client.get_item(TableName="Sessions", Key=key)["Item"])
    raise ValueError(store)
