"""Serve the vault: ``python -m examples.vault``.

``PORT=`` names a port, ``PLAIN=1`` makes a cookie for plain http, and ``STORE=`` keeps sessions on the server: in
``memory``, ``filesystem``, ``sqlite`` or ``redis`` (where ``REDIS_URL=`` says, or on this machine).
"""

import os
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from werkzeug.serving import WSGIRequestHandler, make_server

from . import KeyFile, create_app
from .shelf import ShelfError, put_up

HOST = "127.0.0.1"
PORTS = range(8000, 8020)


class QuietHandler(WSGIRequestHandler):
    """One short line a request, and none for the files beside the page."""

    def log_request(self, code: int | str = "-", _size: int | str = "-") -> None:
        if " /static/" not in self.requestline:
            print(f"{ascii(self.requestline)[1:-1]} {code}", flush=True)


def main() -> None:
    """Listen, say where, and serve until Ctrl-C."""
    listener = listen(wanted_ports())
    url = f"http://localhost:{listener.getsockname()[1]}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the keys go away then, too
    with listener, TemporaryDirectory(prefix="vault-") as private:
        app = create_app(KeyFile(Path(private, "keys")), wanted_settings(Path(private)))
        server = make_server(HOST, 0, app, threaded=True, request_handler=QuietHandler, fd=listener.fileno())
        print(f"\n  The vault is open: {url}\n  Stop it with Ctrl-C.\n", flush=True)
        server.serve_forever()
    print("\n  The vault is closed.", flush=True)


def wanted_settings(folder: Path) -> dict[str, object]:
    """What PLAIN and STORE ask for."""
    settings: dict[str, object] = {"SESSION_ALLOW_PLAIN_HTTP": os.environ.get("PLAIN") == "1"}
    store = os.environ.get("STORE")
    if store and store != "cookie":
        try:
            settings["SESSION_STORE"] = put_up(store, folder)
        except ShelfError as error:
            sys.exit(str(error))
    return settings


def wanted_ports() -> Iterable[int]:
    """The one port that PORT names, or those to try in turn."""
    wanted = os.environ.get("PORT")
    if not wanted:
        return PORTS
    if not wanted.isdecimal() or int(wanted) > 65535:
        sys.exit(f"PORT={wanted} is not a port. Choose a number below 65536.")
    return [int(wanted)]


def listen(ports: Iterable[int]) -> socket.socket:
    """Take the first of the ports that is free."""
    for port in ports:
        with suppress(OSError):  # taken, or not ours to take
            if not taken_on_ipv6(port):
                return socket.create_server((HOST, port))
    tried = ", ".join(map(str, ports))
    sys.exit(f"No port to listen on: {tried} cannot be had. Choose another: PORT=8123.")


def taken_on_ipv6(port: int) -> bool:
    """Tell whether somebody listens on ::1, where we do not: a browser tries that first for `localhost`."""
    try:
        socket.create_connection(("::1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
