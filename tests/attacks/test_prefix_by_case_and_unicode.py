"""The attacker plants a cookie whose name only looks like ours, past the browser's check of the prefix.

Browsers let a sibling or a script set `__host-…` in some cases, and names with white space of other alphabets in front;
a server that folds case or strips such space then takes the cookie for `__Host-…`. What browsers send is in
test_browser.py.
"""

from __future__ import annotations

import pytest

NAME = "__Host-Http-session"
LOOKALIKES = [
    "__host-http-session",
    "__HOST-HTTP-SESSION",
    "__Host-http-session",
    "__Host-Http-Session",
    "\xa0__Host-Http-session",
    "__Host-Http-session\xa0",
    "\x85__Host-Http-session",
    "\x0b__Host-Http-session",
    "\x0c__Host-Http-session",
    "\x1c__Host-Http-session",
    "\x1f__Host-Http-session",
    "\u2003__Host-Http-session",
    "\u3000__Host-Http-session",
    "\ufeff__Host-Http-session",
    "\u200b__Host-Http-session",
    "__Host-Http-session\u200b",
    "__Host\u2010Http-session",
    "__Hos\u0442-Http-session",
    "\uff3f\uff3fHost-Http-session",
    "%5F_Host-Http-session",
    '"__Host-Http-session"',
    "__Host-Http-session\x00",
    "__Host-Http-session[]",
    "$__Host-Http-session",
    "__Host-Http-session ,x",
]


def as_sent(name: str) -> set[str]:
    """What a name looks like to WSGI: browsers send UTF-8, an attacker's own client sends single bytes as well."""
    return {name.encode().decode("latin-1"), name.encode("latin-1", "replace").decode("latin-1")}


@pytest.mark.parametrize("name", LOOKALIKES, ids=ascii)
def test_lookalike_is_not_our_cookie(victim, attacker, name):
    """A valid token under a name that is not ours to the letter is not read."""
    stolen = attacker.steals(victim)

    for spelling in as_sent(name):
        assert attacker.sends(f"{spelling}={stolen}").value == {}


@pytest.mark.parametrize("name", LOOKALIKES, ids=ascii)
def test_lookalike_does_not_disturb_ours(victim, attacker, events, name):
    """Beside the victim's cookie it is no second one of our name, and she keeps her session."""
    hers = f"{NAME}={attacker.steals(victim)}"

    for spelling in as_sent(name):
        planted = f"{spelling}=hs1_{'A' * 200}"
        assert attacker.sends(f"{planted}; {hers}").value == {"draft": "Ada's"}
        assert attacker.sends(f"{hers}; {planted}").value == {"draft": "Ada's"}

    assert "session_rejected" not in [name for name, _ in events]


@pytest.mark.parametrize("header", ["x={name}={token}", "x={name};y={token}", "x,{name}={token}", "{name}:{token}"])
def test_our_name_inside_another_cookie_is_not_ours(victim, attacker, events, header):
    """A cookie whose value holds our name and a token is that cookie, and no session."""
    stolen = attacker.steals(victim)

    assert attacker.sends(header.format(name=NAME, token=stolen)).value == {}
    assert "session_rejected" not in [name for name, _ in events]


def test_white_space_that_the_standard_allows(victim, attacker):
    """Space and tab around a cookie are white space to browsers as well, and are no part of it."""
    stolen = attacker.steals(victim)

    assert attacker.sends(f"a=b;\t {NAME}={stolen} \t; c=d").value == {"draft": "Ada's"}
