"""The operator rotates keys and removes the old one: nobody escapes the list of his sessions by that."""

from __future__ import annotations

from hardsession import HardSession, Key, current_session

hard = HardSession()
OLD, NEW = Key.generate().text, Key.generate().text


def test_sessions_from_before_are_ended_with_the_others(make_app, store, log_in, act):
    """What was listed under the old key is ended under the new one, once a login has taken it over."""
    before = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[OLD])
    thief = log_in(before, "ada")
    during = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[NEW, OLD])
    log_in(during, "ada")
    after = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[NEW])

    with after.app_context():
        assert len(hard.sessions("ada")) == 2
        assert hard.revoke_user("ada") == 2

    copy = during.test_client()
    copy.set_cookie("__Host-Http-session", thief.get_cookie("__Host-Http-session").value)
    assert act(copy, lambda: current_session.owner).value is None


def test_cap_counts_over_a_rotation(make_app, store, log_in, act):
    """A session that was listed under the old key counts."""
    before = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[OLD])
    old = log_in(before, "ada")
    during = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[NEW, OLD], SESSION_MAX_PER_USER=1)

    new = log_in(during, "ada")

    assert act(new, lambda: current_session.owner).value == "ada"
    assert act(old, lambda: current_session.owner).value is None


def test_all_were_ended_before_the_rotation(make_app, store, log_in, act):
    """Who was logged out with everybody is not let in again by a rotation, nor by the old key's removal."""
    before = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[OLD])
    victim = log_in(before, "ada")
    with before.app_context():
        hard.revoke_all()
    during = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[NEW, OLD])
    late = log_in(during, "bob")
    after = make_app(SESSION_STORE=store, SESSION_SECRET_KEYS=[NEW])

    copy, kept = during.test_client(), after.test_client()
    copy.set_cookie("__Host-Http-session", victim.get_cookie("__Host-Http-session").value)
    kept.set_cookie("__Host-Http-session", late.get_cookie("__Host-Http-session").value)
    assert act(copy, lambda: current_session.owner).value is None
    assert act(kept, lambda: current_session.owner).value == "bob"
