"""MariaDB."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from typing import Any

import pymysql

from hardsession.stores import Store
from hardsession.stores.sqlalchemy import SQLAlchemyStore

from . import PATIENCE, Server


class MariaDB(Server):
    """MariaDB, with one database."""

    program = "mariadbd"
    package = "mariadb-server"
    stop_signal = signal.SIGTERM

    user, password = "hardsession", "pw"

    @property
    def url(self) -> str:
        return f"mysql+pymysql://{self.user}:{self.password}@127.0.0.1:{self.port}/newsroom"

    def command(self) -> list[str]:
        where = ["--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.folder / 's'}"]
        less = ["--skip-log-bin", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"]
        return [self.program, *self._data(), *where, *less, f"--init-file={self.folder / 'init'}"]

    def start(self) -> None:
        """Start it; the first time, make its data before."""
        if not self.folder.joinpath("data").exists():
            options = ["--skip-test-db", "--skip-name-resolve", "--auth-root-authentication-method=normal"]
            subprocess.run(["mariadb-install-db", *self._data(), *options], check=True, stdout=subprocess.DEVNULL)
            self.folder.joinpath("init").write_text(
                "CREATE DATABASE IF NOT EXISTS newsroom;\n"
                f"CREATE USER IF NOT EXISTS '{self.user}'@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
                f"GRANT ALL ON *.* TO '{self.user}'@'127.0.0.1' WITH GRANT OPTION;\n"
            )
        super().start()

    def answers(self) -> bool:
        return self.ask("SELECT @@datadir") == [(f"{self.folder / 'data'}/",)]

    def client(self, **options: Any) -> pymysql.Connection[Any]:
        """A connection on which every statement is a transaction of its own."""
        options = {"user": self.user, "password": self.password, "read_timeout": PATIENCE} | options
        return pymysql.connect(host="127.0.0.1", port=self.port, database="newsroom", autocommit=True, **options)

    def ask(self, *statements: str) -> list[tuple[Any, ...]]:
        """What the last of these statements gives."""
        with self.client() as client, client.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def empty_store(self) -> Store:
        self.ask("DROP TABLE IF EXISTS sessions, sessions_sealed")
        return SQLAlchemyStore(self.url, timeout=PATIENCE)

    def _data(self) -> list[str]:
        return ["--no-defaults", f"--datadir={self.folder / 'data'}", f"--user={pwd.getpwuid(os.geteuid()).pw_name}"]
