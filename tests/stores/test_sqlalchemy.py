"""The SQLAlchemy store on SQLite files: its own table, pool and transactions, and everybody who uses the same file."""

from __future__ import annotations

import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from hardsession import HardSession, Key, stores
from hardsession.errors import ConfigError, StoreError
from hardsession.stores import Options, Outcome, Store, build
from hardsession.stores import sqlalchemy as module
from hardsession.stores.sqlalchemy import SQLAlchemyStore
from hardsession.testing import StoreContract

from .clock import MovedClock
from .common import VERSION, add_in_eight_processes, purge_in_batches

SHAPE = [("name", "VARCHAR(128)"), ("version", "BLOB"), ("value", "BLOB"), ("expires", "BIGINT")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "newsroom.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
def store(url: str) -> SQLAlchemyStore:
    return SQLAlchemyStore(url)


@pytest.fixture
def database(file: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else who uses the file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """The application's engine."""
    engine = sa.create_engine(url)
    yield engine
    engine.dispose()


class TestSQLAlchemyStore(MovedClock, StoreContract):
    @pytest.fixture
    def store(self, url: str, file: Path) -> SQLAlchemyStore:
        self.file = file
        return SQLAlchemyStore(url, timeout=20)  # 20 threads wait for one file, on a busy machine

    def plant(self, store: Store, key: str) -> None:
        plant(self.file, store, key, value="text", version=VERSION)


@pytest.mark.parametrize(
    "clause",
    [
        StoreContract.test_bytes_come_back_exactly,
        StoreContract.test_one_of_many_threads_adds,
        StoreContract.test_delete_wins_over_replace,
        StoreContract.test_works_on_both_sides_of_a_fork,
    ],
)
def test_engine_of_the_application(url: str, clause: Callable[..., None]) -> None:
    """The engine of an application that keeps connections of its own does as well."""
    engine = sa.create_engine(url, connect_args={"timeout": 20})
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))

        clause(StoreContract(), build("sqlalchemy", Options(None, 2, {"SESSION_SQLALCHEMY": engine})))
    engine.dispose()


@pytest.mark.parametrize(
    "row",
    [
        {"value": "text", "version": VERSION},
        {"value": 10**12, "version": VERSION},
        {"value": 1.5, "version": VERSION},
        {"value": b"value", "version": "sixteen letters."},
        {"value": b"value", "version": b""},
        {"value": b"value", "version": VERSION + b"v"},
        {"value": b"value", "version": 16},
    ],
)
def test_foreign_row(store: SQLAlchemyStore, file: Path, row: dict[str, Any]) -> None:
    """SQLite takes anything into any column: what is not ours is no outage."""
    contract = StoreContract()
    contract.plant = lambda store, key: plant(file, store, key, **row)  # type: ignore[method-assign]

    contract.test_foreign_value_is_no_outage(store)


# The table


def test_table(store: SQLAlchemyStore, database: sqlite3.Connection) -> None:
    """The table has the name, its own columns, and an index by which expired rows are found."""
    store.add("k", b"value", 60)

    assert shape(database, "sessions") == SHAPE
    plan = database.execute("EXPLAIN QUERY PLAN SELECT name FROM sessions WHERE expires <= 1 LIMIT 500").fetchall()
    assert "ix_sessions_expires" in str(plan)


def test_two_apps_share_a_table(url: str) -> None:
    """Two apps, or one made twice, can use one table: each sees what the other wrote, under its own prefix."""
    one, other = SQLAlchemyStore(url), SQLAlchemyStore(url)

    assert one.add("one:k", b"one", 60)
    assert other.add("other:k", b"other", 60)

    assert not other.add("one:k", b"other", 60)
    assert list(one.keys("one:")) == ["one:k"]
    assert list(one.keys("other:")) == ["other:k"]


def test_two_tables_in_one_file(url: str) -> None:
    """Two apps with a table each see nothing of each other."""
    one, other = SQLAlchemyStore(url), SQLAlchemyStore(url, table="others")

    one.add("k", b"one", 60)

    assert other.get("k") is None


def test_made_by_eight_processes_at_once(url: str, database: sqlite3.Connection) -> None:
    """Workers that start together all get the table, and none an error."""
    for _ in range(3):
        database.execute("DROP TABLE IF EXISTS sessions")

        add_in_eight_processes(lambda: SQLAlchemyStore(url, timeout=20))

        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (8,)


def test_made_by_others_between_look_and_statement(store: SQLAlchemyStore, database: sqlite3.Connection) -> None:
    """Who finds at each step that somebody else has just done it goes on with that."""
    late: list[str] = []

    @sa.event.listens_for(store._engine, "before_cursor_execute")
    def overtaken(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "CREATE" in statement:
            late.append(statement)
            database.execute(statement)

    assert store.add("k", b"value", 60)
    assert ["TABLE" in late[0], "INDEX" in late[1], len(late)] == [True, True, 2]


def test_index_of_a_worker_that_died(url: str, database: sqlite3.Connection) -> None:
    """A process that died between the table and its index leaves the index to the next one."""
    SQLAlchemyStore(url).get("k")
    database.execute("DROP INDEX ix_sessions_expires")

    SQLAlchemyStore(url).get("k")

    assert database.execute("SELECT name FROM sqlite_master WHERE name = 'ix_sessions_expires'").fetchone()


def test_left_to_migrations(url: str, engine: sa.Engine, database: sqlite3.Connection) -> None:
    """With `create=False` the store makes no table: without one it says so, and `metadata` is what to make it from."""
    store = SQLAlchemyStore(url, create=False)
    with pytest.raises(StoreError) as caught:
        store.add("k", b"value", 60)
    assert "no such table" in str(caught.value.__cause__)
    assert shape(database, "sessions") == []

    store.metadata.create_all(engine)

    assert store.add("k", b"value", 60)
    assert shape(database, "sessions") == SHAPE


def test_beside_the_table_of_flask_session(url: str, database: sqlite3.Connection) -> None:
    """Where flask-session's table has the name, it stays as it is, and ours has another."""
    database.execute("CREATE TABLE sessions (id INTEGER PRIMARY KEY, session_id TEXT, data BLOB, expiry DATETIME)")
    database.execute("INSERT INTO sessions VALUES (1, 'session:abc', x'80', '2030-01-01')")
    one, other = SQLAlchemyStore(url), SQLAlchemyStore(url)

    assert one.add("k", b"value", 60)
    assert not other.add("k", b"other", 60)

    assert shape(database, "sessions_sealed") == SHAPE
    assert one.metadata.tables.keys() == {"sessions_sealed"}
    assert database.execute("SELECT * FROM sessions").fetchall() == [(1, "session:abc", b"\x80", "2030-01-01")]


def test_beside_a_table_of_another_shape(url: str, database: sqlite3.Connection) -> None:
    """A table that is neither is left alone, and the error's cause says what it lacks."""
    database.execute("CREATE TABLE sessions (year INTEGER, expires INTEGER)")
    store = SQLAlchemyStore(url)

    with pytest.raises(StoreError) as caught:
        store.add("k", b"value", 60)

    assert "name" in str(caught.value.__cause__)
    assert [name for name, _ in shape(database, "sessions")] == ["year", "expires"]


# Transactions and connections


def test_transactions_of_the_application(engine: sa.Engine) -> None:
    """Sessions neither commit what the application has begun nor go away when it rolls that back."""
    store = SQLAlchemyStore(engine)
    store.add("before", b"value", 60)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE articles (title TEXT)"))

    with engine.connect() as connection:
        connection.execute(sa.text("SELECT * FROM articles")).all()  # a transaction that reads
        store.add("k", b"value", 60)
        connection.rollback()
    with engine.connect() as connection:
        connection.execute(sa.text("INSERT INTO articles VALUES ('half done')"))
        assert store.get("before") is not None
        connection.rollback()

    assert store.get("k") is not None
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT * FROM articles")).all() == []


def test_application_that_holds_the_file(engine: sa.Engine, url: str) -> None:
    """While the application has written and not committed, SQLite lets nobody else write: StoreError, in time."""
    store = SQLAlchemyStore(url, timeout=0.3)
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE articles (title TEXT)"))
        connection.execute(sa.text("INSERT INTO articles VALUES ('half done')"))

        for write in (
            lambda: store.add("new", b"value", 60),
            lambda: store.replace("k", b"new", 60, stored.version),
            lambda: store.delete("k"),
            lambda: SQLAlchemyStore(url, timeout=0.3, table="others").get("k"),
        ):
            in_time(write)
        assert store.get("k") == stored
        connection.rollback()

    assert store.replace("k", b"new", 60, stored.version) is Outcome.DONE


def test_locked_file(store: SQLAlchemyStore, url: str, database: sqlite3.Connection) -> None:
    """A file that somebody has locked is StoreError to every verb, in time, and works again afterwards."""
    store.add("k", b"old", 60)
    store = SQLAlchemyStore(url, timeout=0.3)
    database.execute("BEGIN EXCLUSIVE")

    for verb in (
        lambda: store.get("k"),
        lambda: store.add("new", b"value", 60),
        lambda: store.replace("k", b"new", 60, VERSION),
        lambda: store.delete("k"),
        lambda: store.purge(),
        lambda: list(store.keys("")),
    ):
        in_time(verb)
    database.execute("ROLLBACK")

    assert store.get("k") is not None


def test_pool_is_used_up(url: str) -> None:
    """Who finds every connection taken is told after the timeout."""
    store = SQLAlchemyStore(url, timeout=0.3)
    store.get("k")
    connections = [store._engine.connect() for _ in range(5)]

    in_time(lambda: store.get("k"))
    for connection in connections:
        connection.close()

    assert store.get("k") is None


def test_connections_are_closed_with_the_store(url: str) -> None:
    """A store that nobody has any more leaves no connection open."""
    store = SQLAlchemyStore(url)
    store.get("k")
    engine = store._engine
    assert engine.pool.checkedin() == 1

    del store

    assert engine.pool.checkedin() == 0


def test_child_leaves_the_parents_connections_alone(store: SQLAlchemyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child does first neither uses nor closes a connection that its parent has."""
    assert store in stores._inheriting
    monkeypatch.setattr(stores, "_inheriting", {store})
    parents = store._engine.pool
    with closing(store._engine.raw_connection()) as connection:
        stores._forget_inherited()

        assert store._engine.pool is not parents
        assert connection.cursor().execute("SELECT 1").fetchone() == (1,)
        assert store.get("k") is None
    parents.dispose()


@pytest.mark.parametrize("content", [b"no database, but long enough to be taken for one" * 100, None])
def test_file_that_is_none(store: SQLAlchemyStore, file: Path, content: bytes | None) -> None:
    """A file that is broken, or a folder in its place, is StoreError with the database's error as its cause."""
    file.mkdir() if content is None else file.write_bytes(content)

    for verb in (lambda: store.get("k"), lambda: store.add("k", b"value", 60)):
        in_time(verb)


def test_errors_quote_nothing(url: str) -> None:
    """What an outage leaves in a log holds neither key nor value."""
    name, value = "session:" + "name", b"some " + b"value"
    store = SQLAlchemyStore(url, create=False)

    with pytest.raises(StoreError) as caught:
        store.add(name, value, 60)

    text = "".join(traceback.format_exception(caught.value))
    assert "no such table" in text
    assert name not in text
    assert value.decode() not in text


# Statements


def test_round_trips(store: SQLAlchemyStore) -> None:
    """Every verb is one statement, and no transaction around it; what is refused may cost more."""
    statements: list[str] = []
    store.add("k", b"value", 60)
    stored = store.get("k")
    assert stored is not None
    sa.event.listen(store._engine, "before_cursor_execute", lambda *args: statements.append(args[2].split()[0]))
    verbs: dict[str, Callable[[], Any]] = {
        "get": lambda: store.get("k"),
        "add": lambda: store.add("new", b"value", 60),
        "replace": lambda: store.replace("k", b"new", 60, stored.version),
        "conflict": lambda: store.replace("k", b"newer", 60, stored.version),
        "gone": lambda: store.replace("none", b"new", 60, stored.version),
        "delete": lambda: store.delete("k"),
    }

    seen = {}
    for name, verb in verbs.items():
        statements.clear()
        verb()
        seen[name] = list(statements)

    assert seen == {
        "get": ["SELECT"],
        "add": ["INSERT"],
        "replace": ["UPDATE"],
        "conflict": ["UPDATE", "SELECT"],
        "gone": ["UPDATE", "SELECT"],
        "delete": ["DELETE"],
    }


def test_statement_sent_twice(store: SQLAlchemyStore) -> None:
    """A driver that sends an UPDATE again because the answer was lost hears that it is done."""
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None

    @sa.event.listens_for(store._engine, "before_cursor_execute")
    def stutter(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("UPDATE"):
            cursor.execute(statement, parameters)

    assert store.replace("k", b"new", 60, stored.version) is Outcome.DONE
    assert store.replace("k", b"newer", 60, stored.version) is Outcome.CONFLICT


def test_insert_sent_twice(store: SQLAlchemyStore) -> None:
    """An INSERT that is sent again finds its own row, and has added it."""
    store.get("k")

    @sa.event.listens_for(store._engine, "before_cursor_execute")
    def stutter(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("INSERT"):
            with suppress(sqlite3.IntegrityError):
                cursor.execute(statement, parameters)

    assert store.add("k", b"value", 60)
    assert not store.add("k", b"other", 60)


def test_expired_row_is_purged_while_it_is_taken_over(store: SQLAlchemyStore, database: sqlite3.Connection) -> None:
    """An expired row that vanishes between two statements of `add` is free, and not taken for a live one."""
    store.add("k", b"old", 60)
    database.execute("UPDATE sessions SET expires = 1")

    @sa.event.listens_for(store._engine, "before_cursor_execute")
    def purged(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE"):
            database.execute("DELETE FROM sessions")

    assert store.add("k", b"new", 60)
    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"new"


def test_purge_spares_what_was_renewed_meanwhile(store: SQLAlchemyStore, database: sqlite3.Connection) -> None:
    """A session that is written between `purge`'s look and its turn is not deleted."""
    store.add("k", b"old", 60)
    database.execute("UPDATE sessions SET expires = 1")

    @sa.event.listens_for(store._engine, "before_cursor_execute")
    def renewed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE"):
            database.execute(f"UPDATE sessions SET expires = {2**40}")

    assert store.purge() == 0
    assert store.get("k") is not None


def test_purge_in_batches(url: str, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is expired, no statement removes more than a batch."""
    purge_in_batches(url, database.execute, monkeypatch)


def test_keys_in_pages(store: SQLAlchemyStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key is named once, however many pages they fill."""
    names = [f"k{number}" for number in range(6)]
    for name in names:
        store.add(name, b"value", 60)
    monkeypatch.setattr(module, "_BATCH", 2)

    assert list(SQLAlchemyStore(url).keys("k")) == names
    assert list(SQLAlchemyStore(url).keys("k5")) == ["k5"]


# Settings


def test_built_from_settings(tmp_path: Path) -> None:
    """A URL, an Engine or both, and flask-session's names for the table."""
    file, engine = f"sqlite:///{tmp_path / 'a.db'}", sa.create_engine(f"sqlite:///{tmp_path / 'b.db'}")
    table = {"SESSION_SQLALCHEMY_TABLE": "doors"}
    cases = [
        Options(file, 2, {}),
        Options(file, 2, {"SESSION_SQLALCHEMY": engine} | table),
        Options(None, 2, {"SESSION_SQLALCHEMY": engine, "SESSION_CREATE_TABLES": True} | table),
        Options(None, 2, {"SESSION_SQLALCHEMY": sa.make_url(file)}),
        Options(None, 2, {"SESSION_SQLALCHEMY": file, "SESSION_SQLALCHEMY_SCHEMA": "main"}),
    ]

    for number, options in enumerate(cases):
        assert build("sqlalchemy", options).add(f"k{number}", b"value", 60)

    with closing(sqlite3.connect(tmp_path / "a.db")) as a, closing(sqlite3.connect(tmp_path / "b.db")) as b:
        assert a.execute("SELECT name FROM sessions ORDER BY name").fetchall() == [("k0",), ("k3",), ("k4",)]
        assert a.execute("SELECT name FROM doors").fetchall() == [("k1",)]
        assert b.execute("SELECT name FROM doors").fetchall() == [("k2",)]


def test_tables_can_be_left_to_the_app(url: str, database: sqlite3.Connection) -> None:
    """`SESSION_CREATE_TABLES = False` makes none."""
    store = build("sqlalchemy", Options(url, 2, {"SESSION_CREATE_TABLES": False}))

    with pytest.raises(StoreError):
        store.get("k")

    assert shape(database, "sessions") == []


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("sqlite://", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "memory"),
        ("carrier pigeon with password", "URL"),
        ("pigeon://user:password@host/db", "URL"),
        (None, "SESSION_SQLALCHEMY"),
    ],
)
def test_refused_urls(url: str | None, fault: str) -> None:
    """A database that belongs to one connection, and a URL that is none, are refused at the start, unquoted."""
    with pytest.raises(ValueError, match=fault) as caught:
        build("sqlalchemy", Options(url, 2, {}))

    assert "password" not in "".join(traceback.format_exception(caught.value))


def test_engine_in_memory_is_refused() -> None:
    """Nor is an application's engine for such a database."""
    with pytest.raises(ValueError, match="memory"):
        SQLAlchemyStore(sa.create_engine("sqlite://"))


def test_driver_that_is_not_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver whose options are not known is given none."""

    class Other(SQLiteDialect_pysqlite):
        driver = "other"
        supports_statement_cache = True

        def connect(self, *args: Any, **options: Any) -> Any:
            assert "timeout" not in options
            return super().connect(*args, **options)

    monkeypatch.setitem(sa.dialects.registry.impls, "sqlite.other", lambda: Other)

    assert SQLAlchemyStore(f"sqlite+other:///{file}", timeout=3).add("k", b"value", 60)


def test_collisions_have_an_end(store: SQLAlchemyStore) -> None:
    """A statement that the database undoes again and again is an outage after some tries."""
    tries: list[str] = []
    store.get("k")

    @sa.event.listens_for(store._engine, "before_cursor_execute")
    def collide(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        tries.append(statement)
        raise sa.exc.OperationalError(statement, None, sqlite3.OperationalError(1213, "deadlock"))

    in_time(lambda: store.delete("k"))

    assert len(tries) == 20


# Flask-SQLAlchemy


@pytest.fixture
def flask_app(tmp_path: Path) -> Flask:
    """An application with a database and a second one, and sessions in the first."""
    app = Flask("newsroom", instance_path=str(tmp_path))
    app.config.update(
        SECRET_KEY=Key.generate().text,
        SQLALCHEMY_DATABASE_URI="sqlite:///first.db",
        SQLALCHEMY_BINDS={"doors": "sqlite:///doors.db"},
        SESSION_TYPE="sqlalchemy",
    )
    app.add_url_rule("/", view_func=lambda: str(session.setdefault("visits", 1)))
    return app


@pytest.mark.parametrize(("bind_key", "file"), [(None, "first.db"), ("doors", "doors.db")])
@pytest.mark.parametrize("first", ["sessions", "database"])
def test_flask_sqlalchemy(flask_app: Flask, tmp_path: Path, bind_key: str | None, file: str, first: str) -> None:
    """A Flask-SQLAlchemy object is taken as it is, set up before the sessions or after, and a bind key chooses."""
    db = SQLAlchemy()
    flask_app.config |= {"SESSION_SQLALCHEMY": db, "SESSION_SQLALCHEMY_BIND_KEY": bind_key}
    hard = HardSession()
    for extension in (hard, db) if first == "sessions" else (db, hard):
        extension.init_app(flask_app)
    hard.ready(flask_app)  # where no application is current

    assert flask_app.test_client().get("/").text == "1"

    with closing(sqlite3.connect(tmp_path / file)) as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    with flask_app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_flask_sqlalchemy_in_the_middle_of_a_transaction(flask_app: Flask, tmp_path: Path) -> None:
    """What a view did not commit is no part of what its session writes."""
    db = SQLAlchemy(flask_app)
    flask_app.config |= {"SESSION_SQLALCHEMY": db, "SESSION_SQLALCHEMY_BIND_KEY": "doors"}
    HardSession(flask_app)

    @flask_app.get("/half")
    def half() -> str:
        session["visits"] = 2
        db.session.execute(sa.text("CREATE TABLE articles (title TEXT)"))
        db.session.commit()
        db.session.execute(sa.text("INSERT INTO articles VALUES ('half done')"))
        return "done"

    client = flask_app.test_client()
    assert client.get("/half").status_code == 200

    assert client.get("/").text == "2"
    with closing(sqlite3.connect(tmp_path / "first.db")) as database:
        assert database.execute("SELECT count(*) FROM articles").fetchone() == (0,)
    with flask_app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.mark.parametrize(
    ("known", "bind_key", "fault"),
    [(False, None, "init_app"), (True, "windows", "SESSION_SQLALCHEMY_BIND_KEY")],
)
def test_flask_sqlalchemy_that_cannot_work(flask_app: Flask, known: bool, bind_key: str | None, fault: str) -> None:
    """One that does not know the application, or no such bind key, is refused at the start, in a sentence."""
    db = SQLAlchemy(flask_app) if known else SQLAlchemy()
    flask_app.config |= {"SESSION_SQLALCHEMY": db, "SESSION_SQLALCHEMY_BIND_KEY": bind_key}

    with pytest.raises(ConfigError, match=fault):
        HardSession(flask_app).ready()


def test_bind_key_without_flask_sqlalchemy(url: str) -> None:
    """A bind key that cannot choose anything is not passed over."""
    with pytest.raises(ValueError, match="SESSION_SQLALCHEMY_BIND_KEY"):
        build("sqlalchemy", Options(None, 2, {"SESSION_SQLALCHEMY": url, "SESSION_SQLALCHEMY_BIND_KEY": "doors"}))


def plant(file: Path, store: Store, key: str, **row: Any) -> None:
    """Somebody writes a row of his own into our table."""
    store.get(key)  # makes the table
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        row = {"name": key, "expires": 2**40} | row
        database.execute("INSERT INTO sessions VALUES (:name, :version, :value, :expires)", row)


def shape(database: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    return database.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall()


def in_time(verb: Callable[[], Any]) -> None:
    """It fails, soon, and from an error of the database."""
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        verb()
    assert isinstance(caught.value.__cause__, sa.exc.SQLAlchemyError)
    assert time.monotonic() - start < 5
