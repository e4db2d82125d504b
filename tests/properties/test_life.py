"""The life of sessions under everything at once, against a model that knows the design's pages and not the code.

Visitors write, log in and out, wait up to the edges of the timeouts, open a second tab; the operator rotates keys; an
attacker keeps copies of cookies, uses them and plants them. After every step the browser's cookie is what the model
says.

A run takes the same steps every time, and shows a failure as it found it. `HARDSESSION_THOROUGH=50` takes 50 times as
many steps, others in every run, and spends up to five minutes on making a failure small.
"""

from __future__ import annotations

import json
import logging
import os
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import session
from freezegun import freeze_time
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hardsession import HardSession, Key, current_session

THOROUGH = int(os.environ.get("HARDSESSION_THOROUGH", "1"))
LIVE = settings(
    max_examples=80 * THOROUGH,
    stateful_step_count=50,
    derandomize=THOROUGH == 1,
    deadline=None,
    phases=list(Phase) if THOROUGH > 1 else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)

NAME = "__Host-Http-session"
START = int(datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC).timestamp())
IDENTITY = ("_user_id", "user_id", "username", "user", "uid", "account_id", "email", "logged_in")
PRIVILEGE = ("role", "roles", "permissions", "scopes", "groups", "is_admin", "is_staff", "mfa", "sudo")

hard = HardSession()


# The model


@dataclass(frozen=True)
class Cookie:
    """What is sealed in one cookie. Of a new id the model cannot know the handle: it learns it, and that it is new."""

    data: dict[str, Any]
    created: int
    seen: int
    expires: int
    authenticated: int = 0
    owner: str | None = None
    permanent: bool = False
    handle: str | None = None
    generation: int | None = None
    key: str = ""
    text: str = ""

    @property
    def payload(self) -> str:
        return json.dumps(self.data)


@dataclass
class Site:
    """What the server knows: the time, its settings, its keys, and every public handle it ever gave."""

    idle: int | None
    absolute: int
    sliding: bool
    now: int = START
    lifetime: int = 2_678_400
    permanent: bool = False
    keys: list[str] = field(default_factory=lambda: [Key.generate().text])
    handles: set[str] = field(default_factory=set)

    def timeouts(self, permanent: bool) -> tuple[float, int, int]:
        """Idle, absolute and touch: Flask's lifetime shortens a permanent session and never extends it."""
        idle, absolute = self.idle, self.absolute
        if permanent and self.sliding:
            idle = min(idle or self.lifetime, self.lifetime)
        elif permanent:
            absolute = min(absolute, self.lifetime)
        return idle or float("inf"), absolute, min(60, idle // 20) if idle else 60

    def limits(self, cookie: Cookie) -> tuple[float, int]:
        """When it is idle for too long, and when it is over in any case: its end was sealed when it began."""
        idle, absolute, _ = self.timeouts(cookie.permanent)
        return cookie.seen + idle, min(cookie.expires, cookie.created + absolute)

    def open(self, cookie: Cookie | None) -> tuple[Cookie | None, str | None]:
        """The session of a cookie, or why it is over. One under another key or from the future is none."""
        if cookie is None or cookie.key not in self.keys or max(cookie.created, cookie.seen) > self.now + 30:
            return None, None
        idle, absolute = self.limits(cookie)
        if self.now >= absolute:
            return None, "absolute_timeout"
        return (None, "idle_timeout") if self.now >= idle else (cookie, None)


class Visit:
    """One request: what the view does to the session, and what becomes of the cookie."""

    def __init__(self, site: Site, cookie: Cookie | None, *, active: bool = True) -> None:
        self.site, self.active, self.token_came = site, active, cookie is not None
        self.before, self.ended = site.open(cookie)
        self.current: Cookie | None = self.before
        self.data: dict[str, Any] = deepcopy(self.before.data) if self.before else {}
        self.assigned: set[str] = set()
        self.permanent = site.permanent
        self.touched = self.logged_in = self.logged_out = False
        self.known_as = _people(self.data)

    # What a view does

    def read(self) -> None:
        """Look, and change nothing."""

    def put(self, key: str, value: Any) -> None:
        self.data[key] = deepcopy(value)
        self.assigned.add(key)

    def drop(self, key: str) -> None:
        self.data.pop(key, None)

    def nest(self, item: int) -> None:
        if "cart" in self.data:
            self.data["cart"].append(item)

    def login(self, user: object, keep: tuple[str, ...] | None) -> None:
        """A new session of that user; the same one under a new id if it was his already."""
        same = self.current is not None and self.current.owner == str(user)
        if keep is not None:
            self._forget(self.data.keys() - set(keep))
        elif self.current and self.current.owner and not same:
            self._forget(self.data.keys())
        permanent = self.current.permanent if self.current else self.permanent
        old = self.current
        self.current = replace(self._begin(str(user), permanent), authenticated=self.site.now)
        if same and old:
            self.current = replace(self.current, handle=old.handle, generation=old.generation + 1)
        self.logged_in = True
        self.known_as = _people(self.data)

    def logout(self) -> None:
        self.clear()

    def clear(self) -> None:
        """The end of the session, but for Flask-Login's order to forget its own cookie."""
        forgets = self.data.get("_remember") == "clear"
        self.data.clear()
        if forgets:
            self.put("_remember", "clear")
        self.current = None
        self.permanent = self.site.permanent
        self.logged_in, self.logged_out = False, True

    def empty(self) -> None:
        self.data.clear()

    def regenerate(self) -> None:
        if self.current:
            self.current = replace(self.current, generation=self.current.generation + 1)

    def stay(self, permanent: bool) -> None:
        self.permanent = permanent
        if self.current:
            self.current = replace(self.current, permanent=permanent)

    # What becomes of it

    def leave(self) -> Cookie | str | None:
        """The cookie that the answer sets; "delete", or None where it says nothing."""
        if not self.touched:
            return None
        if self.before and self.current == self.before and json.dumps(self.data) == self.before.payload:
            due = self.site.now - self.before.seen >= self.site.timeouts(self.before.permanent)[2]
            return self._seal(self.before) if due and self.active else None
        if self.current is None and self.data:
            self.current = self._begin(_owner(self.data), self.permanent)
        elif self.current and (self.before or self.logged_in):
            self._conclude(self.current)
        if self.current:
            return self._seal(self.current)
        return "delete" if self.logged_out and self.token_came else None

    def _conclude(self, now: Cookie) -> None:
        """What the keys alone say: who is gone, who came, who may do more. A call to log in has said the rest."""
        before = self.before.data if self.before else {}
        if self.known_as and not _people(self.data):
            self.current = self._nobody(now)
            self.logged_out = True
            if not self.data:
                self.clear()
        elif self.logged_in:
            return
        elif before and not self.data and now.owner is None:
            self.clear()
        elif _people(self.data) != self.known_as:
            self._enter(now)
        elif any(before.get(key) != self.data.get(key) for key in PRIVILEGE):
            self.regenerate()

    def _enter(self, now: Cookie) -> None:
        """Somebody is named by a key. Only a user's id tells whether he is another; nothing tells that he proved it."""
        owner = _owner(self.data) if _owner(self.data) != _owner(self.known_as) else now.owner
        if owner is not None and owner == now.owner:
            self.current = replace(now, authenticated=0, generation=now.generation + 1)
            return
        if now.owner:
            self._forget(self.data.keys())
        self.current = self._nobody(now) if owner is None and self.known_as else self._begin(owner, now.permanent)

    def _nobody(self, now: Cookie) -> Cookie:
        """The session goes on, under a new handle; its clocks run on."""
        return replace(now, owner=None, authenticated=0, handle=None, generation=None)

    def _begin(self, owner: str | None, permanent: bool) -> Cookie:
        now = self.site.now
        return Cookie({}, now, now, now + self.site.absolute, owner=owner, permanent=permanent)

    def _seal(self, cookie: Cookie) -> Cookie:
        seen = max(cookie.seen, min(self.site.now, cookie.expires - 1)) if self.active else cookie.seen
        return replace(cookie, data=deepcopy(self.data), seen=seen, key=self.site.keys[0], text="")

    def _forget(self, names: Any) -> None:
        """Drop what this request did not assign itself."""
        for name in set(names) - self.assigned:
            self.data.pop(name, None)


def _owner(data: dict[str, Any]) -> str | None:
    ids = (data.get(key) for key in ("_user_id", "user_id"))
    return next((str(value) for value in ids if value not in (None, "")), None)


def _people(data: dict[str, Any]) -> dict[str, Any]:
    """Who the identity keys name. A key that holds nothing names nobody."""
    return {key: data[key] for key in IDENTITY if data.get(key) not in (None, "")}


# The real thing


class View:
    """The same deeds as in `Visit`, on `flask.session`."""

    read = staticmethod(lambda: session.get("theme"))
    put = staticmethod(lambda key, value: session.__setitem__(key, deepcopy(value)))
    drop = staticmethod(lambda key: session.pop(key, None))
    nest = staticmethod(lambda item: "cart" in session and session["cart"].append(item))
    login = staticmethod(lambda user, keep: hard.login(user, keep=keep))
    logout = staticmethod(lambda: hard.logout())
    clear = staticmethod(lambda: session.clear())
    empty = staticmethod(lambda: [session.pop(key) for key in list(session)])
    regenerate = staticmethod(lambda: hard.regenerate())
    stay = staticmethod(lambda permanent: setattr(session, "permanent", permanent))


def _moment(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def compare(visit: Visit) -> None:
    """What the view sees of its session at this moment is what the model says."""
    site, sealed = visit.site, visit.current
    assert json.dumps(dict(session)) == json.dumps(visit.data)
    assert bool(session) is bool(visit.data)
    assert current_session.ended == visit.ended
    assert current_session.new is (visit.before is None)
    assert current_session.permanent is (sealed.permanent if sealed else visit.permanent)
    if sealed is None:
        assert current_session.handle is current_session.created_at is current_session.expires_in is None
        return
    header = current_session.header
    if sealed.handle is None:
        assert current_session.handle not in site.handles
        site.handles.add(current_session.handle)
        visit.current = sealed = replace(sealed, handle=current_session.handle, generation=header.generation)
    assert (current_session.handle, header.generation) == (sealed.handle, sealed.generation)
    assert current_session.created_at == _moment(sealed.created)
    assert current_session.last_seen_at == _moment(sealed.seen)
    assert current_session.authenticated_at == _moment(sealed.authenticated)
    assert current_session.expires_in == timedelta(seconds=max(0, min(site.limits(sealed)) - site.now))
    assert (header.expires_at, header.metadata.owner) == (sealed.expires, sealed.owner)


# The steps


USERS = st.sampled_from((1, "1", 2, "ada"))
people = st.one_of(
    st.tuples(st.just("login"), USERS, st.sampled_from((None, None, ("cart",)))),
    st.tuples(st.just("put"), st.sampled_from(("user_id", "username")), USERS | st.none()),
    st.tuples(st.just("drop"), st.sampled_from(("user_id", "username"))),
    st.sampled_from((("logout",), ("clear",), ("empty",), ("regenerate",))),
)
deeds = st.one_of(
    people,
    people,
    st.just(("read",)),
    st.tuples(st.just("put"), st.sampled_from(("theme", "draft", "role", "_remember")), st.integers(0, 2)),
    st.sampled_from((("put", "_remember", "set"), ("put", "_remember", "clear"))),
    st.just(("put", "cart", [])),
    st.tuples(st.just("nest"), st.integers(0, 2)),
    st.tuples(st.just("drop"), st.sampled_from(("theme", "draft", "cart", "role"))),
    st.tuples(st.just("stay"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from((1, 60, 1800, 43200))),
)
views = st.lists(deeds, max_size=5)


class Life(RuleBasedStateMachine):
    """One visitor's browser, an attacker and an operator."""

    copies: Bundle[Cookie] = Bundle("copies")

    def __init__(self, make_app: Any, act: Any, clock: Any, folder: Path, config: dict[str, Any], site: Site) -> None:
        super().__init__()
        self.act, self.clock, self.site, self.file = act, clock, site, folder / "keys"
        self.make_app, self.config = make_app, config
        self.writes = 0
        self.write_keys()
        self.jar: Cookie | None = None
        self.move_to(START)
        self.deploy()

    # Visits

    @rule(view=views)
    def visit(self, view):
        """A page."""
        self.jar = self.request(self.browser, self.jar, view)

    @rule()
    def read(self):
        """A page that only reads: what it leaves behind is activity, if anything."""
        self.jar = self.request(self.browser, self.jar, [("read",)])

    @rule(view=views)
    def poll(self, view):
        """A page that is no activity."""
        self.jar = self.request(self.browser, self.jar, view, path="/poll")

    @rule(first=views, meanwhile=views, then=views)
    def second_tab(self, first, meanwhile, then):
        """A page that begins and ends while another one is still busy with the same cookie: the last one counts."""

        def other() -> None:
            self.jar = self.request(self.browser, self.jar, meanwhile)

        begun_with = self.jar
        self.jar = self.request(self.browser, begun_with, [*first, other, *then])

    # Time

    @rule(seconds=st.sampled_from((1, 14, 15, 29, 30, 59, 60, 299, 300, 899, 1799, 1800, 43199, 43200)))
    def tick(self, seconds):
        """Time passes."""
        self.move_to(self.site.now + seconds)

    @rule(seconds=st.sampled_from((1, 30, 31, 100)))
    def another_clock(self, seconds):
        """The next answer comes from an instance whose clock is behind."""
        self.move_to(self.site.now - seconds)

    @precondition(lambda self: self.jar is not None)
    @rule(past=st.sampled_from((-1, 0, 1)))
    def to_the_touch_interval(self, past):
        """A page is read when activity is just about to be written down."""
        self.read_at(self.jar.seen + self.site.timeouts(self.jar.permanent)[2] + past)

    @precondition(lambda self: self.jar is not None)
    @rule(past=st.sampled_from((-1, 0, 1)))
    def to_the_idle_timeout(self, past):
        """A page is read when the session was idle for just as long as it may be."""
        self.read_at(self.site.limits(self.jar)[0] + past)

    @precondition(lambda self: self.jar is not None)
    @rule(past=st.sampled_from((-1, 0, 1)))
    def to_the_absolute_timeout(self, past):
        """A page is read when the session ends whatever happens."""
        self.read_at(self.site.limits(self.jar)[1] + past)

    # The operator

    @precondition(lambda self: len(self.site.keys) < 4)
    @rule()
    def add_key(self):
        """A new key seals from now on; the others still open."""
        self.site.keys.insert(0, Key.generate().text)
        self.write_keys()

    @precondition(lambda self: len(self.site.keys) > 1)
    @rule()
    def remove_oldest_key(self):
        """What was sealed with the oldest key opens no more."""
        self.site.keys.pop()
        self.write_keys()

    @rule(idle=st.sampled_from((300, 1800, 3600)), absolute=st.sampled_from((3600, 43200, 86400)))
    def redeploy(self, idle, absolute):
        """A new process with other timeouts and the same keys: a longer absolute timeout extends no session."""
        self.site.idle, self.site.absolute = self.site.idle and idle, absolute
        self.deploy(SESSION_IDLE_TIMEOUT=self.site.idle, SESSION_ABSOLUTE_TIMEOUT=absolute)

    @rule(lifetime=st.sampled_from((200, 7200, 2_678_400)))
    def set_lifetime(self, lifetime):
        """Flask's lifetime of permanent sessions, which is read in every request."""
        self.site.lifetime = self.app.config["PERMANENT_SESSION_LIFETIME"] = lifetime

    # The attacker

    @precondition(lambda self: self.jar is not None)
    @rule(target=copies)
    def keep_a_copy(self):
        """The attacker keeps the cookie as it is now."""
        return self.jar

    @rule(target=copies, copy=copies, view=views)
    def replay(self, copy, view):
        """A kept cookie is as good as it was, for as long as its clocks run, and leaves the browser's alone."""
        browser = self.app.test_client()
        browser.set_cookie(NAME, copy.text)
        return self.request(browser, copy, view) or copy

    @rule(copy=copies)
    def plant(self, copy):
        """The attacker, or a restored backup, puts a kept cookie into the browser."""
        self.browser.set_cookie(NAME, copy.text)
        self.jar = copy

    # What always holds

    @invariant()
    def browser_holds_what_the_model_says(self):
        """The cookie's text is the one last set, and what it opens to is what the model says."""
        held = self.browser.get_cookie(NAME)
        assert (held and held.value) == (self.jar and self.jar.text)
        self.look_at(self.jar)

    # How it is done

    def request(self, client: Any, cookie: Cookie | None, view: list[Any], path: str = "/") -> Cookie | None:
        """What the browser holds after a request, in which the view and the model did the same."""
        visit = Visit(self.site, cookie, active=path != "/poll")

        def real() -> None:
            for deed in view:
                if callable(deed):
                    deed()
                elif deed[0] == "wait":
                    self.move_to(self.site.now + deed[1])
                else:
                    name, *args = deed
                    visit.touched = True
                    getattr(View, name)(*args)
                    getattr(visit, name)(*args)
                    compare(visit)

        nested = any(map(callable, view))
        answer = self.act(client, real, path)
        verdict = visit.leave()

        assert answer.response.status_code == 200
        assert answer.response.headers.get("Vary") == ("Cookie" if visit.touched else None)
        assert answer.response.headers.get("Cache-Control") == ("no-store" if verdict else None)
        if verdict is None:
            assert answer.cookies == []
            return self.jar if nested else cookie
        [header] = answer.cookies
        value, *attributes = header.removeprefix(f"{NAME}=").split("; ")
        if verdict == "delete":
            assert value == ""
            assert "Max-Age=0" in attributes
            return None
        lasts = [f"Max-Age={max(0, self.site.limits(verdict)[1] - self.site.now)}"] if verdict.permanent else []
        assert [text for text in attributes if text.startswith("Max-Age")] == lasts
        cookie = replace(verdict, text=value)
        sealed = self.look_at(cookie).current
        if sealed is None:  # a view that outlasted its session: nobody will miss this cookie
            client.delete_cookie(NAME)
            return None
        return replace(cookie, handle=sealed.handle, generation=sealed.generation)

    def read_at(self, moment: float) -> None:
        """Read a page at a moment that is yet to come."""
        if self.site.now <= moment < float("inf"):
            self.move_to(moment)
            self.read()

    def look_at(self, cookie: Cookie | None) -> Visit:
        """Open a cookie in a request of its own whose answer nobody keeps."""
        visit = Visit(self.site, cookie)
        client = self.app.test_client(use_cookies=False)
        self.act(client, partial(compare, visit), headers={"Cookie": f"{NAME}={cookie.text}"} if cookie else {})
        return visit

    def deploy(self, **config: Any) -> None:
        """Start the application anew. The browser knows nothing of it."""
        self.app = self.make_app(
            SESSION_SECRET_KEYS=None,
            SESSION_SECRET_KEYS_FILE=str(self.file),
            SESSION_PASSIVE_ENDPOINTS=["poll"],
            PERMANENT_SESSION_LIFETIME=self.site.lifetime,
            **self.config | config,
        )
        self.browser = self.app.test_client()
        if self.jar:
            self.browser.set_cookie(NAME, self.jar.text)

    def move_to(self, now: int) -> None:
        self.site.now = now
        self.clock.move_to(datetime.fromtimestamp(now, UTC))

    def write_keys(self) -> None:
        """Write the file of keys, at a time of its own, so that the library sees that it changed."""
        self.writes += 1
        self.file.write_text("\n".join(self.site.keys))
        os.utime(self.file, (START + self.writes,) * 2)


@pytest.mark.parametrize(
    ("config", "site"),
    [
        ({}, {"idle": 1800, "absolute": 43200, "sliding": True}),
        (
            {"SESSION_PROFILE": "high", "SESSION_PERMANENT": True},
            {"idle": 300, "absolute": 14400, "sliding": True, "lifetime": 200, "permanent": True},
        ),
        (
            {"SESSION_PROFILE": "aal1", "SESSION_REFRESH_EACH_REQUEST": False},
            {"idle": None, "absolute": 2_592_000, "sliding": False},
        ),
    ],
    ids=["standard", "high and permanent", "aal1 without sliding"],
)
def test_life(make_app, act, tmp_path, caplog, config, site):
    """Whatever visitors, operator and attacker do, every session holds, says and lasts what the design promises."""
    caplog.set_level(logging.CRITICAL, "hardsession")
    with freeze_time(datetime.fromtimestamp(START, UTC), ignore=["hypothesis"]) as clock:
        run_state_machine_as_test(lambda: Life(make_app, act, clock, tmp_path, config, Site(**site)), settings=LIVE)
