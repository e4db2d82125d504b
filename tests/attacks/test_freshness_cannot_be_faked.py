"""The attacker sits at a session that the victim left open, and wants what asks for her password or her key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import session

from hardsession import HardSession, current_session, fresh_required
from hardsession.stores.memory import MemoryStore
from tests.races.stores import Outage, Watched
from tests.races.traffic import Slow, login, regenerate, send, write
from tests.races.traffic import make_app as make_racing_app

FOREVER = 2**32 - 1
hard = HardSession()


def fresh() -> bool:
    """Whether the application would let the session in where a key is asked for."""
    return current_session.is_fresh(300, methods={"webauthn"})


@pytest.fixture(params=["cookie", "store"])
def app(make_app, request):
    """The application, in each mode. It deletes an account for those alone who just used their key."""
    app = make_app(**({"SESSION_STORE": Watched(MemoryStore())} if request.param == "store" else {}))
    app.deleted, app.gates = [], []

    @app.before_request
    def pass_gates():
        for gate in app.gates:
            gate()

    @app.post("/delete")
    @fresh_required(timedelta(minutes=5), methods={"webauthn"})
    def delete():
        app.deleted.append(session.get("user_id"))
        return "deleted"

    return app


@pytest.fixture
def victim(app, act, clock):
    """Ada's browser: she used her key five minutes ago, and went for coffee."""
    browser = app.test_client()
    act(browser, lambda: (hard.login("ada", method="webauthn"), session.update(user_id="ada")))
    clock.tick(300)
    return browser


@pytest.mark.parametrize(("later", "is_over"), [(299, False), (300, True), (301, True)])
def test_proof_is_good_for_its_time_and_no_longer(clock, app, act, later, is_over):
    """Ada's own proof opens the view until the second before its end."""
    browser = app.test_client()
    act(browser, lambda: (hard.login("ada", method="webauthn"), session.update(user_id="ada")))

    clock.tick(later)

    assert browser.post("/delete").status_code == (401 if is_over else 200)
    assert app.deleted == ([] if is_over else ["ada"])


@pytest.mark.parametrize(
    "what",
    [
        lambda: session.update(a=1),
        lambda: session.update(authenticated_at=FOREVER, methods={"webauthn": FOREVER}, m={"webauthn": FOREVER}),
        lambda: session.update(_fresh=True, fresh=True, mfa=True, sudo=True),
        lambda: session.update(user_id="bob"),
        lambda: (session.pop("user_id"), session.update(user_id="ada")),
        lambda: (session.clear(), session.update(user_id="ada")),
        lambda: session.update(permanent=True),
        lambda: setattr(session, "permanent", True),
        lambda: current_session.regenerate(),
        lambda: current_session.doubt(),
        lambda: hard.login("ada", method=None),
        lambda: hard.login("ada", method="password"),
        lambda: hard.login("bob", method="password"),
    ],
    ids=[
        *("writing", "names of ours", "flags", "another user", "out and in", "begun anew", "permanent as a key"),
        *("permanent", "new id", "doubt", "remembered", "another method", "another user's password"),
    ],
)
def test_nothing_but_the_key_itself_makes_fresh(app, act, victim, what):
    """Whatever the attacker has the application store, he stays outside."""
    act(victim, what)

    assert victim.post("/delete").status_code == 401
    assert app.deleted == []


def test_activity_keeps_nothing_fresh(clock, app, act):
    """A session that is in use all the time is as old as its proof."""
    browser = app.test_client()
    act(browser, lambda: hard.login("ada", method="webauthn"))

    seen = []
    for _ in range(5):
        clock.tick(75)
        seen.append(act(browser, lambda: (session.update(at=len(seen)), fresh())[1]).value)

    assert seen == [True, True, True, False, False]


@pytest.mark.parametrize(
    "what",
    [lambda: current_session.regenerate(), lambda: session.update(role="editor")],
    ids=["asked for", "new role"],
)
def test_new_id_lengthens_and_shortens_nothing(clock, app, act, what):
    """Under a new id a proof is as old as it was."""
    browser = app.test_client()
    act(browser, lambda: hard.login("ada", method="webauthn"))
    clock.tick(200)

    act(browser, what)

    assert act(browser, fresh).value is True
    clock.tick(100)
    assert act(browser, fresh).value is False


@pytest.mark.parametrize("back", [1, 30, 31, 299, 3600])
def test_clock_that_was_put_back(clock, app, act, back):
    """A clock that goes back keeps a proof fresh for no longer than clocks may differ."""
    browser = app.test_client()
    act(browser, lambda: hard.login("ada", method="webauthn"))

    clock.tick(-back)

    assert act(browser, fresh).value is (back <= 30)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (lambda: session.update(user_id="bob"), "unproven"),
        (lambda: session.update(username="bob"), "unproven"),
        (lambda: session.pop("user_id"), "anonymous"),
        (lambda: (session.clear(), session.update(user_id="bob")), "unproven"),
        (lambda: (hard.login("ada", method="webauthn"), session.pop("user_id")), "anonymous"),
        (lambda: hard.logout(), "anonymous"),
        (lambda: current_session.doubt(), "unproven"),
        (lambda: hard.login("bob", method="password"), "wrong_method"),
    ],
    ids=["another", "another name", "nobody", "anew", "in and out", "logout", "doubt", "another's password"],
)
def test_next_user_of_the_same_request_inherits_no_proof(app, act, clock, what, reason):
    """A gate in front of the view that puts somebody else into the session takes the proof away at once."""
    browser = app.test_client()
    act(browser, lambda: (hard.login("ada", method="webauthn"), session.update(user_id="ada")))

    app.gates.append(what)
    refused = browser.post("/delete")

    assert refused.status_code == 401
    assert f"reason={reason}" in refused.headers["WWW-Authenticate"]
    assert app.deleted == []


def test_same_user_named_again_stays_fresh(app, act, clock):
    """A gate that names the same user in every request takes nothing away."""
    browser = app.test_client()
    act(browser, lambda: (hard.login("ada", method="webauthn"), session.update(user_id="ada")))
    app.gates.append(lambda: session.update(user_id="ada"))

    assert browser.post("/delete").status_code == 200


def test_copy_from_before_the_doubt(app, attacker, act, clock):
    """In a store a copy of the cookie is no fresher than the session; in a cookie the copy keeps its own time."""
    browser = app.test_client()
    act(browser, lambda: hard.login("ada", method="webauthn"))
    copy = attacker.steals(browser)
    act(browser, lambda: current_session.doubt())

    assert act(browser, fresh).value is False
    assert attacker.shows(copy, fresh).value is ("SESSION_STORE" not in app.config)
    clock.tick(300)
    assert attacker.shows(copy, fresh).value is False


@pytest.mark.parametrize("junk", ["", "hs1_", "hs1_" + "A" * 200, "x" * 300])
def test_cookie_that_is_none_gets_the_answer_of_no_cookie(app, junk):
    """What does not open is nobody, and the refusal tells nothing more."""
    refused, stranger = app.test_client(use_cookies=False), app.test_client()

    answers = [
        refused.post("/delete", headers={"Cookie": f"__Host-Http-session={junk}"}),
        stranger.post("/delete"),
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].data == answers[1].data
    assert answers[0].headers == answers[1].headers


@pytest.mark.parametrize(("outage", "seen", "status"), [("anonymous", [False], 200), ("raise", [], 500)])
def test_store_that_is_away_opens_nothing(store, outage, seen, status):
    """While the store is away nobody is fresh, and the cookie stays for when it is back."""
    app = make_racing_app(store, SESSION_STORE_OUTAGE=outage)
    ada = send(app, None, login("ada", method="webauthn")).token

    with Outage(store):
        answer = send(app, ada, fresh)

    assert (answer.values, answer.status, answer.cookies) == (seen, status, [])
    assert send(app, ada, fresh).value is True


class TestTwoAtOnce:
    """Two requests with one session, of which one takes the freshness away. It is about stores: see SECURITY.md."""

    @pytest.mark.parametrize("then", [write(a=1), write(role="editor"), regenerate], ids=["write", "role", "new id"])
    @pytest.mark.parametrize(
        "meanwhile",
        [lambda: current_session.doubt(), login("ada", method=None), write(user_id="bob")],
        ids=["doubt", "remembered", "another user"],
    )
    def test_slow_request_brings_no_freshness_back(self, store, then, meanwhile):
        """A request that began fresh and ends after the doubt leaves nobody a fresh session."""
        app = make_racing_app(store)
        ada = send(app, None, login("ada", method="webauthn"), write(user_id="ada")).token
        slow = Slow(app, ada, fresh, then)
        doubted = send(app, ada, meanwhile).token

        answer = slow.finish()

        assert answer.values[0] is True
        assert answer.token is None
        assert [send(app, token, fresh).value for token in (ada, doubted)] == [False, False]

    @pytest.mark.parametrize("then", [write(a=1), write(role="editor"), regenerate], ids=["write", "role", "new id"])
    def test_slow_stale_request_gains_no_freshness(self, store, then):
        """A request that began stale and ends after another one's step-up is not handed the fresh session."""
        app = make_racing_app(store)
        ada = send(app, None, login("ada")).token
        slow = Slow(app, ada, fresh, then)
        stepped_up = send(app, ada, login("ada", method="webauthn")).token

        answer = slow.finish()

        assert answer.values[0] is False
        assert answer.token is None
        assert send(app, ada, fresh).value is False
        assert send(app, stepped_up, fresh).value is True

    def test_conflict_in_the_midst_of_saving(self, store):
        """The doubt of a request wins over a fresh one that is just being saved under a new id."""
        app = make_racing_app(store)
        ada = send(app, None, login("ada", method="webauthn")).token
        doubted = []
        store.meanwhile(lambda: doubted.append(send(app, ada, lambda: current_session.doubt()).token))

        answer = send(app, ada, regenerate)

        assert answer.token is None
        assert send(app, doubted[0], fresh).value is False
