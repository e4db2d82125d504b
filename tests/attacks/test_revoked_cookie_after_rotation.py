"""The attacker keeps a cookie that was revoked, and waits for the operator to change the keys.

The name of a revocation is made without any key, so a new key does not hide it; and one whose key is gone, and that
nobody can read any more, still counts.
"""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession, Key, current_session

OLD, NEW = (Key.generate().text for _ in range(2))
ENDS = {
    "logout": lambda: HardSession().logout(),
    "new id": lambda: HardSession().regenerate(),
    "revoke all": lambda: HardSession().revoke_all(),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_stays_revoked(store, make_app, log_in, attacker, act, end):
    """The key that sealed both the cookie and its revocation becomes the second one: the cookie stays dead."""
    before = make_app(SESSION_SECRET_KEYS=[OLD], SESSION_REVOCATION_STORE=store)
    victim = log_in(before, draft="Ada's")
    copy = attacker.steals(victim)
    assert attacker.against(before).reads(copy) == {"draft": "Ada's"}
    act(victim, ENDS[end])

    after = make_app(SESSION_SECRET_KEYS=[NEW, OLD], SESSION_REVOCATION_STORE=store)

    assert attacker.against(after).reads(copy) == {}


def test_it_stays_revoked_when_the_key_of_the_revocation_is_gone(store, make_app, log_in, attacker, act):
    """A copy under the new key of a session that was logged out under the old one is dead without the old key too."""
    config = {"SESSION_REVOCATION_STORE": store, "SESSION_REGISTRY": False}
    old_first = make_app(SESSION_SECRET_KEYS=[OLD, NEW], **config)
    new_first = make_app(SESSION_SECRET_KEYS=[NEW, OLD], **config)
    copies = [attacker.steals(log_in(new_first, user)) for user in ("ada", "bob")]
    victim = old_first.test_client()
    victim.set_cookie("__Host-Http-session", copies[0])
    act(victim, lambda: HardSession().logout())
    attacker.against(new_first).reads(copies[1])  # which seals the epoch of all with the new key again

    new_alone = attacker.against(make_app(SESSION_SECRET_KEYS=[NEW], **config))

    assert [new_alone.shows(copy, lambda: current_session.handle is None).value for copy in copies] == [True, False]


def test_the_living_go_on(store, make_app, log_in, act):
    """A session that was not revoked goes on over the rotation; the old key may go an absolute timeout later."""
    browser = log_in(make_app(SESSION_SECRET_KEYS=[OLD], SESSION_REVOCATION_STORE=store), draft="Ada's")
    seen = []
    for ring in ([OLD, NEW], [NEW, OLD], [NEW]):
        moved = make_app(SESSION_SECRET_KEYS=ring, SESSION_REVOCATION_STORE=store).test_client()
        moved.set_cookie("__Host-Http-session", browser.get_cookie("__Host-Http-session").value)
        browser = moved
        seen.append(act(browser, lambda: (session.get("draft"), session.update(step=len(seen)))).value[0])

    assert seen == ["Ada's", "Ada's", None]
