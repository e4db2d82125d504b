"""What `flask hardsession check` finds: one test for each id, on either side of its edge."""

from __future__ import annotations

import json
import string
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from flask_login import LoginManager

from hardsession import Key
from hardsession.cli import commands
from hardsession.stores.memory import MemoryStore

ALWAYS = {"HS011": "warning"}
"""What is true of every application whose sessions live in a cookie."""


@pytest.fixture
def check(make_app):
    """The findings for an application with these settings, as `check --json` prints them."""

    def run(env=None, **config):
        app = make_app(**{"SESSION_APP_ID": "newsroom"} | config)
        return json.loads(app.test_cli_runner().invoke(commands, ["check", "--json"], env=env).stdout)

    return run


@pytest.fixture
def found(check):
    """The ids and severities of those findings."""
    return lambda **config: {finding["id"]: finding["severity"] for finding in check(**config)}


def test_good_settings(found):
    """An application with a key and a name of its own hears of nothing but what cookie mode cannot do."""
    assert found() == ALWAYS


@pytest.mark.parametrize(
    ("id", "severity", "config"),
    [
        ("HS001", "error", {"SESSION_PROFILE": "military"}),
        ("HS001", "error", {"SESSION_SECRET_KEYS": None, "SECRET_KEY": string.ascii_letters[:15]}),
        ("HS001", "error", {"SESSION_SECRET_KEYS": None, "SESSION_SECRET_KEYS_FILE": "/no/such/file"}),
        ("HS002", "error", {"SESSION_SECRET_KEYS": None}),
    ],
)
def test_settings_without_sessions(found, id, severity, config):
    """Where there can be no sessions at all, that is the only finding."""
    assert found(**config) == {id: severity}


@pytest.mark.parametrize(
    ("id", "severity", "config"),
    [
        ("HS003", "error", {"SESSION_SECRET_KEYS": None, "SECRET_KEY": "dev", "TESTING": True}),
        ("HS003", "error", {"SESSION_SECRET_KEYS": None, "SECRET_KEY": "change-me-" * 4, "TESTING": True}),
        ("HS004", "warning", {"SESSION_SECRET_KEYS": None, "SECRET_KEY": string.ascii_letters[:16]}),
        ("HS004", "warning", {"SESSION_SECRET_KEYS": None, "SECRET_KEY": string.ascii_letters[:31]}),
        ("HS005", "error", {"SESSION_ALLOW_PLAIN_HTTP": True}),
        ("HS006", "warning", {"SESSION_COOKIE_NAME": "sid"}),
        ("HS006", "warning", {"SESSION_COOKIE_NAME": "__host-sid"}),  # which not every browser takes for a prefix
        ("HS006", "warning", {"SESSION_COOKIE_DOMAIN": "example.org"}),
        ("HS006", "warning", {"SESSION_COOKIE_PATH": "/desk"}),
        ("HS007", "warning", {"SESSION_COOKIE_HTTPONLY": False}),
        ("HS008", "warning", {"SESSION_COOKIE_SAMESITE": "None"}),
        ("HS009", "warning", {"SESSION_IDLE_TIMEOUT": 600, "SESSION_ABSOLUTE_TIMEOUT": 600}),
        ("HS010", "info", {"SESSION_APP_ID": None}),
        ("HS010", "info", {"SESSION_APP_ID": "app"}),
        ("HS012", "warning", {"SESSION_COMPRESS": True}),
        ("HS013", "warning", {"SESSION_TIPE": "cookie"}),
    ],
)
def test_finding(found, id, severity, config):
    """Each thing that weakens sessions has an id and a severity, and is found alone."""
    assert found(**config) == ALWAYS | {id: severity}


@pytest.mark.parametrize(
    "config",
    [
        {"SESSION_SECRET_KEYS": None, "SECRET_KEY": string.ascii_letters[:32]},
        {"SECRET_KEY": "dev"},
        {"SECRET_KEY": "dev", "TESTING": True},
        {"SESSION_COOKIE_NAME": "__Host-sid"},
        {"SESSION_COOKIE_SAMESITE": "Strict"},
        {"SESSION_IDLE_TIMEOUT": 599, "SESSION_ABSOLUTE_TIMEOUT": 600},
        {"SESSION_PROFILE": "aal1"},
        {"SESSION_PROTECTION": "strong"},
        {"PERMANENT_SESSION_LIFETIME": 60},
    ],
)
def test_no_finding(found, config):
    """What is as good as the defaults is not complained of."""
    assert found(**config) == ALWAYS


class LastWins(MemoryStore):
    """A store that admits that it cannot compare and write in one step."""

    atomic = False


@pytest.mark.parametrize("where", [{"SESSION_TYPE": "cachelib"}, {"SESSION_STORE": LastWins()}])
@pytest.mark.parametrize(
    ("profile", "severity"), [("standard", "warning"), ("aal1", "warning"), ("aal2", "error"), ("pci", "error")]
)
def test_store_that_is_not_atomic(found, where, profile, severity):
    """On a store that cannot compare and write in one step no logout is final, which some profiles do not allow."""
    assert found(SESSION_PROFILE=profile, **where) == {"HS014": severity}


def test_atomic_store_is_no_finding(found):
    """On any other store there is nothing to say, nor of copied cookies."""
    assert found(SESSION_TYPE="memory") == found(SESSION_STORE=MemoryStore()) == {}


def test_file_of_keys_is_no_finding(found, tmp_path):
    """An application with a file of keys is told nothing of a `SECRET_KEY` that guards other things."""
    (tmp_path / "keys").write_text(Key.generate().text)
    file = str(tmp_path / "keys")

    assert found(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=file, SECRET_KEY="dev" * 6) == ALWAYS


def test_findings_tell_what_and_what_to_do(check):
    """Every finding has a message and a remedy, and shows no key."""
    findings = check(
        SESSION_SECRET_KEYS=None,
        SECRET_KEY=string.ascii_letters[:20],
        SESSION_ALLOW_PLAIN_HTTP=True,
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_IDLE_TIMEOUT=600,
        SESSION_ABSOLUTE_TIMEOUT=600,
        SESSION_COMPRESS=True,
        SESSION_TIPE="cookie",
    )

    assert all(finding["message"].endswith(".") for finding in findings)
    assert all(finding["remedy"].endswith((".", "?")) for finding in findings)
    assert string.ascii_letters[:10] not in json.dumps(findings)


class TestRememberCookie:
    """Flask-Login's remember cookie, which logs in after a session's end (HS016)."""

    GOOD: ClassVar[dict[str, Any]] = {
        "REMEMBER_COOKIE_DURATION": timedelta(hours=12),
        "REMEMBER_COOKIE_SECURE": True,
        "REMEMBER_COOKIE_SAMESITE": "Lax",
    }

    @pytest.fixture
    def faults(self, make_app):
        """What is said of the cookie of an application with Flask-Login."""

        def run(**config):
            app = make_app(**config)
            LoginManager(app)
            findings = json.loads(app.test_cli_runner().invoke(commands, ["check", "--json"]).stdout)
            return [finding["message"] for finding in findings if finding["id"] == "HS016"]

        return run

    def test_defaults(self, faults):
        """As Flask-Login makes it, it lasts a year, and travels over plain http and with other sites' requests."""
        assert [message.split()[3:5] for message in faults()] == [
            ["outlives", "the"],
            ["has", "no"],
            ["has", "neither"],
        ]

    def test_good_one(self, faults):
        """One that lasts as long as a session and has its attributes is no finding."""
        assert faults(**self.GOOD) == []

    @pytest.mark.parametrize(
        ("setting", "value", "said"),
        [
            ("REMEMBER_COOKIE_DURATION", timedelta(hours=12, seconds=1), "outlives the absolute timeout (43200 s)"),
            ("REMEMBER_COOKIE_DURATION", 43201, "outlives the absolute timeout (43200 s)"),
            ("SESSION_ABSOLUTE_TIMEOUT", 43199, "outlives the absolute timeout (43199 s)"),
            ("SESSION_PROFILE", "high", "outlives the absolute timeout (14400 s)"),
            ("REMEMBER_COOKIE_SECURE", False, "no Secure"),
            ("REMEMBER_COOKIE_HTTPONLY", False, "no HttpOnly"),
            ("REMEMBER_COOKIE_SAMESITE", None, "neither SameSite=Lax nor Strict"),
            ("REMEMBER_COOKIE_SAMESITE", "None", "neither SameSite=Lax nor Strict"),
        ],
    )
    def test_fault(self, faults, setting, value, said):
        """Each thing that makes it weaker than the session is found alone."""
        (message,) = faults(**self.GOOD | {setting: value})

        assert said in message

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("REMEMBER_COOKIE_DURATION", 43200),
            ("REMEMBER_COOKIE_DURATION", "a year"),  # which Flask-Login refuses itself
            ("REMEMBER_COOKIE_SAMESITE", "strict"),
            ("SESSION_PROFILE", "aal1"),
        ],
    )
    def test_no_fault(self, faults, setting, value):
        """What is as good is not complained of."""
        assert faults(**self.GOOD | {setting: value}) == []

    def test_plain_http_is_found_once(self, faults):
        """Where the session's cookie cannot be Secure, HS005 has said it."""
        assert faults(**self.GOOD | {"SESSION_ALLOW_PLAIN_HTTP": True, "REMEMBER_COOKIE_SECURE": False}) == []

    def test_application_without_flask_login(self, found):
        """Settings of a cookie that nobody sets are no finding."""
        assert found(REMEMBER_COOKIE_SECURE=False) == ALWAYS


def test_gravest_come_first(check):
    """Findings are in the order of their weight, and of their ids within it."""
    findings = check(
        SESSION_APP_ID=None, SESSION_ALLOW_PLAIN_HTTP=True, SESSION_COMPRESS=True, SESSION_COOKIE_HTTPONLY=False
    )

    assert [finding["id"] for finding in findings] == ["HS005", "HS007", "HS011", "HS012", "HS010"]


def test_every_problem_is_a_finding(check):
    """Settings that cannot work give a finding for each problem, with the problem's remedy."""
    findings = check(SESSION_PROFILE="military", SESSION_PAD_TO=1)

    assert [(finding["id"], finding["message"].partition(":")[0]) for finding in findings] == [
        ("HS001", "SESSION_PROFILE"),
        ("HS001", "SESSION_PAD_TO"),
    ]
    assert all(finding["remedy"] for finding in findings)


def test_debug_mode_is_the_one_of_the_command_line(found):
    """What debug mode lets through is found in debug mode, and refused without it, as Flask's command line sets it."""
    weak = {"SESSION_SECRET_KEYS": None, "SECRET_KEY": "dev"}

    assert found(env={"FLASK_DEBUG": "1"}, **weak) == ALWAYS | {"HS003": "error"}
    assert found(env={"FLASK_DEBUG": "0"}, **weak) == {"HS001": "error"}


def test_each_weak_key_is_a_finding(check):
    """A weak fallback is named as such, beside the weak key."""
    findings = check(SESSION_SECRET_KEYS=None, SECRET_KEY="dev", SECRET_KEY_FALLBACKS=["test"], TESTING=True)

    assert [finding["message"].partition(":")[0] for finding in findings if finding["id"] == "HS003"] == [
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
    ]


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("SESSION_IDLE_TIMOUT", "Did you mean SESSION_IDLE_TIMEOUT?"),
        ("SESSION_SECRET_KEY", "Did you mean SESSION_SECRET_KEYS?"),
        ("SESSION_MAX_AGE", "Remove it, or make sure that another extension reads it."),
    ],
)
def test_unknown_setting_gets_a_hint(check, setting, remedy):
    """A setting that means nothing is named, with the one that was probably meant."""
    (finding,) = [finding for finding in check(**{setting: 1}) if finding["id"] == "HS013"]

    assert setting in finding["message"]
    assert finding["remedy"] == remedy
