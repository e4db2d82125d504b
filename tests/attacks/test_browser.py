"""What a real browser makes of the attacks that depend on it: Chromium, with TLS, on names of its own.

The application is at https://www.app.test. The attacker has the sibling https://evil.app.test and the unrelated
https://evil.test, and on the wire he answers for http://www.app.test. Plain http on localhost would prove nothing:
Chromium treats it like https, and keeps Secure and prefixed cookies there.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, Response, request, session
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import make_server

from hardsession import HardSession, current_session

NAME = "__Host-Http-session"
GARBAGE = "hs1_" + "A" * 200


@pytest.fixture(scope="module")
def certificate() -> trustme.LeafCert:
    """What the servers show, for every name in this file."""
    return trustme.CA().issue_cert("www.app.test", "evil.app.test", "evil.test")


@pytest.fixture(scope="module")
def chromium(certificate: trustme.LeafCert, tmp_path_factory: Any, untested: Callable[[str], None]) -> Iterator[Any]:
    """A browser that resolves `*.test` to this machine, resolves nothing else, and trusts that one certificate."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        untested("real browsers (`make servers` installs chromium and chromium-driver)")
    leaf = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes())
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
        "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={base64.b64encode(hashlib.sha256(key).digest()).decode()}",
    ):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Any) -> Any:
    """The victim's browser, with an empty jar."""
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    return chromium


@pytest.fixture
def serve(certificate: trustme.LeafCert) -> Iterator[Callable[..., int]]:
    """Serve an application on 127.0.0.1 until the test ends, with or without TLS, and give its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    servers = []

    def start(app: Flask, *, tls: bool = True) -> int:
        server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context if tls else None)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((server, thread))
        return server.server_port

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Jar:
    """What the browser keeps, as its developer tools show it."""

    browser: Any

    def __call__(self) -> list[dict[str, Any]]:
        return self.browser.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]  # type: ignore[no-any-return]

    def named(self, name: str) -> list[str]:
        """The values of the cookies of a name."""
        return [cookie["value"] for cookie in self() if cookie["name"] == name]


@pytest.fixture
def jar(browser: Any) -> Jar:
    return Jar(browser)


@dataclass
class Shop:
    """The application, as the victim's browser sees it."""

    app: Flask
    browser: Any
    port: int
    plain_port: int

    def visit(self, what: Callable[[], Any], path: str = "/", *, scheme: str = "https") -> Any:
        """Open a page of the application whose view does something, and give what it came to."""
        values: list[Any] = []
        # A browser asks for an icon as well, and the view must not act twice.
        self.app.extensions["act"] = lambda: values.append(what()) if request.path == path else None
        port = self.port if scheme == "https" else self.plain_port
        self.browser.get(f"{scheme}://www.app.test:{port}{path}")
        return values[0]

    def read(self, path: str = "/") -> dict[str, Any]:
        """What the victim's session holds."""
        return self.visit(lambda: dict(session), path)  # type: ignore[no-any-return]

    def log_in(self) -> None:
        """Log the victim in, who then writes a draft."""
        self.visit(lambda: (HardSession().login("ada"), session.update(draft="Ada's")))


@pytest.fixture
def open_shop(make_app: Callable[..., Flask], serve: Callable[..., int], browser: Any) -> Callable[..., Shop]:
    """Open an application with these settings, with TLS and without."""

    def start(**config: Any) -> Shop:
        app = make_app(**config)
        return Shop(app, browser, serve(app), serve(app, tls=False))

    return start


@dataclass
class Evil:
    """The attacker's pages. The victim's browser opens them, and they try to set cookies."""

    browser: Any
    port: int
    plain_port: int
    headers: list[str] = field(default_factory=list)

    def by_header(self, *cookies: str, host: str = "evil.app.test", scheme: str = "https") -> None:
        """Set cookies from a page of the attacker's, by the headers of its answer."""
        self.headers[:] = cookies
        self.browser.get(f"{scheme}://{host}:{self.port if scheme == 'https' else self.plain_port}/")
        self.headers.clear()

    def by_script(self, *cookies: str, host: str = "evil.app.test") -> None:
        """Set cookies from a page of the attacker's, by a script in it."""
        self.by_header(host=host)
        run_script(self.browser, *cookies)

    def on_the_wire(self, *cookies: str) -> None:
        """Answer for the application itself, where the victim can be made to ask without TLS."""
        self.by_header(*cookies, host="www.app.test", scheme="http")


def run_script(browser: Any, *cookies: str) -> None:
    """Set cookies by a script in the page that is open."""
    for cookie in cookies:
        browser.execute_script("document.cookie = arguments[0]", cookie)


@pytest.fixture
def evil(serve: Callable[..., int], browser: Any) -> Evil:
    pages = Flask("evil")
    headers: list[str] = []

    @pages.route("/")
    def page() -> Response:
        return Response("<title>evil</title>", headers=[("Set-Cookie", cookie) for cookie in headers])

    return Evil(browser, serve(pages), serve(pages, tls=False), headers)


WAYS = {
    "a sibling's header": lambda evil, cookie: evil.by_header(f"{cookie}; Domain=app.test; Path=/; Secure; HttpOnly"),
    "a sibling's header for a path": lambda evil, cookie: evil.by_header(
        f"{cookie}; Domain=app.test; Path=/desk; Secure"
    ),
    "a sibling's header without a domain": lambda evil, cookie: evil.by_header(f"{cookie}; Path=/; Secure; HttpOnly"),
    "a sibling's script": lambda evil, cookie: evil.by_script(f"{cookie}; Domain=app.test; Path=/; Secure"),
    "a sibling without TLS": lambda evil, cookie: evil.by_header(f"{cookie}; Domain=app.test; Path=/", scheme="http"),
    "the wire": lambda evil, cookie: evil.on_the_wire(f"{cookie}; Path=/"),
    "the wire, claiming Secure": lambda evil, cookie: evil.on_the_wire(f"{cookie}; Path=/; Secure; HttpOnly"),
    "another site": lambda evil, cookie: evil.by_header(f"{cookie}; Path=/; Secure", host="evil.test"),
}


class TestFixationByPlantedCookie:
    """The attacker has an anonymous session, and wants it in the victim's browser."""

    @pytest.mark.parametrize("way", WAYS)
    def test_prefixed_name_cannot_be_planted(self, open_shop, evil, attacker, act, way):
        """Under our own name, no page but the application's can plant a session that the application then reads."""
        shop = open_shop()
        mallory = shop.app.test_client()
        act(mallory, lambda: session.update(cart=["planted"]))

        WAYS[way](evil, f"{NAME}={attacker.steals(mallory)}")

        assert shop.read() == {}
        assert shop.read("/desk/") == {}

    def test_planted_session_is_left_behind_at_the_login(self, open_shop, evil, attacker, act, jar):
        """Under a name without a prefix it can be planted, and the victim's login is none of the attacker's copy."""
        shop = open_shop(SESSION_COOKIE_NAME="sid")
        mallory = shop.app.test_client()
        act(mallory, lambda: session.update(cart=["planted"], csrf_token="known"))
        planted = attacker.steals(mallory, "sid")
        evil.by_header(f"sid={planted}; Domain=app.test; Path=/; Secure; HttpOnly")
        assert shop.read() == {"cart": ["planted"], "csrf_token": "known"}

        shop.log_in()  # sets a second cookie beside the planted one
        shop.read()  # refuses the pair and expires both
        shop.log_in()

        assert shop.read() == {"draft": "Ada's"}
        assert planted not in jar.named("sid")
        attacker = attacker.against(shop.app)
        assert attacker.shows(planted, name="sid").value == {"cart": ["planted"], "csrf_token": "known"}
        assert (
            attacker.shows(planted, lambda: session.get("x") or current_session.authenticated_at, name="sid").value
            is None
        )


class TestDuplicateCookies:
    """The attacker tosses a second cookie of our name in beside the victim's."""

    @pytest.mark.parametrize("way", WAYS)
    def test_prefixed_name_cannot_be_doubled(self, open_shop, evil, events, jar, way):
        """Under our own name the victim's cookie stays the only one, and she stays logged in."""
        shop = open_shop()
        shop.log_in()

        WAYS[way](evil, f"{NAME}={GARBAGE}")

        assert shop.read() == {"draft": "Ada's"}
        assert shop.read("/desk/") == {"draft": "Ada's"}
        assert "session_rejected" not in [name for name, _ in events]

    @pytest.mark.parametrize(
        ("host", "attributes"),
        [
            ("evil.app.test", "Domain=app.test; Path=/"),
            ("evil.app.test", "Domain=app.test; Path=/desk"),
            ("www.app.test", "Path=/desk/inbox"),
        ],
        ids=["a sibling", "a sibling, for a path", "another application of this host"],
    )
    def test_pair_is_refused_and_then_gone(self, open_shop, evil, jar, host, attributes):
        """Under a name without a prefix the pair is refused once, and the answer makes the browser forget both."""
        shop = open_shop(SESSION_COOKIE_NAME="sid")
        shop.log_in()
        evil.by_header(f"sid={GARBAGE}; Secure; {attributes}", host=host)
        assert len(jar.named("sid")) == 2

        refused = shop.read("/desk/inbox/")

        assert refused == {}
        assert jar.named("sid") == []
        shop.log_in()
        assert shop.read("/desk/inbox/") == {"draft": "Ada's"}

    @pytest.mark.parametrize("attributes", ["Domain=app.test; Path=/desk", "Path=/desk/inbox"])
    def test_pair_of_a_secure_name_is_refused_and_then_gone(self, open_shop, evil, jar, attributes):
        """`__Secure-`, our name for a cookie with a Domain, can be set by a sibling with TLS: its pair is cured too."""
        shop = open_shop(SESSION_COOKIE_DOMAIN="app.test")
        shop.log_in()
        host = "evil.app.test" if "Domain" in attributes else "www.app.test"
        evil.by_header(f"__Secure-session={GARBAGE}; Secure; {attributes}", host=host)
        assert len(jar.named("__Secure-session")) == 2

        assert shop.read("/desk/inbox/") == {}

        assert jar.named("__Secure-session") == []
        shop.log_in()
        assert shop.read("/desk/inbox/") == {"draft": "Ada's"}

    @pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
    def test_change_of_partitioned_locks_nobody_out(self, make_app, open_shop, browser, jar, before, after):
        """A browser with a cookie from before SESSION_COOKIE_PARTITIONED was changed recovers by itself."""
        keys = make_app().config["SESSION_SECRET_KEYS"]
        open_shop(SESSION_SECRET_KEYS=keys, SESSION_COOKIE_PARTITIONED=before).log_in()
        shop = open_shop(SESSION_SECRET_KEYS=keys, SESSION_COOKIE_PARTITIONED=after)
        shop.visit(lambda: session.update(draft="Ada's second"))
        assert len(jar.named(NAME)) == 2

        assert shop.read() == {}

        assert jar.named(NAME) == []
        shop.log_in()
        assert shop.read() == {"draft": "Ada's"}


LOOKALIKES = [
    NAME.lower(),
    NAME.upper(),
    "__Host-http-session",
    "__Host-Http-Session",
    f"\u2003{NAME}",
    f"\u3000{NAME}",
    f"\xa0{NAME}",
    f"\x85{NAME}",
    f"\x0b{NAME}",
    f"\t {NAME}",
    f"\ufeff{NAME}",
    f"\u200b{NAME}",
    f"{NAME}\u2003",
    f"{NAME}\u200b",
    "__Ho\u0455t-Http-session",
    "\uff3f\uff3fHost-Http-session",
    "%5F_Host-Http-session",
    f"={NAME}",
    f"= {NAME}",
    f"=\t{NAME}",
    f"=\u2003{NAME}",
    f"x=1;{NAME}",
    f"x=1,{NAME}",
    f'"{NAME}"',
]


class TestPrefixByCaseAndUnicode:
    """The attacker plants names that a browser lets through, and that a careless server takes for ours."""

    @pytest.mark.parametrize("host", ["evil.app.test", "www.app.test"])
    def test_lookalikes_neither_replace_nor_disturb_the_victims(self, open_shop, evil, events, host):
        """Beside all lookalikes, set by a sibling or by a script on the application's own host, she stays herself."""
        shop = open_shop()
        shop.log_in()

        evil.by_script(*(f"{name}={GARBAGE}; Domain=app.test; Path=/; Secure" for name in LOOKALIKES), host=host)

        assert shop.read() == {"draft": "Ada's"}
        assert "session_rejected" not in [name for name, _ in events]

    @pytest.mark.parametrize("host", ["evil.app.test", "www.app.test"])
    def test_lookalikes_are_not_read(self, open_shop, evil, attacker, log_in, jar, host):
        """A valid session of the attacker's under a lookalike is not taken for the victim's."""
        shop = open_shop()
        token = attacker.steals(log_in(shop.app, "mallory", address="Mallory's"))

        evil.by_script(*(f"{name}={token}; Domain=app.test; Path=/; Secure" for name in LOOKALIKES), host=host)

        assert shop.read() == {}
        let_through = [cookie["name"] for cookie in jar() if not cookie["name"].isascii()]
        assert let_through, "the browser takes none of them any more: find others, or nothing is shown"


class TestCookiePlantedByScript:
    """The attacker's script runs in a page of the application."""

    def test_script_does_not_see_the_session(self, open_shop, browser):
        """The script can read other cookies, and not the session's."""
        shop = open_shop()
        shop.log_in()

        run_script(browser, "theme=dark; Secure; Path=/")

        assert browser.execute_script("return document.cookie") == "theme=dark"

    @pytest.mark.parametrize("attributes", ["Secure; Path=/", "Secure; Path=/; HttpOnly", "Secure; Path=/; Max-Age=0"])
    def test_script_can_neither_replace_nor_delete_it(self, open_shop, browser, attributes):
        """What the script writes under our name leaves the victim's session as it is."""
        shop = open_shop()
        shop.log_in()

        run_script(browser, f"{NAME}={GARBAGE}; {attributes}", f"{NAME}=; {attributes}")

        assert shop.read() == {"draft": "Ada's"}

    @pytest.mark.parametrize("attributes", ["Secure; Path=/", "Secure; Path=/; HttpOnly", "Secure; Path=/desk"])
    def test_script_cannot_plant_one_where_there_is_none(self, open_shop, browser, attacker, log_in, attributes):
        """Nor can it put the attacker's own session into a browser that has none (`__Host-Http-`)."""
        shop = open_shop()
        token = attacker.steals(log_in(shop.app, "mallory", address="Mallory's"))
        shop.visit(lambda: None)

        run_script(browser, f"{NAME}={token}; {attributes}")

        assert shop.read() == {}
        assert shop.read("/desk/") == {}

    def test_flooded_jar_costs_the_session_but_replaces_it_with_none(self, open_shop, browser, attacker, log_in, jar):
        """A script that fills the jar until the session falls out still cannot put another in its place."""
        shop = open_shop()
        token = attacker.steals(log_in(shop.app, "mallory", address="Mallory's"))
        shop.log_in()

        browser.execute_script("for (let i = 0; i < 400; i++) document.cookie = `flood${i}=1; Secure; Path=/`")
        run_script(browser, f"{NAME}={token}; Secure; Path=/")

        assert shop.read() in ({}, {"draft": "Ada's"})
        assert token not in jar.named(NAME)


class TestPlainHttp:
    """The attacker listens where there is no TLS."""

    def test_session_never_goes_over_the_wire(self, open_shop):
        """The cookie of https is not sent on http, to the same name."""
        shop = open_shop()
        shop.log_in()

        assert shop.visit(lambda: request.headers.get("Cookie"), scheme="http") is None
        assert shop.read() == {"draft": "Ada's"}

    def test_session_is_not_kept_from_the_wire(self, open_shop, jar):
        """A cookie that was set on plain http is dropped by the browser, which is what the warning is about."""
        shop = open_shop()

        shop.visit(lambda: session.update(a=1), scheme="http")

        assert jar() == []

    def test_development_without_tls_works_when_asked_for(self, open_shop, jar):
        """With SESSION_ALLOW_PLAIN_HTTP the browser keeps it."""
        shop = open_shop(SESSION_ALLOW_PLAIN_HTTP=True)

        shop.visit(lambda: session.update(a=1), scheme="http")

        assert shop.visit(lambda: dict(session), scheme="http") == {"a": 1}


class TestWhatTheBrowserKeeps:
    """Attributes, deletion and size, as a browser understands them."""

    SETTINGS = pytest.mark.parametrize(
        "config",
        [
            {},
            {"SESSION_COOKIE_PARTITIONED": True},
            {"SESSION_COOKIE_DOMAIN": "app.test"},
            {"SESSION_COOKIE_PATH": "/desk"},
            {"SESSION_COOKIE_HTTPONLY": False},
            {"SESSION_COOKIE_SAMESITE": "Strict"},
            {"SESSION_COOKIE_NAME": "sid"},
            {"SESSION_PERMANENT": True},
        ],
        ids=lambda config: next(iter(config), "default"),
    )

    @SETTINGS
    def test_logout_empties_the_jar(self, open_shop, jar, config):
        """With any settings, the browser keeps the cookie that it is given, and forgets it at the logout."""
        shop = open_shop(**config)

        shop.visit(lambda: (HardSession().login("ada"), session.update(draft="Ada's")), "/desk/")
        kept, read = jar(), shop.read("/desk/")
        shop.visit(lambda: HardSession().logout(), "/desk/")

        assert len(kept) == 1
        assert read == {"draft": "Ada's"}
        assert jar() == []

    def test_attributes_arrive(self, open_shop, jar):
        """The browser has the cookie for this host alone, secure, hidden from scripts, Lax, for its own session."""
        open_shop().log_in()

        [cookie] = jar()

        assert {
            key: cookie[key] for key in ("name", "domain", "path", "secure", "httpOnly", "sameSite", "session")
        } == {
            "name": NAME,
            "domain": "www.app.test",
            "path": "/",
            "secure": True,
            "httpOnly": True,
            "sameSite": "Lax",
            "session": True,
        }

    def test_largest_session_is_kept(self, open_shop, act, jar):
        """The largest session that we let through, of 4096 bytes at the most, the browser keeps."""
        shop = open_shop(SESSION_COOKIE_OVERSIZE="keep")
        client = shop.app.test_client()
        for size in range(2800, 3000):
            act(client, lambda size=size: session.update(comment="x" * size))
        largest = len(act(client, lambda: session["comment"]).value)

        shop.visit(lambda: session.update(comment="x" * largest))

        assert shop.read() == {"comment": "x" * largest}
        assert 4093 <= len(NAME) + len(jar.named(NAME)[0]) <= 4096

    def test_other_sites_requests_come_without_it(self, open_shop, evil, browser):
        """A page of another site that loads something of ours does so without the victim's session."""
        shop = open_shop()
        shop.log_in()
        seen: list[Any] = []
        shop.app.extensions["act"] = lambda: seen.append(dict(session)) if request.path == "/target" else None
        evil.by_header(host="evil.test")

        browser.execute_async_script(
            "const done = arguments[1];fetch(arguments[0], {mode: 'no-cors', credentials: 'include'}).then(done, done)",
            f"https://www.app.test:{shop.port}/target",
        )

        assert seen == [{}]
        assert shop.read() == {"draft": "Ada's"}


def arrivals(app: Flask) -> None:
    """Let an application say in a page's title whose draft it sees, whatever brings the visitor there."""

    @app.route("/callback", methods=["GET", "POST"])
    def callback() -> str:
        return f"<title>{session.get('draft', 'nobody')}</title>"

    @app.post("/answer")
    def answer() -> str:
        return "<form method=post action=/callback></form><script>document.forms[0].submit()</script>"


def go(browser: Any, url: str, method: str) -> str:
    """Go to a page by a form in the one that is open, and give the title where that ends."""
    browser.execute_script(
        "const form = document.body.appendChild(document.createElement('form'));"
        "form.action = arguments[0]; form.method = arguments[1]; form.submit()",
        url,
        method,
    )
    WebDriverWait(browser, 20).until(lambda browser: browser.title in ("Ada's", "nobody"))
    return str(browser.title)


class TestAnswerOfAnotherSite:
    """Another site sends the browser back with an answer, as an identity provider does, or forges one."""

    @pytest.mark.parametrize(
        ("path", "method", "sees"),
        [("callback", "get", "Ada's"), ("callback", "post", "nobody"), ("answer", "post", "Ada's")],
        ids=["by a link", "by a form", "by a form, and a page of ours that posts it again"],
    )
    def test_session_comes_with_a_link_and_with_our_own_form(self, open_shop, evil, browser, path, method, sees):
        """An answer by GET has the session, one by POST has it only once a page of ours has posted it again."""
        shop = open_shop()
        arrivals(shop.app)
        shop.log_in()
        evil.by_header(host="evil.test")

        assert go(browser, f"https://www.app.test:{shop.port}/{path}", method) == sees

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_partitioned_session_comes_with_any_form(self, open_shop, evil, browser, method):
        """With SameSite=None a form of another site comes with the session, partitioned or not: it can be forged."""
        shop = open_shop(SESSION_COOKIE_SAMESITE="None", SESSION_COOKIE_PARTITIONED=True)
        arrivals(shop.app)
        shop.log_in()
        evil.by_header(host="evil.test")

        assert go(browser, f"https://www.app.test:{shop.port}/callback", method) == "Ada's"


class TestInsideAnotherSite:
    """The application in a frame of another site."""

    @pytest.mark.parametrize(
        ("config", "counts"),
        [({}, [1, 1]), ({"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_PARTITIONED": True}, [1, 2])],
        ids=["by default", "partitioned"],
    )
    def test_session_of_the_frame(self, open_shop, evil, browser, config, counts):
        """By default a frame has no session; a partitioned one is kept, and is another than the one at the top."""
        shop = open_shop(**config)

        @shop.app.route("/count")
        def count() -> str:
            session["count"] = session.get("count", 0) + 1
            return f"<p>{session['count']}</p>"

        seen = []
        for _ in range(2):
            evil.by_header(host="evil.test")
            browser.execute_script(
                "document.body.appendChild(document.createElement('iframe')).src = arguments[0]",
                f"https://www.app.test:{shop.port}/count",
            )
            WebDriverWait(browser, 20).until(expected_conditions.frame_to_be_available_and_switch_to_it(0))
            shown = WebDriverWait(browser, 20).until(lambda frame: frame.find_elements(By.TAG_NAME, "p"))
            seen.append(int(shown[0].text))
            browser.switch_to.default_content()
        browser.get(f"https://www.app.test:{shop.port}/count")
        at_the_top = browser.find_element(By.TAG_NAME, "p").text

        assert seen == counts
        assert at_the_top == "1"
