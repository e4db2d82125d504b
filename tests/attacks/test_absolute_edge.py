"""The attacker has a working copy, and keeps it alive by using it."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, current_session

PROFILES = {"standard": 43200, "aal1": 30 * 86400, "aal2": 86400, "aal3": 43200, "pci": 43200, "high": 4 * 3600}
EDGES = [-1, 0, 1]


@pytest.fixture
def keep_busy(act, clock):
    """Use a browser every now and then for some seconds."""

    def do(browser, seconds, *, every, what=lambda: session.get("draft")):
        for _ in range(seconds // every):
            clock.tick(every)
            act(browser, what)
        clock.tick(seconds % every)

    return do


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("profile", PROFILES)
def test_activity_does_not_extend(make_app, log_in, act, keep_busy, profile, edge):
    """A session in constant use is in until the second before the absolute timeout of its profile, and then out."""
    thief = log_in(make_app(SESSION_PROFILE=profile), draft="Ada's")

    keep_busy(thief, PROFILES[profile] + edge, every=PROFILES[profile] // 50)

    assert act(thief, lambda: (session.get("draft"), current_session.ended)).value == (
        ("Ada's", None) if edge < 0 else (None, "absolute_timeout")
    )


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    "what",
    [
        lambda: session.update(count=session.get("count", 0) + 1),
        lambda: HardSession().regenerate(),
        lambda: session.update(role=f"role {session.get('role')}"[-40:]),
        lambda: setattr(session, "permanent", not session.permanent),
    ],
    ids=["writing", "new ids", "new rights", "permanence"],
)
def test_nothing_but_a_login_extends(app, log_in, act, keep_busy, what, edge):
    """Writing, new ids, changed rights and permanence leave the absolute timeout where it was."""
    thief = log_in(app, draft="Ada's")

    keep_busy(thief, 43200 + edge, every=1000, what=what)

    assert act(thief, lambda: session.get("draft")).value == ("Ada's" if edge < 0 else None)


@pytest.mark.parametrize("edge", EDGES)
def test_login_starts_it_again(app, log_in, act, keep_busy, edge):
    """Who proves again who he is starts the absolute timeout again (NIST SP 800-63B-4, 5.2)."""
    victim = log_in(app, draft="Ada's")
    keep_busy(victim, 40_000, every=1000)
    act(victim, lambda: HardSession().login("ada"))

    keep_busy(victim, 43200 + edge, every=1000)

    assert act(victim, lambda: session.get("draft")).value == ("Ada's" if edge < 0 else None)


@pytest.mark.parametrize("edge", EDGES)
def test_cookie_of_a_permanent_session_ends_with_it(make_app, log_in, act, keep_busy, edge):
    """The browser is told to drop a permanent cookie at the absolute timeout, however late it was set."""
    victim = log_in(make_app(SESSION_PERMANENT=True), draft="Ada's")
    keep_busy(victim, 40_000, every=1000)

    [cookie] = act(victim, lambda: session.update(a=1)).cookies
    assert "; Expires=Tue, 24 Nov 2026 21:00:00 GMT; Max-Age=3200;" in cookie

    keep_busy(victim, 3200 + edge, every=1000)
    assert act(victim, lambda: session.get("draft")).value == ("Ada's" if edge < 0 else None)
