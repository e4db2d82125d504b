"""The attacker sends JSON that looks like our serializer's tags: kept in a session, it must stay what it is."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from flask import session
from flask.json.tag import JSONTag
from markupsafe import Markup

from hardsession.serializers import _UNPACK

PAYLOADS = {
    " t": [1, 2],
    " b": "AAAA",
    " m": "<script>alert(1)</script>",
    " u": "0" * 32,
    " d": "2026-11-24T09:00:00",
    " di": {" t__": [1]},
    " k": [["a", 1]],
    " da": "2026-11-24",
    " td": [1, 2, 3],
    " n": "1.5",
    " s": [1],
    " fs": [1],
    " i": "0xff",
    " f": "nan",
    " x": "eda080",
}


@pytest.fixture(params=["json", "msgpack"])
def browser(make_app, request):
    """The attacker's browser at an application with either format."""
    return make_app(SESSION_SERIALIZATION_FORMAT=request.param).test_client()


def comes_back(browser, act, value):
    """What a client's JSON is after it was stored in the session."""
    body = json.loads(json.dumps(value))
    act(browser, lambda: session.update(body=body))
    return act(browser, lambda: session["body"]).value


def test_list_of_payloads_is_complete():
    """There is an imitation of every tag that the serializers know."""
    assert set(PAYLOADS) == set(_UNPACK)


@pytest.mark.parametrize("tag", PAYLOADS)
def test_imitated_tag_stays_a_map(browser, act, tag):
    """A one-key map whose key is a tag comes back as that map, whatever it holds."""
    value = {tag: PAYLOADS[tag]}

    assert comes_back(browser, act, value) == value


@pytest.mark.parametrize("tag", PAYLOADS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda v: [v],
        lambda v: {"a": v},
        lambda v: {" t": [v]},
        lambda v: {" di": v},
        lambda v: {" di": {f"{next(iter(v))}__": next(iter(v.values()))}},
        lambda v: {f"{next(iter(v))}__": next(iter(v.values()))},
        lambda v: {f"{next(iter(v))}____": v},
        lambda v: {**v, "b": 1},
        lambda v: {next(iter(v)): v},
        lambda v: {" k": [[next(iter(v)), v]]},
    ],
)
def test_imitated_escape_stays_what_it_is(browser, act, tag, wrap):
    """Nor does it help to wrap the tag, or to write down what its escape would look like."""
    value = wrap({tag: PAYLOADS[tag]})

    assert comes_back(browser, act, value) == value


def test_text_of_a_client_never_becomes_markup(browser, act):
    """What a client sends is never taken for HTML that needs no escaping."""
    stored = comes_back(browser, act, {" m": "<script>alert(1)</script>", "text": "<b>"})

    assert not isinstance(stored, Markup)
    assert type(stored["text"]) is str


@pytest.mark.parametrize("key", ["", " ", "  t", " unknown", "t", " \ud800", "\ud800", " t\ud800", "\x00"])
def test_odd_keys_come_back(browser, act, key):
    """Keys that nearly are tags, empty keys and lone surrogates come back as they were."""
    assert comes_back(browser, act, {key: [1]}) == {key: [1]}


@pytest.mark.parametrize("tag", [" td", "price"])
def test_tag_of_the_application_cannot_be_imitated_either(make_app, act, tag):
    """A tag that the application registered, with or without a space in front, is escaped as ours are."""

    class TagPrice(JSONTag):
        key = tag

        def check(self, value):
            return isinstance(value, timedelta)

        def to_json(self, value):
            return value.days

        def to_python(self, value):
            return timedelta(days=value)

    app = make_app()
    app.session_interface.serializer.register(TagPrice, force=True, index=0)
    browser = app.test_client()

    assert comes_back(browser, act, {tag: 3}) == {tag: 3}
    act(browser, lambda: session.update(body=timedelta(days=3)))
    assert act(browser, lambda: session["body"]).value == timedelta(days=3)
