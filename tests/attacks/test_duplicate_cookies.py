"""The attacker, at a sibling subdomain, tosses a second cookie of our name into the victim's browser.

What browsers themselves do about it is in test_browser.py.
"""

from __future__ import annotations

import pytest
from flask import session

from hardsession import HardSession

NAME = "__Host-Http-session"
OTHERS = ["hs1_" + "A" * 200, "", "x", '"', "=", "%00"]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("order", ["{hers}; {other}", "{other}; {hers}", "{hers};{other}", "{other};a=b;{hers};c"])
def test_neither_of_two_is_believed(victim, attacker, events, other, order):
    """Two cookies of our name are an empty session, in whichever order and whatever the second one holds."""
    header = order.format(hers=f"{NAME}={attacker.steals(victim)}", other=f"{NAME}={other}")

    assert attacker.sends(header).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "duplicate"})


def test_own_valid_session_is_not_preferred(app, victim, attacker, log_in):
    """The attacker's own valid session beside the victim's is as little believed as garbage."""
    mine, hers = (f"{NAME}={attacker.steals(browser)}" for browser in (log_in(app, "mallory"), victim))

    assert attacker.sends(f"{mine}; {hers}").value == {}
    assert attacker.sends(f"{hers}; {mine}").value == {}


def test_same_value_twice_is_refused_too(victim, attacker):
    """Even two equal cookies are refused: which of them a later answer would replace, nobody can tell."""
    hers = f"{NAME}={attacker.steals(victim)}"

    assert attacker.sends(f"{hers}; {hers}").value == {}


class TestNameWithoutPrefix:
    """An application that keeps its own cookie name, which any sibling can set."""

    @pytest.fixture
    def shop(self, make_app):
        """The application."""
        return make_app(SESSION_COOKIE_NAME="sid")

    @pytest.fixture
    def pair(self, shop, log_in, attacker):
        """The victim's cookie and the one that was tossed in."""
        hers = attacker.steals(log_in(shop, draft="Ada's"), "sid")
        return f"sid={hers}; sid=hs1_{'A' * 200}"

    def test_answer_expires_both_wherever_they_are(self, shop, attacker, pair):
        """The name is expired for the host, its parent domains and the path's parents: the next request is clean."""
        answer = attacker.against(shop).sends(pair, base_url="https://www.shop.example.org", path="/desk/inbox")

        places = {
            (
                next((a.removeprefix("Domain=") for a in cookie.split("; ") if a.startswith("Domain=")), None),
                next(a.removeprefix("Path=") for a in cookie.split("; ") if a.startswith("Path=")),
            )
            for cookie in answer.cookies
        }
        assert all(cookie.startswith("sid=; ") and "Max-Age=0" in cookie for cookie in answer.cookies)
        assert places == {
            (domain, path)
            for domain in (None, "www.shop.example.org", "shop.example.org", "example.org")
            for path in ("/", "/desk", "/desk/inbox")
        }

    def test_login_in_that_answer_is_kept(self, shop, attacker, pair):
        """Who logs in with the pair still in his browser is logged in afterwards: the new cookie is set last."""
        answer = attacker.against(shop).sends(pair, lambda: HardSession().login("ada"))

        assert answer.cookies[-1].startswith("sid=hs1_")

    @pytest.mark.parametrize(
        "path", ["/a;Domain=evil.example", "/%0d%0aSet-Cookie:%20x=y", "/%3bDomain=evil.example/b"]
    )
    def test_attacker_cannot_write_into_our_headers(self, make_app, attacker, pair, path):
        """Host and path come from the client: neither can smuggle an attribute or a line into the deletions."""
        shop = make_app(SESSION_COOKIE_NAME="sid")
        shop.register_error_handler(404, lambda _: (str(len(session)), 404))

        answer = attacker.against(shop).sends(pair, path=path, base_url="https://www.shop.example.org")

        attributes = {attribute for cookie in answer.cookies for attribute in cookie.split("; ")[1:]}
        assert {a for a in attributes if a.startswith("Domain=")} == {
            "Domain=www.shop.example.org",
            "Domain=shop.example.org",
            "Domain=example.org",
        }
        assert all(set(attribute).isdisjoint("\r\n;") for attribute in attributes)
        assert {attribute.partition("=")[0] for attribute in attributes} == {
            "Domain", "Expires", "HttpOnly", "Max-Age", "Path", "SameSite", "Secure",
        }  # fmt: skip

    def test_attacker_cannot_multiply_the_answer(self, shop, attacker, pair):
        """However deep path and host, an answer has a bounded number of deletions."""
        answer = attacker.against(shop).sends(pair, path="/a" * 1000, base_url=f"https://{'a.' * 120}example.org")

        assert 0 < len(answer.cookies) <= 64

    def test_page_without_a_session_says_nothing(self, shop, attacker, pair):
        """A view that does not touch the session neither reads nor answers the pair."""
        answer = attacker.against(shop).sends(pair, lambda: None)

        assert (answer.cookies, "Vary" in answer.response.headers) == ([], False)


def test_single_cookie_of_the_attacker_is_only_his_session(app, attacker, log_in, act):
    """Where the attacker manages to replace the cookie, the victim is in his session until her login leaves it."""
    victim = app.test_client()
    victim.set_cookie(NAME, attacker.steals(log_in(app, "mallory", address="Mallory's")))

    act(victim, lambda: (HardSession().login("ada"), session.update(draft="Ada's")))

    assert act(victim, lambda: dict(session)).value == {"draft": "Ada's"}
