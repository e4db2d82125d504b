"""PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from hardsession.stores import Store
from hardsession.stores.sqlalchemy import SQLAlchemyStore

from . import PATIENCE, Server


class PostgreSQL(Server):
    """PostgreSQL, which does not wait for the disk. It refuses to run as root, and has a user of its own then."""

    # Debian keeps it beside the path.
    program = shutil.which("postgres") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")), default="")
    package = "postgresql"
    stop_signal = signal.SIGQUIT

    user, password = "hardsession", "pw"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{self.user}:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def log(self) -> str:
        """What it has said."""
        return self.folder.joinpath("log").read_text("utf-8", "replace")

    def command(self) -> list[str]:
        where = ["-D", str(self.folder / "data"), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        return [*_unprivileged("--pdeathsig", "KILL"), self.program, *where, "-c", "fsync=off"]

    def start(self) -> None:
        """Start it; the first time, make its data before."""
        if not self.folder.joinpath("data").exists():
            self._make_data()
        super().start()

    def freeze(self) -> None:
        """Halt it, and the process that each of its connections has."""
        super().freeze()
        self._signal_children(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_children(signal.SIGCONT)
        super().thaw()

    def answers(self) -> bool:
        with self.client() as client:
            return client.execute("SHOW data_directory").fetchone() == (str(self.folder / "data"),)

    def client(self, **options: Any) -> psycopg.Connection[Any]:
        """A connection on which every statement is a transaction of its own."""
        options = {"user": self.user, "password": self.password, "connect_timeout": 2} | options
        return psycopg.connect(host="127.0.0.1", port=self.port, dbname="postgres", autocommit=True, **options)

    def empty_store(self) -> Store:
        with self.client() as client:
            client.execute("DROP TABLE IF EXISTS sessions, sessions_sealed")
        return SQLAlchemyStore(self.url, timeout=PATIENCE)

    def _make_data(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        initdb = Path(self.program).resolve().with_name("initdb")
        options = ["-U", self.user, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"]
        command = [*_unprivileged(), str(initdb), "-D", str(self.folder / "data"), *options, "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def _signal_children(self, number: signal.Signals) -> None:
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            os.kill(int(pid), number)


def _unprivileged(*options: str) -> list[str]:
    """What another user's process begins with; `options` of its own come after the change of user, or are lost."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *options, "--"]
