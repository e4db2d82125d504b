"""A store in one table of a database, on SQLAlchemy 2. One statement a verb, each its own transaction."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from ..errors import StoreError
from . import VERSION_LENGTH, Options, Outcome, Stored, Version, forget_after_fork, new_version

T = TypeVar("T")

_BATCH = 500
_NAME = (
    sa.String(128)
    .with_variant(mysql.VARCHAR(128, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    .with_variant(sa.String(128, collation="C"), "postgresql")  # any other changes with the system's libraries
)
_VALUE = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")  # which cuts nothing, in no mode
_FLASK_SESSIONS = {"session_id", "data", "expiry"}

# A call takes milliseconds, so five connections serve many threads, and those of eight workers are well below the
# hundred that a server takes. They are made anew before something on the way drops them for being idle.
_POOL = {"poolclass": sa.QueuePool, "pool_size": 5, "max_overflow": 0, "pool_recycle": 300}

_TRIES, _LARGE = 20, 2**20
_COLLISIONS = {"40001", "40P01", 1020, 1213}
"""What PostgreSQL and MariaDB call it when they undo a statement because others are at the same rows."""


class SQLAlchemyStore:
    """Keeps values in rows of a table of its own, never in the application's transactions.

    Args:
        engine: an Engine or a URL. The store works on a pool of its own, made from it.
        table: the table's name. Where flask-session's table has it, ours is called `<table>_sealed`.
        schema: the table's schema.
        create: make the table when it is first needed; otherwise that is left to migrations (`metadata` has the table).
        timeout: seconds to wait for the database. An Engine keeps its own.
    """

    atomic = True

    def __init__(
        self,
        engine: sa.Engine | sa.URL | str,
        *,
        table: str = "sessions",
        schema: str | None = None,
        create: bool = True,
        timeout: float = 2.0,
    ) -> None:
        self._engine = _own_pool(engine, timeout)
        self._errors = (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error, OSError)
        self._sql = _Statements(table, schema)
        self._sealed = _Statements(f"{table}_sealed", schema)
        self._create = create
        weakref.finalize(self, self._engine.dispose)
        forget_after_fork(self)

    @property
    def metadata(self) -> sa.MetaData:
        """The table, for migrations."""
        return self._sql.metadata

    def get(self, key: str) -> Stored | None:
        asked = {"name_": key, "now": _now()}
        return _stored(self._do(lambda connection: connection.execute(self._sql.select, asked).one_or_none()))

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        return self._do(self._add, key, _row(value, ttl), size=len(value))

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        row = _row(value, ttl)
        seen = row | {"name_": key, "now": _now(), "seen": version}
        if self._do(lambda connection: connection.execute(self._sql.update, seen).rowcount, size=len(value)):
            return Outcome.DONE
        stored = self.get(key)
        if stored is None:
            return Outcome.GONE
        return Outcome.DONE if stored.version == row["version"] else Outcome.CONFLICT

    def delete(self, key: str) -> None:
        self._do(lambda connection: connection.execute(self._sql.delete, {"name_": key}))

    def purge(self) -> int:
        purged = 0
        while removed := self._do(self._purge_batch):
            purged += removed
        return purged

    def keys(self, prefix: str) -> Iterator[str]:
        last = ""
        while True:
            names = self._do(self._page, prefix, last)
            yield from (name for name in names if name.startswith(prefix))  # some databases' LIKE ignores case
            if len(names) < _BATCH:
                return
            last = names[-1]

    def forget_inherited(self) -> None:
        """A connection that parent and child both use mixes up their answers."""
        self._engine.dispose(close=False)

    def _add(self, connection: sa.Connection, key: str, row: dict[str, Any]) -> bool:
        """Insert it, or write over what is in the way and expired, which may have been purged by then.

        What is in the way may also be our own, where something between us and the database sent it twice.
        """
        new, seen = row | {"name": key}, row | {"name_": key, "now": _now(), "seen": row["version"]}
        return (
            self._insert(connection, new)
            or connection.execute(self._sql.take_over, seen).rowcount == 1
            or self._insert(connection, new)
        )

    def _insert(self, connection: sa.Connection, row: dict[str, Any]) -> bool:
        with contextlib.suppress(IntegrityError):
            connection.execute(self._sql.insert, row)
            return True
        return False

    def _purge_batch(self, connection: sa.Connection) -> int:
        names = connection.execute(self._sql.expired, {"now": _now()}).scalars().all()
        return connection.execute(self._sql.purge, {"names": names, "now": _now()}).rowcount if names else 0

    def _page(self, connection: sa.Connection, prefix: str, last: str) -> Sequence[str]:
        return connection.execute(self._sql.names(prefix), {"last": last}).scalars().all()

    def _do(self, work: Callable[..., T], *arguments: Any, size: int = 0) -> T:
        """Do it on a connection, and again where the database has undone it because of others at the same rows."""
        left = _TRIES
        while True:
            try:
                with self._engine.connect() as connection:
                    if self._create:
                        self._make_table(connection)
                    return work(connection, *arguments)
            except self._errors as error:
                left -= 1
                if left and _is_collision(error):
                    continue
                large = f" A value of {size} bytes may be over its limit (max_allowed_packet)." if size > _LARGE else ""
                raise StoreError(f"The session table cannot be used.{large}") from error

    def _make_table(self, connection: sa.Connection) -> None:
        """Make what is missing: the table, and the index of one whose maker died before it came to that.

        Any number of threads and workers may do so at once. Who is late with a step fails, and finds it done.
        """
        if _is_flask_sessions(connection, self._sql.table):
            self._sql = self._sealed
        parts: list[sa.Table | sa.Index] = [self._sql.table, *self._sql.table.indexes]
        for part in parts:
            try:
                part.create(connection, checkfirst=True)
            except self._errors:
                part.create(connection, checkfirst=True)
        self._create = False


class _Statements:
    """All that is asked of one table."""

    def __init__(self, table: str, schema: str | None) -> None:
        self.metadata = sa.MetaData()
        self.table = sa.Table(
            table,
            self.metadata,
            sa.Column("name", _NAME, primary_key=True),
            sa.Column("version", sa.LargeBinary(VERSION_LENGTH), nullable=False),
            sa.Column("value", _VALUE, nullable=False),
            sa.Column("expires", sa.BigInteger, nullable=False, index=True),
            schema=schema,
        )
        column = self.table.c
        now: sa.BindParameter[int] = sa.bindparam("now")
        named = column.name == sa.bindparam("name_")
        live, over = named & (column.expires > now), column.expires <= now
        written = column.version == sa.bindparam("seen")
        raw = [sa.type_coerce(part, sa.types.NULLTYPE).label(part.name) for part in (column.value, column.version)]
        self.select = sa.select(*raw).where(live)
        self.insert = sa.insert(self.table)
        self.update = sa.update(self.table).where(live, written)
        self.take_over = sa.update(self.table).where(named, over | written)
        self.delete = sa.delete(self.table).where(named)
        self.expired = sa.select(column.name).where(over).limit(_BATCH)
        self.purge = sa.delete(self.table).where(column.name.in_(sa.bindparam("names", expanding=True)), over)

    def names(self, prefix: str) -> sa.Select[str]:
        """The next of the names with a prefix, in order."""
        name = self.table.c.name
        prefixed = name.startswith(prefix, autoescape=True)
        return sa.select(name).where(prefixed, name > sa.bindparam("last")).order_by(name).limit(_BATCH)


def build(options: Options) -> SQLAlchemyStore:
    """From a URL, or from `SESSION_SQLALCHEMY`: a Flask-SQLAlchemy object, an Engine or a URL."""
    settings = options.settings
    return SQLAlchemyStore(
        options.url or _engine(settings),
        table=settings.get("SESSION_SQLALCHEMY_TABLE") or "sessions",
        schema=settings.get("SESSION_SQLALCHEMY_SCHEMA"),
        create=options.create,
        timeout=options.timeout,
    )


def _engine(settings: Mapping[str, Any]) -> sa.Engine | sa.URL | str:
    """What the application has. Flask-SQLAlchemy knows its engines while the application is current."""
    where, bind_key = settings.get("SESSION_SQLALCHEMY"), settings.get("SESSION_SQLALCHEMY_BIND_KEY")
    try:
        where = where.engines[bind_key]  # type: ignore[union-attr]
    except AttributeError:
        if bind_key is not None:
            raise ValueError("SESSION_SQLALCHEMY_BIND_KEY chooses an engine of Flask-SQLAlchemy's only") from None
    except KeyError:
        raise ValueError("SESSION_SQLALCHEMY has no engine of the name in SESSION_SQLALCHEMY_BIND_KEY") from None
    except RuntimeError:
        raise ValueError("SESSION_SQLALCHEMY does not know this application: call its init_app first") from None
    if not isinstance(where, str | sa.URL | sa.Engine):
        raise ValueError("SESSION_SQLALCHEMY is neither a Flask-SQLAlchemy object nor an Engine nor a URL")
    return where


def _own_pool(engine: sa.Engine | sa.URL | str, timeout: float) -> sa.Engine:
    """An engine that shares no connection, and so no transaction, with the application's, and shows no values."""
    url = engine.url if isinstance(engine, sa.Engine) else _url(engine)
    if url.get_backend_name() == "sqlite" and (
        ":memory:" in (url.database or ":memory:") or url.query.get("mode") == "memory"
    ):
        raise ValueError("a SQLite database in memory belongs to one connection: name a file, or use memory")
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}
    if isinstance(engine, sa.Engine):
        pool = engine.pool.recreate()
        # What the application does to a new connection may have begun a transaction.
        sa.event.listen(pool, "connect", lambda connection, _record: connection.commit())
        own = sa.create_engine(url, pool=pool, **options)
    else:
        own = sa.create_engine(url, connect_args=_limits(url, timeout), pool_timeout=timeout, **_POOL, **options)
        if own.driver == "pymysql":
            _check_options(own)
        if own.driver == "psycopg":
            connect = _patient(timeout)
            sa.event.listen(own, "do_connect", lambda _dialect, _record, args, options: connect(*args, **options))
    # Where a statement is its own transaction, this is a round trip for nothing.
    own.dialect.do_rollback = lambda dbapi_connection: None  # type: ignore[method-assign]  # noqa: ARG005
    return own


def _limits(url: sa.URL, timeout: float) -> dict[str, Any]:
    """What makes a driver give up in time, and its server as well, or those who wait for a lock would fill it.

    What the URL says itself has precedence.
    """
    limits: dict[str, Any] = {}
    match url.get_driver_name():
        case "pysqlite":
            limits = {"timeout": timeout}
        case "psycopg":
            # What is prepared belongs to one connection of the server, and a pooler may give us another.
            limits = {"connect_timeout": max(2, int(timeout)), "prepare_threshold": None}
            limits["options"] = f"-c statement_timeout={ceil(timeout * 1000)} {url.query.get('options', '')}"
        case "pymysql":
            limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), timeout)
            locks = max(1, int(timeout))
            limits["init_command"] = f"SET innodb_lock_wait_timeout = {locks}, lock_wait_timeout = {locks}"
    return {name: value for name, value in limits.items() if name == "options" or name not in url.query}


def _check_options(engine: sa.Engine) -> None:
    """PyMySQL would say it when it connects, and not with an error of its own."""
    _, options = engine.dialect.create_connect_args(engine.url)
    try:
        engine.dialect.loaded_dbapi.connect(**options, defer_connect=True)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"PyMySQL cannot use an option of the URL ({error})") from None


def _patient(timeout: float) -> Callable[..., Any]:
    """What connects psycopg, which by itself would wait for an answer without end."""
    import psycopg

    class Patient(psycopg.Connection[Any]):
        def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
            try:
                return super().wait(_in_time(gen, timeout), *args, **options)
            except TimeoutError:
                self.close()
                raise psycopg.OperationalError("the server did not answer in time") from None

    return Patient.connect


def _in_time(steps: Generator[Any, Any, T], timeout: float) -> Generator[Any, Any, T]:
    """The same steps, each of which waits for the socket, until the time is over."""
    end = time.monotonic() + timeout
    try:
        ready = yield next(steps)
        while ready or time.monotonic() < end:
            ready = yield steps.send(ready)
    except StopIteration as last:
        return last.value  # type: ignore[no-any-return]
    raise TimeoutError


def _url(text: sa.URL | str) -> sa.URL:
    try:
        url = sa.make_url(text)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError):  # the first may quote the URL, password and all
        raise ValueError("SQLAlchemy does not know such a URL") from None
    return url


def _is_collision(error: BaseException) -> bool:
    cause = getattr(error, "orig", None)
    return not _COLLISIONS.isdisjoint({getattr(cause, "sqlstate", None), *getattr(cause, "args", ())})


def _is_flask_sessions(connection: sa.Connection, table: sa.Table) -> bool:
    """Whether flask-session's table has the name. Its rows stay as they are."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(table.name, table.schema):
        return False
    return {column["name"] for column in inspector.get_columns(table.name, table.schema)} >= _FLASK_SESSIONS


def _stored(row: Any) -> Stored | None:
    """What a row holds; None where that is none of ours, such as text, which SQLite takes into any column."""
    if row is None or not all(isinstance(part, bytes | memoryview) for part in row):
        return None
    value, version = map(bytes, row)
    return Stored(value, Version(version)) if len(version) == VERSION_LENGTH else None


def _row(value: bytes, ttl: int) -> dict[str, Any]:
    return {"value": value, "version": new_version(), "expires": ceil(time.time()) + ttl}


def _now() -> int:
    return int(time.time())
