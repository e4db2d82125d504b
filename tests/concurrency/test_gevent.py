"""Greenlets: gunicorn's gevent worker, which patches the standard library before it loads the application."""

from __future__ import annotations

import os

import pytest

from hardsession import Key
from hardsession.crypto.encoding import from_text

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn does not run on this system")

PEOPLE = 20


@pytest.fixture(scope="module")
def server(serve):
    """One process that answers in greenlets."""
    return serve("--worker-class", "gevent", "--workers", "1", SERVED_PEOPLE=str(PEOPLE))


@pytest.fixture(scope="module")
def visitors(server):
    """The first requests of the process: all of them are under way before one is answered."""
    return server.meeting(PEOPLE, name="visitor {}")


def test_all_are_greenlets_of_one_process(visitors):
    """The rest of this file speaks of one patched process, in which all requests are under way at once."""
    assert len({answer.pid for answer in visitors}) == 1
    assert all(answer.patched for answer in visitors)


def test_each_keeps_his_own(server, visitors):
    """While others begin and end their requests, everybody finds what he stored, at once and with his next request."""
    again = [server.page(answer.token) for answer in visitors]

    assert all(answer.same for answer in visitors)
    assert [answer.name for answer in visitors] == [f"visitor {number}" for number in range(PEOPLE)]
    assert [answer.name for answer in again] == [answer.name for answer in visitors]
    assert len({answer.handle for answer in again} - {None}) == PEOPLE


def test_salts_never_repeat(visitors):
    """Each token has a salt of its own."""
    assert len({from_text(answer.token)[8:32] for answer in visitors}) == PEOPLE


def test_settings_are_resolved_once(server, visitors):
    """However many first requests come at once, there is one line for each event."""
    assert server.log.read_text().count('"session_created"') == PEOPLE


def test_one_session_in_many_requests(server, visitors):
    """Requests that share a cookie each see it whole and answer with what they made of it, never with another's."""
    shared = visitors[0].token

    answers = server.meeting(PEOPLE, shared, name="tab {}")

    assert all(answer.same for answer in answers)
    assert [server.page(answer.token).name for answer in answers] == [f"tab {number}" for number in range(PEOPLE)]
    assert {server.page(answer.token).handle for answer in answers} == {server.page(shared).handle}


def test_new_keys_are_read_under_way(server, visitors):
    """Requests that began before a key was added are answered under it, and nobody loses his session."""
    new = Key.generate()
    server.keys.write_text(f"{new.text}\n{server.keys.read_text()}")

    answers = server.meeting(PEOPLE, visitors[0].token, name="tab {}")

    assert all(answer.same for answer in answers)
    assert {from_text(answer.token)[4:8].hex() for answer in answers} == {new.id}
