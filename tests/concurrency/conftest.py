"""Real servers for the tests, each on a socket and in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hardsession import Key

NAME = "__Host-Http-session"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Answer:
    """What the served page said, and the session cookie that came with it, if one did."""

    name: str | None
    same: bool
    handle: str | None
    pid: int
    patched: bool
    token: str | None


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    keys: Path
    log: Path

    def page(self, token: str | None = None, *, name: str | None = None, meet: bool = False) -> Answer:
        """Ask for the page: with a session, giving a name, waiting there for others."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Cookie": f"{NAME}={token}"} if token else {}
        path = "/?meet=1" if meet else "/"
        try:
            if name is None:
                connection.request("GET", path, headers=headers)
            else:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                connection.request("POST", path, urlencode({"name": name}), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert response.status == 200, self.log.read_text()
        cookies = SimpleCookie(response.headers.get("Set-Cookie", ""))
        return Answer(**json.loads(body), token=cookies[NAME].value if NAME in cookies else None)

    def meeting(self, people: int, token: str | None = None, *, name: str | None = None) -> list[Answer]:
        """So many requests at once, none of which is answered before all are there. `{}` in the name is its number."""
        with ThreadPoolExecutor(people) as pool:
            asked = [
                pool.submit(self.page, token, name=name and name.format(number), meet=True) for number in range(people)
            ]
            return [answer.result() for answer in asked]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start gunicorn: `serve("--workers", "2", SERVED_PEOPLE="2")`. It stops with the tests of the module."""
    with ExitStack() as stack:
        yield lambda *arguments, **environment: stack.enter_context(
            gunicorn(tmp_path_factory.mktemp("server"), arguments, environment)
        )


@contextmanager
def gunicorn(folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> Iterator[Server]:
    """A server on a socket that is open before it starts: no port is guessed, and the first request waits for it."""
    keys, log = folder / "keys", folder / "log"
    keys.write_text(Key.generate().text)
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("w") as output:
        port = listener.getsockname()[1]
        command = [
            *(["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []),  # if the tests are killed
            *(sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--no-control-socket"),
            *("--worker-tmp-dir", str(folder), "--graceful-timeout", "2", *arguments, "served:app"),
        ]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | python_path() | {"SERVED_SESSION_SECRET_KEYS_FILE": str(keys)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    try:
        yield Server(port, keys, log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def python_path() -> dict[str, str]:
    """What a new Python needs to import the same modules as this one, and `served`."""
    return {"PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[str]]:
    """Run a program beside the served application, in a process of its own, and give the lines that it prints."""

    def do(program: str, **environment: str) -> list[str]:
        keys = tmp_path / "keys"
        keys.write_text(Key.generate().text)
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | python_path() | {"SERVED_SESSION_SECRET_KEYS_FILE": str(keys)} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    return do
