"""A store in one table of a database, on SQLAlchemy 2. One statement a verb, each its own transaction."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Iterator
from math import ceil
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from ..errors import StoreError
from . import VERSION_LENGTH, Options, Outcome, Stored, Version, forget_after_fork, new_version

_BATCH = 500
_NAME = sa.String(128).with_variant(mysql.VARCHAR(128, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
_VALUE = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
_FLASK_SESSIONS = {"session_id", "data", "expiry"}


class SQLAlchemyStore:
    """Keeps values in rows of a table of its own, never in the application's transactions.

    Args:
        engine: an Engine or a URL. The store works on a small pool of its own, made from it.
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
        self._errors = (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error)
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
        with self._connection() as connection:
            return _stored(connection.execute(self._sql.select, {"name_": key, "now": _now()}).one_or_none())

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        # What is in the way at first may be expired, and purged before it is written over.
        row = _row(value, ttl)
        return self._insert(key, row) or self._take_over(key, row) or self._insert(key, row)

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        row = _row(value, ttl)
        with self._connection() as connection:
            done = connection.execute(self._sql.update, row | {"name_": key, "now": _now(), "seen": version})
        if done.rowcount == 1:
            return Outcome.DONE
        stored = self.get(key)
        if stored is None:
            return Outcome.GONE
        return Outcome.DONE if stored.version == row["version"] else Outcome.CONFLICT

    def delete(self, key: str) -> None:
        with self._connection() as connection:
            connection.execute(self._sql.delete, {"name_": key})

    def purge(self) -> int:
        purged = 0
        while True:
            with self._connection() as connection:
                names = connection.execute(self._sql.expired, {"now": _now()}).scalars().all()
                removed = connection.execute(self._sql.purge, {"names": names, "now": _now()}).rowcount if names else 0
            if not removed:
                return purged
            purged += removed

    def keys(self, prefix: str) -> Iterator[str]:
        last = ""
        while True:
            with self._connection() as connection:
                names = connection.execute(self._sql.names(prefix), {"last": last}).scalars().all()
            yield from (name for name in names if name.startswith(prefix))  # some databases' LIKE ignores case
            if len(names) < _BATCH:
                return
            last = names[-1]

    def forget_inherited(self) -> None:
        """A connection that parent and child both use mixes up their answers."""
        self._engine.dispose(close=False)

    def _insert(self, key: str, row: dict[str, Any]) -> bool:
        with self._connection() as connection, contextlib.suppress(IntegrityError):
            connection.execute(self._sql.insert, row | {"name": key})
            return True
        return False

    def _take_over(self, key: str, row: dict[str, Any]) -> bool:
        with self._connection() as connection:
            return connection.execute(self._sql.update_expired, row | {"name_": key, "now": _now()}).rowcount == 1

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                if self._create:
                    self._make_table(connection)
                yield connection
        except self._errors as error:
            raise StoreError("The session table cannot be used.") from error

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
        raw = [sa.type_coerce(part, sa.types.NULLTYPE).label(part.name) for part in (column.value, column.version)]
        self.select = sa.select(*raw).where(live)
        self.insert = sa.insert(self.table)
        self.update = sa.update(self.table).where(live, column.version == sa.bindparam("seen"))
        self.update_expired = sa.update(self.table).where(named, over)
        self.delete = sa.delete(self.table).where(named)
        self.expired = sa.select(column.name).where(over).limit(_BATCH)
        self.purge = sa.delete(self.table).where(column.name.in_(sa.bindparam("names", expanding=True)), over)

    def names(self, prefix: str) -> sa.Select[str]:
        """The next of the names with a prefix, in order."""
        name = self.table.c.name
        prefixed = name.startswith(prefix, autoescape=True)
        return sa.select(name).where(prefixed, name > sa.bindparam("last")).order_by(name).limit(_BATCH)


def build(options: Options) -> SQLAlchemyStore:
    """From a URL, or an Engine or a URL in `SESSION_SQLALCHEMY`."""
    settings = options.settings
    engine = options.url or settings.get("SESSION_SQLALCHEMY")
    if not isinstance(engine, str | sa.URL | sa.Engine):
        raise ValueError("SESSION_SQLALCHEMY is neither an Engine nor a URL")
    create = settings.get("SESSION_CREATE_TABLES")
    return SQLAlchemyStore(
        engine,
        table=settings.get("SESSION_SQLALCHEMY_TABLE") or "sessions",
        schema=settings.get("SESSION_SQLALCHEMY_SCHEMA"),
        create=True if create is None else bool(create),
        timeout=options.timeout,
    )


def _own_pool(engine: sa.Engine | sa.URL | str, timeout: float) -> sa.Engine:
    """An engine that shares no connection, and so no transaction, with the application's, and shows no values."""
    url = engine.url if isinstance(engine, sa.Engine) else _url(engine)
    if url.get_backend_name() == "sqlite":
        if ":memory:" in (url.database or ":memory:") or url.query.get("mode") == "memory":
            raise ValueError("a SQLite database in memory belongs to one connection: name a file, or use memory")
        wait = {"timeout": timeout}
    else:
        wait = {"connect_timeout": max(1, int(timeout))}
    if not isinstance(engine, sa.Engine):
        engine = sa.create_engine(url, connect_args=wait, pool_timeout=timeout)
    return sa.create_engine(url, pool=engine.pool.recreate(), isolation_level="AUTOCOMMIT", hide_parameters=True)


def _url(text: sa.URL | str) -> sa.URL:
    try:
        url = sa.make_url(text)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError):  # the first may quote the URL, password and all
        raise ValueError("SQLAlchemy does not know such a URL") from None
    return url


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
