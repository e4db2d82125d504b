"""The attacker floods the server with garbage, to find one cookie that crashes it or opens something."""

from __future__ import annotations

import random
import string
from collections import Counter

from flask import Flask, Request
from werkzeug.test import EnvironBuilder

from hardsession.errors import Refusal

NAME = "__Host-Http-session"
COUNT = 60_000
LETTERS = string.ascii_letters + string.digits + "-_"
ANYTHING = "".join(map(chr, range(1, 256)))


def test_sixty_thousand_random_strings_open_nothing_and_raise_nothing(app, victim, attacker, events, caplog):
    """60 000 strings, from plain noise to tokens with a few bytes wrong, are 60 000 empty sessions and a short log."""
    noise = random.Random(20261124)
    token = attacker.steals(victim)
    makers = [a_text, a_token_like_text, a_text_of_token_length, lambda noise: a_damaged(token, noise)]
    events.clear()

    for count in range(COUNT):
        text = makers[count % len(makers)](noise)
        assert opened(app, text) == {}, f"opened: {text!r}"

    reasons = Counter(fields["reason"] for name, fields in events if name == "session_rejected")
    assert sum(reasons.values()) == len(events) == COUNT
    assert set(reasons) == {
        Refusal.LENGTH,
        Refusal.ENCODING,
        Refusal.FORMAT,
        Refusal.PURPOSE,
        Refusal.UNKNOWN_KEY,
        Refusal.NOT_AUTHENTIC,
    }
    assert len(caplog.records) < 200
    assert opened(app, token) == {"draft": "Ada's"}


def test_flood_never_reaches_the_store(store, app, victim, attacker):
    """Nothing of the kind costs a call of the store: no flood of invented cookies slows the sessions of others."""
    noise = random.Random(20261124)
    token = attacker.steals(victim)
    makers = [a_text, a_token_like_text, a_text_of_token_length, lambda noise: a_damaged(token, noise)]
    store.verbs()

    for count in range(COUNT // 10):
        assert opened(app, makers[count % len(makers)](noise)) == {}

    assert store.verbs() == []
    assert opened(app, token) == {"draft": "Ada's"}
    assert store.verbs() == ["get"]


def opened(app: Flask, text: str) -> dict[str, object]:
    """What a request with this cookie finds in its session; without a view, since 60 000 views take a minute."""
    ENVIRON["HTTP_COOKIE"] = f"{NAME}={text}"
    return dict(app.session_interface.open_session(app, Request(ENVIRON)))


ENVIRON = EnvironBuilder().get_environ()


def a_text(noise: random.Random) -> str:
    return "".join(noise.choices(ANYTHING, k=noise.randrange(300)))


def a_token_like_text(noise: random.Random) -> str:
    return "hs1_" + noise.choice(["", "AQ", "A"]) + "".join(noise.choices(LETTERS, k=noise.randrange(300)))


def a_text_of_token_length(noise: random.Random) -> str:
    return "".join(noise.choices(LETTERS, k=noise.randrange(107, 4096 - len(NAME)))) + noise.choice(["", "=", ";", " "])


def a_damaged(token: str, noise: random.Random) -> str:
    damaged = list(token)
    while "".join(damaged) == token or noise.randrange(2):
        damaged[noise.randrange(len(damaged))] = noise.choice(noise.choice([LETTERS, ANYTHING]))
    return "".join(damaged)
