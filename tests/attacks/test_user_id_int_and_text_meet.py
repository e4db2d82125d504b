"""One user, whose id is a number here and a text there, must not be two; two users must not be one."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, SerializationError


@pytest.mark.parametrize(("first", "second"), [(7, "7"), ("7", 7), (0, "0"), (2**70, str(2**70)), (-1, "-1")])
def test_number_and_text_are_one_user(app, log_in, act, seen_in, first, second):
    """Who logged in as 7 and proves again that he is "7" keeps his handle and his data."""
    browser = log_in(app, first, draft="Ada's")
    before = seen_in(browser).header

    act(browser, lambda: HardSession().login(second))

    after = seen_in(browser).header
    assert (after.lineage, after.metadata.owner) == (before.lineage, str(first))
    assert act(browser, lambda: dict(session)).value == {"draft": "Ada's"}


@pytest.mark.parametrize(("first", "second"), [(7, "7"), ("7", 7)])
def test_key_that_changes_its_type_is_no_other_user(app, act, seen_in, first, second):
    """An application that writes `user_id` once as a number and once as a text loses no data over it."""
    browser = app.test_client()
    act(browser, lambda: session.update(user_id=first, draft="Ada's"))
    handle = seen_in(browser).header.lineage

    act(browser, lambda: session.update(user_id=second))

    assert seen_in(browser).header.lineage == handle
    assert act(browser, lambda: dict(session)).value == {"user_id": second, "draft": "Ada's"}


@pytest.mark.parametrize(
    "attacker_id", ["07", " 7", "7 ", "7\x00", "\uff17", "\u0667", "7.0", 7.0, "+7", "None", True, b"7"]
)
def test_name_that_only_looks_like_the_number_is_somebody_else(app, log_in, act, seen_in, attacker_id):
    """Where users choose their names, none that merely resembles another user's id is that user."""
    browser = log_in(app, 7, draft="Ada's")
    before = seen_in(browser).header

    act(browser, lambda: HardSession().login(attacker_id))

    assert seen_in(browser).header.lineage != before.lineage
    assert act(browser, lambda: dict(session)).value == {}


@pytest.mark.parametrize("name", ["", "7" * 1025, "7\ud800"], ids=["empty", "too long", "no Unicode"])
def test_name_that_cannot_be_one_is_refused(app, log_in, attacker, act, name):
    """An id that is empty, too long or no Unicode is an error, and the session stays as it was."""
    browser = log_in(app, 7, draft="Ada's")
    before = attacker.steals(browser)

    with pytest.raises(SerializationError, match="cannot belong to this user"):
        act(browser, lambda: HardSession().login(name))

    assert attacker.steals(browser) == before


@pytest.mark.parametrize("nobody", [None, False, ""])
def test_absent_user_is_nobody(app, act, seen_in, nobody):
    """A key that holds nobody names no owner, so two anonymous visitors never meet under one name."""
    browser = app.test_client()

    act(browser, lambda: session.update(user_id=nobody))

    assert seen_in(browser).header.metadata.owner is None
