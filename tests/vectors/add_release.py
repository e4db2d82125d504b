"""Add the tokens of the installed version to released_tokens.json: `python -m tests.vectors.add_release`.

Done once for each release; every later version opens them. It prints the line that pins them in
`tests/test_vectors.py`.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask, session
from freezegun import freeze_time
from markupsafe import Markup

from hardsession import HardSession, Key, __version__
from hardsession.crypto.encoding import to_text
from hardsession.crypto.keys import KeyRing, RingKey
from tests import comparable
from tests.vectors.make_hs1 import APP, EVERYTHING, FIELDS, MATERIAL, NAMES, NOW, PLACES, key_text, place_fields

FILE = Path(__file__).with_name("released_tokens.json")
ABOUT = [
    "One token of each purpose from every release, made by that release. Nothing here is ever changed or removed.",
    "The key is as public as this file and protects nothing. 'places' are as in hs1.json.",
    "'opened' is what the token said when it was made; 'data' is the repr of what the application had stored.",
]
KEY = key_text(MATERIAL["newest"])
RING = KeyRing([RingKey.derive(Key(KEY).material())])
COOKIE_NAME = PLACES["session"].carrier.removeprefix("cookie:")
DATA = {
    "cart": ["rake", {"count": 2, "price": 12.5}],
    "tuple": (1, None),
    "bytes": b"\x00\xff",
    "markup": Markup("<b>bold</b>"),
    "uuid": UUID(int=7),
    "datetime": datetime(2027, 1, 15, 8, 0, 0, 123456, tzinfo=UTC),
    "date": date(2027, 1, 15),
    "timedelta": timedelta(days=1, microseconds=1),
    "decimal": Decimal("1.10"),
    "set": {1},
    "frozenset": frozenset({"a"}),
    "number": 2**70,
    "text": "zo\u00eb",
    "map": {1: "one", "two": {" t": "no tag"}},
}


def empty() -> dict[str, Any]:
    """The file before the first release."""
    places = {name: place_fields(PLACES[name]) for name in NAMES.values()}
    return {"about": ABOUT, "now": NOW, "key": KEY, "places": places, "releases": []}


def release() -> dict[str, Any]:
    """One token of each purpose, made by the installed version."""
    tokens = [token("session", logged_in()) | {"data": repr(DATA)}]
    for purpose, where in NAMES.items():
        if where != "session":
            fields = FIELDS[purpose] | (EVERYTHING if where == "record" else {})
            blob = comparable.seal(comparable.pack(purpose, fields), RING, PLACES[where])
            tokens.append(token(where, to_text(blob)))
    return {"version": __version__, "tokens": tokens}


def token(where: str, text: str) -> dict[str, Any]:
    return {"place": where, "opened": comparable.read(text, RING, PLACES[where], NOW), "blob": text}


def logged_in() -> str:
    """The cookie of a user who has logged in and stored a value of each type."""
    app = Flask(__name__)
    app.config.update(SESSION_SECRET_KEYS=[KEY], SESSION_APP_ID=APP, SESSION_COOKIE_NAME=COOKIE_NAME)
    hard = HardSession(app)

    @app.route("/")
    def view() -> str:
        session.update(DATA)
        hard.login("ada")
        return ""

    client = app.test_client()
    with freeze_time(datetime.fromtimestamp(NOW, UTC)):
        client.get("/")
        cookie = client.get_cookie(COOKIE_NAME)
    assert cookie is not None
    return cookie.value


def digest(release: dict[str, Any]) -> str:
    """What pins a release's tokens."""
    return sha256(json.dumps(release, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    document = json.loads(FILE.read_text("utf-8")) if FILE.exists() else empty()
    assert __version__ not in [release["version"] for release in document["releases"]]
    document["releases"].append(release())
    FILE.write_text(json.dumps(document, indent=1) + "\n", "utf-8", newline="\n")
    print(f'    "{__version__}": "{digest(document["releases"][-1])}",')
