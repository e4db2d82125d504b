"""Two applications share a store and their keys: whoever rules the one has no say over the sessions of the other."""

from __future__ import annotations

import pytest

from hardsession import HardSession, current_session

hard = HardSession()


@pytest.mark.parametrize("other", [{"SESSION_APP_ID": "shop"}, {"SESSION_KEY_PREFIX": "shop:"}])
def test_other_application(app, make_app, store, victim, act, other):
    """It sees none of these sessions, and ends none, not even by ending all of its own."""
    keys = app.config["SESSION_SECRET_KEYS"]
    shop = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=keys, **other)

    with shop.app_context():
        assert hard.sessions("ada") == []
        assert hard.revoke_user("ada") == 0
        hard.revoke_all()

    assert act(victim, lambda: current_session.owner).value == "ada"
