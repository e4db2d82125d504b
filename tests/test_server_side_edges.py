"""What hardly ever happens to a row, and what store mode makes of it."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner
from flask import session
from flask.cli import ScriptInfo

from hardsession import ConfigError, ConflictError, HardSession, Key, StoreError, current_session, patience
from hardsession.cli import commands
from hardsession.crypto.encoding import from_text, to_text
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.record import Reference
from hardsession.stores import Outcome
from hardsession.stores.filesystem import FilesystemStore
from hardsession.stores.memory import MemoryStore
from hardsession.stores.redis import RedisStore
from hardsession.stores.sqlalchemy import SQLAlchemyStore

NAME = "__Host-Http-session"


@pytest.fixture
def store():
    """A store whose verbs a test may replace."""
    return MemoryStore()


@pytest.fixture
def client(make_app, store):
    """A browser of an application with that store."""
    return make_app(SESSION_STORE=store).test_client()


def test_other_spelling_of_a_token(client, act, token, events):
    """A token in another spelling is refused before the store is asked."""
    act(client, lambda: session.update(a=1))
    bare = client.application.test_client(use_cookies=False)

    answer = act(bare, lambda: dict(session), headers={"Cookie": f"{NAME}={token(client)}="})

    assert answer.value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "encoding"})


def test_reference_with_other_times_than_its_row(client, act, token, events):
    """A reference that claims other times than its row is refused, and a logout ends that row all the same."""
    act(client, lambda: session.update(a=1))
    good = token(client)
    ring = KeyRing([RingKey.derive(Key(client.application.config["SESSION_SECRET_KEYS"][0]).material())])
    references = Sealer(Purpose.REFERENCE, app_id="app", carrier=f"cookie:{NAME}")
    real = Reference.unpack(references.open(from_text(good), ring))
    forged = Reference(real.created_at, real.expires_at + 1, real.secret)
    client.set_cookie(NAME, to_text(references.seal(forged.pack(), ring.sealing)))

    assert act(client, lambda: dict(session)).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "header"})
    act(client, lambda: current_session.logout())
    client.set_cookie(NAME, good)
    assert act(client, lambda: session.ended).value == "logged_out"


def test_logout_with_a_token_of_others(client, act):
    """A logout whose token names no row asks nothing of the store and deletes the cookie."""
    client.set_cookie(NAME, "hs1_" + "A" * 156)

    answer = act(client, lambda: current_session.logout())

    assert answer.cookies[0].startswith(f"{NAME}=;")


def test_name_that_is_taken(client, store, act, monkeypatch):
    """A random name that is taken, which cannot be, is an outage and never somebody else's row."""
    monkeypatch.setattr(store, "add", lambda *_: False)

    with pytest.raises(StoreError, match="drawn at random"):
        act(client, lambda: session.update(a=1))


def test_new_row_that_vanishes_during_a_login(client, store, act, token, events, monkeypatch):
    """A login whose own new row was evicted while it was merged with another write sets no token."""
    act(client, lambda: session.update(a=1))
    before, rows, replace = token(client), set(store.keys("")), store.replace

    def conflict_and_evict(key, *arguments):
        if ":r." not in key:
            return replace(key, *arguments)
        for name in set(store.keys("")) - rows:
            store.delete(name)
        return Outcome.CONFLICT

    monkeypatch.setattr(store, "replace", conflict_and_evict)

    answer = act(client, lambda: current_session.login("ada"))

    monkeypatch.setattr(store, "replace", replace)
    assert answer.cookies == []
    assert events[-1][0] == "write_refused"
    assert token(client) == before
    assert act(client, lambda: session["a"]).value == 1


@pytest.mark.parametrize(("seconds", "tries"), [(11.0, 1), (2.1, 50)])
def test_patience_ends(client, store, act, token, monkeypatch, seconds, tries):
    """After 10 seconds, or 2 seconds and 50 tries, a write that others keep changing is a ConflictError."""
    act(client, lambda: session.update(a=1))
    started, replaced = time.monotonic(), []
    monkeypatch.setattr(store, "replace", lambda *_: replaced.append(1) or Outcome.CONFLICT)
    monkeypatch.setattr(patience, "_PAUSE", 0.0)
    monkeypatch.setattr("hardsession.patience.time.monotonic", lambda: started + (seconds if replaced else 0.0))

    with pytest.raises(ConflictError, match="Try again"):
        act(client, lambda: session.update(a=2))

    assert len(replaced) == tries


def test_inspect_of_an_ended_session(client, act, token):
    """`inspect` says of a token whose session is over why it is."""
    act(client, lambda: session.update(a=1))
    kept = token(client)
    act(client, lambda: current_session.logout())

    result = CliRunner().invoke(
        commands, ["inspect"], obj=ScriptInfo(create_app=lambda: client.application), input=kept
    )

    assert result.exit_code == 1
    assert "is over: logged_out" in result.output


def test_inspect_while_the_store_is_away(client, store, act, token, monkeypatch):
    """`inspect` says in words that the store cannot be asked."""
    act(client, lambda: session.update(a=1))

    def away(_key):
        raise StoreError("The store cannot be used.")

    monkeypatch.setattr(store, "get", away)

    result = CliRunner().invoke(
        commands, ["inspect"], obj=ScriptInfo(create_app=lambda: client.application), input=token(client)
    )

    assert result.exit_code == 1
    assert "The store cannot be used." in result.output


class TestSettings:
    """What says where sessions are kept."""

    def store_of(self, make_app, **config):
        """The store that an application's settings come to."""
        app = make_app(**config)
        HardSession().ready(app)
        return app.session_interface._parts.mode._rows._store

    @pytest.mark.parametrize(
        ("config", "kind"),
        [
            ({"SESSION_TYPE": "Memory"}, MemoryStore),
            ({"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": "{folder}"}, FilesystemStore),
            ({"SESSION_STORE": "file://{folder}"}, FilesystemStore),
            ({"SESSION_TYPE": "redis"}, RedisStore),
            ({"SESSION_STORE": "rediss://localhost:6380/1"}, RedisStore),
            ({"SESSION_STORE": "sqlite:///{folder}/sessions.db"}, SQLAlchemyStore),
        ],
    )
    def test_names_and_urls(self, make_app, tmp_path, config, kind):
        """A store is built by its name or from a URL, and nothing is connected to."""
        config = {name: value.format(folder=tmp_path) for name, value in config.items()}

        assert isinstance(self.store_of(make_app, **config), kind)

    @pytest.mark.parametrize(
        ("config", "fault"),
        [
            ({"SESSION_STORE": object()}, "SESSION_STORE: is neither a URL nor a store"),
            ({"SESSION_TYPE": "gopher"}, "SESSION_TYPE: is no store that this version has"),
            ({"SESSION_KEY_PREFIX": "two words"}, "SESSION_KEY_PREFIX: is no text of at most 64"),
            (
                {"SESSION_TYPE": "sqlalchemy"},
                "SESSION_SQLALCHEMY is neither a Flask-SQLAlchemy object nor an Engine nor a URL",
            ),
            ({"SESSION_STORE": "sqlite://"}, "SESSION_STORE: .*in memory"),
        ],
    )
    def test_what_cannot_work(self, make_app, config, fault):
        """What is no store is a ConfigError with its remedy."""
        with pytest.raises(ConfigError, match=fault):
            self.store_of(make_app, **config)

    def test_no_finding_about_copied_cookies(self, make_app):
        """The check that a copied cookie outlives a logout is of cookie mode alone."""
        app = make_app(SESSION_TYPE="memory")

        result = CliRunner().invoke(commands, ["check"], obj=ScriptInfo(create_app=lambda: app))

        assert "HS011" not in result.output


def test_row_that_vanishes_between_conflict_and_second_look(client, store, act, events, monkeypatch):
    """A write whose row is gone when it looks again is refused, and creates none."""
    act(client, lambda: session.update(a=1))

    def conflict_and_evict(key, *_):
        store.delete(key)
        return Outcome.CONFLICT

    monkeypatch.setattr(store, "replace", conflict_and_evict)

    answer = act(client, lambda: session.update(a=2))

    assert answer.cookies == []
    assert events[-1][0] == "write_refused"
    assert list(store.keys("")) == []
