"""The SQLAlchemy store on PostgreSQL and MariaDB: what they are asked, locks, outages, and who makes the table."""

from __future__ import annotations

import gc
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, build
from hardsession.stores.sqlalchemy import SQLAlchemyStore
from hardsession.testing import OutageContract, StoreContract
from tests.servers import PATIENCE
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL

from .clock import MovedClock
from .common import VERSION, add_in_eight_processes, purge_in_batches

Database = PostgreSQL | MariaDB
MODES = {
    PostgreSQL: ["", "?options=-cdefault_transaction_isolation%3Dserializable"],
    MariaDB: [
        "?charset=utf8mb4",
        "?charset=utf8",
        "?charset=latin1",
        "?init_command=SET+innodb_snapshot_isolation%3D1",
    ],
}


@pytest.fixture(params=[PostgreSQL, MariaDB], ids=["postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> type[Database]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def database(kind: type[Database], server: Callable[[type[Database]], Any]) -> Database:
    """An empty database that all tests share."""
    database: Database = server(kind)
    ask(database, "DROP TABLE IF EXISTS sessions, sessions_sealed, doors")
    return database


@pytest.fixture
def postgresql(server: Callable[[type[PostgreSQL]], Any]) -> PostgreSQL:
    database: PostgreSQL = server(PostgreSQL)
    ask(database, "DROP TABLE IF EXISTS sessions, sessions_sealed")
    return database


@pytest.fixture
def mariadb(server: Callable[[type[MariaDB]], Any]) -> MariaDB:
    database: MariaDB = server(MariaDB)
    ask(database, "DROP TABLE IF EXISTS sessions, sessions_sealed")
    return database


@pytest.fixture
def store(database: Database) -> SQLAlchemyStore:
    return SQLAlchemyStore(database.url, timeout=PATIENCE)


@pytest.fixture
def engine(database: Database) -> Iterator[sa.Engine]:
    """The application's engine."""
    engine = sa.create_engine(database.url)
    yield engine
    engine.dispose()


class TestSQLAlchemyStoreOnServers(MovedClock, StoreContract):
    @pytest.fixture
    def store(self, database: Database) -> Store:
        self.database = database
        return database.empty_store()

    def plant(self, store: Store, key: str) -> None:
        plant(self.database, store, key, version="''")


class TestSQLAlchemyStoreInOutage(OutageContract):
    @pytest.fixture
    def server(self, kind: type[Database], untested: Callable[[str], NoReturn]) -> Iterator[Database]:
        with kind.running(untested) as server:
            yield server

    @pytest.fixture
    def store(self, server: Database) -> SQLAlchemyStore:
        return SQLAlchemyStore(server.url, timeout=1)


CLAUSES = [
    StoreContract.test_bytes_come_back_exactly,
    StoreContract.test_keys_do_not_collide,
    StoreContract.test_keys_are_named_by_prefix,
    StoreContract.test_no_step_of_a_counter_is_lost,
    StoreContract.test_one_of_many_threads_adds,
    StoreContract.test_works_on_both_sides_of_a_fork,
]


@pytest.mark.parametrize("clause", CLAUSES)
def test_engine_of_the_application(database: Database, clause: Callable[..., None]) -> None:
    """The engine of an application that keeps connections of its own does as well, whatever its isolation level."""
    engine = sa.create_engine(database.url, isolation_level="SERIALIZABLE")
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))

        clause(StoreContract(), build("sqlalchemy", Options(None, 2, {"SESSION_SQLALCHEMY": engine})))
    engine.dispose()


def test_engine_without_a_pool(database: Database) -> None:
    """Where the application keeps no connections, neither does the store."""
    before = connections(database)
    store = SQLAlchemyStore(sa.create_engine(database.url, poolclass=sa.NullPool))

    StoreContract().test_stale_version_is_a_conflict(store)

    until(lambda: connections(database) <= before)


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize(("of", "mode"), [(of, mode) for of, modes in MODES.items() for mode in modes])
def test_modes_of_a_connection(
    server: Callable[..., Any], clause: Callable[..., None], of: type[Database], mode: str
) -> None:
    """Neither a connection's charset nor its isolation level changes anything."""
    clause(StoreContract(), SQLAlchemyStore(server(of).url + mode, timeout=PATIENCE))


def test_mariadbs_own_scheme(mariadb: MariaDB) -> None:
    """A URL may say mariadb instead of mysql."""
    url = mariadb.url.replace("mysql+", "mariadb+")

    assert SQLAlchemyStore(url).add("k", b"value", 60)

    assert SQLAlchemyStore(mariadb.url).get("k") is not None


@pytest.mark.parametrize("version", ["''", "'fifteen bytes..'", "'seventeen bytes..'"])
def test_foreign_row(database: Database, store: SQLAlchemyStore, version: str) -> None:
    """A row whose version is none of ours is no outage."""
    contract = StoreContract()
    contract.plant = lambda store, key: plant(database, store, key, version=version)  # type: ignore[method-assign]

    contract.test_foreign_value_is_no_outage(store)


# Statements


def test_round_trips(database: Database) -> None:
    """A verb is one statement at the server, and no transaction around it, on a connection that is kept."""
    with Listening(database) as heard:
        store = SQLAlchemyStore(heard.url)
        store.add("k", b"value", 60)
        stored = store.get("k")
        assert stored is not None
        verbs: dict[str, Callable[[], Any]] = {
            "get": lambda: store.get("k"),
            "add": lambda: store.add("new", b"value", 60),
            "taken": lambda: store.add("k", b"value", 60),
            "replace": lambda: store.replace("k", b"new", 60, stored.version),
            "conflict": lambda: store.replace("k", b"newer", 60, stored.version),
            "delete": lambda: store.delete("k"),
            "gone": lambda: store.replace("k", b"newest", 60, stored.version),
        }
        seen = {}
        for name, verb in verbs.items():
            heard.since = len(heard.all())
            verb()
            seen[name] = heard.words()

        for _ in range(10):  # a driver may do something else after some time
            heard.since = len(heard.all())
            store.get("k")
            assert heard.words() == ["SELECT"]

    assert seen == {
        "get": ["SELECT"],
        "add": ["INSERT"],
        "taken": ["INSERT", "UPDATE", "INSERT"],
        "replace": ["UPDATE"],
        "conflict": ["UPDATE", "SELECT"],
        "delete": ["DELETE"],
        "gone": ["UPDATE", "SELECT"],
    }


def test_rows_are_found_by_the_key(mariadb: MariaDB) -> None:
    """Whatever the charset of a connection, MariaDB looks a name up in the primary key."""
    for charset in ("utf8", "utf8mb4", "latin1"):
        with SQLAlchemyStore(f"{mariadb.url}?charset={charset}")._engine.connect() as connection:
            store = SQLAlchemyStore(mariadb.url)
            store.add("k", b"value", 60)
            plan = connection.exec_driver_sql("EXPLAIN SELECT value FROM sessions WHERE name = 'k'").mappings().one()

        assert (plan["type"], plan["key"]) == ("const", "PRIMARY")


def test_purge_in_batches(database: Database, store: SQLAlchemyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is expired, no statement removes more than a batch, and what lives stays."""
    purge_in_batches(database.url, partial(ask, database), monkeypatch)


def test_engine_whose_connections_begin_with_a_transaction(postgresql: PostgreSQL) -> None:
    """An application that sets something up on each new connection may leave a transaction open there."""
    engine = sa.create_engine(postgresql.url)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.execute("SET search_path = public")

    store = SQLAlchemyStore(engine)

    assert store.add("k", b"value", 60)
    assert ask(postgresql, "SELECT name FROM public.sessions") == [("k",)]
    engine.dispose()


# Locks


@pytest.mark.parametrize("table", [False, True], ids=["row", "table"])
def test_lock_of_somebody_else(database: Database, table: bool) -> None:
    """Who waits for a lock is told in time, and so is the server: nothing waits there any more, or is done later."""
    store = SQLAlchemyStore(database.url, timeout=1)
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None
    lock = "SELECT * FROM sessions WHERE name = 'k' FOR UPDATE"
    if table:
        lock = "LOCK TABLE sessions" if isinstance(database, PostgreSQL) else "LOCK TABLES sessions WRITE"
    writes = [lambda: store.replace("k", b"new", 60, stored.version), lambda: store.delete("k")]
    with closing(database.client()) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(lock)

        for verb in (*writes, *([lambda: store.get("k")] if table else [])):
            in_time(verb)
        until(lambda: not waiting(database))

    assert store.get("k") == stored


def test_deadlock(database: Database) -> None:
    """A statement that the database undid because of a deadlock is done again."""
    store = SQLAlchemyStore(database.url, timeout=PATIENCE)
    for name in ("a", "b"):
        store.add(name, b"value", 60)
    ask(database, "UPDATE sessions SET expires = 1")
    with closing(database.client()) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as thread:
        cursor.execute("BEGIN")
        for number in range(20):  # MariaDB undoes those who have done the least
            cursor.execute(f"INSERT INTO sessions VALUES ('c{number}', 'v', 'v', {2**40})")
        cursor.execute("SELECT * FROM sessions WHERE name = 'b' FOR UPDATE")
        purged = thread.submit(store.purge)
        until(lambda: waiting(database))
        cursor.execute("UPDATE sessions SET value = 'w' WHERE name = 'a'")
        cursor.execute("COMMIT")

        assert purged.result(PATIENCE) == 2


def test_many_at_few_rows(store: SQLAlchemyStore) -> None:
    """Threads that do everything at once to two rows see no error: what collides is done again."""
    store.get("k0")  # makes the table
    end = time.monotonic() + 2

    def work(number: int) -> int:
        done = 0
        while time.monotonic() < end:
            key = f"k{(number + done) % 2}"
            match (number + done) % 4:
                case 0:
                    store.add(key, b"new", 1)
                case 1:
                    store.replace(key, b"newer", 60, stored.version if (stored := store.get(key)) else VERSION)
                case 2:
                    store.delete(key)
                case 3:
                    store.purge()
            done += 1
        return done

    with ThreadPoolExecutor(12) as threads:
        assert min(threads.map(work, range(12))) > 0


# Outages


@pytest.mark.parametrize("accepts", [True, False], ids=["silent", "unreachable"])
@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql"])
def test_nobody_answers(driver: str, accepts: bool) -> None:
    """A request waits for a server that says nothing once, and for one that cannot be reached."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        waiting = [] if accepts else [connecting(port) for _ in range(4)]  # no more is taken, and none is refused
        store = SQLAlchemyStore(f"{driver}://user:pw@127.0.0.1:{port}/db", timeout=0.5)

        in_time(lambda: store.get("k"))

        for client in waiting:
            client.close()
        if accepts:
            server.accept()[0].close()
            server.settimeout(0)
            with pytest.raises(BlockingIOError):
                server.accept()


def test_answer_that_stays_away(database: Database, kind: type[Database], untested: Callable[[str], NoReturn]) -> None:
    """A server that halts while it is asked costs its connection, and the next call has another."""
    with kind.running(untested) as own:
        store = SQLAlchemyStore(own.url, timeout=1)
        store.add("k", b"value", 60)
        stored = store.get("k")
        own.freeze()

        start = time.monotonic()
        in_time(lambda: store.get("k"))
        assert time.monotonic() - start < 3
        own.thaw()

        assert store.get("k") == stored


def test_slow_answers_are_waited_for(database: Database) -> None:
    """An answer that comes in time is taken, however often one has to look for it."""
    store = SQLAlchemyStore(database.url, timeout=PATIENCE)
    sleep = "SELECT pg_sleep(0.4)" if isinstance(database, PostgreSQL) else "SELECT sleep(0.4)"

    with store._engine.connect() as connection:
        assert connection.exec_driver_sql(sleep).one()


def test_few_connections(database: Database) -> None:
    """However many threads there are, the server has five connections of one store, and none once it is gone."""
    before = connections(database)
    store = SQLAlchemyStore(database.url, timeout=PATIENCE)
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(partial(store.add, value=b"value", ttl=60), map(str, range(200))))

    assert before < connections(database) <= before + 5

    del store, threads
    gc.collect()  # what was refused, such as a deadlock, may hold it in a cycle
    until(lambda: connections(database) <= before)


def test_value_over_the_limit(mariadb: MariaDB) -> None:
    """MariaDB takes what fits into a packet; an error says how large the value was, and the old one stands."""
    store = SQLAlchemyStore(mariadb.url, timeout=PATIENCE)
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None
    large = os.urandom(17 * 2**20)

    for write in (lambda: store.add("new", large, 60), lambda: store.replace("k", large, 60, stored.version)):
        with pytest.raises(StoreError, match=rf"{17 * 2**20} bytes.*max_allowed_packet"):
            write()

    assert store.get("k") == stored
    assert store.get("new") is None


def test_errors_quote_nothing(database: Database) -> None:
    """What an outage leaves in a log holds neither key nor value, nor the password."""
    name, value = "session:" + "name", b"some " + b"value"
    store = SQLAlchemyStore(database.url.replace(":pw@", ":wrong" + "pw@"))
    bare = SQLAlchemyStore(database.url, create=False)

    for one in (store, bare):
        with pytest.raises(StoreError) as caught:
            one.add(name, value, 60)

        text = "".join(traceback.format_exception(caught.value))
        assert name not in text
        assert value.decode() not in text
        assert "wrongpw" not in text


# The table


def test_table(database: Database, store: SQLAlchemyStore) -> None:
    """The columns have the types that a name and a value need, and expired rows are found by an index."""
    store.add("k", b"value", 60)

    columns = ask(
        database,
        "SELECT column_name, data_type, collation_name FROM information_schema.columns "
        "WHERE table_name = 'sessions' ORDER BY ordinal_position",
    )

    if isinstance(database, PostgreSQL):
        assert columns == [
            ("name", "character varying", "C"),
            ("version", "bytea", None),
            ("value", "bytea", None),
            ("expires", "bigint", None),
        ]
        assert ask(database, "SELECT count(*) FROM pg_indexes WHERE indexname = 'ix_sessions_expires'") == [(1,)]
    else:
        assert columns == [
            ("name", "varchar", "ascii_bin"),
            ("version", "tinyblob", None),
            ("value", "longblob", None),
            ("expires", "bigint", None),
        ]
        assert len(ask(database, "SHOW INDEX FROM sessions WHERE Key_name = 'ix_sessions_expires'")) == 1


def test_made_by_eight_processes_at_once(database: Database) -> None:
    """Workers that start together all get the table, and none an error."""
    for _ in range(4):
        ask(database, "DROP TABLE IF EXISTS sessions")

        add_in_eight_processes(lambda: SQLAlchemyStore(database.url, timeout=PATIENCE))

        assert ask(database, "SELECT count(*) FROM sessions") == [(8,)]


def test_left_to_migrations(database: Database, engine: sa.Engine) -> None:
    """With `create=False` the store makes no table, and `metadata` is what to make it from."""
    store = SQLAlchemyStore(database.url, create=False)
    in_time(lambda: store.add("k", b"value", 60))

    store.metadata.create_all(engine)

    assert store.add("k", b"value", 60)


def test_rights(database: Database, store: SQLAlchemyStore) -> None:
    """Where the table is there, a user needs the four rights on it, and no other."""
    host = "" if isinstance(database, PostgreSQL) else "@'127.0.0.1'"
    identified = "PASSWORD 'pw'" if isinstance(database, PostgreSQL) else "IDENTIFIED BY 'pw'"
    ask(database, f"CREATE USER clerk{host} {identified}")
    try:
        clerks = SQLAlchemyStore(database.url.replace("//hardsession:", "//clerk:"))
        in_time(lambda: clerks.get("k"))

        store.get("k")  # makes the table
        ask(database, f"GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO clerk{host}")

        assert clerks.add("k", b"old", 60)
        stored = clerks.get("k")
        assert stored is not None
        assert clerks.replace("k", b"new", 60, stored.version) is Outcome.DONE
        assert list(clerks.keys("k")) == ["k"]
        clerks.delete("k")
        assert clerks.purge() == 0
    finally:
        ask(database, "DROP TABLE IF EXISTS sessions")
        ask(database, f"DROP USER clerk{host}")


def test_schema(postgresql: PostgreSQL) -> None:
    """The table can stand in a schema of its own, which has to be there."""
    ask(postgresql, "DROP SCHEMA IF EXISTS doors CASCADE")
    settings = {"SESSION_SQLALCHEMY": postgresql.url, "SESSION_SQLALCHEMY_SCHEMA": "doors"}
    store = build("sqlalchemy", Options(None, 2, settings))
    in_time(lambda: store.get("k"))

    ask(postgresql, "CREATE SCHEMA doors")

    assert store.add("k", b"value", 60)
    assert ask(postgresql, "SELECT name FROM doors.sessions") == [("k",)]


def test_beside_the_table_of_flask_session(database: Database) -> None:
    """Where flask-session's table has the name, it stays as it is, and ours has another."""
    blob = "BYTEA" if isinstance(database, PostgreSQL) else "BLOB"
    ask(database, f"CREATE TABLE sessions (id INTEGER, session_id VARCHAR(255) UNIQUE, data {blob}, expiry TIMESTAMP)")
    ask(database, "INSERT INTO sessions VALUES (1, 'session:abc', 'x', '2030-01-01')")

    assert SQLAlchemyStore(database.url).add("k", b"value", 60)
    assert not SQLAlchemyStore(database.url).add("k", b"other", 60)

    assert ask(database, "SELECT session_id FROM sessions") == [("session:abc",)]
    assert ask(database, "SELECT name FROM sessions_sealed") == [("k",)]


# Settings


@pytest.mark.parametrize("option", ["sockettimeout=3", "charset=klingon", "read_timeout=-1", "read_timeout=soon"])
def test_refused_options(option: str) -> None:
    """An option that PyMySQL does not know, or cannot use, is refused at the start."""
    with pytest.raises(ValueError, match=r"sockettimeout|charset|encoding|timeout|soon") as caught:
        build("sqlalchemy", Options(f"mysql+pymysql://user:secretpw@host/db?{option}", 2, {}))

    assert "secretpw" not in str(caught.value)


def test_what_the_url_says_comes_first(database: Database) -> None:
    """Options of a URL are kept."""
    if isinstance(database, PostgreSQL):
        store = SQLAlchemyStore(f"{database.url}?options=-c%20statement_timeout%3D77")
        question, answer = "SHOW statement_timeout", "77ms"
    else:
        store = SQLAlchemyStore(f"{database.url}?init_command=SET+@a%3D7")
        question, answer = "SELECT CAST(@a AS CHAR)", "7"

    with store._engine.connect() as connection:
        assert connection.exec_driver_sql(question).scalar() == answer


# What servers are asked


class Listening:
    """What the statements on connections with `url` are, as the server heard them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.since = 0

    def __enter__(self) -> Listening:
        if isinstance(self.database, MariaDB):
            self.url = self.database.url
            ask(self.database, "SET GLOBAL log_output = 'TABLE'", "TRUNCATE mysql.general_log")
            ask(self.database, "SET GLOBAL general_log = 1")
        else:
            self.url = f"{self.database.url}?options=-c%20log_statement%3Dall"
            self._before = len(self.database.log)
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.database, MariaDB):
            ask(self.database, "SET GLOBAL general_log = 0")

    def all(self) -> list[str]:
        if isinstance(self.database, MariaDB):
            ours = "SELECT thread_id FROM mysql.general_log WHERE argument LIKE '%general_log%'"
            asked = f"SELECT argument FROM mysql.general_log WHERE thread_id NOT IN ({ours}) AND argument <> ''"
            return [text for (text,) in ask(self.database, asked)]
        lines = self.database.log[self._before :].splitlines()
        return [line.partition(": ")[2].partition(": ")[2] for line in lines if " LOG:  " in line]

    def words(self) -> list[str]:
        return [text.split()[0] for text in self.all()[self.since :]]


def ask(database: Database, *statements: str) -> list[tuple[Any, ...]]:
    """What the last of these statements gives."""
    with closing(database.client()) as client, client.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def waiting(database: Database) -> bool:
    """Whether somebody waits for a lock."""
    if isinstance(database, PostgreSQL):
        return bool(ask(database, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
    rows = ask(
        database,
        "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' UNION ALL "
        "SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for table%lock'",
    )
    return bool(rows)


def connections(database: Database) -> int:
    if isinstance(database, PostgreSQL):
        return ask(database, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")[0][0]  # type: ignore[no-any-return]
    return len(ask(database, "SHOW PROCESSLIST"))


def until(true: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)


def connecting(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


def plant(database: Database, store: Store, key: str, *, version: str) -> None:
    """Somebody writes a row of his own into our table."""
    store.get(key)  # makes the table
    ask(database, f"INSERT INTO sessions (name, version, value, expires) VALUES ('{key}', {version}, 'value', {2**40})")


def in_time(verb: Callable[[], Any]) -> None:
    """It fails, soon, and from an error of the database."""
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        verb()
    assert isinstance(caught.value.__cause__, sa.exc.SQLAlchemyError)
    assert time.monotonic() - start < 5
