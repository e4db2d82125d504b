"""Every setting: its default, the forms it takes, and what is refused with which remedy."""

from __future__ import annotations

import dataclasses
import logging
import os
import string
from datetime import timedelta
from operator import attrgetter
from pathlib import Path

import pytest
from flask import Flask, session
from freezegun import freeze_time

from hardsession import ConfigError, HardSession, HardSessionError, Key, Passphrase
from hardsession.carriers import CookieCarrier
from hardsession.policy import Timeouts
from hardsession.serializers import Serializers
from hardsession.settings import SETTINGS, Settings

DAY = 86400
NAME = "__Host-Http-session"


def configured(**config):
    """An application with one key, unless its keys stand in a file."""
    app = Flask("newsroom")
    if "SESSION_SECRET_KEYS_FILE" not in config:
        app.config["SESSION_SECRET_KEYS"] = [Key.generate()]
    app.config.update(config)
    return app


def ready(**config):
    """An application whose settings are resolved."""
    app = configured(**config)
    HardSession(app).ready()
    return app


def read(**config):
    """The settings of an application."""
    return Settings.read(configured(**config).config)


def problems(**config):
    """Everything that is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        ready(**config)
    return caught.value.problems


def warnings(caplog):
    """What was logged, the audit apart."""
    return [record.getMessage() for record in caplog.records if record.name == "hardsession"]


def test_defaults():
    """An application that sets nothing but a key gets the hardened defaults."""
    key = Key.generate()

    settings = read(SESSION_SECRET_KEYS=[key])

    assert settings == Settings(
        keys=(key,),
        keys_file=None,
        app_id="app",
        profile="standard",
        timeouts=Timeouts(idle=30 * 60, absolute=12 * 3600, touch=60),
        sliding=True,
        permanent=False,
        passive_endpoints=frozenset(),
        renewal_interval=3600,
        revokes_clones=False,
        identity_keys=("_user_id", "user_id", "username", "user", "uid", "account_id", "email", "logged_in"),
        privilege_keys=(
            *("role", "roles", "permissions", "scopes", "groups"),
            *("is_admin", "is_staff", "mfa", "sudo"),
        ),
        message_pack=False,
        serializer=None,
        cookie=CookieCarrier(NAME, None, "/", secure=True, httponly=True, samesite="Lax", partitioned=False),
        header=None,
        plain_http=False,
        keep_oversize=False,
        compress=False,
        pad_to=None,
        store=None,
        key_prefix="session:",
        refuses_conflicts=False,
        anonymous_in_outage=False,
        registry=True,
        most_per_user=None,
        refuses_overflow=False,
        records_address=False,
        weak_keys=(),
        unknown=(),
    )


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_none_is_the_default(setting):
    """Any setting may be None, which is as good as leaving it out."""
    config = {"SECRET_KEY": string.ascii_letters, "SESSION_SECRET_KEYS": None}

    settings = read(**config | {setting: None})

    assert settings == read(**config)


@pytest.mark.parametrize(
    ("setting", "value", "field", "result"),
    [
        ("SESSION_APP_ID", "desk", "app_id", "desk"),
        ("SESSION_PROFILE", "aal2", "profile", "aal2"),
        ("SESSION_PROFILE", "PCI", "profile", "pci"),
        ("SESSION_IDLE_TIMEOUT", 1, "timeouts.idle", 1),
        ("SESSION_IDLE_TIMEOUT", 59.9, "timeouts.idle", 59),
        ("SESSION_IDLE_TIMEOUT", timedelta(minutes=5), "timeouts.idle", 300),
        ("SESSION_IDLE_TIMEOUT", 400 * DAY, "timeouts.idle", 400 * DAY),
        ("SESSION_ABSOLUTE_TIMEOUT", 1, "timeouts.absolute", 1),
        ("SESSION_ABSOLUTE_TIMEOUT", timedelta(seconds=2, milliseconds=999), "timeouts.absolute", 2),
        ("SESSION_ABSOLUTE_TIMEOUT", timedelta(days=400), "timeouts.absolute", 400 * DAY),
        ("SESSION_TOUCH_INTERVAL", 0, "timeouts.touch", 0),
        ("SESSION_TOUCH_INTERVAL", timedelta(seconds=899), "timeouts.touch", 899),
        ("SESSION_REFRESH_EACH_REQUEST", False, "sliding", False),
        ("SESSION_PERMANENT", True, "permanent", True),
        ("SESSION_PASSIVE_ENDPOINTS", ["poll"], "passive_endpoints", {"poll"}),
        ("SESSION_PASSIVE_ENDPOINTS", {"poll"}, "passive_endpoints", {"poll"}),
        ("SESSION_RENEWAL_INTERVAL", 120, "renewal_interval", 120),
        ("SESSION_RENEWAL_INTERVAL", timedelta(hours=2), "renewal_interval", 7200),
        ("SESSION_CLONE_POLICY", "revoke", "revokes_clones", True),
        ("SESSION_CLONE_POLICY", "report", "revokes_clones", False),
        *[("SESSION_PROFILE", name, "revokes_clones", True) for name in ("aal2", "aal3", "pci", "high")],
        *[("SESSION_PROFILE", name, "revokes_clones", False) for name in ("standard", "aal1")],
        ("SESSION_IDENTITY_KEYS", ["who"], "identity_keys", ("who",)),
        ("SESSION_IDENTITY_KEYS", [], "identity_keys", ()),
        ("SESSION_PRIVILEGE_KEYS", ("rank", "desk"), "privilege_keys", ("rank", "desk")),
        ("SESSION_PRIVILEGE_KEYS", frozenset({"rank"}), "privilege_keys", ("rank",)),
        ("SESSION_SERIALIZATION_FORMAT", "json", "message_pack", False),
        ("SESSION_SERIALIZATION_FORMAT", "MsgPack", "message_pack", True),
        ("SESSION_COOKIE_OVERSIZE", "raise", "keep_oversize", False),
        ("SESSION_COOKIE_OVERSIZE", "keep", "keep_oversize", True),
        ("SESSION_COMPRESS", True, "compress", True),
        ("SESSION_PAD_TO", 2, "pad_to", 2),
        ("SESSION_PAD_TO", 2048, "pad_to", 2048),
        ("SESSION_TYPE", "cookie", "unknown", ()),
        ("SESSION_TYPE", "Null", "unknown", ()),
        ("SESSION_TYPE", "", "unknown", ()),
        ("SESSION_PROTECTION", "strong", "unknown", ()),
        ("SESSION_TIPE", "cookie", "unknown", ("SESSION_TIPE",)),
        ("SESSION_ALLOW_PLAIN_HTTP", True, "plain_http", True),
        ("SESSION_COOKIE_NAME", "sid", "cookie.name", "sid"),
        ("SESSION_COOKIE_DOMAIN", "example.org", "cookie.domain", "example.org"),
        ("SESSION_COOKIE_DOMAIN", False, "cookie.domain", None),
        ("SESSION_COOKIE_DOMAIN", "", "cookie.domain", None),
        ("SESSION_COOKIE_PATH", "/desk", "cookie.path", "/desk"),
        ("APPLICATION_ROOT", "/desk", "cookie.path", "/desk"),
        ("SESSION_COOKIE_HTTPONLY", False, "cookie.httponly", False),
        ("SESSION_COOKIE_SECURE", False, "cookie.secure", True),
        ("SESSION_COOKIE_SAMESITE", "lax", "cookie.samesite", "Lax"),
        ("SESSION_COOKIE_SAMESITE", "Strict", "cookie.samesite", "Strict"),
        ("SESSION_COOKIE_SAMESITE", "None", "cookie.samesite", "None"),
        ("SESSION_COOKIE_PARTITIONED", True, "cookie.partitioned", True),
    ],
)
def test_accepted_forms(setting, value, field, result):
    """Each setting takes its forms, up to the edge of what it may be."""
    settings = read(**{setting: value})

    assert attrgetter(field)(settings) == result


def test_serializer_of_the_application():
    """Any object with `dumps` and `loads` may serialise sessions."""
    own = Serializers().json

    assert read(SESSION_SERIALIZER=own).serializer is own


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SESSION_APP_ID", ""),
        ("SESSION_APP_ID", b"desk"),
        ("SESSION_PROFILE", "military"),
        ("SESSION_PROFILE", 2),
        ("SESSION_IDLE_TIMEOUT", 0),
        ("SESSION_IDLE_TIMEOUT", 0.9),
        ("SESSION_IDLE_TIMEOUT", -1),
        ("SESSION_IDLE_TIMEOUT", 400 * DAY + 1),
        ("SESSION_IDLE_TIMEOUT", True),
        ("SESSION_IDLE_TIMEOUT", "30"),
        ("SESSION_IDLE_TIMEOUT", float("nan")),
        ("SESSION_IDLE_TIMEOUT", float("inf")),
        ("SESSION_ABSOLUTE_TIMEOUT", timedelta(milliseconds=999)),
        ("SESSION_ABSOLUTE_TIMEOUT", timedelta(days=400, seconds=1)),
        ("SESSION_TOUCH_INTERVAL", -1),
        ("SESSION_TOUCH_INTERVAL", 900),
        ("SESSION_TOUCH_INTERVAL", False),
        ("SESSION_REFRESH_EACH_REQUEST", "no"),
        ("SESSION_PERMANENT", 1),
        ("SESSION_PASSIVE_ENDPOINTS", "poll"),
        ("SESSION_IDENTITY_KEYS", "user_id"),
        ("SESSION_IDENTITY_KEYS", [7]),
        ("SESSION_PRIVILEGE_KEYS", {"role": 1}),
        ("SESSION_SERIALIZATION_FORMAT", "pickle"),
        ("SESSION_SERIALIZER", "json"),
        ("SESSION_SERIALIZER", Serializers),
        ("SESSION_COOKIE_OVERSIZE", "drop"),
        ("SESSION_COMPRESS", "yes"),
        ("SESSION_PAD_TO", 1),
        ("SESSION_PAD_TO", 2049),
        ("SESSION_PAD_TO", True),
        ("SESSION_PAD_TO", 2.0),
        ("SESSION_TYPE", "rediss"),
        ("SESSION_TYPE", 7),
        ("SESSION_ALLOW_PLAIN_HTTP", "1"),
        ("SESSION_SECRET_KEYS_FILE", ""),
        ("SESSION_SECRET_KEYS_FILE", 7),
        ("SESSION_COOKIE_NAME", ""),
        ("SESSION_COOKIE_NAME", "my session"),
        ("SESSION_COOKIE_NAME", "a=b"),
        ("SESSION_COOKIE_NAME", "séance"),
        ("SESSION_COOKIE_NAME", "sid\n"),
        ("SESSION_COOKIE_DOMAIN", 7),
        ("SESSION_COOKIE_PATH", ""),
        ("SESSION_COOKIE_PATH", "desk"),
        ("SESSION_COOKIE_HTTPONLY", "on"),
        ("SESSION_COOKIE_SAMESITE", "loose"),
        ("SESSION_COOKIE_SAMESITE", False),
        ("SESSION_COOKIE_PARTITIONED", "on"),
    ],
)
def test_refused_values(setting, value):
    """Whatever a setting cannot be is refused under its name, and the message says what is wrong and what to do."""
    (problem,) = problems(**{setting: value})

    assert problem.setting == setting
    assert problem.fault.endswith(".")
    assert problem.remedy.endswith(".")


def test_every_problem_is_reported_at_once():
    """One error lists everything that is wrong, each on a line with its remedy."""
    with pytest.raises(ConfigError) as caught:
        ready(
            SESSION_SECRET_KEYS=["short", 7],
            SESSION_PROFILE="military",
            SESSION_IDLE_TIMEOUT=-1,
            SESSION_TYPE="rediss",
            SESSION_COOKIE_NAME="my session",
        )

    found = caught.value.problems
    assert [problem.setting for problem in found] == [
        "SESSION_SECRET_KEYS",
        "SESSION_SECRET_KEYS",
        "SESSION_PROFILE",
        "SESSION_IDLE_TIMEOUT",
        "SESSION_COOKIE_NAME",
        "SESSION_TYPE",
    ]
    assert str(caught.value).splitlines() == [
        "The session settings cannot work.",
        *(f"  - {p.setting}: {p.fault} {p.remedy}" for p in found),
    ]


def test_config_error_is_a_value_error():
    """Who catches what a bad configuration usually raises catches this as well."""
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, HardSessionError)


def test_unusable_file_of_keys_is_reported_with_the_rest(tmp_path):
    """A file of keys that cannot be read stands in the same list as every other problem."""
    found = problems(SESSION_SECRET_KEYS_FILE=str(tmp_path / "none"), SESSION_PROFILE="military")

    assert {problem.setting for problem in found} == {"SESSION_SECRET_KEYS_FILE", "SESSION_PROFILE"}


@pytest.mark.parametrize("form", [str, Path])
def test_file_of_keys_may_be_a_path(tmp_path, form):
    """A file of keys is named by a text or a `Path`."""
    (tmp_path / "keys").write_text(Key.generate().text)

    app = ready(SESSION_SECRET_KEYS_FILE=form(tmp_path / "keys"))

    assert app.config["SESSION_COOKIE_NAME"] == NAME


@pytest.mark.parametrize(
    ("config", "listed"),
    [
        ({}, False),
        ({"SESSION_TYPE": "memory", "SESSION_REGISTRY": False}, False),
        ({"SESSION_REVOCATION_STORE": "memory", "SESSION_REGISTRY": False}, False),
        ({"SESSION_TYPE": "memory"}, True),
        ({"SESSION_REVOCATION_STORE": "memory"}, True),
    ],
)
def test_cap_needs_a_list_to_count_by(config, listed):
    """A cap on a user's sessions that nothing would hold is refused, instead of being ignored."""
    if listed:
        assert read(SESSION_MAX_PER_USER=3, **config).most_per_user == 3
        return
    (problem,) = problems(SESSION_MAX_PER_USER=3, **config)

    assert problem.setting == "SESSION_MAX_PER_USER"


def test_keys_stand_in_one_place(tmp_path):
    """Keys in the settings and in a file at once are refused, instead of one of the two being ignored."""
    (tmp_path / "keys").write_text(Key.generate().text)

    (problem,) = problems(SESSION_SECRET_KEYS_FILE=str(tmp_path / "keys"), SESSION_SECRET_KEYS=[Key.generate()])

    assert problem.setting == "SESSION_SECRET_KEYS_FILE"


def test_settings_are_frozen_and_hide_their_keys():
    """Resolved settings do not change, and their repr shows no key."""
    settings = read(SESSION_SECRET_KEYS=["a" * 4 + string.ascii_letters])

    assert string.ascii_letters not in repr(settings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.app_id = "other"


class TestKeys:
    """Which keys are taken, and which are too weak."""

    @pytest.mark.parametrize(
        "key",
        [
            Key.generate().text,
            Key.generate(),
            Key(Key.generate().text.encode()),
            Key.generate().text.encode(),
            string.ascii_letters[:32],
            os.urandom(32),
            b"abcde" * 7,
        ],
        ids=["text", "Key", "Key of bytes", "bytes", "32 characters", "32 bytes", "5 different bytes"],
    )
    def test_forms(self, key, make_app, act):
        """A key is an `hsk1_` text, 32 bytes or more, or a `Key` of either, in a list or a tuple."""
        client = make_app(SESSION_SECRET_KEYS=(key,)).test_client()

        act(client, lambda: session.update(a=1))

        assert act(client, lambda: session["a"]).value == 1

    @pytest.mark.parametrize(
        "key", [Key.generate().text, Key.generate(), b"x", 7, {}], ids=["text", "Key", "bytes", "number", "dict"]
    )
    @pytest.mark.parametrize("setting", ["SESSION_SECRET_KEYS", "SECRET_KEY_FALLBACKS"])
    def test_scalar_is_refused(self, setting, key):
        """A key where a list of keys is due is refused: a text is never taken for a list of characters."""
        config = {"SECRET_KEY": string.ascii_letters, "SESSION_SECRET_KEYS": None}

        (problem,) = problems(**config | {setting: key})

        assert (problem.setting, problem.fault) == (setting, "is no list.")
        assert "Write a list" in problem.remedy

    def test_empty_list_is_refused(self):
        """An empty list of keys is a mistake, not an application without sessions."""
        (problem,) = problems(SESSION_SECRET_KEYS=[], SECRET_KEY=string.ascii_letters)

        assert problem.fault == "is empty."
        assert "keygen" in problem.remedy

    @pytest.mark.parametrize(
        ("key", "fault"),
        [
            (string.ascii_letters[:31], "a key has 31 bytes, and 32 are the least."),
            (bytes(range(31)), "a key has 31 bytes, and 32 are the least."),
            ("", "a key has 0 bytes, and 32 are the least."),
            (b"abcd" * 8, "a key is made of hardly any different bytes."),
            (7, "a int is no key."),
            (None, "a NoneType is no key."),
            ([Key.generate().text], "a list is no key."),
        ],
    )
    def test_weak_key_is_refused(self, key, fault):
        """`SESSION_SECRET_KEYS` have at least 32 bytes that are not all alike."""
        (problem,) = problems(SESSION_SECRET_KEYS=[Key.generate(), key])

        assert (problem.setting, problem.fault) == ("SESSION_SECRET_KEYS", fault)
        assert "keygen" in problem.remedy

    @pytest.mark.parametrize(
        "key",
        [
            "please-change-me-before-you-go-live",
            "CHANGE_THIS to something of your own",
            "your secret key goes into this place",
            "This is not a very Super-Secret text.",
            "django-insecure-0a9s8d7f6g5h4j3k2l1",
            b"an example of a key, of 32 bytes and more",
        ],
    )
    def test_placeholder_is_refused(self, key):
        """A text copied from an example is refused, however long it is and however it is spelled."""
        (problem,) = problems(SESSION_SECRET_KEYS=[key])

        assert problem.fault == "a key is a placeholder from an example."

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: text[:-1],
            lambda text: text + "A",
            lambda text: text + "=",
            lambda text: text + "\n",
            lambda text: text[:10] + ("A" if text[10] != "A" else "B") + text[11:],
            lambda text: text[:6] + text[6:].swapcase(),
            lambda text: text.encode()[:-1],
            lambda text: "hsk1_",
            lambda text: "hsk1_" + "é" * 48,
        ],
    )
    def test_damaged_key_is_refused(self, damage):
        """An `hsk1_` text with a wrong checksum is an error, never taken as raw bytes."""
        (problem,) = problems(SESSION_SECRET_KEYS=[damage(Key.generate().text)])

        assert problem.fault == "an hsk1_ key is damaged: its checksum does not fit."

    @pytest.mark.parametrize("text", [" {}", '"{}"', "\ufeff{}", "KEY={}"])
    def test_key_with_something_before_it_is_refused(self, text):
        """An `hsk1_` text behind a space, a quote or a mark is an error too, never taken as raw bytes."""
        (problem,) = problems(SESSION_SECRET_KEYS=[text.format(Key.generate().text)])

        assert problem.setting == "SESSION_SECRET_KEYS"

    @pytest.mark.parametrize("key", ["\udcff" * 40, b"hsk1_" + b"\xff" * 48], ids=["text", "bytes"])
    def test_key_that_is_no_text_is_refused(self, key):
        """What an environment in another encoding makes of a key is a problem with a remedy, which quotes no byte."""
        (problem,) = problems(SESSION_SECRET_KEYS=[key])

        assert problem.setting == "SESSION_SECRET_KEYS"
        assert "xff" not in str(problem)

    def test_repeated_key_is_refused(self):
        """One key twice is refused, in whatever forms it is written."""
        key, words = Key.generate(), Passphrase("four cranes in the fog", "newsroom salt")

        found = problems(SESSION_SECRET_KEYS=[key, key.text, key.material(), words, words])

        assert [problem.fault for problem in found] == ["a key stands in it twice."] * 3

    def test_messages_quote_no_key(self, caplog):
        """No message shows a key or a part of one."""
        weak = [string.ascii_letters[:31], "please-change-me-" * 2, Key.generate().text[:-1], "abcd" * 8]

        with pytest.raises(ConfigError) as caught:
            ready(SESSION_SECRET_KEYS=[*weak, *weak])

        text = str(caught.value) + repr(caught.value) + caplog.text
        assert not [key for key in weak if key[5:15] in text]


class TestSecretKey:
    """Flask's own keys, where there are no others."""

    def test_encrypts(self, make_app, act):
        """`SECRET_KEY` will do where no other key is set."""
        client = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=string.ascii_letters).test_client()

        act(client, lambda: session.update(a=1))

        assert act(client, lambda: session["a"]).value == 1

    def test_may_be_an_attribute_of_the_application(self):
        """A subclass of Flask that brings its `secret_key` has sessions."""

        class Newsroom(Flask):
            secret_key = string.ascii_letters

        app = Newsroom("newsroom")
        HardSession(app)

        with app.test_client().session_transaction() as stored:
            stored["a"] = 1

        assert stored.handle

    def test_fallbacks_open(self, make_app, act, token):
        """`SECRET_KEY_FALLBACKS` open what was sealed before a rotation, and `SECRET_KEY` seals."""
        old, new = string.ascii_letters[:40], string.digits + string.ascii_letters
        before = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=old).test_client()
        after = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]).test_client()
        later = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=new).test_client()
        act(before, lambda: session.update(a=1))
        after.set_cookie(NAME, token(before))

        assert act(after, lambda: session.update(b=session["a"])).response.status_code == 200
        later.set_cookie(NAME, token(after))
        assert act(later, lambda: dict(session)).value == {"a": 1, "b": 1}

    @pytest.mark.parametrize(
        ("key", "accepted"),
        [
            (string.ascii_letters[:15], False),
            (string.ascii_letters[:16], True),
            (string.ascii_letters[:31], True),
            (string.ascii_letters[:32], True),
            ("éàüöñçß", False),
            ("éàüöñçßø", True),
            (b"\x00\x01\x02\x03\x04" * 3, False),
            (b"\x00\x01\x02\x03\x04" * 3 + b"\x00", True),
            (b"abcd" * 4, False),
            ("change-me-before-release", False),
        ],
    )
    def test_sixteen_bytes_are_the_least(self, key, accepted):
        """A `SECRET_KEY` under 16 bytes, or one that can be guessed, is refused; bytes count, not characters."""
        if accepted:
            ready(SESSION_SECRET_KEYS=None, SECRET_KEY=key)
            return

        (problem,) = problems(SESSION_SECRET_KEYS=None, SECRET_KEY=key)

        assert problem.setting == "SECRET_KEY"
        assert "Set SESSION_SECRET_KEYS" in problem.remedy
        assert "SECRET_KEY may stay" in problem.remedy

    def test_weak_fallback_is_refused(self):
        """A fallback opens sessions, so it must not be weaker than the key."""
        (problem,) = problems(SESSION_SECRET_KEYS=None, SECRET_KEY=string.ascii_letters, SECRET_KEY_FALLBACKS=["dev"])

        assert problem.setting == "SECRET_KEY_FALLBACKS"

    def test_repeated_fallback_is_refused(self):
        """A fallback that is the key itself is refused: a rotation forgot a step."""
        key = string.ascii_letters

        (problem,) = problems(SESSION_SECRET_KEYS=None, SECRET_KEY=key, SECRET_KEY_FALLBACKS=[key])

        assert problem.setting == "SECRET_KEY_FALLBACKS"

    def test_short_one_may_stay_beside_session_keys(self):
        """Where `SESSION_SECRET_KEYS` are set, `SECRET_KEY` is not looked at."""
        ready(SECRET_KEY="dev", SECRET_KEY_FALLBACKS="no list")

    def test_short_one_may_stay_beside_a_file_of_keys(self, tmp_path):
        """Where `SESSION_SECRET_KEYS_FILE` is set, `SECRET_KEY` is not looked at."""
        (tmp_path / "keys").write_text(Key.generate().text)

        ready(SESSION_SECRET_KEYS_FILE=str(tmp_path / "keys"), SECRET_KEY="dev")

    @pytest.mark.parametrize("mode", ["debug", "testing"])
    @pytest.mark.parametrize("key", ["dev", b"x", "change-me", "a" * 64])
    def test_debug_and_testing_take_any(self, make_app, act, caplog, mode, key):
        """In debug and testing mode any `SECRET_KEY` works, though the mode is set last, and one log line says so."""
        app = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=key)
        setattr(app, mode, True)
        client = app.test_client()

        act(client, lambda: session.update(a=1))

        assert act(client, lambda: session["a"]).value == 1
        (line,) = warnings(caplog)
        assert line.startswith("SECRET_KEY: ")
        assert line.endswith("It is used because the app is in debug or testing mode, and would be refused elsewhere.")

    @pytest.mark.parametrize("mode", ["DEBUG", "TESTING"])
    def test_debug_and_testing_need_strong_session_keys(self, mode):
        """`SESSION_SECRET_KEYS` are never weak, in no mode: who sets them can make a good one."""
        (problem,) = problems(SESSION_SECRET_KEYS=["dev"], **{mode: True})

        assert problem.setting == "SESSION_SECRET_KEYS"

    def test_strong_key_logs_nothing(self, make_app, act, caplog):
        """A good key is no news, in testing mode neither."""
        client = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=string.ascii_letters, TESTING=True).test_client()

        act(client, lambda: session.update(a=1))

        assert warnings(caplog) == []


class TestNoKey:
    """An application without any key has no sessions, as with Flask."""

    @pytest.fixture
    def keyless(self, make_app):
        return make_app(SESSION_SECRET_KEYS=None)

    @pytest.mark.parametrize("key", [None, "", b""])
    def test_session_reads_as_empty(self, make_app, act, key):
        """A view may look into the session, and the answer sets nothing."""
        client = make_app(SESSION_SECRET_KEYS=None, SECRET_KEY=key).test_client()

        answer = act(client, lambda: (session.get("a"), "a" in session))

        assert answer.value == (None, False)
        assert answer.cookies == []

    def test_write_is_flasks_error(self, keyless, act):
        """A write is the error that Flask raises without a secret key."""
        with pytest.raises(RuntimeError, match="no secret key was set"):
            act(keyless.test_client(), lambda: session.update(a=1))

    def test_ready_has_nothing_to_say(self, keyless):
        """Having no sessions is no configuration error: an application may not need any."""
        HardSession(keyless).ready()

    def test_key_may_come_later(self, keyless, act):
        """Sessions begin with the key, even after requests without one."""
        client = keyless.test_client()
        act(client, lambda: session.get("a"))

        keyless.config["SECRET_KEY"] = string.ascii_letters
        act(client, lambda: session.update(a=1))

        assert act(client, lambda: session["a"]).value == 1

    def test_other_mistakes_are_still_reported(self):
        """Without a key the other settings are checked all the same."""
        (problem,) = problems(SESSION_SECRET_KEYS=None, SESSION_PROFILE="military")

        assert problem.setting == "SESSION_PROFILE"


class TestCookieName:
    """The strongest prefix that the other settings allow, unless the application chose a name."""

    @pytest.mark.parametrize(
        ("config", "name"),
        [
            ({}, "__Host-Http-session"),
            ({"SESSION_COOKIE_NAME": "session"}, "__Host-Http-session"),
            ({"SESSION_COOKIE_PATH": "/"}, "__Host-Http-session"),
            ({"SESSION_COOKIE_SECURE": False}, "__Host-Http-session"),
            ({"SESSION_COOKIE_HTTPONLY": False}, "__Host-session"),
            ({"SESSION_COOKIE_DOMAIN": "example.org"}, "__Secure-session"),
            ({"SESSION_COOKIE_PATH": "/desk"}, "__Secure-session"),
            ({"APPLICATION_ROOT": "/desk"}, "__Secure-session"),
            ({"APPLICATION_ROOT": "/desk", "SESSION_COOKIE_PATH": "/"}, "__Host-Http-session"),
            ({"SESSION_COOKIE_DOMAIN": "example.org", "SESSION_COOKIE_HTTPONLY": False}, "__Secure-session"),
            ({"SESSION_ALLOW_PLAIN_HTTP": True}, "session"),
            ({"SESSION_ALLOW_PLAIN_HTTP": True, "SESSION_COOKIE_DOMAIN": "example.org"}, "session"),
            ({"SESSION_COOKIE_NAME": "sid"}, "sid"),
            ({"SESSION_COOKIE_NAME": "Session"}, "Session"),
            ({"SESSION_COOKIE_NAME": "__Host-sid"}, "__Host-sid"),
            ({"SESSION_COOKIE_NAME": "__Secure-sid", "SESSION_COOKIE_PATH": "/desk"}, "__Secure-sid"),
            ({"SESSION_COOKIE_NAME": "__Http-sid", "SESSION_COOKIE_DOMAIN": "example.org"}, "__Http-sid"),
            ({"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_HTTPONLY": False}, "__Host-sid"),
            ({"SESSION_COOKIE_NAME": "sid", "SESSION_ALLOW_PLAIN_HTTP": True}, "sid"),
        ],
    )
    def test_name(self, make_app, act, config, name):
        """The default name is as strong as its attributes allow, and a chosen name is kept."""
        app = make_app(**config)
        path = app.config["SESSION_COOKIE_PATH"] or app.config["APPLICATION_ROOT"]

        (cookie,) = act(app.test_client(), lambda: session.update(a=1), path).cookies

        assert cookie.startswith(f"{name}=hs1_")
        assert app.config["SESSION_COOKIE_NAME"] == name

    @pytest.mark.parametrize(
        ("name", "broken", "attribute"),
        [
            ("__Host-sid", {"SESSION_COOKIE_DOMAIN": "example.org"}, "Domain"),
            ("__Host-sid", {"SESSION_COOKIE_PATH": "/desk"}, "Path"),
            ("__Host-sid", {"APPLICATION_ROOT": "/desk"}, "Path"),
            ("__hOsT-sid", {"SESSION_COOKIE_PATH": "/desk"}, "Path"),
            ("__Host-Http-sid", {"SESSION_COOKIE_DOMAIN": "example.org"}, "Domain"),
            ("__Host-Http-sid", {"SESSION_COOKIE_HTTPONLY": False}, "HttpOnly"),
            ("__HOST-HTTP-sid", {"SESSION_COOKIE_HTTPONLY": False}, "HttpOnly"),
            ("__Http-sid", {"SESSION_COOKIE_HTTPONLY": False}, "HttpOnly"),
            ("__http-sid", {"SESSION_COOKIE_HTTPONLY": False}, "HttpOnly"),
            ("__Host-sid", {"SESSION_ALLOW_PLAIN_HTTP": True}, "Secure"),
            ("__Secure-sid", {"SESSION_ALLOW_PLAIN_HTTP": True}, "Secure"),
            ("__secure-sid", {"SESSION_ALLOW_PLAIN_HTTP": True}, "Secure"),
            ("__Http-sid", {"SESSION_ALLOW_PLAIN_HTTP": True}, "Secure"),
            ("__HOST-HTTP-sid", {"SESSION_ALLOW_PLAIN_HTTP": True}, "Secure"),
        ],
    )
    def test_broken_promise_is_refused(self, name, broken, attribute):
        """A chosen prefix that the attributes do not keep is refused, in any case: browsers would drop the cookie."""
        (problem,) = problems(SESSION_COOKIE_NAME=name, **broken)

        assert problem.setting == "SESSION_COOKIE_NAME"
        assert attribute in problem.fault

    @pytest.mark.parametrize(
        "config",
        [{"SESSION_COOKIE_SAMESITE": "None"}, {"SESSION_COOKIE_PARTITIONED": True}],
    )
    def test_attribute_that_needs_secure_is_refused_on_plain_http(self, config):
        """What browsers take only from a Secure cookie is refused where the cookie cannot be Secure."""
        (problem,) = problems(SESSION_ALLOW_PLAIN_HTTP=True, **config)

        assert problem.setting in config
        assert "without Secure" in problem.fault


class TestWriteBack:
    """Flask, its test client and other extensions read the resolved values in `app.config`."""

    def test_defaults(self):
        """Flask's weak defaults are overruled where everybody reads them."""
        app = ready()

        assert {name: app.config[name] for name in app.config if name.startswith("SESSION_COOKIE_")} == {
            "SESSION_COOKIE_NAME": "__Host-Http-session",
            "SESSION_COOKIE_DOMAIN": None,
            "SESSION_COOKIE_PATH": "/",
            "SESSION_COOKIE_SECURE": True,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "SESSION_COOKIE_PARTITIONED": False,
        }

    def test_choices(self):
        """What the application chose is written back as it is used."""
        app = ready(
            SESSION_COOKIE_DOMAIN="example.org",
            SESSION_COOKIE_HTTPONLY=False,
            SESSION_COOKIE_SAMESITE="none",
            SESSION_COOKIE_PARTITIONED=True,
            APPLICATION_ROOT="/desk",
        )

        assert {name: app.config[name] for name in app.config if name.startswith("SESSION_COOKIE_")} == {
            "SESSION_COOKIE_NAME": "__Secure-session",
            "SESSION_COOKIE_DOMAIN": "example.org",
            "SESSION_COOKIE_PATH": "/desk",
            "SESSION_COOKIE_SECURE": True,
            "SESSION_COOKIE_HTTPONLY": False,
            "SESSION_COOKIE_SAMESITE": "None",
            "SESSION_COOKIE_PARTITIONED": True,
        }

    def test_plain_http(self):
        """On plain http everybody sees a cookie without Secure."""
        app = ready(SESSION_ALLOW_PLAIN_HTTP=True, SESSION_COOKIE_SECURE=True)

        assert app.config["SESSION_COOKIE_NAME"] == "session"
        assert app.config["SESSION_COOKIE_SECURE"] is False

    def test_resolved_settings_resolve_to_themselves(self):
        """Reading what was written back gives the same cookie, so a copied configuration works."""
        app = ready(SESSION_COOKIE_PATH="/desk", SESSION_COOKIE_SAMESITE="none")

        cookie = {name: app.config[name] for name in app.config if name.startswith("SESSION_COOKIE_")}

        again = ready(**cookie)

        assert {name: again.config[name] for name in cookie} == cookie

    def test_refused_settings_write_nothing(self):
        """Settings that cannot work leave `app.config` as it was."""
        app = Flask("newsroom")
        app.config["SESSION_SECRET_KEYS"] = ["dev"]
        before = dict(app.config)

        with pytest.raises(ConfigError):
            HardSession(app).ready()

        assert app.config == before


class TestPlainHttp:
    """`SESSION_ALLOW_PLAIN_HTTP`, for development without https beyond localhost."""

    def test_cookie_has_no_secure(self, make_app, act):
        """The cookie is named `session`, works on plain http, and keeps its other attributes."""
        client = make_app(SESSION_ALLOW_PLAIN_HTTP=True).test_client()

        (cookie,) = act(client, lambda: session.update(a=1), base_url="http://192.0.2.7:5000").cookies

        assert cookie.startswith("session=hs1_")
        assert sorted(cookie.split("; ")[1:]) == ["HttpOnly", "Path=/", "SameSite=Lax"]

    def test_one_warning_names_the_better_way(self, make_app, act, caplog):
        """One warning per start says what it costs, and names ProxyFix."""
        client = make_app(SESSION_ALLOW_PLAIN_HTTP=True).test_client()

        for _ in range(3):
            act(client, lambda: session.update(a=1), base_url="http://192.0.2.7:5000")

        (line,) = warnings(caplog)
        assert line.startswith("SESSION_ALLOW_PLAIN_HTTP is on")
        assert "werkzeug.middleware.proxy_fix.ProxyFix" in line


class TestLateChange:
    """A setting that is changed after the settings were resolved."""

    @pytest.fixture
    def started(self, app, client, act, caplog):
        """A browser with a session, and an empty log."""
        act(client, lambda: session.update(a=1))
        caplog.clear()
        return client

    def test_is_told_once_and_without_effect(self, app, started, act, token, caplog):
        """One log line names the setting, and everything goes on as before."""
        app.config["SESSION_COOKIE_NAME"] = "sid"

        answers = [act(started, lambda: session["a"]).value for _ in range(3)]

        assert answers == [1, 1, 1]
        assert warnings(caplog) == [
            "SESSION_COOKIE_NAME changed without effect: the session settings are resolved. "
            "Set them before the first request."
        ]

    @pytest.mark.parametrize(
        "setting", ["SECRET_KEY", "SECRET_KEY_FALLBACKS", "APPLICATION_ROOT", "SESSION_IDLE_TIMEOUT", "SESSION_TIPE"]
    )
    def test_every_setting_is_watched(self, app, started, act, caplog, setting):
        """Whatever the settings were made of is watched, set before or not."""
        app.config[setting] = "/desk"

        act(started, lambda: session["a"])

        assert [line.split()[0] for line in warnings(caplog)] == [setting]

    def test_several_share_a_line(self, app, started, act, caplog):
        """What changed together is told together."""
        app.config.update(SESSION_PROFILE="high", SESSION_IDLE_TIMEOUT=1)

        act(started, lambda: session["a"])

        (line,) = warnings(caplog)
        assert line.startswith("SESSION_IDLE_TIMEOUT, SESSION_PROFILE changed without effect")

    def test_removal_is_a_change(self, app, started, act, caplog):
        """A setting that is taken away is told as well."""
        del app.config["SESSION_SECRET_KEYS"]

        assert act(started, lambda: session["a"]).value == 1
        assert [line.split()[0] for line in warnings(caplog)] == ["SESSION_SECRET_KEYS"]

    def test_next_change_is_told_again(self, app, started, act, caplog):
        """Another change is another line."""
        for profile in ("high", "pci"):
            app.config["SESSION_PROFILE"] = profile
            act(started, lambda: session["a"])

        assert len(warnings(caplog)) == 2

    @pytest.mark.parametrize("setting", ["DESK", "MAX_CONTENT_LENGTH"])
    def test_other_settings_are_nobodys_business(self, app, started, act, caplog, setting):
        """What is no session setting may change at any time."""
        app.config[setting] = 1

        act(started, lambda: session["a"])

        assert warnings(caplog) == []

    def test_same_value_is_no_change(self, app, started, act, caplog):
        """Setting what already stands is no news."""
        app.config.update(SESSION_COOKIE_NAME=NAME, SESSION_SECRET_KEYS=list(app.config["SESSION_SECRET_KEYS"]))

        act(started, lambda: session["a"])

        assert warnings(caplog) == []

    def test_permanent_lifetime_is_read_per_request(self, app, client, act, caplog):
        """`PERMANENT_SESSION_LIFETIME` may change at any time, counts at once, and is not told."""
        caplog.set_level(logging.WARNING, "hardsession")
        with freeze_time("2030-01-01 12:00:00") as now:
            act(client, lambda: (setattr(session, "permanent", True), session.update(a=1)))
            now.tick(60)

            app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(seconds=61)
            alive = act(client, lambda: session.get("a")).value
            app.permanent_session_lifetime = timedelta(seconds=30)
            now.tick(30)
            ended = act(client, lambda: (session.get("a"), session.ended)).value

        assert alive == 1
        assert ended == (None, "idle_timeout")
        assert warnings(caplog) == []
