"""The example application, as a visitor meets it."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from freezegun import freeze_time
from werkzeug.test import TestResponse

import examples
from examples.vault import KeyFile, create_app
from examples.vault.__main__ import PORTS
from examples.vault.app import SLOW, SLOW_NOTE
from examples.vault.shelf import Shelf, ShelfError, put_up
from tests.servers.redis import Redis

NAME = "__Host-Http-session"
SECRET = "Source HERON"
FROM_THE_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys")


@pytest.fixture
def app(keys: KeyFile) -> Flask:
    return create_app(keys, {"TESTING": True})


@pytest.fixture
def visitor(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def ida(visitor: FlaskClient) -> FlaskClient:
    log_in(visitor)
    return visitor


@pytest.fixture(params=["memory", "filesystem", "sqlite", "redis"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Each store that the demo can keep its sessions in."""
    if request.param == "redis":
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_server").url)
    return put_up(request.param, tmp_path)


@pytest.fixture
def shelved(keys: KeyFile, shelf: Shelf) -> FlaskClient:
    """Ida's browser, with her session in a store."""
    client = create_app(keys, {"TESTING": True, "SESSION_STORE": shelf}).test_client()
    log_in(client)
    return client


def press(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    """Press a button of the page and follow where it leads."""
    return client.post(path, data=fields, headers=FROM_THE_PAGE, follow_redirects=True)


def log_in(client: FlaskClient, password: str = "front page") -> TestResponse:
    return client.post("/login", data={"username": "ida", "password": password}, headers=FROM_THE_PAGE)


def cookie_of(client: FlaskClient) -> str:
    cookie = client.get_cookie(NAME)
    assert cookie is not None
    return cookie.value


def test_login_sets_a_hardened_cookie(visitor: FlaskClient) -> None:
    """A login sets one cookie, whose name and attributes keep scripts, plain http and other sites away from it."""
    response = log_in(visitor)

    (header,) = response.headers.getlist("Set-Cookie")
    name, _, rest = header.partition("=")
    assert name == NAME
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(rest.split("; "))


def test_login_leads_to_the_notes(visitor: FlaskClient) -> None:
    """Who logs in and returns the cookie reads the notes."""
    response = press(visitor, "/login", username="ida", password="front page")

    assert response.request.path == "/vault"
    assert SECRET in response.text


def test_front_page_leads_those_inside_to_the_vault(ida: FlaskClient) -> None:
    """Who is logged in is not asked to log in."""
    response = ida.get("/")

    assert response.location == "/vault"


@pytest.mark.parametrize(("name", "password"), [("ida", "late edition"), ("ida", ""), ("nobody", "front page")])
def test_wrong_password_is_refused(visitor: FlaskClient, name: str, password: str) -> None:
    """A wrong password and an unknown name get the same answer, and no session."""
    response = press(visitor, "/login", username=name, password=password)

    assert response.status_code == 403
    assert "do not belong together" in response.text
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("path", ["/vault", "/keys"])
def test_vault_is_closed_to_strangers(visitor: FlaskClient, path: str) -> None:
    """Who is not logged in is sent to the front page."""
    response = visitor.get(path)

    assert response.status_code == 302
    assert response.location == "/"


@pytest.mark.parametrize("path", ["/notes", "/slow", "/keys", "/keys/retire", "/prove"])
def test_buttons_are_closed_to_strangers(visitor: FlaskClient, keys: KeyFile, path: str) -> None:
    """Who is not logged in changes nothing."""
    before = keys.path.read_text()

    response = press(visitor, path, note="mine")

    assert response.request.path == "/"
    assert keys.path.read_text() == before


def test_flask_tells_what_the_sealed_cookie_keeps(ida: FlaskClient) -> None:
    """The page shows the session in plain text beside Flask's cookie, and the sealed one holds nothing of it."""
    page = ida.get("/vault").text

    exposed = re.search(r'<article class="cookie open">.*?</article>', page, re.DOTALL)
    sealed = re.search(r'<article class="cookie sealed">.*?</article>', page, re.DOTALL)
    assert exposed is not None
    assert sealed is not None
    assert SECRET in exposed[0]
    assert cookie_of(ida)[4:] in sealed[0]
    assert SECRET not in sealed[0]


def test_notes_are_kept_and_escaped(ida: FlaskClient) -> None:
    """A note stays in the session as it was written, and the page shows it as text."""
    page = press(ida, "/notes", note="<script>alert(1)</script> & café").text

    assert "<li>&lt;script&gt;alert(1)&lt;/script&gt; &amp; café</li>" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize("character", ["a", "\x01", "\N{NEWSPAPER}", '"'])
def test_longest_notes_fit_into_the_cookie(ida: FlaskClient, character: str) -> None:
    """Three notes stay, and fit into one cookie whatever they are made of."""
    for _ in range(4):
        response = press(ida, "/notes", note="x" + character * 500 + "x")

    assert response.status_code == 200
    assert response.text.count("<li>x") == 3


def test_both_clocks_are_shown(ida: FlaskClient) -> None:
    """The page says how many seconds are left on the idle and on the absolute clock."""
    left = [int(seconds) for seconds in re.findall(r'data-left="(\d+)"', ida.get("/vault").text)]

    assert left == [pytest.approx(300, abs=30), pytest.approx(1800, abs=30)]


def test_use_starts_the_idle_clock_again(visitor: FlaskClient) -> None:
    """Opening the vault is activity; the absolute clock runs on."""
    with freeze_time("2030-01-01 12:00:00") as now:
        log_in(visitor)
        now.tick(100)

        page = visitor.get("/vault").text

        now.tick(299)
        assert re.findall(r'data-left="(\d+)"', page) == ["300", "1700"]
        assert visitor.get("/vault").status_code == 200


def test_work_on_the_keys_is_no_activity(visitor: FlaskClient) -> None:
    """The key page lets the idle clock run, and leaves the cookie as it is."""
    with freeze_time("2030-01-01 12:00:00") as now:
        log_in(visitor)
        before = cookie_of(visitor)
        now.tick(100)

        page = press(visitor, "/keys").text

        assert re.findall(r'data-left="(\d+)"', page) == ["200", "1700"]
        assert cookie_of(visitor) == before


def test_idle_session_ends_and_the_page_says_why(visitor: FlaskClient) -> None:
    """After five minutes without activity the front page names the clock that ran out."""
    with freeze_time("2030-01-01 12:00:00") as now:
        log_in(visitor)
        now.tick(300)

        page = visitor.get("/vault", follow_redirects=True).text

    assert "Your session is over" in page
    assert "idle_timeout" in page


def test_logout_ends_the_session(ida: FlaskClient) -> None:
    """After a logout the browser holds no cookie and the vault is closed."""
    response = press(ida, "/logout")

    assert ida.get_cookie(NAME) is None
    assert "session_destroyed" in response.text
    assert ida.get("/vault").location == "/"


def test_one_flipped_bit_empties_the_session(ida: FlaskClient) -> None:
    """A changed cookie is an empty session and an event with its reason: no error, and no second look at the data."""
    before = cookie_of(ida)

    response = press(ida, "/flip")

    assert sum(a != b for a, b in zip(before, cookie_of(ida), strict=True)) == 1
    assert response.status_code == 200
    assert "That cookie was refused" in response.text
    assert "session_rejected" in response.text
    assert "not_authentic" in response.text
    assert ida.get("/vault").location == "/"


def test_login_works_after_a_flipped_bit(ida: FlaskClient) -> None:
    """A refused cookie stands in nobody's way."""
    press(ida, "/flip")

    response = press(ida, "/login", username="ida", password="front page")

    assert SECRET in response.text


@pytest.mark.parametrize("value", ["", "x", "hs1_", "é€", "=" * 3000])
def test_any_cookie_can_be_flipped(visitor: FlaskClient, value: str) -> None:
    """Whatever stands in the cookie, the button and the front page answer."""
    visitor.set_cookie(NAME, value)

    response = press(visitor, "/flip")

    assert response.status_code == 200


def test_flip_without_a_cookie_sets_none(visitor: FlaskClient) -> None:
    """Without a cookie there is nothing to flip."""
    press(visitor, "/flip")

    assert visitor.get_cookie(NAME) is None


def test_new_key_logs_nobody_out(ida: FlaskClient, keys: KeyFile) -> None:
    """A rotation leaves the session as it is, and the page says that an older key sealed it."""
    page = press(ida, "/keys").text

    assert SECRET in page
    assert len(keys.ids()) == 2
    assert all(key_id in page for key_id in keys.ids())
    assert "still sealed under an older key" in page


def test_next_write_seals_under_the_new_key(ida: FlaskClient) -> None:
    """A session that was written after the rotation survives the end of the old key."""
    press(ida, "/keys")
    written = press(ida, "/notes", note="later").text

    page = press(ida, "/keys/retire").text

    assert "sealed under the newest key" in written
    assert "later" in page


def test_removing_the_old_key_ends_its_sessions(ida: FlaskClient, keys: KeyFile) -> None:
    """A session that nobody sealed anew ends with its key, and the page says why."""
    press(ida, "/keys")

    response = press(ida, "/keys/retire")

    assert len(keys.ids()) == 1
    assert response.request.path == "/"
    assert "unknown_key" in response.text


def test_removing_keys_takes_a_recent_password(visitor: FlaskClient, keys: KeyFile) -> None:
    """A minute after the login the button asks for the password, and works once it was given."""
    with freeze_time("2030-01-01 12:00:00") as now:
        log_in(visitor)
        press(visitor, "/keys")
        now.tick(60)

        refused = press(visitor, "/keys/retire")
        assert (refused.status_code, len(keys.ids())) == (401, 2)
        assert "too_old" in refused.text
        assert press(visitor, "/prove", password="late edition").status_code == 403
        assert press(visitor, "/keys/retire").status_code == 401

        assert SECRET in press(visitor, "/prove", password="front page").text
        assert SECRET in press(visitor, "/keys/retire").text
        assert len(keys.ids()) == 1


def test_existing_keys_are_kept(keys: KeyFile) -> None:
    """A key file that is there is used as it is: a restart ends no session."""
    again = KeyFile(keys.path)

    assert again.ids() == keys.ids()
    assert len(again.ids()) == 1


@pytest.mark.skipif(os.name != "posix", reason="the mode of a file is a POSIX notion")
def test_key_file_is_private(keys: KeyFile) -> None:
    """Nobody but its owner reads the key file, before and after a rotation."""
    keys.add()

    assert keys.path.stat().st_mode & 0o777 == 0o600


def test_missing_cookie_is_explained(visitor: FlaskClient) -> None:
    """A browser that does not return the cookie is told why, and what to do."""
    response = visitor.get("/welcome")

    assert response.status_code == 400
    assert "Your browser did not return the cookie" in response.text
    assert "Safari" in response.text
    assert "make demo PLAIN=1" in response.text


def test_plain_http_gets_a_cookie_that_works_there(keys: KeyFile) -> None:
    """With SESSION_ALLOW_PLAIN_HTTP the cookie has no Secure, and everything else goes on."""
    visitor = create_app(keys, {"SESSION_ALLOW_PLAIN_HTTP": True}).test_client()
    hint = visitor.get("/welcome").text

    header = log_in(visitor).headers["Set-Cookie"]

    assert "PLAIN=1" not in hint
    assert header.startswith("session=")
    assert "Secure" not in header
    assert SECRET in visitor.get("/vault").text
    assert "not_authentic" in press(visitor, "/flip").text


@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/notes", "/slow", "/replay", "/flip", "/keys", "/keys/retire", "/prove"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_forms_of_other_sites_are_refused(ida: FlaskClient, path: str, headers: dict[str, str]) -> None:
    """A form that another site sent changes nothing (CSRF)."""
    before = cookie_of(ida)

    response = ida.post(path, headers=headers)

    assert response.status_code == 403
    assert "was not sent by a page of the vault" in response.text
    assert cookie_of(ida) == before


def test_origin_will_do_without_fetch_metadata(ida: FlaskClient) -> None:
    """A browser that sends no Sec-Fetch-Site is known by its Origin."""
    response = ida.post("/logout", headers={"Origin": "http://localhost"})

    assert response.status_code == 302
    assert ida.get_cookie(NAME) is None


@pytest.mark.parametrize("path", ["/", "/vault", "/race", "/welcome", "/no-such-page"])
def test_pages_have_nothing_inline(ida: FlaskClient, path: str) -> None:
    """No page needs an exception from a policy that forbids inline script and style."""
    for client in (ida, ida.application.test_client()):
        response = client.get(path, follow_redirects=True)

        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<style" not in response.text
        assert not re.search(r"\s(style|on\w+)=", response.text)
        assert not re.search(r"<script(?![^>]*\ssrc=)", response.text)
        assert "://" not in re.sub(r"<code>.*?</code>", "", response.text)


def test_pages_are_not_kept_and_files_are(ida: FlaskClient) -> None:
    """No cache keeps a page; the style sheet needs neither a session nor that rule."""
    page = ida.get("/vault")

    with ida.get("/static/vault.css") as style:
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" not in style.headers["Cache-Control"]
        assert "Cookie" not in style.headers.get("Vary", "")


def test_events_hold_no_token(ida: FlaskClient) -> None:
    """The front page after a refusal shows events and nothing of the cookie."""
    page = press(ida, "/flip").text

    assert "session_created" in page
    assert "hs1_" not in page


# In a store


def test_cookie_is_a_reference(shelved: FlaskClient) -> None:
    """In a store the cookie has 160 characters whatever the session holds, and the page shows the sealed row."""
    before = cookie_of(shelved)
    for _ in range(3):
        press(shelved, "/notes", note="x" * 140)

    page = shelved.get("/vault").text

    assert cookie_of(shelved) == before
    assert len(before) == 160
    assert "160 characters, whatever the session holds" in page
    name = re.search(r"<code>(vault:r\.[\w-]+)</code>", page)
    row = re.findall(r'<pre class="token"><mark>(hs1_)</mark>([\w=-]+)</pre>', page)[1]
    assert name is not None
    assert name[1] not in before
    assert b"xxx" not in urlsafe_b64decode("".join(row))


def test_everything_else_works_in_a_store(shelved: FlaskClient) -> None:
    """Notes, a flipped bit, a rotation and a logout do what they do in a cookie."""
    assert "mine" in press(shelved, "/notes", note="mine").text
    assert "still sealed under an older key" in press(shelved, "/keys").text
    assert "sealed under the newest key" in press(shelved, "/notes", note="later").text
    assert "later" in press(shelved, "/keys/retire").text
    assert "not_authentic" in press(shelved, "/flip").text
    log_in(shelved)
    assert "session_destroyed" in press(shelved, "/logout").text
    assert shelved.get("/vault").location == "/"


def test_logout_wins_over_a_slow_page(shelved: FlaskClient) -> None:
    """In a store the slow page's note is refused, nobody is logged in again, and a copy of the cookie opens nothing."""
    meanwhile(shelved, lambda tab: press(tab, "/logout"))

    raced = press(shelved, "/slow")
    after = shelved.get("/vault").location
    replayed = press(shelved, "/replay")

    assert "The logout won" in raced.text
    assert "write_refused" in raced.text
    assert after == "/"
    assert "Your session is over" in replayed.text
    assert "logged_out" in replayed.text
    assert "session_use_after_end" in replayed.text
    assert shelved.get_cookie("vault-copy") is None


def test_slow_page_wins_in_a_cookie(ida: FlaskClient) -> None:
    """In a cookie the slow page's answer sets the cookie again, and the page says so."""
    meanwhile(ida, lambda tab: press(tab, "/logout"))

    raced = press(ida, "/slow")

    assert "The slow page won" in raced.text
    assert SLOW_NOTE in ida.get("/vault").text


def test_both_notes_are_kept_in_a_store(shelved: FlaskClient) -> None:
    """In a store a note that was kept while the slow page was under way stands beside the slow page's."""
    meanwhile(shelved, lambda tab: press(tab, "/notes", note="quick"))

    raced = press(shelved, "/slow")
    page = shelved.get("/vault").text

    assert "Nobody logged out" in raced.text
    assert "write_merged" not in raced.text
    assert SLOW_NOTE in page
    assert "quick" in page


def test_lost_note_is_told_in_a_store(shelved: FlaskClient) -> None:
    """Where there is no room for both notes, the slow page's counts, and the page names the event."""
    for number in range(2):
        press(shelved, "/notes", note=f"note {number}")
    meanwhile(shelved, lambda tab: press(tab, "/notes", note="quick"))

    raced = press(shelved, "/slow")
    page = shelved.get("/vault").text

    assert "no room for both" in raced.text
    assert SLOW_NOTE in page
    assert "quick" not in page


def test_last_note_wins_in_a_cookie(ida: FlaskClient) -> None:
    """In a cookie the note that was kept while the slow page was under way is lost, as the vault says."""
    page = ida.get("/vault").text
    meanwhile(ida, lambda tab: press(tab, "/notes", note="quick"))

    raced = press(ida, "/slow")

    assert "and it is lost" in page
    assert "Nobody logged out" in raced.text
    assert SLOW_NOTE in ida.get("/vault").text
    assert "quick" not in ida.get("/vault").text


def test_race_without_a_slow_page(ida: FlaskClient) -> None:
    """Who only opens the page of the race is told nothing that did not happen."""
    inside, outside = ida.get("/race").text, ida.application.test_client().get("/race?since=x").text

    assert "Nobody logged out" in inside
    assert "You are logged out" in outside


def test_replay_without_a_copy_sets_nothing(visitor: FlaskClient) -> None:
    """Without a copy there is nothing to bring back."""
    press(visitor, "/replay")

    assert visitor.get_cookie(NAME) is None


def test_outage_has_a_page(redis_server: Redis, keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store does not answer, the page says so, and the session is there when the store is."""
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    ida = create_app(keys, {"TESTING": True, "SESSION_STORE": put_up("redis", Path())}).test_client()
    log_in(ida)

    with monkeypatch.context() as away:
        away.setattr("redis.Redis.execute_command", refuse)
        answer = ida.get("/vault")

    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert ida.get("/vault").status_code == 200


def refuse(*_: object, **__: object) -> NoReturn:
    raise redis.ConnectionError


def meanwhile(browser: FlaskClient, act: Callable[[FlaskClient], object]) -> None:
    """Do something in another tab while a slow page waits: the browser has one jar of cookies for both."""
    tab = browser.application.test_client()
    tab._cookies = browser._cookies

    def wait(seconds: float) -> None:
        assert seconds == SLOW
        act(tab)

    browser.application.extensions["vault.wait"] = wait


def test_password_of_redis_is_not_shown(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says where Redis is, and neither it nor an error names the password in the URL."""
    with redis_server.client() as client:
        client.acl_setuser("press", enabled=True, passwords=["+hunter2"], keys=["*"], commands=["+@all"])
    place = f"127.0.0.1:{redis_server.port}"

    monkeypatch.setenv("REDIS_URL", f"redis://press:hunter2@{place}")
    assert put_up("redis", Path()).place == f"Redis at {place}"

    monkeypatch.setenv("REDIS_URL", f"redis://press:hunter3@{place}")
    with pytest.raises(ShelfError) as caught:
        put_up("redis", Path())
    assert place in str(caught.value)
    assert "hunter3" not in str(caught.value)


@pytest.mark.parametrize(("store", "driver"), [("redis", "redis"), ("sqlite", "sqlalchemy")])
def test_missing_driver_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: str, driver: str) -> None:
    """Without a store's driver the error says what to install."""
    monkeypatch.delitem(sys.modules, f"hardsession.stores.{driver}", raising=False)
    monkeypatch.setitem(sys.modules, driver, None)

    with pytest.raises(ShelfError, match=f"pip install {driver}"):
        put_up(store, tmp_path)


@contextmanager
def serving(tmp_path: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start the example as people do; its temporary files go below `tmp_path`."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PORT", "PLAIN", "STORE", "REDIS_URL")}
    with subprocess.Popen(
        [sys.executable, "-m", "examples.vault"],
        cwd=Path(examples.__path__[0]).parent,
        env=kept | {"TMPDIR": str(tmp_path)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def announced_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if found := re.search(r"http://localhost:(\d+)", line):
            return int(found[1])
    raise AssertionError(read)


def fetch(port: int) -> str:
    connection = HTTPConnection("localhost", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@contextmanager
def take(port: int, family: socket.AddressFamily, address: str) -> Iterator[None]:
    """Listen where others would, unless somebody does already."""
    try:
        neighbour = socket.create_server((address, port), family=family)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            pytest.skip(f"no {address} here")
        yield
    else:
        with neighbour:
            yield


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_it_runs_where_port_says_and_stops(tmp_path: Path) -> None:
    """`python -m examples.vault` serves on PORT, says so, and leaves no key behind when it is stopped."""
    port = free_port()

    with serving(tmp_path, PORT=str(port)) as process:
        announced = announced_port(process)
        page = fetch(port)
        process.terminate()
        output, _ = process.communicate(timeout=10)

    assert announced == port
    assert "Open the vault" in page
    assert "GET / HTTP/1.1 200" in output.splitlines()
    assert "Traceback" not in output
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_next_port_where_the_default_is_taken(tmp_path: Path, family: socket.AddressFamily, address: str) -> None:
    """Where somebody else is localhost on the default port, the next free one is taken."""
    with take(PORTS[0], family, address), serving(tmp_path) as process:
        port = announced_port(process)
        page = fetch(port)

    assert port in PORTS[1:]
    assert "Open the vault" in page


@pytest.mark.parametrize("value", ["taken", "eighty", "65536", "-1"])
def test_port_that_cannot_be_had_is_an_error(tmp_path: Path, value: str) -> None:
    """A PORT that is taken or none at all is told in one line, and nothing is served elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        port = str(neighbour.getsockname()[1]) if value == "taken" else value

        with serving(tmp_path, PORT=port) as process:
            output, _ = process.communicate(timeout=10)

    assert process.returncode == 1
    assert port in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("store", ["memory", "filesystem", "sqlite"])
def test_it_runs_with_store(tmp_path: Path, store: str) -> None:
    """`STORE` keeps the sessions on the server, and nothing is left when the demo is stopped."""
    port = free_port()

    with serving(tmp_path, PORT=str(port), STORE=store) as process:
        announced_port(process)
        page = fetch(port)
        process.terminate()
        output, _ = process.communicate(timeout=10)

    assert "Open the vault" in page
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"STORE": "punchcards"}, "Choose one: memory, filesystem, sqlite, redis"),
        ({"STORE": "redis", "REDIS_URL": "redis://127.0.0.1:1"}, "Redis cannot be used at 127.0.0.1:1"),
        ({"STORE": "redis", "REDIS_URL": "127.0.0.1"}, "Redis cannot be used at 127.0.0.1"),
    ],
)
def test_store_that_cannot_be_had_is_an_error(tmp_path: Path, environment: dict[str, str], told: str) -> None:
    """A STORE that there is not, or that nobody answers for, is told in one line, and nothing is served."""
    with serving(tmp_path, PORT=str(free_port()), **environment) as process:
        output, _ = process.communicate(timeout=10)

    assert process.returncode == 1
    assert told in output
    assert len(output.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
