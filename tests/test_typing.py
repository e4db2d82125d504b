"""What type checkers know of the public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hardsession
from hardsession.sessions import Session
from hardsession.signals import ALL

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).parent / "typing"


@pytest.fixture(scope="module")
def names() -> set[str]:
    """Every name and attribute that the files of the folder use."""
    trees = [ast.parse(file.read_text("utf-8")) for file in FOLDER.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in nodes if isinstance(node, ast.Name)}


def test_mypy_agrees() -> None:
    """Under `mypy --strict` every public name has the type that the files of the folder assert, and no other."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(FOLDER)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_public_name_is_left_out(names: set[str]) -> None:
    """What the package exports, the signals, and what a session and the extension have beyond Flask are all there."""
    of_the_session = {name for name in vars(Session) if not name.startswith("_")}
    # what the library asks of a session
    inner = {"continues", "data", "fill", "inherited", "settle", "stale", "timeouts", "written"}
    of_the_extension = {name for name in vars(hardsession.HardSession) if not name.startswith("_")}

    assert names >= {*hardsession.__all__, *(signal.name for signal in ALL)}
    assert names >= of_the_session - inner
    assert names >= of_the_extension
