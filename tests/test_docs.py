"""The documents: their code runs, their links lead somewhere, and their tables say what the code says."""

from __future__ import annotations

import inspect
import json
import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from doctest import ELLIPSIS
from functools import partial
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
from freezegun import freeze_time
from sybil import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import hardsession
import hardsession.testing
from hardsession import HardSession, Key, UserSession, audit, checks, cli, errors, policy, serializers, signals, stores
from hardsession.crypto.seal import Purpose
from hardsession.modes.server_side import LATE
from hardsession.record import EndReason, PayloadFormat, RevocationKind
from hardsession.sessions import Session
from hardsession.settings import MEANINGLESS, SETTINGS, Settings

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "RELEASING.md")),
    *sorted(DOCS.rglob("*.md")),
]
REFERENCE = DOCS / "reference"

LANGUAGES = {"python", "sh", "text"}
FENCE = re.compile(r"^(?P<indent>[> \t]*)```(?P<language>.*)\n(?P<body>(?s:.*?))^(?P=indent)```$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Elsewhere(NamedTuple):
    """Where a command of a shell block is run, since it cannot run here: a file, and what stands there."""

    reason: str
    file: str
    stands_as: str


INSTALLS = "it installs packages, so it runs in .ci/run"
SERVES = "it serves until it is stopped, so it runs in .ci/run"
WITH_AN_APP = "it needs a user's application, so it runs with one in tests/test_cli.py"
RUN_ELSEWHERE = {
    "make demo": Elsewhere(SERVES, ".ci/run", "step demo"),
    "make test": Elsewhere("it runs this very test, so it runs in .ci/run", ".ci/run", "step make test"),
    "python3 -m venv .venv": Elsewhere(INSTALLS, "Makefile", "-m venv .venv"),
    ".venv/bin/python -m pip install --require-hashes -r requirements/test.txt": Elsewhere(
        INSTALLS, "Makefile", "install --require-hashes -r requirements/test.txt"
    ),
    ".venv/bin/python -m pip install --no-deps --no-build-isolation --editable .": Elsewhere(
        INSTALLS, "Makefile", "install --no-deps --no-build-isolation --editable ."
    ),
    ".venv/bin/python -m pytest": Elsewhere("it runs this very test, so it runs in .ci/run", "Makefile", "-m pytest"),
    ".venv/bin/python -m examples.vault": Elsewhere(SERVES, "Makefile", "-m examples.vault"),
    "python -m pip install path/to/hardsession": Elsewhere(INSTALLS, "Makefile", 'install --no-deps "$$dist"/*.whl'),
    "flask hardsession keygen": Elsewhere(WITH_AN_APP, "tests/test_cli.py", "keygen"),
    "flask hardsession check --fail-on error": Elsewhere(WITH_AN_APP, "tests/test_cli.py", "--fail-on"),
    "flask hardsession inspect --show-payload < token.txt": Elsewhere(
        WITH_AN_APP, "tests/test_cli.py", "--show-payload"
    ),
}


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=name)


# Code


@each_document
def test_python_blocks_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of a document runs, in order, and prints what the document says it prints.

    Where a reader waits (`sleep`), the clock is moved. The environment holds a key, as that of a deployed app does.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASK_SESSION_SECRET_KEYS", json.dumps([Key.generate().text]))
    parsed = Document.parse(str(document), PythonCodeBlockParser(doctest_optionflags=ELLIPSIS))
    parsed.namespace["__name__"] = "document"

    with freeze_time(datetime.now(UTC).replace(microsecond=0)) as clock:

        def wait(seconds: float) -> None:
            clock.tick(seconds)

        monkeypatch.setattr(time, "sleep", wait)
        for example in parsed:
            example.evaluate()
        for shown, test in list(parsed.namespace.items()):
            if shown.startswith("test_"):
                test()


@each_document
def test_every_block_has_a_language_and_every_python_block_is_found(document: Path) -> None:
    """No block escapes: each is Python, which runs, a shell command, or a text that is no code."""
    text = document.read_text("utf-8")
    fenced = [found["language"] for found in FENCE.finditer(text)]

    parsed = Document.parse(str(document), CodeBlockParser("python", lambda _: None))

    assert set(fenced) <= LANGUAGES
    assert len(list(parsed)) == fenced.count("python")
    assert 2 * len(fenced) == len(re.findall(r"^[> \t]*(?:[-*+]|\d+\.)?[ \t]*(?:```|~~~)", text, re.MULTILINE))


@each_document
def test_shell_commands_are_run_elsewhere(document: Path) -> None:
    """What cannot run here is listed with the reason, and beside it the document says where it runs."""
    text = document.read_text("utf-8")

    for found in FENCE.finditer(text):
        if found["language"] == "sh":
            around = text[max(0, found.start() - 800) : found.end() + 800]
            for command in commands(found["body"]):
                assert command in RUN_ELSEWHERE
                assert re.search(r"`(\.ci/run|tests/test_cli\.py)`", around)


@pytest.mark.parametrize("command", RUN_ELSEWHERE)
def test_list_of_shell_commands_is_true(command: str) -> None:
    """Each command of the list stands in a document, and where the list says it runs."""
    _, file, stands_as = RUN_ELSEWHERE[command]

    shown = [
        line
        for document in DOCUMENTS
        for found in FENCE.finditer(document.read_text("utf-8"))
        if found["language"] == "sh"
        for line in commands(found["body"])
    ]

    assert command in shown
    assert stands_as in (ROOT / file).read_text("utf-8")


def commands(block: str) -> list[str]:
    """The commands of a shell block, without comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in block.splitlines())
    return [line for line in lines if line]


# Links


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file that exists, and a heading of it where it names one."""
    for target in links(document):
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document

        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_index_leads_to_every_page() -> None:
    """A page that the index does not name would not be found."""
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in links(DOCS / "index.md")}

    assert linked >= {*DOCS.rglob("*.md")} - {DOCS / "index.md"}


def links(document: Path) -> Iterator[str]:
    """The links of a document that stay in the project."""
    for found in LINK.finditer(without_code(document)):
        if not re.match(r"https?://", found["target"]):
            yield found["target"]


def anchors(document: Path) -> set[str]:
    """What a link can name in a document: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ +(.+?) *$", FENCE.sub("", document.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(document: Path) -> str:
    return re.sub(r"`[^`\n]*`(?!\])", "", FENCE.sub("", document.read_text("utf-8")))


# Words


@each_document
def test_one_sentence_a_line(document: Path) -> None:
    """A change of one sentence is a change of one line."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", document.read_text("utf-8")))
    prose = [line for line in text.splitlines() if not line.lstrip("> ").startswith(("|", "#"))]

    assert [line for line in prose if re.search(r"[a-z)][.?!] +[A-Z]", line)] == []


# Tables


def table(document: Path, first_column: str) -> dict[str, list[str]]:
    """The rows of all tables whose first heading is this, by their first cell, without back-ticks."""
    rows: dict[str, list[str]] = {}
    inside = False
    for line in document.read_text("utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        head, *rest = (cell.strip() for cell in re.split(r" \|(?= )", line.strip().removesuffix("|")[1:]))
        if head == first_column:
            inside = True
        elif inside and not head.startswith("---"):
            assert head.strip("`") not in rows, head
            rows[head.strip("`")] = rest
    return rows


def test_settings_are_all_there() -> None:
    """The page of settings names exactly those that exist; Flask-Login's own is not ours."""
    assert table(REFERENCE / "settings.md", "setting").keys() == SETTINGS - {"SESSION_PROTECTION"}


@pytest.mark.parametrize("setting", sorted(SETTINGS - {"SESSION_PROTECTION"}))
def test_default_is_the_one_of_the_page(setting: str) -> None:
    """Who sets an option to the default that the page names changes nothing."""
    default = table(REFERENCE / "settings.md", "setting")[setting][1]
    config = {"SECRET_KEY": Key.generate().text}

    value = eval(default.strip("`"), {"timedelta": timedelta})

    assert Settings.read(config | {setting: value}) == Settings.read(config)


def test_defaults_of_stores_are_those_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page says of the settings that a store is built from is what it is built from without them."""
    page = table(REFERENCE / "settings.md", "setting")
    default = {name: eval(row[1].strip("`"), {"timedelta": timedelta}) for name, row in page.items()}
    options = partial(stores.Options, None, 2)
    made: list[object] = []

    def note(*args: object, **kwargs: object) -> None:
        made.append((args, kwargs))

    monkeypatch.setattr("hardsession.stores.filesystem.FilesystemStore", note)
    monkeypatch.setattr("hardsession.stores.redis.RedisStore.from_url", note)
    monkeypatch.setattr("hardsession.stores.memcached.MemcachedStore.from_url", note)
    for store in ("sqlalchemy.SQLAlchemy", "mongodb.MongoDB", "dynamodb.DynamoDB", "cachelib.Cachelib"):
        monkeypatch.setattr(f"hardsession.stores.{store}Store", note)

    for name, built_from in {
        "filesystem": "SESSION_FILE_",
        "redis": "SESSION_REDIS",
        "memcached": "SESSION_MEMCACHED",
        "mongodb": ("SESSION_MONGODB", "SESSION_CREATE_TABLES"),
        "dynamodb": ("SESSION_DYNAMODB_", "SESSION_CREATE_TABLES"),
        "cachelib": "SESSION_CACHELIB",
        "sqlalchemy": ("SESSION_SQLALCHEMY_", "SESSION_CREATE_TABLES"),
    }.items():
        client = boto3.client("dynamodb", region_name="eu-central-1")
        always = {"SESSION_SQLALCHEMY": "sqlite:///sessions.db", "SESSION_DYNAMODB": client}
        said = {setting: value for setting, value in default.items() if setting.startswith(built_from)}
        assert said
        stores.build(name, options(always | said))
        stores.build(name, options(always))

    assert made[0::2] == made[1::2]
    settings = Settings.read({"SECRET_KEY": Key.generate().text, "SESSION_TYPE": "memory"})
    assert settings is not None
    assert settings.store is not None
    assert settings.store.options.timeout == default["SESSION_STORE_TIMEOUT"].total_seconds()


def test_stores_are_all_there() -> None:
    """The pages name every store, every scheme of a URL, and what is there to test a store with."""
    choose, api = (page.read_text("utf-8") for page in (DOCS / "how-to" / "choose-a-store.md", REFERENCE / "api.md"))

    assert {re.sub(r"[\[\]`]|\(.*", "", name) for name in table(DOCS / "how-to" / "choose-a-store.md", "store")} == {
        *stores.STORES
    }
    assert all(
        f"`{name}`" in table(REFERENCE / "settings.md", "setting")["SESSION_TYPE"][2].replace('"', "")
        for name in stores.STORES
    )
    assert all(f"{scheme}://" in choose for scheme in stores.SCHEMES)
    assert all(f"hardsession.stores.{name}." in api for name in stores.STORES)
    assert all(f"`{name}`" in api for name in hardsession.testing.__all__)


def test_settings_of_flask_session_are_all_there() -> None:
    """The page of flask-session's settings has its 23, each of them is one of ours, and it says which do nothing."""
    page = table(REFERENCE / "flask-session-settings.md", "flask-session's setting")

    assert len(page) == 23
    assert page.keys() <= SETTINGS
    assert {name for name, (_, here, _) in page.items() if here == "ignored"} == MEANINGLESS.keys()


def test_profiles_are_those_of_the_code() -> None:
    """The page of settings and the code agree on the numbers of every profile."""
    units = {"min": 60, "h": 3600, "d": 86400}

    def seconds(cell: str) -> int | None:
        return None if cell == "none" else int(cell.split()[0]) * units[cell.split()[1]]

    profiles = {
        profile: (seconds(idle), seconds(absolute))
        for profile, (idle, absolute, *_) in table(REFERENCE / "settings.md", "profile").items()
    }

    assert profiles == {profile: (times.idle, times.absolute) for profile, times in policy.PROFILES.items()}


def test_checks_are_all_there() -> None:
    """The page of checks names every id with its severity."""
    found = re.findall(r'Finding\(\s*"(HS\d{3})",\s*Severity\.(\w+)', inspect.getsource(checks))

    page = {check: severity for check, (severity, *_) in table(REFERENCE / "checks.md", "id").items()}

    assert page == {check: severity.lower() for check, severity in found}


def test_errors_are_all_there() -> None:
    """The page of errors names exactly those that there are, and what each is besides an error of ours."""
    ours = {
        error.__name__: ", ".join(base.__name__ for base in error.__bases__ if base is not errors.HardSessionError)
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.HardSessionError)
    }

    page = {error: also.strip("`") for error, (also, *_) in table(REFERENCE / "errors.md", "error").items()}

    assert page == ours
    assert table(REFERENCE / "errors.md", "reason").keys() == {reason.value for reason in errors.Staleness}


def test_signals_are_all_there() -> None:
    """The page of signals names every signal, and every reason for a refusal and an end."""
    page = REFERENCE / "signals.md"

    assert table(page, "signal").keys() == {signal.name for signal in signals.ALL}
    assert table(page, "refusal").keys() == {reason.value for reason in errors.Refusal}
    assert table(page, "end").keys() == {timeout.value for timeout in policy.Timeout}


def test_audit_lines_are_those_of_the_code() -> None:
    """The page of signals names the events that are warnings, and limited."""
    text = (REFERENCE / "signals.md").read_text("utf-8")

    warnings = re.search(r"^(.+) are warnings, and everything else", text, re.MULTILINE)

    assert warnings is not None
    assert re.findall(r"`(\w+)`", warnings[1]) == [signal.name for signal in audit._LIMITED]
    assert audit.LIMIT == 10
    assert "at most ten lines a minute" in text


def test_commands_and_options_are_all_there() -> None:
    """The page of the command line names every command and every option."""
    page = (REFERENCE / "command-line.md").read_text("utf-8")

    for command in cli.commands.commands.values():
        assert f"## `flask hardsession {command.name}`" in page
    assert table(REFERENCE / "command-line.md", "option").keys() == {
        option for command in cli.commands.commands.values() for param in command.params for option in param.opts
    }


def test_public_names_are_all_there() -> None:
    """The page of the API names what the package exports, and everything public of the extension."""
    page = REFERENCE / "api.md"
    methods = {method for method in vars(HardSession) if not method.startswith("_")}

    assert table(page, "name").keys() == set(hardsession.__all__)
    assert {signature.partition("(")[0] for signature in table(page, "method of the extension")} == methods
    assert all(hasattr(Session, attribute) for attribute in table(page, "attribute of the session"))
    assert table(page, "attribute of a listed session").keys() == {field.name for field in fields(UserSession)}


def test_versions_are_those_that_are_tested() -> None:
    """The page of compatibility names the versions of the two lists of requirements that tests run with."""
    page = table(DOCS / "compatibility.md", "requirement")

    for column, pins in enumerate(("lowest.txt", "test.txt")):
        pinned = dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", read_requirements(pins), re.MULTILINE))
        assert {name.lower(): row[column] for name, row in page.items()}.items() <= pinned.items()


def test_suites_of_others_are_those_that_run() -> None:
    """The page of compatibility names the suites at their versions, and every test that cannot pass."""
    page = DOCS / "compatibility.md"
    pinned = dict(re.findall(r"^(flask[a-z-]*)==([\w.]+)", read_requirements("foreign.txt"), re.MULTILINE))
    lost = tomllib.loads((ROOT / "tests" / "foreign" / "expected.toml").read_text("utf-8"))

    rows = {tuple(suite.lower().split()): row for suite, row in table(page, "suite").items()}

    assert rows.keys() == {(suite, pinned[suite]) for suite in lost}
    for (suite, _), (baseline, *cells) in rows.items():
        everywhere = [test for test, reason in lost[suite].items() if isinstance(reason, str)]
        by_mode = [[*everywhere, *lost[suite].get(mode, {})] for mode in ("cookie", "store")]
        for passed, count, tests in zip(cells[:2], cells[2:], by_mode, strict=True):
            assert int(count) == int(baseline) - int(passed) == len(tests)
            for test in tests:
                assert test.rpartition("::")[2] in page.read_text("utf-8")


def read_requirements(file: str) -> str:
    return (ROOT / "requirements" / file).read_text("utf-8")


def test_format_is_that_of_the_code() -> None:
    """The page of the token format has the numbers of the code."""
    page = REFERENCE / "token-format.md"

    def numbers(first_column: str) -> dict[int, str]:
        return {int(number, 16): cells[0].strip("`") for number, cells in table(page, first_column).items()}

    assert numbers("purpose") == {purpose.value: purpose.name.lower() for purpose in Purpose}
    assert numbers("end reason") == {reason.value: reason.name.lower() for reason in EndReason}
    assert f"less than {LATE} seconds older" in page.read_text("utf-8")
    assert numbers("revocation") == {kind.value: kind.name.lower() for kind in RevocationKind}
    assert table(page, "serializer").keys() == {str(format.value) for format in PayloadFormat}
    tags = {int(code): cells[0].strip('`"') for code, cells in table(page, "extension type").items()}
    assert tags == dict(enumerate(serializers._UNPACK, start=1))
