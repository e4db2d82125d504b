"""Real servers for the tests: each in a folder of its own, on a free port of 127.0.0.1, gone when the tests are over.

One module a server. The fixture `server` gives the one of the whole run, for tests that do it no harm.

A server's class says how it is called, how it is started, and how to tell that it is this very process which answers:
a port that accepts may be anybody's. Start servers from the main thread, since they end with the thread that did.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import mirakuru.base
import port_for
import pytest
import trustme

from hardsession.stores import Store

# It ends processes by a part of their number, which may be that of another run of the tests.
atexit.unregister(mirakuru.base.cleanup_subprocesses)


PATIENCE = 20
"""Seconds after which a test that waits for another thread or a server fails instead of hanging."""


_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_taken = {port for port in range(65536) if port % _processes != _process}
"""Ports that are given to a server already, and those that the other processes of this run may give to one."""


def free_port() -> int:
    """A port that nothing listens on, and that no other server of this run has, which may have yet to start."""
    port: int = port_for.get_port(None, exclude_ports=_taken)
    _taken.add(port)
    return port


def certify(folder: Path) -> None:
    """Write the certificate of an authority of our own, `ca.pem`, and one of 127.0.0.1 with its key, `server.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))


class Server(ABC):
    """A server of our own. `options` go to its command line."""

    program: ClassVar[str]
    """Its command, and the package of Debian that has it."""

    package: ClassVar[str]

    stop_signal: ClassVar[int] = signal.SIGKILL
    """What ends it fastest; all that it knows is gone afterwards, or may be."""

    def __init__(self, *options: str) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="hardsession-", dir="/tmp"))  # short, and others may enter /tmp
        self.port: int = free_port()
        self._process: _Process | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is this server that answers. Whatever it raises means: not yet."""

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def empty_store(self) -> Store:
        """An empty store on it, which waits for as long as a busy machine may take (`PATIENCE`)."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and come back when it answers."""
        with self.folder.joinpath("log").open("ab") as log:
            self._process = _Process(self, log)
            try:
                self._process.start()
            except mirakuru.exceptions.ExecutorError as error:
                said = self.folder.joinpath("log").read_text("utf-8", "replace")[-4000:]
                raise RuntimeError(f"{self.program} did not start. It said:\n{said}") from error

    def stop(self) -> None:
        """End it. It can be started again, at the same address."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def freeze(self) -> None:
        """Halt it: connections stay, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)  # on a busy machine it may answer until then

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder)

    @classmethod
    @contextlib.contextmanager
    def running(cls, untested: Callable[[str], NoReturn], *options: str) -> Iterator[Self]:
        """One that runs; where it is not installed, the test is skipped, or fails for continuous integration.

        `HARDSESSION_SERVERS` leaves out all but those of the modules that it names, for a run about other things.
        """
        chosen = os.environ.get("HARDSESSION_SERVERS")
        if chosen is not None and cls.__module__.rpartition(".")[2] not in chosen.split():
            pytest.skip(f"HARDSESSION_SERVERS leaves {cls.__name__} out")
        if shutil.which(cls.program) is None:
            untested(f"{cls.__name__} (`make servers`, or install the package {cls.package})")
        server = cls(*options)
        try:
            server.start()
            yield server
        finally:
            server.close()


class _Process(mirakuru.base.Executor):
    """mirakuru's, with its output in a file: a pipe that nobody reads holds the server up when it is full."""

    def __init__(self, server: Server, log: Any) -> None:
        super().__init__(
            [*_ends_with_us(), *server.command(), *server.options],
            cwd=str(server.folder),
            timeout=30,
            sleep=0.02,
            stop_signal=server.stop_signal,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._server = server

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    def pre_start_check(self) -> bool:
        return False

    def after_start_check(self) -> bool:
        with contextlib.suppress(Exception):
            return self._server.answers()
        return False


def _ends_with_us() -> list[str]:
    """What has the kernel end a server even when the tests are killed."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
