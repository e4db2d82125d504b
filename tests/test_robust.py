"""Whatever a client sends, and whatever the application is: an answer, and nothing given away."""

from __future__ import annotations

import logging
import random
import string
import traceback

import pytest
from flask import session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardsession import ConfigError, HardSession, Key
from hardsession.crypto.encoding import to_text
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.record import Record

NAME = "__Host-Http-session"
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def send(client, act):
    """Send a Cookie header as it is, and read the session."""
    bare = client.application.test_client(use_cookies=False)

    def do(header: str):
        return act(bare, lambda: dict(session), environ_overrides={"HTTP_COOKIE": header})

    return do


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")))
@QUIET
def test_any_text_in_our_cookie(send, text):
    """Any text in our cookie gives an empty session, and sets no cookie unless two were sent."""
    answer = send(f"{NAME}={text}")

    assert answer.value == {}
    assert answer.cookies == []


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")))
@QUIET
def test_any_cookie_header(send, text):
    """Any Cookie header gives an empty session and an answer."""
    assert send(text).value == {}


@given(st.binary(max_size=300))
@QUIET
def test_any_bytes_as_a_token(send, blob):
    """Any bytes behind our magic give an empty session."""
    assert send(f"{NAME}={to_text(bytes.fromhex('86cd7f01') + blob)}").value == {}


def test_every_failure_looks_alike(client, act, token, events):
    """For every reason to refuse a token the client gets the same bytes; only the event tells the reason."""
    act(client, lambda: session.update(a=1))
    good = token(client)
    other = client.application.config["SESSION_SECRET_KEYS"]
    ring = KeyRing([RingKey.derive(Key(other[0]).material())])

    def sealed(plaintext: bytes, purpose: Purpose = Purpose.SESSION) -> str:
        sealer = Sealer(purpose, app_id="app", carrier=f"cookie:{NAME}")
        return to_text(sealer.seal(plaintext, ring.sealing))

    record = act(client, lambda: session.loaded.record).value
    bad = {
        "length": "hs1_",
        "encoding": good + "=",
        "format": "A" * 160,
        "purpose": sealed(bytes(40), Purpose.REFERENCE),
        "unknown_key": good[:8] + "AAAA" + good[12:],
        "not_authentic": good[:-8] + ("A" if good[-8] != "A" else "B") + good[-7:],
        "header": sealed(b"short"),
        "payload": sealed(Record(record.header, b"not json").pack()),
    }
    clean = act(client.application.test_client(), lambda: dict(session)).response
    events.clear()
    bare = client.application.test_client(use_cookies=False)

    answers = [act(bare, lambda: dict(session), headers={"Cookie": f"{NAME}={text}"}) for text in bad.values()]

    assert [fields["reason"] for name, fields in events] == list(bad)
    assert all(name == "session_rejected" for name, _ in events)
    assert {(a.response.status, a.response.data, str(a.response.headers)) for a in answers} == {
        (clean.status, clean.data, str(clean.headers))
    }


def test_garbage_flood(client, act, send):
    """A flood of random strings never raises and never opens anything."""
    seed = random.Random(20261124)
    alphabet = string.ascii_letters + string.digits + '-_+/="; ,\\'

    for _ in range(2000):
        text = "".join(seed.choices(alphabet, k=seed.randrange(300)))
        assert send(f"{NAME}={'hs1_' * seed.randrange(2)}{text}").value == {}


def test_session_from_another_key_is_empty_not_an_error(make_app, act, token, events):
    """A cookie sealed by somebody else's key is an empty session and an event."""
    stranger, victim = make_app().test_client(), make_app().test_client()
    act(stranger, lambda: session.update(user_id=1))
    victim.set_cookie(NAME, token(stranger))

    assert act(victim, lambda: dict(session)).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "unknown_key"})


@pytest.mark.parametrize("setting", ["SESSION_APP_ID", "SESSION_COOKIE_NAME"])
def test_session_of_another_app_or_cookie_is_empty(make_app, act, token, events, setting):
    """A token is good for one application and one cookie name, even under the same key."""
    keys = [Key.generate().text]
    one = make_app(SESSION_SECRET_KEYS=keys, SESSION_COOKIE_NAME="__Host-a").test_client()
    two = make_app(SESSION_SECRET_KEYS=keys, **{"SESSION_COOKIE_NAME": "__Host-a", setting: "__Host-b"}).test_client()
    act(one, lambda: session.update(user_id=1))
    two.set_cookie(two.application.config["SESSION_COOKIE_NAME"], token(one, "__Host-a"))

    assert act(two, lambda: dict(session)).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "not_authentic"})


def test_nothing_leaks_into_logs_and_tracebacks(client, act, token, caplog):
    """Neither a log at DEBUG nor a traceback shows token, key or payload, also when something fails."""
    caplog.set_level(logging.DEBUG)
    act(client, lambda: session.update(secret="hunter2"))
    good = token(client)
    client.set_cookie(NAME, good[:-8] + "AAAAAAAA")
    act(client, lambda: dict(session))
    client.set_cookie(NAME, good)

    with pytest.raises(TypeError) as caught:
        act(client, lambda: session.update(other={"hunter2": object()}))

    text = caplog.text + "".join(traceback.format_exception(caught.value)).replace('{"hunter2": object()}', "")
    assert good not in text
    assert client.application.config["SESSION_SECRET_KEYS"][0] not in text
    assert text.count("hunter2") == str(caught.value).count("hunter2") * text.count(str(caught.value))


def test_bad_settings_in_the_first_request(make_app, act):
    """Settings that cannot work are a ConfigError in the first request, and the error page needs no session."""
    client = make_app(SESSION_PROFILE="unknown").test_client()
    quiet = make_app(SESSION_PROFILE="unknown", PROPAGATE_EXCEPTIONS=False).test_client()

    with pytest.raises(ConfigError, match="SESSION_PROFILE"):
        act(client, lambda: None)
    assert act(quiet, lambda: None).response.status_code == 500


def test_without_a_key_flasks_null_session(make_app, act):
    """Without any key the session reads as empty and refuses writes, as with Flask; a key set later begins sessions."""
    app = make_app(SESSION_SECRET_KEYS=None)
    client = app.test_client()

    assert act(client, lambda: dict(session)).value == {}
    with pytest.raises(RuntimeError, match="secret key"):
        act(client, lambda: session.update(a=1))
    with pytest.raises(RuntimeError, match="no sessions"):
        act(client, lambda: HardSession().login("ada"))
    app.config["SESSION_SECRET_KEYS"] = [Key.generate().text]
    act(client, lambda: session.update(a=1))
    assert act(client, lambda: session["a"]).value == 1


def test_receiver_may_touch_the_session(app, client, act):
    """A receiver of an event that reads the session gets it, without a loop."""
    from hardsession.signals import session_rejected

    seen = []

    def receive(_sender, **_fields):
        seen.append(dict(session))

    session_rejected.connect(receive, sender=app)
    client.set_cookie(NAME, "hs1_" + "A" * 200)

    act(client, lambda: dict(session))

    assert seen == [{}]
