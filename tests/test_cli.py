"""`flask hardsession`: keys, checks and a look at a token."""

from __future__ import annotations

import json
import sys
import textwrap
from datetime import datetime

import pytest
from click.testing import CliRunner
from flask import Flask, session
from flask.cli import FlaskGroup, ScriptInfo
from freezegun import freeze_time

from hardsession import ConfigError, HardSession, Key
from hardsession.cli import commands
from hardsession.crypto.encoding import from_text, to_text

NAME = "__Host-Http-session"


def run(app, *args, **more):
    """Run a command of `flask hardsession` with an application that is there."""
    return app.test_cli_runner().invoke(commands, args, **more)


def run_with(create_app, *args, **more):
    """Run a command of `flask hardsession` with a factory that may fail."""
    return CliRunner().invoke(commands, args, obj=ScriptInfo(create_app=create_app), **more)


def fields(output):
    """What `inspect` printed, by name."""
    return dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder without an application."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLASK_APP", raising=False)
    return tmp_path


class TestKeygen:
    """`flask hardsession keygen`."""

    def test_prints_a_key(self, elsewhere):
        """It prints one new key that the settings take, where there is no application."""
        outputs = {CliRunner().invoke(commands, ["keygen"]).stdout for _ in range(2)}

        assert len(outputs) == 2
        for output in outputs:
            assert output == f"{output.strip()}\n"
            assert len(output.strip()) == 53
            assert len(Key(output.strip()).material()) == 32


class TestCheck:
    """`flask hardsession check`."""

    def test_text(self, make_app):
        """Each finding is a line with id, severity and message, and a line with the remedy."""
        app = make_app(SESSION_APP_ID="newsroom", SESSION_COMPRESS=True)

        lines = run(app, "check").output.splitlines()

        assert [line.split(":")[0] for line in lines[::2]] == ["HS011 warning", "HS012 warning"]
        assert all(line.startswith("    ") and line.endswith(".") for line in lines[1::2])

    def test_json(self, make_app):
        """As JSON the findings are a list that a program can read."""
        found = json.loads(run(make_app(SESSION_APP_ID="newsroom"), "check", "--json").stdout)

        (finding,) = found
        assert finding.keys() == {"id", "severity", "message", "remedy"}
        assert (finding["id"], finding["severity"]) == ("HS011", "warning")

    @pytest.mark.parametrize(
        ("config", "worst"),
        [
            ({"SESSION_APP_ID": "newsroom"}, "warning"),
            ({"SESSION_ALLOW_PLAIN_HTTP": True}, "error"),
            ({"SESSION_PROFILE": "military"}, "error"),
            ({"SESSION_SECRET_KEYS": None}, "error"),
        ],
    )
    @pytest.mark.parametrize("threshold", [None, "error", "warning", "info"])
    def test_exit_status_says_whether_to_deploy(self, make_app, config, worst, threshold):
        """The exit status is 1 from the chosen severity on, by default from an error on, and else 0."""
        weight = ["info", "warning", "error"].index

        result = run(make_app(**config), "check", *(["--fail-on", threshold] if threshold else []))

        assert result.exit_code == (weight(worst) >= weight(threshold or "error"))

    def test_unknown_severity_is_refused(self, app):
        """A severity that does not exist is an error of usage, not a check that always passes."""
        result = run(app, "check", "--fail-on", "catastrophe")

        assert result.exit_code == 2

    def test_factory_that_checks_its_settings(self):
        """A factory that ends in `hard.ready()` and fails there is a finding like any other."""

        def create_app():
            app = Flask("newsroom")
            app.config["SESSION_SECRET_KEYS"] = "no list"
            HardSession(app).ready()
            return app

        result = run_with(create_app, "check")

        assert result.exit_code == 1
        assert result.output.startswith("HS001 error: SESSION_SECRET_KEYS: is no list.\n    Write a list")

    def test_application_that_does_not_start(self):
        """An application that fails for another reason is one line for a person, not a traceback."""

        def create_app():
            raise OSError("the database is away")

        result = run_with(create_app, "check")

        assert result.exit_code == 1
        assert result.output == "Error: The application does not start. OSError: the database is away\n"

    def test_no_application(self, elsewhere):
        """Without an application Flask says what to do."""
        result = CliRunner().invoke(commands, ["check"])

        assert result.exit_code == 2
        assert "Could not locate a Flask application" in result.output

    def test_application_without_hardsession(self):
        """An application with Flask's own sessions is told so, and is not fit to be deployed."""
        result = run_with(lambda: Flask("newsroom"), "check")

        assert result.exit_code == 1
        assert "does not use hardsession. Call HardSession(app)." in result.output

    def test_resolved_application_is_checked_the_same(self, make_app):
        """A factory that has resolved its settings gets the same findings as one that has not."""
        app = make_app(SESSION_COOKIE_PATH="/desk")
        before = run(app, "check").output

        HardSession(app).ready()

        assert run(app, "check").output == before


class TestInspect:
    """`flask hardsession inspect`, with a token on standard input."""

    @pytest.fixture
    def cookie(self, client, act, token):
        """A token of the application, of a session of the user ada."""
        with freeze_time("2030-01-01 12:00:00"):
            act(client, lambda: (session.login("ada"), session.update(cart=["ink"])))
        return token(client)

    def test_token_of_the_application(self, app, client, act, cookie):
        """It prints times and names, and nothing of what the session holds."""
        result = run(app, "inspect", input=f"{cookie}\n")

        start, end = "2030-01-01T12:00:00+00:00", "2030-01-02T00:00:00+00:00"
        with freeze_time(start):
            handle = act(client, lambda: session.handle).value
        printed = fields(result.output)
        assert result.exit_code == 0
        assert printed.pop("log_name")
        assert printed == {
            "purpose": "session",
            "key_id": Key(app.config["SESSION_SECRET_KEYS"][0]).id,
            "bytes": str(len(from_text(cookie))),
            "created_at": start,
            "seen_at": start,
            "expires_at": end,
            "authenticated_at": start,
            "renewed_at": start,
            "generation": "0",
            "permanent": "False",
            "handle": handle,
            "owner": "ada",
            "methods": f"{{'password': {int(datetime.fromisoformat(start).timestamp())}}}",
        }

    def test_name_is_that_of_the_log(self, app, client, act, token, events):
        """The log name that it prints is the one that events and the audit log use."""
        act(client, lambda: session.update(a=1))

        output = run(app, "inspect", input=token(client)).output

        assert fields(output)["log_name"] == events[0][1]["session"]

    def test_anonymous_session(self, app, client, act, token):
        """Nobody's session was never authenticated."""
        act(client, lambda: session.update(a=1))

        output = run(app, "inspect", input=token(client)).output

        assert fields(output).items() >= {"authenticated_at": "never", "owner": "None", "methods": "{}"}.items()

    def test_payload_on_request(self, app, cookie):
        """Only `--show-payload` prints what the session holds."""
        result = run(app, "inspect", "--show-payload", input=cookie)

        assert fields(result.output)["payload"] == "{'cart': ['ink']}"

    def test_payload_that_this_application_cannot_read(self, make_app, act, token):
        """A payload of a serializer that is not configured any more is told in a line, not in a traceback."""
        keys = [Key.generate()]
        before = make_app(SESSION_SECRET_KEYS=keys, SESSION_SERIALIZER=Upper()).test_client()
        act(before, lambda: session.update(a="x"))

        result = run(make_app(SESSION_SECRET_KEYS=keys), "inspect", "--show-payload", input=token(before))

        assert result.exit_code == 1
        assert "created_at" in result.output
        assert "Error: " in result.output
        assert isinstance(result.exception, SystemExit)

    @pytest.mark.parametrize(
        "garbage",
        [b"", b"no token", b"aGVsbG8=", b"hs1_", b"hs1_" + b"A" * 9, b"\xff\xfe", "é".encode(), b"a\nb"],
        ids=["nothing", "text", "padding", "mark", "impossible length", "no text", "other letters", "two lines"],
    )
    def test_garbage(self, app, garbage):
        """What is no token is told in a line, whatever bytes it is made of."""
        result = run(app, "inspect", input=garbage)

        assert result.exit_code == 1
        assert result.output.startswith("Error: This is no token")

    @pytest.mark.parametrize(
        "change",
        [
            lambda blob: blob[:79],
            lambda blob: b"\x00" + blob[1:],
            lambda blob: blob[:3] + b"\x00" + blob[4:],
            lambda blob: blob[:3] + b"\x08" + blob[4:],
        ],
        ids=["too short", "other mark", "purpose 0", "purpose 8"],
    )
    def test_other_bytes(self, app, cookie, change):
        """Base64url that does not begin as a token of hardsession is told apart."""
        result = run(app, "inspect", input=to_text(change(from_text(cookie))))

        assert result.exit_code == 1
        assert result.output == "Error: This is no token of hardsession. It does not begin as one.\n"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda blob: blob[:3] + b"\x02" + blob[4:], "purpose"),
            (lambda blob: blob[:4] + bytes(4) + blob[8:], "unknown_key"),
            (lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), "not_authentic"),
        ],
    )
    def test_altered_token(self, app, cookie, change, reason):
        """A token that does not open says why, which the operator may know and a client never learns."""
        result = run(app, "inspect", input=to_text(change(from_text(cookie))))

        assert result.exit_code == 1
        assert "purpose: " in result.output
        assert f"does not open with this application's keys and settings: {reason}." in result.output

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            ({}, "unknown_key"),
            ({"SESSION_APP_ID": "desk", "same": True}, "not_authentic"),
            ({"SESSION_COOKIE_NAME": "sid", "same": True}, "not_authentic"),
        ],
        ids=["other key", "other app", "other cookie"],
    )
    def test_token_of_another_application(self, app, make_app, cookie, config, reason):
        """A foreign token shows what anyone sees, and the reason why it does not open."""
        config = dict(config)
        if config.pop("same", False):
            config["SESSION_SECRET_KEYS"] = app.config["SESSION_SECRET_KEYS"]

        result = run(make_app(**config), "inspect", input=cookie)

        assert result.exit_code == 1
        assert fields(result.output)["key_id"] == Key(app.config["SESSION_SECRET_KEYS"][0]).id
        assert f"{reason}." in result.output
        assert "created_at" not in result.output

    def test_token_of_the_header(self, make_app, act):
        """A token does not tell what it travelled in, so with the application's settings both are looked at."""
        app = make_app(SESSION_TOKEN_HEADER="X-Session-Token")
        start = act(app.test_client(), lambda: session.update(a=1), headers={"X-Session-Token": "new"})
        good = start.response.headers["X-Session-Token"]

        opened = run(app, "inspect", "--show-payload", input=good)
        altered = run(app, "inspect", input=good[:-4] + "AAAA")

        assert opened.exit_code == 0
        assert fields(opened.output)["payload"] == "{'a': 1}"
        assert altered.exit_code == 1
        assert "not_authentic." in altered.output

    def test_no_application(self, elsewhere, cookie):
        """Where there is no application it prints what anyone sees, and says what is missing."""
        result = CliRunner().invoke(commands, ["inspect"], input=cookie)

        assert result.exit_code == 2
        assert fields(result.output)["purpose"] == "session"
        assert "Could not locate a Flask application" in result.output

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"SESSION_SECRET_KEYS": None}, "The application has no key. Set SESSION_SECRET_KEYS."),
            ({"SESSION_PROFILE": "military"}, "SESSION_PROFILE: is not known."),
        ],
        ids=["no key", "bad settings"],
    )
    def test_application_that_opens_nothing(self, make_app, cookie, config, message):
        """An application that cannot open a token says why, after what anyone sees."""
        result = run(make_app(**config), "inspect", input=cookie)

        assert result.exit_code == 1
        assert fields(result.output)["purpose"] == "session"
        assert message in result.output

    @pytest.mark.parametrize(
        ("failure", "message"),
        [
            (ConfigError([]), "The session settings cannot work."),
            (OSError("the database is away"), "The application does not start. OSError: the database is away"),
        ],
    )
    def test_application_that_does_not_start(self, cookie, failure, message):
        """It works as far as it can while the application does not."""

        def create_app():
            raise failure

        result = run_with(create_app, "inspect", input=cookie)

        assert result.exit_code == 1
        assert fields(result.output)["purpose"] == "session"
        assert message in result.output

    def test_application_without_hardsession(self, cookie):
        """An application with Flask's own sessions is told so."""
        result = run_with(lambda: Flask("newsroom"), "inspect", input=cookie)

        assert result.exit_code == 1
        assert "does not use hardsession" in result.output

    def test_expired_token(self, app, cookie):
        """A token that is over is still described: times are what one wants to see then."""
        with freeze_time("2040-01-01"):
            result = run(app, "inspect", input=cookie)

        assert result.exit_code == 0
        assert fields(result.output)["expires_at"] == "2030-01-02T00:00:00+00:00"


class TestFlask:
    """The commands as `flask` runs them."""

    @pytest.fixture
    def flask(self, elsewhere, monkeypatch):
        """Run `flask` with these arguments; `desk` is a module that the test writes."""
        monkeypatch.setenv("FLASK_RUN_FROM_CLI", "false")  # which Flask sets, and the end of the test then restores
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.delitem(sys.modules, "desk", raising=False)
        group = FlaskGroup()
        group.add_command(commands)

        def do(*args, desk="", **more):
            (elsewhere / "desk.py").write_text(textwrap.dedent(desk))
            return CliRunner().invoke(group, args, **more)

        yield do
        sys.modules.pop("desk", None)

    APP = """
        import os
        from flask import Flask
        from hardsession import HardSession

        app = Flask(__name__)
        app.config["SESSION_SECRET_KEYS"] = [os.environ["KEY"]]
        HardSession(app)
    """

    def test_keygen_needs_no_application(self, flask):
        """A key can be made before there is anything to put it into."""
        assert len(flask("hardsession", "keygen").output.strip()) == 53

    def test_keygen_works_while_the_application_does_not(self, flask):
        """A broken application keeps nobody from making a key."""
        result = flask("--app", "desk", "hardsession", "keygen", desk="1 / 0")

        assert result.exit_code == 0
        assert "hsk1_" in result.output

    def test_check_loads_the_application(self, flask):
        """`flask --app desk hardsession check` checks that application."""
        result = flask("--app", "desk", "hardsession", "check", desk=self.APP, env={"KEY": Key.generate().text})

        assert result.exit_code == 0
        assert result.output.startswith("HS011 warning: ")

    def test_check_of_a_broken_application(self, flask):
        """An application that cannot be imported is an error for a person, and the check fails."""
        result = flask("--app", "desk", "hardsession", "check", desk="1 / 0")

        assert result.exit_code != 0
        assert "ZeroDivisionError" in result.output
        assert isinstance(result.exception, SystemExit)

    def test_inspect_reads_standard_input(self, flask, make_app, act, token):
        """`flask --app desk hardsession inspect` opens what another process of that application sealed."""
        key = Key.generate().text
        client = make_app(SESSION_SECRET_KEYS=[key]).test_client()
        act(client, lambda: session.update(a=1))

        result = flask(
            *("--app", "desk", "hardsession", "inspect", "--show-payload"),
            desk=self.APP,
            env={"KEY": key},
            input=token(client),
        )

        assert fields(result.output)["payload"] == "{'a': 1}"

    def test_help_names_the_commands(self, flask):
        """`flask hardsession --help` says what there is."""
        output = flask("hardsession", "--help").output

        assert all(f"\n  {name} " in output for name in ("keygen", "check", "inspect"))


class Upper:
    """A serializer of an application's own."""

    def dumps(self, value):
        return json.dumps(value).upper().encode()

    def loads(self, payload):
        return json.loads(payload)
