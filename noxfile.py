"""The tests on every installed interpreter, on the lowest core versions, and on Flask's main line; and pyright.

`.venv/bin/python -m nox` runs them all, `-s lowest` one of them.
"""

import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import nox

# An interpreter that is not installed is skipped and named. The one that runs nox is there, so some are always tested.
PYTHONS = sorted({"3.11", "3.12", "3.13", "3.14", f"{sys.version_info.major}.{sys.version_info.minor}"})
FLASK_MAIN = "https://github.com/pallets/flask/archive/refs/heads/main.tar.gz"

nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Test on one interpreter."""
    install(session, "requirements/test.txt")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Test with the lowest versions that pyproject.toml allows."""
    install(session, "requirements/lowest.txt")
    # Every store's own tests run; of what is the same on all of them, two are enough to see a version that is too low.
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs, env={"HARDSESSION_STORES": "memory redis"})


@nox.session
def verifytypes(session: nox.Session) -> None:
    """Ask pyright whether every public name has a type that all type checkers read alike, and what it makes of ours.

    A session of its own, since pyright brings Node.js along.
    """
    install(session, "requirements/types.txt")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "hardsession")
    session.run("pyright", "tests/typing")


@nox.session
def flask_main(session: nox.Session) -> None:
    """Test with Flask as it is today, where it can be had."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "flask.tar.gz")
        try:
            with urllib.request.urlopen(FLASK_MAIN, timeout=60) as answer, archive.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (urllib.error.URLError, TimeoutError) as error:
            session.skip(f"Flask's main line could not be had, so nothing was tested with it: {error}")
        install(session, "requirements/test.txt")
        session.install(str(archive))
    session.run("python", "-m", "pytest", *session.posargs)


def install(session: nox.Session, pins: str) -> None:
    """Install the pinned requirements, and hardsession as it stands in this folder."""
    session.install("--require-hashes", "-r", pins)
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
