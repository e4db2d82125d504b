"""Workers that are forked from a process which already had sessions: gunicorn --preload, and fork alone."""

from __future__ import annotations

import os

import pytest

from hardsession import Key
from hardsession.crypto.encoding import from_text

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

WORKERS = 2
PAIRS = 50


@pytest.fixture(scope="module")
def server(serve):
    """Two workers of an application that sealed its first sessions before they were forked."""
    return serve("--preload", "--workers", str(WORKERS), SERVED_PEOPLE=str(WORKERS), SERVED_FORKS="true")


def salts(tokens):
    """What must never come twice under one key."""
    return [from_text(token)[8:32] for token in tokens]


def key_id(token):
    return from_text(token)[4:8].hex()


class TestGunicorn:
    """`gunicorn --preload --workers 2`: whoever meets is in both workers."""

    def test_salts_never_repeat(self, server):
        """No two tokens of any worker have a salt in common, nor two sessions a handle, from the first one on."""
        answers = [answer for _ in range(PAIRS) for answer in server.meeting(WORKERS, name="ida")]

        assert len({answer.pid for answer in answers}) == WORKERS
        assert len(set(salts(answer.token for answer in answers))) == PAIRS * WORKERS
        handles = [server.page(answer.token).handle for answer in answers]
        assert len(set(handles)) == PAIRS * WORKERS

    def test_each_opens_what_the_other_made(self, server):
        """Whichever worker made a session, both open it."""
        made = server.meeting(WORKERS, name="ida {}")

        assert len({answer.pid for answer in made}) == WORKERS
        for answer in made:
            opened = server.meeting(WORKERS, answer.token)
            assert {each.pid for each in opened} == {each.pid for each in made}
            assert [each.name for each in opened] == [opened[0].name] * WORKERS
            assert opened[0].handle == opened[1].handle

    def test_each_reads_the_new_keys(self, server):
        """A key that is put into the file seals in every worker without a restart, and the older one still opens."""
        old = server.page(name="ida").token
        new = Key.generate()
        server.keys.write_text(f"{new.text}\n{server.keys.read_text()}")

        answers = server.meeting(WORKERS, old, name="bob")

        assert {key_id(answer.token) for answer in answers} == {new.id}
        assert key_id(old) != new.id


def test_children_and_their_children(run):
    """Each child of a process that sealed already, and each child of a child, draws salts of its own."""
    program = """
import os, served

def tell(tokens):
    os.write(1, "".join(f"{token}\\n" for token in tokens).encode())

tell(served.before_the_fork)
for generation in range(4):
    child = os.fork()
    tell([served.token() for _ in range(20)])
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0)
"""

    tokens = run(program, SERVED_PEOPLE="1", SERVED_FORKS="true")

    assert len(tokens) == 3 + 4 * 20 * 2
    assert len(set(salts(tokens))) == len(tokens)


def test_fork_in_the_middle_of_a_request(run):
    """Where a view forks, both copies of its session are saved, and the two have neither salt nor handle in common."""
    program = """
import os, served

client = served.app.test_client()
client.post("/fork")
token = client.get_cookie(served.app.config["SESSION_COOKIE_NAME"]).value
os.write(1, f"{token} {client.get('/').json['handle']}\\n".encode())
try:
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
except ChildProcessError:
    os._exit(0)
"""

    tokens, handles = zip(*map(str.split, run(program, SERVED_PEOPLE="1", SERVED_FORKS="true")), strict=True)

    assert len(set(salts(tokens))) == len(set(handles)) == 2
