"""The attacker has one page of the application put something into his session that another page trusts."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session


@pytest.mark.parametrize("key", ["username", "email", "user", "account_id"])
def test_name_typed_into_a_public_form_is_no_login(app, act, seen_in, key):
    """A "forgot my password" page that notes whom it is about makes nobody that user: neither owner nor freshness."""
    browser = app.test_client()

    act(browser, lambda: session.update({key: "ada"}))

    header = seen_in(browser).header
    assert (header.metadata.owner, header.authenticated_at) == (None, 0)


def test_key_of_a_user_is_an_owner_but_never_fresh(app, act):
    """Who gets `user_id` written into his session by any page is taken for that user, but not for freshly proven."""
    browser = app.test_client()

    act(browser, lambda: session.update(user_id="ada"))

    assert act(browser, lambda: current_session.authenticated_at).value is None


def test_freshness_does_not_pass_to_another_name(app, log_in, act, seen_in):
    """Mallory has a page write Ada's name beside his own: he stays Mallory, and is not fresh any more."""
    mallory = log_in(app, "mallory", user_id="mallory")

    act(mallory, lambda: session.update(email="ada@example.org"))

    header = seen_in(mallory).header
    assert (header.metadata.owner, header.authenticated_at) == ("mallory", 0)


def test_half_finished_step_is_left_at_the_login(app, act):
    """A login that names what it keeps takes over nothing that a public page noted before."""
    browser = app.test_client()
    act(browser, lambda: session.update(reset_password_of="ada", code_was_right=True, cart=["tea"]))

    act(browser, lambda: HardSession().login("mallory", keep=["cart"]))

    assert act(browser, lambda: dict(session)).value == {"cart": ["tea"]}


def test_what_one_user_noted_does_not_serve_the_next(app, log_in, act):
    """What a page noted of Mallory is gone when Ada logs in in the same browser."""
    browser = log_in(app, "mallory", reset_password_of="ada", code_was_right=True)

    act(browser, lambda: HardSession().login("ada"))

    assert act(browser, lambda: dict(session)).value == {}
