"""The attacker sends commands of memcached as his session: line ends and all, flask-session passed them on."""

from __future__ import annotations

import pytest
from flask import session

from hardsession import ConfigError

COOKIES = ["x\r\nflush_all\r\n", "x\r\nset session:r.x 0 0 1\r\n1\r\n", "session:r.x", "*", "x" * 250]


@pytest.mark.parametrize("cookie", COOKIES)
@pytest.mark.parametrize("store", ["memcached"], indirect=True)
def test_memcached_is_not_even_asked(store, victim, attacker, act, cookie):
    """He is not worth one question, and the victim's session is as it was."""
    store.verbs()

    assert attacker.reads(cookie) == {}

    assert store.calls == []
    assert act(victim, lambda: session["draft"]).value == "Ada's"


@pytest.mark.parametrize("store", ["memcached"], indirect=True)
def test_prefix_is_refused_that_would_do_it(make_app, store):
    """Nor can the operator do it to himself: a prefix with white space or a line end is refused at the start."""
    for prefix in ("a b:", "a\r\nflush_all\r\n", "a\n"):
        with pytest.raises(ConfigError, match="SESSION_KEY_PREFIX"):
            make_app(SESSION_STORE=store, SESSION_KEY_PREFIX=prefix).extensions["hardsession"].ready()
