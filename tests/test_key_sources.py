"""A file of keys that is read again when it changes."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from pathlib import Path

import pytest
from flask import Flask, session

from hardsession import ConfigError, HardSession, Key
from hardsession.key_sources import FileKeys, read_keys

NAME = "__Host-Http-session"
OLD, NEW = Key.generate(), Key.generate()
BAD = {
    "nothing in it": b"",
    "comments alone": b"# the keys come later\n\n   # soon\n",
    "short": b"dev\n",
    "short second line": f"{OLD.text}\ndev\n".encode(),
    "damaged": OLD.text[:-1].encode(),
    "placeholder": b"change-me-to-something-that-nobody-knows\n",
    "one letter": b"a" * 64,
    "repeated": f"{OLD.text}\n{NEW.text}\n{OLD.text}\n".encode(),
    "comment behind a key": f"{OLD.text} # newest\n".encode(),
    "no text": b"\xff\xfe" * 40,
}


class KeyFile:
    """A file of keys. Each write gives it another time, however coarse the clock of the file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._times = itertools.count(10**18, 10**9)

    def write(self, *lines):
        self.write_bytes("".join(f"{line}\n" for line in lines).encode())

    def write_bytes(self, content):
        self.path.write_bytes(content)
        self.touch()

    def touch(self):
        time = next(self._times)
        os.utime(self.path, ns=(time, time))


@pytest.fixture
def file(tmp_path):
    """A file with one key."""
    file = KeyFile(tmp_path / "keys")
    file.write(OLD.text)
    return file


@pytest.fixture
def app(make_app, file):
    """An application whose keys stand in that file."""
    return make_app(SESSION_SECRET_KEYS=None, SESSION_SECRET_KEYS_FILE=str(file.path))


@pytest.fixture
def visitor(client, act):
    """A browser with a session that the first key sealed."""
    act(client, lambda: session.update(a=1))
    return client


@pytest.fixture
def reads(act):
    """What a browser's session holds."""
    return lambda client: act(client, lambda: dict(session)).value


def errors(caplog):
    return [record for record in caplog.records if record.levelno == logging.ERROR]


class TestContent:
    """One key a line, newest first."""

    def test_comments_and_blank_lines_are_skipped(self, file, visitor, make_app, act, token, reads):
        """Comments, blank lines, space around a key and Windows' line ends are no part of a key."""
        file.write_bytes(
            f"# the newest\r\n\t{NEW.text}  \r\n\r\n   \r\n  # until the end of May\r\n{OLD.text}\r\n".encode()
        )

        act(visitor, lambda: session.update(b=2))

        later = make_app(SESSION_SECRET_KEYS=[NEW]).test_client()
        later.set_cookie(NAME, token(visitor))
        assert reads(later) == {"a": 1, "b": 2}

    def test_raw_keys_are_taken(self, file, client, act, reads):
        """A line may be any text of 32 bytes or more, in UTF-8."""
        file.write("Zwölf Boxkämpfer jagen Viktor quer über den Deich")

        act(client, lambda: session.update(a=1))

        assert reads(client) == {"a": 1}

    @pytest.mark.parametrize(
        "key", [NEW, Key("Zwölf Boxkämpfer jagen Viktor quer über den Deich")], ids=["hsk1", "raw"]
    )
    def test_byte_order_mark_is_no_part_of_a_key(self, file, visitor, make_app, act, token, reads, key):
        """A file that an editor saved with a byte order mark holds the same keys as one without."""
        file.write_bytes(f"\ufeff{key.text}\n{OLD.text}\n".encode())

        act(visitor, lambda: session.update(b=2))

        later = make_app(SESSION_SECRET_KEYS=[key]).test_client()
        later.set_cookie(NAME, token(visitor))
        assert reads(later) == {"a": 1, "b": 2}


class TestReading:
    """The file is read again when it changes, and only then."""

    def test_new_key_seals_without_a_restart(self, file, visitor, make_app, act, token, reads):
        """A key that is put on the first line seals from the next request on, and the older one still opens."""
        file.write(NEW.text, OLD.text)

        act(visitor, lambda: session.update(b=2))

        later = make_app(SESSION_SECRET_KEYS=[NEW]).test_client()
        later.set_cookie(NAME, token(visitor))
        assert reads(later) == {"a": 1, "b": 2}

    def test_removed_key_ends_its_sessions_without_a_restart(self, file, visitor, reads, events):
        """A key that is taken out of the file opens nothing any more."""
        file.write(NEW.text)

        assert reads(visitor) == {}
        assert events[-1] == ("session_rejected", {"session": None, "reason": "unknown_key"})

    def test_replaced_file_is_read(self, file, visitor, reads, tmp_path):
        """A file that was moved over the old one counts, though it has the same size and time."""
        found = file.path.stat()
        (tmp_path / "next").write_text(f"{NEW.text}\n")
        os.utime(tmp_path / "next", ns=(found.st_atime_ns, found.st_mtime_ns))

        (tmp_path / "next").replace(file.path)

        assert reads(visitor) == {}

    def test_grown_file_is_read(self, file, visitor, reads):
        """A file that was written in place within one tick of its clock counts by its size."""
        found = file.path.stat()
        file.path.write_text(f"{NEW.text}\n# the old key leaked\n")
        os.utime(file.path, ns=(found.st_atime_ns, found.st_mtime_ns))

        assert reads(visitor) == {}

    def test_unchanged_file_is_not_read(self, visitor, reads, monkeypatch):
        """A request looks at the file's state, and does not read it again."""

        def forbidden(*_, **__):
            raise AssertionError("the file was read")

        monkeypatch.setattr(Path, "read_text", forbidden)
        monkeypatch.setattr(Path, "read_bytes", forbidden)

        assert reads(visitor) == {"a": 1}

    def test_touched_file_changes_nothing(self, file, visitor, reads, events, caplog):
        """A file that is written again with the same keys is no event."""
        file.touch()

        assert reads(visitor) == {"a": 1}
        assert events == []
        assert errors(caplog) == []


class TestAtStart:
    """Without earlier keys to fall back on, a bad file is a configuration error."""

    @pytest.mark.parametrize("content", BAD.values(), ids=BAD)
    def test_bad_file_is_refused(self, file, content):
        """A file that holds anything but good keys is refused, with a remedy and without quoting it."""
        file.write_bytes(content)

        (problem,) = refusal(file.path).problems

        assert problem.setting == "SESSION_SECRET_KEYS_FILE"
        assert problem.fault.startswith("the file cannot be used: ")
        assert "keygen" in problem.remedy
        assert OLD.text[5:15] not in str(problem)

    def test_file_that_is_no_text_is_refused_without_quoting_it(self, file):
        """Not even one byte of the file shows in the message."""
        file.write_bytes(b"\xff" * 40)

        assert "0xff" not in str(refusal(file.path))

    def test_missing_file_is_refused(self, tmp_path):
        """A file that is not there is refused, in the words of the operating system."""
        (problem,) = refusal(tmp_path / "none").problems

        assert problem.fault == "the file cannot be used: No such file or directory."

    def test_folder_is_refused(self, tmp_path):
        """A folder is no file of keys."""
        (problem,) = refusal(tmp_path).problems

        assert problem.fault.startswith("the file cannot be used: ")

    def test_refused_request_can_be_repeated(self, app, file, client, act, reads):
        """An application that started before its file was there works once it is, without a restart."""
        file.path.unlink()
        with pytest.raises(ConfigError):
            act(client, lambda: session.get("a"))

        file.write(OLD.text)
        act(client, lambda: session.update(a=1))

        assert reads(client) == {"a": 1}


class TestBadChange:
    """A file that becomes bad while the application runs."""

    @pytest.mark.parametrize("content", BAD.values(), ids=BAD)
    def test_old_keys_stay_in_force(self, file, visitor, act, reads, content):
        """With a bad file the keys read before go on opening and sealing."""
        file.write_bytes(content)

        act(visitor, lambda: session.update(b=2))

        assert reads(visitor) == {"a": 1, "b": 2}

    def test_missing_file_keeps_the_old_keys(self, file, visitor, act, reads):
        """A file that disappears takes no session with it."""
        file.path.unlink()

        act(visitor, lambda: session.update(b=2))

        assert reads(visitor) == {"a": 1, "b": 2}

    @pytest.mark.parametrize("content", BAD.values(), ids=BAD)
    def test_is_told_once(self, file, visitor, reads, events, caplog, content):
        """However many requests see the bad file, there is one event and one error, which name no key."""
        file.write_bytes(content)

        for _ in range(3):
            reads(visitor)

        ((name, fields),) = events
        (error,) = errors(caplog)
        assert name == "keys_refused"
        assert fields["session"] is None
        assert fields["reason"] in error.getMessage()
        assert error.getMessage().startswith("SESSION_SECRET_KEYS_FILE: the file cannot be used: ")
        assert error.getMessage().endswith("The keys read before stay in force.")
        assert OLD.text[5:15] not in caplog.text

    def test_each_bad_state_is_told(self, file, visitor, reads, events, caplog):
        """Every further bad state of the file is told, the same fault too: somebody tried to mend it."""
        for content in (b"dev\n", None, b"dev\n", b"dev"):
            file.path.unlink() if content is None else file.write_bytes(content)
            reads(visitor)
            reads(visitor)

        assert [name for name, _ in events] == ["keys_refused"] * 4
        assert len(errors(caplog)) == 4

    def test_mended_file_counts(self, file, visitor, reads, events, caplog):
        """A file that is good again is used from the next request on, without a further word."""
        file.write("dev")
        reads(visitor)

        file.write(NEW.text)
        assert reads(visitor) == {}

        file.write(NEW.text, OLD.text)
        assert reads(visitor) == {"a": 1}
        assert [name for name, _ in events] == ["keys_refused", "session_rejected"]
        assert len(errors(caplog)) == 1

    def test_restored_file_counts(self, file, visitor, act, reads, events, tmp_path):
        """A file that was away and comes back as it was is used again."""
        file.path.rename(tmp_path / "away")
        reads(visitor)

        (tmp_path / "away").rename(file.path)
        act(visitor, lambda: session.update(b=2))

        assert reads(visitor) == {"a": 1, "b": 2}
        assert [name for name, _ in events] == ["keys_refused"]


def refusal(path):
    """What an application says to a file of keys when it starts."""
    app = Flask("newsroom")
    app.config["SESSION_SECRET_KEYS_FILE"] = str(path)
    with pytest.raises(ConfigError) as caught:
        HardSession(app).ready()
    return caught.value


def test_thread_that_comes_while_the_file_is_read_waits(tmp_path, monkeypatch):
    """A change of the file is read once, and nobody seals under the keys from before it meanwhile."""
    path, old, new = tmp_path / "keys", Key.generate(), Key.generate()
    path.write_text(str(old.text))
    source = FileKeys(path, lambda problem: pytest.fail(str(problem)))
    path.write_text(f"{new.text}\n{old.text}")
    reads, arrived, seen = [], threading.Event(), []

    class Door:
        """A lock that tells when the second one comes to it."""

        lock = threading.Lock()

        def __enter__(self):
            if reads:
                arrived.set()
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    def read(where):
        reads.append(where)
        second.start()
        arrived.wait()
        return read_keys(where)

    source._lock = Door()
    monkeypatch.setattr("hardsession.key_sources.read_keys", read)
    second = threading.Thread(target=lambda: seen.append(source.ring(0).sealing.id.hex()))

    seen.append(source.ring(0).sealing.id.hex())
    second.join()

    assert seen == [new.id, new.id]
    assert len(reads) == 1
