"""The attacker sends data that is nested so deep that reading or writing it exhausts the stack."""

from __future__ import annotations

import json

import msgspec
import pytest
from flask import session

from hardsession import SerializationError
from hardsession.record import PayloadFormat, Record

DEEP = 100_000


def nested(levels):
    """JSON as a client sends it."""
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize("levels", [63, 64, 65, 500])
@pytest.mark.parametrize("format", ["json", "msgpack"])
def test_nested_json_of_a_client_is_stored_or_refused(make_app, log_in, attacker, act, format, levels):
    """64 levels with the session itself are stored, more are an error in the attacker's own request and no crash."""
    app = make_app(SESSION_SERIALIZATION_FORMAT=format)
    mallory, body = log_in(app, "mallory", draft="Mallory's"), nested(levels)
    before = attacker.steals(mallory)

    if levels < 64:
        act(mallory, lambda: session.update(body=body))
        assert act(mallory, lambda: session["body"]).value == body
    else:
        with pytest.raises(SerializationError, match="nested deeper than 64 levels"):
            act(mallory, lambda: session.update(body=body))
        assert attacker.steals(mallory) == before


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,), lambda v: {1: v}])
def test_every_kind_of_container_counts(victim, act, wrap):
    """Lists, maps, tuples and maps of numbers: each adds its levels, as it is encoded."""
    value = "x"
    for _ in range(100):
        value = wrap(value)

    with pytest.raises(SerializationError, match="nested deeper"):
        act(victim, lambda: session.update(body=value))


def test_value_that_holds_itself_is_refused(victim, act):
    """A list that holds itself has no end; storing it is an error like any other depth."""
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(SerializationError, match="nested deeper"):
        act(victim, lambda: session.update(body=endless))


@pytest.mark.parametrize(
    ("format", "payload"),
    [
        (PayloadFormat.JSON, b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"),
        (PayloadFormat.JSON, b'{"a":' * DEEP + b"1" + b"}" * DEEP),
        (PayloadFormat.JSON, b'{" t":[' * DEEP + b"]}" * DEEP),
        (PayloadFormat.JSON, b"[" * DEEP),
        (PayloadFormat.MESSAGE_PACK, b"\x81\xa1a" + b"\x91" * DEEP + b"\xc0"),
        (PayloadFormat.MESSAGE_PACK, b"\x81\xa1a" * DEEP + b"\xc0"),
    ],
    ids=["arrays", "maps", "tags", "open arrays", "packed arrays", "packed maps"],
)
def test_sealed_depth_is_refused_too(app, victim, attacker, seen_in, forge, events, format, payload):
    """Even sealed with our own key, 100 000 levels are an empty session."""
    # Compressed, they fit into a cookie.
    token = forge(app, Record(seen_in(victim).header, payload, format).pack(compress=True))

    assert attacker.reads(token) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "payload"})


def test_extension_inside_extension_is_refused(app, victim, attacker, seen_in, forge, events):
    """MessagePack's extension types, each holding the next, are an empty session as well."""
    encode = msgspec.msgpack.Encoder().encode
    value: object = msgspec.msgpack.Ext(1, encode([]))
    for _ in range(900):
        value = msgspec.msgpack.Ext(1, encode([value]))
    payload = encode({"a": value})
    token = forge(app, Record(seen_in(victim).header, payload, PayloadFormat.MESSAGE_PACK).pack(compress=True))

    assert attacker.reads(token) == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "payload"})
