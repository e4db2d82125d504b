"""The scripts of a popular tutorial on flask-session: they run here with the import and one line changed.

Each is written as it is for flask-session, but for the addresses of the servers. `run` makes the two changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient

from hardsession.stores.filesystem import FilesystemStore
from hardsession.stores.memcached import MemcachedStore
from hardsession.stores.mongodb import MongoDBStore
from hardsession.stores.redis import RedisStore
from hardsession.stores.sqlalchemy import SQLAlchemyStore
from tests.servers import Server
from tests.servers.mariadb import MariaDB
from tests.servers.memcached import Memcached
from tests.servers.mongodb import MongoDB
from tests.servers.redis import RedisWithPassword

VIEWS = """

@app.route('/index')
def index():
    session['k1'] = 'v1'
    session.setdefault('visits', []).append('index')
    return 'xx'


@app.route('/show')
def show():
    return {'k1': session.get('k1'), 'visits': session.get('visits')}


@app.route('/forget')
def forget():
    session.clear()
    return 'xx'


if __name__ == '__main__':
    app.run()
"""

COOKIE = """
from flask import Flask, session

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'
"""

REDIS = """
import redis
from flask import Flask, session
from flask_session import Session

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'

app.config['SESSION_TYPE'] = 'redis'
app.config['SESSION_PERMANENT'] = True
app.config['SESSION_USE_SIGNER'] = False
app.config['SESSION_KEY_PREFIX'] = 'session:'
app.config['SESSION_REDIS'] = redis.Redis(host='{host}', port='{port}', password='{password}')

Session(app)
"""

MEMCACHED = """
import memcache
from flask import Flask, session
from flask_session import Session

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'

app.config['SESSION_TYPE'] = 'memcached'
app.config['SESSION_PERMANENT'] = True
app.config['SESSION_USE_SIGNER'] = False
app.config['SESSION_KEY_PREFIX'] = 'session:'
app.config['SESSION_MEMCACHED'] = memcache.Client(['{host}:{port}'])

Session(app)
"""

FILESYSTEM = """
from flask import Flask, session
from flask_session import Session

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'

app.config['SESSION_TYPE'] = 'filesystem'
app.config['SESSION_FILE_DIR'] = r'{folder}/会话的文件夹'
app.config['SESSION_FILE_THRESHOLD'] = 500
app.config['SESSION_FILE_MODE'] = 384
app.config['SESSION_PERMANENT'] = True
app.config['SESSION_USE_SIGNER'] = False
app.config['SESSION_KEY_PREFIX'] = 'session:'

Session(app)
"""

MONGODB = """
import pymongo
from flask import Flask, session
from flask_session import Session

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'

app.config['SESSION_TYPE'] = 'mongodb'
app.config['SESSION_MONGODB'] = pymongo.MongoClient()
app.config['SESSION_MONGODB_DB'] = 'mongo的db名称(数据库名称)'
app.config['SESSION_MONGODB_COLLECT'] = 'mongo的collect名称(表名称)'
app.config['SESSION_PERMANENT'] = True
app.config['SESSION_USE_SIGNER'] = False
app.config['SESSION_KEY_PREFIX'] = 'session:'

Session(app)
"""

SQLALCHEMY = """
from flask import Flask, session
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'

app.config['SQLALCHEMY_DATABASE_URI'] = 'mysql+pymysql://{user}:{password}@{host}:{port}/{database}?charset=utf8'
app.config['SQLALCHEMY_TRACK_MODIFICATIONS'] = True
db = SQLAlchemy(app)

app.config['SESSION_TYPE'] = 'sqlalchemy'
app.config['SESSION_SQLALCHEMY'] = db
app.config['SESSION_SQLALCHEMY_TABLE'] = 'session'
app.config['SESSION_PERMANENT'] = True
app.config['SESSION_USE_SIGNER'] = False
app.config['SESSION_KEY_PREFIX'] = 'session:'

Session(app)
"""

HAND_WRITTEN = """
import json
import uuid

import redis
from flask import Flask, session
from flask.sessions import SessionInterface, SessionMixin
from itsdangerous import BadSignature, Signer
from werkzeug.datastructures import CallbackDict

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'


class MySession(CallbackDict, SessionMixin):
    def __init__(self, initial=None, sid=None):
        def on_update(self):
            self.modified = True

        CallbackDict.__init__(self, initial or {{}}, on_update)
        self.sid = sid


class MySessionInterface(SessionInterface):
    def __init__(self):
        self.redis = redis.Redis(host='{host}', port='{port}', password='{password}')
        self.signer = Signer(app.secret_key, salt='my-session')

    def open_session(self, app, request):
        cookie = request.cookies.get(app.config['SESSION_COOKIE_NAME'])
        try:
            sid = self.signer.unsign(cookie or '').decode()
        except BadSignature:
            return MySession(sid=str(uuid.uuid4()))
        value = self.redis.get('session:' + sid)
        return MySession(json.loads(value) if value else None, sid=sid)

    def save_session(self, app, session, response):
        lifetime = int(app.permanent_session_lifetime.total_seconds())
        self.redis.set('session:' + session.sid, json.dumps(dict(session)), ex=lifetime)
        cookie = self.signer.sign(session.sid).decode()
        response.set_cookie(app.config['SESSION_COOKIE_NAME'], cookie, httponly=True)


app.session_interface = MySessionInterface()
"""
REPLACED = """
import redis
from flask import Flask, session
from hardsession import HardSession

app = Flask(__name__)
app.debug = True
app.secret_key = 'xxxx'

app.config['SESSION_TYPE'] = 'redis'
app.config['SESSION_REDIS'] = redis.Redis(host='{host}', port='{port}', password='{password}')

HardSession(app)
"""

SESSION_COOKIE = "__Host-Http-session"


def changed(script: str) -> str:
    """A script of flask-session's with the import and the one line changed, and nothing else."""
    assert script.count("from flask_session import Session\n") == script.count("\nSession(app)\n") == 1
    return script.replace("from flask_session import Session", "from hardsession import HardSession").replace(
        "\nSession(app)\n", "\nHardSession(app)\n"
    )


@pytest.fixture
def run() -> Callable[..., Flask]:
    """Run a script as far as its `app.run()`, and give its application."""

    def run(script: str, **where: object) -> Flask:
        text = script.format(**where) + VIEWS
        namespace: dict[str, Any] = {"__name__": "tutorial"}
        exec(compile(text, "tutorial.py", "exec"), namespace)
        app: Flask = namespace["app"]
        return app

    return run


@pytest.fixture
def redis_with_password(untested: Any) -> Any:
    """A Redis that asks for a password."""
    with RedisWithPassword.running(untested) as server:
        yield server


def visit(app: Flask) -> FlaskClient:
    """A visitor goes through all of the tutorial's pages; his session is there, and gone after the last."""
    visitor = app.test_client()
    assert visitor.get("/show").json == {"k1": None, "visits": None}
    assert visitor.get("/index").status_code == visitor.get("/index").status_code == 200
    assert visitor.get("/show").json == {"k1": "v1", "visits": ["index"] * 2}
    before = visitor.get_cookie(SESSION_COOKIE)
    visitor.get("/forget")
    assert visitor.get("/show").json == {"k1": None, "visits": None}

    thief = app.test_client()
    thief.set_cookie(SESSION_COOKIE, before.value)  # type: ignore[union-attr]  # without one the test fails
    assert thief.get("/show").json == {"k1": None, "visits": None}
    visitor.get("/index")
    return visitor


def store_of(app: Flask) -> Any:
    """The store that its settings came to."""
    return app.session_interface._parts.mode._rows._store  # type: ignore[attr-defined]


def place(server: Server) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": server.port}


def test_flasks_own_cookie(run):
    """The script on Flask's own sessions: two lines more, and the cookie is sealed."""
    before = run(COOKIE)
    after = run(COOKIE + "\nfrom hardsession import HardSession\nHardSession(app)\n")

    visitor = after.test_client()
    visitor.get("/index")

    assert visitor.get("/show").json == {"k1": "v1", "visits": ["index"]}
    assert isinstance(before.session_interface, SecureCookieSessionInterface)
    assert visitor.get_cookie(SESSION_COOKIE).value.startswith("hs1_")
    assert visitor.get("/forget").headers["Set-Cookie"].startswith(f"{SESSION_COOKIE}=;")


def test_redis(run, redis_with_password):
    """The script on Redis: a client with its port as a text and a password."""
    app = run(changed(REDIS), **place(redis_with_password), password=redis_with_password.password)

    visit(app)

    assert isinstance(store_of(app), RedisStore)
    with redis_with_password.client() as client:
        assert all(name.startswith(b"session:") for name in client.scan_iter())


def test_memcached(run, server):
    """The script on memcached, with the client of python-memcached."""
    app = run(changed(MEMCACHED), **place(server(Memcached)))

    visit(app)

    assert isinstance(store_of(app), MemcachedStore)


def test_filesystem(run, tmp_path: Path):
    """The script on files, in a folder whose name is not ASCII."""
    app = run(changed(FILESYSTEM), folder=tmp_path)

    visit(app)

    assert isinstance(store_of(app), FilesystemStore)
    files = [path for path in (tmp_path / "会话的文件夹").rglob("*") if path.is_file() and path.name != ".lock"]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {384}


def test_mongodb(run, server):
    """The script on MongoDB, with names of a database and a collection that are not ASCII."""
    mongod = server(MongoDB)
    app = run(changed(MONGODB).replace("MongoClient()", f"MongoClient('127.0.0.1', {mongod.port})"))

    visit(app)

    assert isinstance(store_of(app), MongoDBStore)
    with mongod.client() as client:
        collection = client["mongo的db名称(数据库名称)"]["mongo的collect名称(表名称)"]
        names = [document["_id"] for document in collection.find()]
    assert names
    assert all(name.startswith("session:") for name in names)
    app.config["SESSION_MONGODB"].close()


def test_sqlalchemy(run, server):
    """The script on Flask-SQLAlchemy and MySQL's protocol, against MariaDB."""
    mariadb = server(MariaDB)
    login = {"user": mariadb.user, "password": mariadb.password, "database": "newsroom"}
    app = run(changed(SQLALCHEMY), **place(mariadb), **login)

    visit(app)

    assert isinstance(store_of(app), SQLAlchemyStore)
    with app.app_context():
        from sqlalchemy import inspect

        columns = {column["name"] for column in inspect(app.extensions["sqlalchemy"].engine).get_columns("session")}
        app.extensions["sqlalchemy"].engine.dispose()
    assert columns == {"name", "version", "value", "expires"}


def test_hand_written_interface(run, redis_with_password):
    """A session interface of one's own on Redis is two settings, and what it wrote in plain text is sealed."""
    before = run(HAND_WRITTEN, **place(redis_with_password), password=redis_with_password.password).test_client()
    assert before.get("/index").status_code == 200
    assert before.get("/show").json == {"k1": "v1", "visits": ["index"]}

    app = run(REPLACED, **place(redis_with_password), password=redis_with_password.password)
    with redis_with_password.client() as client:
        assert any(b'"k1"' in client.get(name) for name in client.scan_iter())
        client.flushall()
        visit(app)
        assert not any(b"k1" in client.get(name) for name in client.scan_iter())
