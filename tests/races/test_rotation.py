"""New keys on several instances, one after the other, while they serve."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from hardsession import Key, current_session

from .traffic import at_once, login, make_app, owner, read, send, write

INSTANCES = 3


class Instances:
    """Three processes of one application, each with its own copy of the key file."""

    def __init__(self, store, folder: Path, keys: list[str]) -> None:
        self._files = [folder / f"keys{number}" for number in range(INSTANCES)]
        for number in range(INSTANCES):
            self.give(number, keys)
        self.apps: list[Flask] = [
            make_app(store, SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=file, SESSION_TOUCH_INTERVAL=0)
            for file in self._files
        ]

    def give(self, number: int, keys: list[str]) -> None:
        """Put a list of keys, newest first, on one instance."""
        draft = self._files[number].with_suffix(".new")
        draft.write_text("\n".join(keys))
        draft.replace(self._files[number])


class Browser:
    """Somebody who is sent to another instance with each request."""

    def __init__(self, instances: Instances, name: str, *, writes: bool) -> None:
        self._instances, self._name, self._writes = instances, name, writes
        self._requests = 0
        self._token = send(instances.apps[0], None, login(name), write(count=0)).token

    def visit(self) -> None:
        """A request to each instance. Whoever loses his session here, loses it."""
        for app in self._instances.apps:
            answer = send(app, self._token, owner, self._count if self._writes else read)
            assert answer.status == 200
            assert answer.values[0] == self._name
            self._token = answer.cookie_after(self._token)
            self._requests += 1

    def _count(self) -> None:
        current_session["count"] += 1

    def check(self) -> None:
        """What every instance counted is there."""
        count = send(self._instances.apps[0], self._token, lambda: current_session["count"]).value
        assert count == (self._requests if self._writes else 0)


@pytest.fixture
def keys() -> tuple[str, str]:
    return Key.generate().text, Key.generate().text


@pytest.mark.parametrize("writes", [True, False], ids=["writers", "readers"])
def test_rolling_rotation_of_three_instances(store, tmp_path, keys, writes):
    """The new key opens everywhere, then seals everywhere, then the old one goes, and nobody is logged out by it."""
    old, new = keys
    instances = Instances(store, tmp_path, [old])
    browsers = [Browser(instances, f"user{number}", writes=writes) for number in range(4)]

    for ring in ([old, new], [new, old], [new]):
        for number in range(INSTANCES):
            instances.give(number, ring)
            at_once(*(browser.visit for browser in browsers))

    for browser in browsers:
        browser.check()


def test_key_that_is_removed_too_early_logs_out(store, tmp_path, keys):
    """Removing a key ends the sessions under it, at once and on the instance where it is gone."""
    old, new = keys
    instances = Instances(store, tmp_path, [old])
    token = send(instances.apps[0], None, login("ada")).token

    instances.give(0, [new])

    assert send(instances.apps[0], token, owner).value is None
    assert send(instances.apps[1], token, owner).value == "ada"


def test_logout_on_an_instance_that_does_not_know_the_newest_key(store, tmp_path, keys):
    """A logout ends a row that this instance cannot open: it needs no key for that."""
    old, new = keys
    instances = Instances(store, tmp_path, [old])
    instances.give(0, [new, old])
    token = send(instances.apps[1], None, login("ada"), write(count=0)).token
    renewed = send(instances.apps[0], token, write(count=1)).token
    assert renewed

    send(instances.apps[1], token, lambda: current_session.logout())

    assert [send(app, token, owner).value for app in instances.apps] == [None] * INSTANCES
    assert send(instances.apps[0], renewed, owner).value is None
