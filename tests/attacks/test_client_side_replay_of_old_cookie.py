"""The attacker keeps old cookies, and shows them again.

A self-contained cookie is like a signed letter: who has a copy can show it until it is out of date. That is what cookie
mode without a revocation store does not promise, and these tests say exactly how far it goes.
"""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session
from hardsession.checks import run
from hardsession.settings import Settings


@pytest.mark.parametrize(("after", "opens"), [(1799, True), (1800, False), (1801, False)])
def test_copy_outlives_the_logout_until_the_idle_timeout(app, log_in, attacker, act, clock, after, opens):
    """A copy that was made before the logout opens until the idle timeout of that copy, and no second longer."""
    victim = log_in(app, draft="Ada's")
    stolen = attacker.steals(victim)
    act(victim, lambda: HardSession().logout())

    clock.tick(after)

    assert attacker.reads(stolen) == ({"draft": "Ada's"} if opens else {})


@pytest.mark.parametrize(("after", "opens"), [(43199, True), (43200, False), (43201, False)])
def test_copy_that_is_kept_in_use_ends_with_the_absolute_timeout(app, log_in, attacker, act, clock, after, opens):
    """A thief who keeps his copy busy has it until the absolute timeout of the victim's login, and no second longer."""
    victim = log_in(app, draft="Ada's")
    thief = app.test_client()
    thief.set_cookie("__Host-Http-session", attacker.steals(victim))
    act(victim, lambda: HardSession().logout())

    for _ in range(after // 1200):
        clock.tick(1200)
        act(thief, lambda: session.get("draft"))
    clock.tick(after % 1200)

    assert act(thief, lambda: session.get("draft")).value == ("Ada's" if opens else None)


def test_holder_can_go_back_to_his_own_past(app, log_in, attacker, act):
    """An old cookie holds what it held: what must not be undone, such as a spent coupon, belongs into a database."""
    mallory = log_in(app, coupons=1)
    before = attacker.steals(mallory)
    act(mallory, lambda: session.update(coupons=0))

    assert attacker.reads(before) == {"coupons": 1}


def test_old_cookie_gains_nothing_of_what_came_later(app, log_in, attacker, act):
    """A copy has the data, rights and age of its day; what the session got since is not in it."""
    victim = log_in(app, draft="Ada's")
    stolen = attacker.steals(victim)

    act(victim, lambda: session.update(draft="Ada's second", role="editor"))

    assert attacker.reads(stolen) == {"draft": "Ada's"}


def test_check_says_so(app):
    """`flask hardsession check` says of every application in cookie mode that a copy outlives the logout."""
    [finding] = [finding for finding in run(Settings.read(app.config)) if finding.id == "HS011"]

    assert "a copy made before works until a timeout" in finding.message


def test_replayed_cookie_is_still_one_session(app, log_in, attacker):
    """A copy goes by the handle of the session it was copied from, so that it can be found and ended with it."""
    victim = log_in(app)
    stolen = attacker.steals(victim)

    handles = {attacker.shows(stolen, lambda: current_session.handle).value for _ in range(2)}

    assert len(handles) == 1


def test_revocation_store_ends_copies_at_a_new_id_and_no_sooner(store, make_app, log_in, attacker, act):
    """With a revocation store a copy ends at the next new id; until then its holder can go back in its own data."""
    app = make_app(SESSION_REVOCATION_STORE=store)
    attacker, mallory = attacker.against(app), log_in(app, coupons=1)
    before = attacker.steals(mallory)

    act(mallory, lambda: session.update(coupons=0))
    assert attacker.reads(before) == {"coupons": 1}
    act(mallory, lambda: session.update(role="customer"))
    assert attacker.reads(before) == {}
