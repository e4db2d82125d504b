"""The attacker reads the victim's page, or gets her cookie, from a cache that both go through (CVE-2023-30861)."""

from __future__ import annotations

import pytest
from flask import session
from werkzeug.http import parse_set_header

from hardsession import HardSession, current_session

NAME = "__Host-Http-session"


class SharedCache:
    """A proxy in front of the application that keeps what its headers allow, as RFC 9111 says."""

    def __init__(self, act):
        self._act = act
        self._kept = {}

    def get(self, browser, what, path="/page"):
        """The Answer, from the cache if it has one for this request."""
        header = "; ".join(f"{c.key}={c.value}" for c in browser._cookies.values())
        for varies_by_cookie, kept_header, answer in self._kept.get(path, []):
            if not varies_by_cookie or kept_header == header:
                return answer
        answer = self._act(browser, what, path)
        if "no-store" not in answer.response.headers.get("Cache-Control", ""):
            vary = parse_set_header(answer.response.headers.get("Vary"))
            self._kept.setdefault(path, []).append(("cookie" in vary, header, answer))
        return answer


@pytest.fixture
def cache(act):
    return SharedCache(act)


def test_victims_page_is_not_served_to_others(app, victim, cache):
    """A page made from a session is kept, if at all, for requests with that cookie."""
    hers = cache.get(victim, lambda: session["draft"]).value

    mine = cache.get(app.test_client(), lambda: session.get("draft")).value

    assert (hers, mine) == ("Ada's", None)


def test_anonymous_page_is_not_served_to_the_victim(app, victim, cache):
    """Nor does she get a page that was made for nobody."""
    cache.get(app.test_client(), lambda: session.get("draft"))

    assert cache.get(victim, lambda: session["draft"]).value == "Ada's"


@pytest.mark.parametrize(
    "what",
    [
        lambda: session.update(a=1),
        lambda: HardSession().login("ada"),
        lambda: HardSession().logout(),
        lambda: HardSession().regenerate(),
        lambda: setattr(session, "permanent", True),
        lambda: session.clear(),
    ],
    ids=["write", "login", "logout", "regenerate", "permanent", "clear"],
)
def test_answer_with_a_cookie_is_never_kept(victim, attacker, cache, app, what):
    """Whatever sets or deletes the cookie must not be stored anywhere, so nobody else is handed it."""
    answer = cache.get(victim, what)

    assert answer.cookies
    assert answer.response.headers["Cache-Control"] == "no-store"
    assert cache.get(app.test_client(), lambda: session.get("draft")).cookies == []


def test_refresh_of_the_clock_is_never_kept(clock, victim, cache, app):
    """A page that only reads sets a cookie once a minute; that answer is not kept either."""
    clock.tick(60)

    answer = cache.get(victim, lambda: session["draft"])

    assert answer.cookies
    assert answer.response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "what",
    [
        lambda: session.get("draft"),
        lambda: "draft" in session,
        lambda: len(session),
        lambda: current_session.expires_in,
        lambda: session.permanent,
    ],
    ids=["get", "in", "len", "time left", "permanence"],
)
def test_every_way_of_looking_varies(victim, act, what):
    """However a view looks at the session, its answer says that it depends on the cookie."""
    assert act(victim, what).response.headers["Vary"] == "Cookie"


def test_view_that_allows_caching_is_overruled(app, act):
    """A view that calls its answer public does not get the cookie into a cache."""

    @app.after_request
    def public(response):
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    answer = act(app.test_client(), lambda: session.update(a=1))

    assert answer.response.headers["Cache-Control"] == "no-store"


def test_other_variance_stays(app, act):
    """What the view varies by stays beside the cookie."""

    @app.after_request
    def by_language(response):
        response.vary.add("Accept-Language")
        return response

    answer = act(app.test_client(), lambda: session.get("draft"))

    assert set(parse_set_header(answer.response.headers["Vary"])) == {"Accept-Language", "Cookie"}


def test_page_without_a_session_stays_cacheable(app, victim, cache):
    """A page that does not look at the session says nothing of cookies, and one copy serves everybody."""
    answer = cache.get(victim, lambda: "the same for all")

    assert "Vary" not in answer.response.headers
    assert "Cache-Control" not in answer.response.headers
    assert cache.get(app.test_client(), lambda: "made again").value == "the same for all"
