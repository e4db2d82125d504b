"""What is promised to whoever installs the package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import click
import pytest

import hardsession

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
CORE = {"argon2-cffi", "cryptography", "flask", "itsdangerous", "msgspec"}

# Says which of the modules named on its command line is looked for, found or not, on the way to what it imports.
WATCH = """
import sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            print(name)

sys.meta_path.insert(0, Watch())
import hardsession, hardsession.cli, hardsession.stores, hardsession.testing
"""
DRIVERS = [
    *("redis", "valkey", "pymemcache", "memcache", "pylibmc", "pymongo", "sqlalchemy", "boto3", "botocore", "cachelib"),
    *("flask_login", "flask_sqlalchemy", "argon2", "pytest", "freezegun"),
]


def test_importing_hardsession_imports_no_driver() -> None:
    """An app pays for no driver, no password hash and no neighbour that it does not use."""
    done = subprocess.run([sys.executable, "-c", WATCH, *DRIVERS], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("", "")


def test_core_requirements_are_the_five() -> None:
    """Whoever installs hardsession trusts five packages directly, and no sixth comes in unseen."""
    required = metadata.requires("hardsession") or []

    assert {name(line) for line in required if "extra ==" not in line} == CORE


def test_all_holds_every_other_extra_but_the_test_tools() -> None:
    """`hardsession[all]` is every store and every neighbour."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]

    (everything,) = extras["all"]

    assert set(re.findall(r"[\w-]+", everything)) == {"hardsession", *extras} - {"all", "testing"}


def test_version_is_one() -> None:
    """The package, its metadata and the changelog agree on the version."""
    headings = re.findall(r"^#+ .*$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert metadata.version("hardsession") == hardsession.__version__
    assert any(hardsession.__version__ in heading for heading in headings)


def test_types_are_shipped() -> None:
    """A type checker reads our annotations."""
    assert (resources.files("hardsession") / "py.typed").is_file()


def test_commands_are_registered_with_flask() -> None:
    """`flask hardsession` is there as soon as the package is installed, without an app."""
    (entry,) = metadata.entry_points(group="flask.commands", name="hardsession")

    assert isinstance(entry.load(), click.Group)


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.name)
def test_requirements_are_pinned_with_hashes_and_name_no_index(file: Path) -> None:
    """An install gets the very files that we tested, from whichever index the machine uses."""
    entries = read(file)

    assert all(re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert not re.search(r"://|index-url|find-links|^\s*-[if]\b", file.read_text("utf-8"), re.MULTILINE)


def test_tests_run_with_the_versions_that_the_demo_installs() -> None:
    """`core.txt` pins the core requirements and what they bring, and `test.txt` pins the same versions."""
    core, test = (
        {name(entry): entry.split("==")[1].split()[0] for entry in read(ROOT / "requirements" / file)}
        for file in ("core.txt", "test.txt")
    )

    assert core.keys() >= CORE
    assert core.items() <= test.items()


def name(requirement: str) -> str:
    """The name that a requirement begins with."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def read(file: Path) -> list[str]:
    """The requirements in a file, one text each, without comments."""
    lines = file.read_text("utf-8").replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
