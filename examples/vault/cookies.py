"""What a cookie's text tells those who hold it."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from string import ascii_lowercase, ascii_uppercase, digits

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer


def as_flask_would(app: Flask, session: Mapping[str, object]) -> str:
    """Return the cookie that Flask's own session would have set for the same content."""
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None, "SECRET_KEY is set in create_app"
    return str(signer.dumps(dict(session)))


def read_without_key(flask_cookie: str) -> str:
    """Return what Flask's cookie says. It is signed, not encrypted, so any key will do to read it."""
    _, content = URLSafeTimedSerializer("not the key").loads_unsafe(flask_cookie)
    return json.dumps(content, indent=2, ensure_ascii=False)


def key_id(sealed_cookie: str) -> str:
    """Return the name of the key that sealed a cookie: its bytes 4 to 8, the last that anyone can read."""
    return urlsafe_b64decode(sealed_cookie[:12])[4:8].hex()


def flip_one_bit(cookie: str) -> str:
    """Return the cookie with one bit changed, in the middle of its ciphertext."""
    middle = len(cookie) // 2
    return cookie[:middle] + cookie[middle : middle + 1].translate(_NEIGHBOURS) + cookie[middle + 1 :]


_BASE64URL = ascii_uppercase + ascii_lowercase + digits + "-_"
_NEIGHBOURS = str.maketrans({letter: _BASE64URL[i ^ 1] for i, letter in enumerate(_BASE64URL)})
