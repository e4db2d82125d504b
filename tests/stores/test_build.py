"""Building a store by its name, with what is installed and what is not."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hardsession import ConfigError, stores
from hardsession.stores import NOT_ATOMIC, SCHEMES, STORES, Options, build


@pytest.mark.parametrize("name", STORES)
def test_every_name_builds_a_store(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name that `SESSION_TYPE` takes is that of a store with all four verbs, connected to nothing yet."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    settings = {"SESSION_FILE_DIR": tmp_path / "f", "SESSION_SQLALCHEMY": f"sqlite:///{tmp_path / 'x.db'}"}

    store = build(name, Options(None, 2, settings))

    assert store.atomic == (name not in NOT_ATOMIC)
    assert all(callable(getattr(store, verb)) for verb in ("get", "add", "replace", "delete"))
    assert list(tmp_path.iterdir()) == []


def test_schemes_name_stores() -> None:
    """Each scheme of a URL leads to a store that there is."""
    assert set(SCHEMES.values()) <= set(STORES)


@pytest.mark.parametrize("name", ["redis", "memcached", "mongodb", "sqlalchemy", "dynamodb", "cachelib"])
def test_missing_extra(make_app: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without its driver a store is an error at the start that says what to run."""
    drivers = {"memcached": "pymemcache", "mongodb": "pymongo", "dynamodb": "boto3"}
    uninstall(monkeypatch, name, drivers.get(name, name))
    app = make_app(SESSION_TYPE=name)

    with pytest.raises(ConfigError, match=rf"pip install 'hardsession\[{name}\]'"):
        app.extensions["hardsession"].ready()


def test_system_without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system lacks what a store needs, no `pip install` is promised to help."""
    uninstall(monkeypatch, "filesystem", "fcntl")

    with pytest.raises(ImportError, match="another operating system") as caught:
        build("filesystem", Options(None, 2, {}))

    assert "pip" not in str(caught.value)


def test_options_show_no_password() -> None:
    """Where a store is may hold a password, and is not shown."""
    options = Options("redis://:hunter2@host", 2, {"SESSION_SQLALCHEMY": "postgresql://u:hunter2@host"})

    assert "hunter2" not in repr(options)


def uninstall(monkeypatch: pytest.MonkeyPatch, store: str, module: str) -> None:
    monkeypatch.delitem(sys.modules, f"hardsession.stores.{store}", raising=False)
    monkeypatch.delattr(stores, store, raising=False)
    for name in [module, *(name for name in sys.modules if name.startswith(f"{module}."))]:
        monkeypatch.setitem(sys.modules, name, None)
