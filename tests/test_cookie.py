"""The session cookie: what browsers get, and what is made of what they send."""

from __future__ import annotations

import logging

import pytest
from flask import session

from hardsession import SessionTooLargeError

NAME = "__Host-Http-session"


def test_attributes(client, act):
    """The cookie is Secure, HttpOnly, SameSite=Lax, host-wide, and ends with the browser (ASVS 3.3.1 to 3.3.4)."""
    cookie = act(client, lambda: session.update(a=1)).cookies[0]

    name, _, rest = cookie.partition("=")
    value, *attributes = rest.split("; ")
    assert name == NAME
    assert value.startswith("hs1_")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]


def test_attributes_follow_the_settings(make_app, act):
    """Domain, path, SameSite and Partitioned are set as configured."""
    app = make_app(
        SESSION_COOKIE_DOMAIN="example.org",
        SESSION_COOKIE_PATH="/desk",
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PARTITIONED=True,
    )

    cookie = act(app.test_client(), lambda: session.update(a=1), "/desk").cookies[0]

    assert cookie.startswith("__Secure-session=hs1_")
    assert sorted(cookie.split("; ")[1:]) == [
        "Domain=example.org",
        "HttpOnly",
        "Partitioned",
        "Path=/desk",
        "SameSite=Strict",
        "Secure",
    ]


def test_deletion_has_the_attributes(make_app, act):
    """A deletion carries every attribute of the cookie, or browsers would keep a `__Host-` cookie."""
    client = make_app(SESSION_COOKIE_PARTITIONED=True).test_client()
    act(client, lambda: session.update(a=1))

    cookie = act(client, lambda: session.clear()).cookies[0]

    assert cookie.startswith(f"{NAME}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; ")
    assert sorted(cookie.split("; ")[3:]) == ["HttpOnly", "Partitioned", "Path=/", "SameSite=Lax", "Secure"]
    assert client.get_cookie(NAME) is None


def test_cache_headers(client, act):
    """`Vary: Cookie` stands on every answer that touched the session, `no-store` on all that set or delete it."""
    headers = [
        act(client, what).response.headers
        for what in (lambda: None, lambda: session.get("a"), lambda: session.update(a=1), lambda: session.clear())
    ]

    assert [h.get("Vary") for h in headers] == [None, "Cookie", "Cookie", "Cookie"]
    assert [h.get("Cache-Control") for h in headers] == [None, None, "no-store", "no-store"]


def test_vary_joins_the_views_own(app, client, act):
    """What a view says its answer varies by stays."""

    @app.after_request
    def by_language(response):
        response.vary.add("Accept-Language")
        return response

    answer = act(client, lambda: session.get("a"))

    assert answer.response.headers["Vary"] == "Accept-Language, Cookie"


def test_logout_before_a_failed_save_without_a_cookie(make_app, act):
    """Where no cookie came there is none to delete, also when what follows a logout cannot be saved."""
    client = make_app(PROPAGATE_EXCEPTIONS=False).test_client()

    answer = act(client, lambda: (session.clear(), session.update(a=object())))

    assert answer.response.status_code == 500
    assert answer.cookies == []


def test_no_store_overrules_the_view(app, client, act):
    """A view that allows caches to keep its answer is overruled when that answer sets a token."""

    @app.after_request
    def cacheable(response):
        response.cache_control.public = True
        return response

    answer = act(client, lambda: session.update(a=1))

    assert answer.response.headers["Cache-Control"] == "no-store"


def test_plain_http_without_secure(make_app, act, caplog):
    """With `SESSION_ALLOW_PLAIN_HTTP` the cookie is `session` without Secure, and one warning names ProxyFix first."""
    client = make_app(SESSION_ALLOW_PLAIN_HTTP=True).test_client()

    cookie = act(client, lambda: session.update(a=1)).cookies[0]
    act(client, lambda: session.update(a=2))

    assert cookie.startswith("session=hs1_")
    assert "Secure" not in cookie
    assert [r.message for r in caplog.records if "ProxyFix" in r.message] == [
        "SESSION_ALLOW_PLAIN_HTTP is on: the session cookie travels in the clear. "
        "Behind a proxy that serves https, use werkzeug.middleware.proxy_fix.ProxyFix instead."
    ]


@pytest.mark.parametrize(
    ("url", "warnings"),
    [
        ("http://www.example.org", 1),
        ("https://www.example.org", 0),
        ("http://localhost", 0),
        ("http://localhost:5000", 0),
        ("http://127.0.0.1:5000", 0),
        ("http://[::1]:5000", 0),
        ("http://[::1]", 0),
        ("http://app.localhost:5000", 0),
    ],
)
def test_secure_cookie_on_plain_http_is_set_and_warned_of(app, act, caplog, url, warnings):
    """The scheme that the server sees withholds no cookie; beyond loopback, one warning says what to do."""
    client = app.test_client()
    caplog.set_level(logging.WARNING, "hardsession")

    answers = [act(client, lambda count=count: session.update(a=count), base_url=url) for count in range(2)]

    assert all("Secure" in answer.cookies[0] for answer in answers)
    assert sum("ProxyFix" in record.message for record in caplog.records) == warnings


def test_two_cookies_of_a_prefixed_name_are_refused(client, act, token, events):
    """A second cookie of our name makes the session empty, and both go: no sibling's cookie is ever preferred."""
    act(client, lambda: session.update(a=1))
    header = f"{NAME}={token(client)}; {NAME}={token(client)}"

    answer = act(client.application.test_client(use_cookies=False), lambda: dict(session), headers={"Cookie": header})

    assert answer.value == {}
    assert all(cookie.startswith(f"{NAME}=;") and "Max-Age=0" in cookie for cookie in answer.cookies)
    assert events[-1] == ("session_rejected", {"session": None, "reason": "duplicate"})


class TestTossedPair:
    """Two cookies of a name without a prefix: a sibling subdomain can have set one."""

    @pytest.fixture
    def pair(self, make_app, act, token):
        """Send two cookies to an app whose name has no prefix."""
        client = make_app(SESSION_COOKIE_NAME="sid").test_client()
        act(client, lambda: session.update(a=1))
        header = f"sid={token(client, 'sid')}; sid=hs1_{'A' * 120}"

        def send(what=lambda: dict(session), path="/", **request):
            return act(
                client.application.test_client(use_cookies=False), what, path, headers={"Cookie": header}, **request
            )

        return send

    def test_is_refused_and_expired_everywhere(self, pair):
        """The name is expired host-only and at every parent domain and path, so that the next request is clean."""
        answer = pair(path="/desk/inbox", base_url="https://www.app.example.org")

        places = {
            (
                next((a[7:] for a in cookie.split("; ") if a.startswith("Domain=")), None),
                next(a[5:] for a in cookie.split("; ") if a.startswith("Path=")),
            )
            for cookie in answer.cookies
        }
        assert answer.value == {}
        assert all(cookie.startswith("sid=;") and "Max-Age=0" in cookie for cookie in answer.cookies)
        assert places == {
            (domain, path)
            for domain in (None, "www.app.example.org", "app.example.org", "example.org")
            for path in ("/", "/desk", "/desk/inbox")
        }
        assert answer.response.headers["Cache-Control"] == "no-store"

    def test_a_write_comes_after_the_expiry(self, pair):
        """A session that begins in the same answer is set after the expiry, so that browsers keep it."""
        answer = pair(lambda: session.update(b=2))

        assert answer.cookies[-1].startswith("sid=hs1_")

    @pytest.mark.parametrize(
        "host", ["127.0.0.1:5000", "localhost", "[::1]", "a..b", "x" * 64 + ".org", "exa mple.org"]
    )
    def test_hosts_without_parents(self, pair, host):
        """An address or a name that is none gets host-only answers, never an error."""
        answer = pair(environ_overrides={"HTTP_HOST": host})

        assert answer.response.status_code < 500
        assert not any("Domain" in cookie for cookie in answer.cookies)

    def test_client_cannot_multiply_the_answer(self, pair):
        """However deep the path and the host's name, the number of headers is bounded."""
        answer = pair(path="/a" * 500, base_url=f"https://{'a.' * 100}example.org")

        assert len(answer.cookies) <= 64

    def test_untouched_pair_is_left_alone(self, pair):
        """A view that does not touch the session says nothing of the pair."""
        assert pair(lambda: None).cookies == []


@pytest.mark.parametrize(
    "header",
    [
        "other=1",
        "x__Host-Http-session={token}",
        "__host-http-session={token}",
        "__Host-Http-session\xa0={token}",
        "\x85__Host-Http-session={token}",
        "__Host-Http-session",
        "other=__Host-Http-session={token}",
    ],
)
def test_cookies_of_other_names_are_not_ours(client, act, token, events, header):
    """Only the exact name is ours: no other case, no white space of another alphabet, no part of another cookie."""
    act(client, lambda: session.update(a=1))
    header = header.format(token=token(client))

    answer = act(
        client.application.test_client(use_cookies=False),
        lambda: dict(session),
        environ_overrides={"HTTP_COOKIE": header},
    )

    assert answer.value == {}
    assert [name for name, _ in events] in (["session_created"], ["session_created", "session_rejected"])


def test_white_space_around_our_cookie(client, act, token):
    """The spaces and tabs that RFC 6265 allows around a cookie are ignored."""
    act(client, lambda: session.update(a=1))
    header = f"a=b;\t{NAME} = {token(client)} ;c"

    assert (
        act(client.application.test_client(use_cookies=False), lambda: session["a"], headers={"Cookie": header}).value
        == 1
    )


class TestOversize:
    """A session that does not fit into a cookie."""

    def test_raises_with_the_largest_keys(self, client, act, token, events):
        """By default it is an error that tells the bytes and the largest keys, and the old cookie stays."""
        act(client, lambda: session.update(a=1))
        before = token(client)

        with pytest.raises(SessionTooLargeError, match="'big'") as caught:
            act(client, lambda: session.update(big="x" * 4000, medium="y" * 100, small="z", tiny=""))

        assert caught.value.limit == 4096
        assert caught.value.size > 4096
        assert list(caught.value.largest) == ["big", "medium", "small"]
        assert token(client) == before
        assert events[-1][0] == "session_too_large"
        assert events[-1][1]["kept"] is False

    def test_keep_drops_the_write(self, make_app, act, token, events, caplog):
        """With "keep" the answer goes out, the old cookie stays, and an error is logged."""
        client = make_app(SESSION_COOKIE_OVERSIZE="keep").test_client()
        act(client, lambda: session.update(a=1))
        before = token(client)

        answer = act(client, lambda: session.update(big="x" * 4000))

        assert answer.cookies == []
        assert token(client) == before
        assert [name for name, _ in events] == ["session_created", "session_too_large"]
        assert events[-1][1]["kept"] is True
        assert any(r.levelname == "ERROR" and "'big'" in r.message for r in caplog.records)

    def test_keep_does_not_undo_a_logout(self, make_app, act, token, events):
        """When what follows a logout does not fit, the logout still counts: the old cookie goes."""
        client = make_app(SESSION_COOKIE_OVERSIZE="keep").test_client()
        act(client, lambda: session.update(user_id=1))

        act(client, lambda: (session.clear(), session.update(big="x" * 4000)))

        assert token(client) is None
        assert [name for name, _ in events] == ["session_created", "session_too_large", "session_destroyed"]

    def test_largest_that_fits(self, client, act, token):
        """Name and value together may have exactly 4096 bytes."""
        sizes = []
        for length in range(2800, 3000):
            try:
                act(client, lambda length=length: session.update(a="x" * length))
            except SessionTooLargeError:
                break
            sizes.append(len(NAME) + len(token(client)))

        assert max(sizes) in (4095, 4096)
        assert act(client, lambda: session["a"]).value == "x" * 2800 + "x" * (len(sizes) - 1)

    def test_longer_cookie_is_refused_before_decoding(self, client, act, events):
        """A cookie over 4096 bytes is refused by its length alone."""
        attacker = client.application.test_client(use_cookies=False)
        header = f"{NAME}=hs1_{'A' * 4096}"

        assert act(attacker, lambda: dict(session), headers={"Cookie": header}).value == {}
        assert events == [("session_rejected", {"session": None, "reason": "length"})]


def test_compressed_and_padded_cookies(make_app, act, token):
    """Compression makes a repetitive session small, padding hides the length; both open with either setting."""
    keys = make_app().config["SESSION_SECRET_KEYS"]
    plain, packed, padded = (
        make_app(SESSION_SECRET_KEYS=keys, **more).test_client()
        for more in ({}, {"SESSION_COMPRESS": True}, {"SESSION_PAD_TO": 512})
    )
    for client in (plain, packed, padded):
        act(client, lambda: session.update(a="x" * 1000))

    assert len(token(packed)) < len(token(plain)) / 3
    act(padded, lambda: session.update(a="y"))
    length = len(token(padded))
    act(padded, lambda: session.update(a="y" * 200))
    assert len(token(padded)) == length
    for client in (packed, padded):
        plain.set_cookie(NAME, token(client))
        assert act(plain, lambda: session["a"][0]).value in "xy"


class CustomSerializer:
    """A serializer of the application's own."""

    def dumps(self, value):
        return repr(sorted(value.items())).encode()

    def loads(self, payload):
        import ast

        return dict(ast.literal_eval(payload.decode()))


def test_custom_serializer(make_app, act, token, events):
    """An application's own serializer is used, its tokens open only with it, and older ones still open with it set."""
    keys = make_app().config["SESSION_SECRET_KEYS"]
    plain = make_app(SESSION_SECRET_KEYS=keys).test_client()
    custom = make_app(SESSION_SECRET_KEYS=keys, SESSION_SERIALIZER=CustomSerializer()).test_client()
    act(plain, lambda: session.update(a=1))
    custom.set_cookie(NAME, token(plain))

    assert act(custom, lambda: (session["a"], session.update(b=2))[0]).value == 1
    assert act(custom, lambda: dict(session)).value == {"a": 1, "b": 2}
    plain.set_cookie(NAME, token(custom))
    assert act(plain, lambda: dict(session)).value == {}
    assert events[-1] == ("session_rejected", {"session": None, "reason": "payload"})


def test_format_can_be_changed(make_app, act, token):
    """Sessions written as JSON open after the change to MessagePack, and are written anew in it."""
    keys = make_app().config["SESSION_SECRET_KEYS"]
    json = make_app(SESSION_SECRET_KEYS=keys).test_client()
    msgpack = make_app(SESSION_SECRET_KEYS=keys, SESSION_SERIALIZATION_FORMAT="msgpack").test_client()
    act(json, lambda: session.update(user_id=7, a=(1,)))
    handle = act(json, lambda: session.handle).value
    msgpack.set_cookie(NAME, token(json))

    answer = act(msgpack, lambda: (session["a"], session.handle))

    assert answer.value == ((1,), handle)
    assert len(answer.cookies) == 1
    assert act(msgpack, lambda: (session["a"], session.handle)).value == ((1,), handle)
