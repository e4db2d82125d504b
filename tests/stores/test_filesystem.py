"""The filesystem store: what a folder may hold, what may become of it, and who else writes there."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import pytest

from hardsession.errors import StoreError
from hardsession.stores import Options, Outcome, Store, filesystem
from hardsession.stores.filesystem import FilesystemStore, build
from hardsession.testing import StoreContract

from .clock import MovedClock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "var" / "sessions"


@pytest.fixture
def store(folder: Path) -> FilesystemStore:
    return FilesystemStore(folder)


class TestFilesystemStore(MovedClock, StoreContract):
    @pytest.fixture
    def store(self, folder: Path) -> FilesystemStore:
        self.folder = folder
        return FilesystemStore(folder, timeout=20)  # 20 threads wait for one lock, on a busy machine

    def plant(self, store: Store, key: str) -> None:
        file_of(store, self.folder, key).write_bytes(b"\x80\x04somebody's pickle, longer than our head")


FOREIGN: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "short": lambda path: path.write_bytes(b"hsf1"),
    "other format": lambda path: path.write_bytes(b"hsf2" + b"\xff" * 60),
    "link": lambda path: path.symlink_to("/etc/passwd"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_foreign_file(store: FilesystemStore, folder: Path, make: Callable[[Path], Any]) -> None:
    """Whatever else may stand in a folder is neither read, followed, waited for, written over nor an error."""
    contract = StoreContract()
    contract.plant = lambda store, key: make(file_of(store, folder, key))  # type: ignore[method-assign]

    contract.test_foreign_value_is_no_outage(store)

    assert list(store.keys("contract:")) != []
    assert store.purge() == 0


def test_folder_where_a_file_should_be(store: FilesystemStore, folder: Path) -> None:
    """A folder under a file's name is foreign as well, and is not deleted."""
    path = file_of(store, folder, "k")
    path.mkdir()

    assert store.get("k") is None
    assert not store.add("k", b"mine", 60)
    assert list(store.keys("")) == []
    with pytest.raises(StoreError):
        store.delete("k")
    assert path.is_dir()


def test_moved_file(store: FilesystemStore, folder: Path) -> None:
    """Who moves one session's file to another's name gives nobody that session."""
    store.add("mallory", b"mallory's", 60)
    store.add("victim", b"victim's", 60)

    file_of(store, folder, "mallory").replace(file_of(store, folder, "victim"))

    assert store.get("victim") is None
    assert list(store.keys("")) == []


def test_foreign_key_in_our_format(store: FilesystemStore, folder: Path) -> None:
    """A file of our format whose key is no text does not break the list of keys."""
    store.add("k", b"value", 60)
    path = file_of(store, folder, "k")
    content = path.read_bytes()
    (path.parent / "other").write_bytes(content[:30] + b"\xff" + content[31:])

    assert list(store.keys("")) == ["k"]


def test_keys_stay_in_the_folder(store: FilesystemStore, folder: Path) -> None:
    """No key leads out of the folder, and none is legible in it."""
    for key in ("../../../etc/cron.d/x", "/etc/passwd", "..", ".lock", "a/b", "C:\\x", "~"):
        assert store.add(key, b"x", 60)
        assert store.get(key) is not None

    names = {path.name for path in folder.parent.parent.rglob("*")} - {"var", "sessions", ".lock"}
    assert all(set(name) <= set("0123456789abcdef") for name in names)


def test_permissions(tmp_path: Path) -> None:
    """The folder and those in it are for one user alone, and a file has the mode that was asked for, whatever umask."""
    before = os.umask(0o027)
    try:
        for name, mode in (("a", 0o600), ("b", 0o640), ("c", 0o666), ("d", 0o400)):
            store = FilesystemStore(tmp_path / "deep" / name, mode=mode)
            store.add("k", b"value", 60)
            path = file_of(store, tmp_path / "deep" / name, "k")

            assert path.stat().st_mode & 0o777 == mode
            assert path.with_name(".lock").stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700
            assert path.parent.parent.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o750
    finally:
        os.umask(before)


def test_nothing_live_is_pruned(store: FilesystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sessions there are, all of them stay."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # it takes a while, 600 times
    for number in range(600):
        assert store.add(f"k{number}", b"%d" % number, 60)

    assert store.purge() == 0

    assert len(set(store.keys("k"))) == 600


def test_purge_in_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard with more than a batch of expired files is purged whole, its lock given up in between."""
    monkeypatch.setattr(filesystem, "_BATCH", 2)
    store, shard = FilesystemStore(folder), folder / "00"
    store.add("k", b"value", 60)
    shard.mkdir(exist_ok=True)
    content = file_of(store, folder, "k").read_bytes()
    for number in range(5):
        (shard / f"{number:062}").write_bytes(content[:20] + bytes(8) + content[28:])

    assert store.purge() == 5

    assert [path.name for path in shard.iterdir() if path.name != ".lock"] == []
    assert store.get("k") is not None


def test_purge_spares_what_was_renewed_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is written between `purge`'s look and its turn is not deleted."""
    store = FilesystemStore(folder)
    store.add("k", b"old", 60)
    path = file_of(store, folder, "k")
    content = path.read_bytes()
    path.write_bytes(content[:20] + bytes(8) + content[28:])
    looks: list[bool] = []
    is_expired = filesystem._is_expired

    def renewed_after_the_first_look(path: Path) -> bool:
        looks.append(is_expired(path))
        if len(looks) == 1:
            path.write_bytes(content)
        return looks[-1]

    monkeypatch.setattr(filesystem, "_is_expired", renewed_after_the_first_look)

    assert store.purge() == 0

    assert looks == [True, False]
    assert store.get("k") is not None


# Writers that die


def test_writer_killed_before_it_was_done(
    store: FilesystemStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that is killed before its file has its name leaves the old value, and a draft that `purge` removes."""
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None
    path = file_of(store, folder, "k")

    def die(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def killed_in_the_middle() -> None:
        monkeypatch.setattr(Path, "replace", die)
        store.replace("k", b"new", 60, stored.version)

    assert in_child(killed_in_the_middle) == -signal.SIGKILL
    assert len(drafts(path.parent)) == 1

    assert store.get("k") == stored
    assert list(store.keys("")) == ["k"]
    assert store.purge() == 0
    assert drafts(path.parent) == []
    assert store.replace("k", b"new", 60, stored.version) is Outcome.DONE


def test_failed_write_leaves_nothing(store: FilesystemStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the disk refuses raises StoreError, keeps the old value, and leaves no draft."""
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError) as caught:
            store.replace("k", b"new", 60, stored.version)

    assert isinstance(caught.value.__cause__, OSError)
    assert store.get("k") == stored
    assert drafts(file_of(store, folder, "k").parent) == []


def test_file_and_folder_reach_the_disk(store: FilesystemStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is on the disk before it has its name, and its name before the verb says that it is done."""
    store.add("k", b"old", 60)
    path, steps = file_of(store, folder, "k"), list[str]()
    stored = store.get("k")
    assert stored is not None
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("folder" if S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(draft: Path, target: Path) -> Path:
        steps.append("name")
        return replace(draft, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    store.replace("k", b"new", 60, stored.version)
    store.delete("k")

    assert steps == ["file", "name", "folder", "folder"]
    assert not path.exists()


# Writers that stand still


def test_writer_that_stands_still(folder: Path) -> None:
    """Who waits for a writer that was halted is told after its timeout, and reads go on meanwhile."""
    store = FilesystemStore(folder, timeout=0.2)
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None

    with lock_of(file_of(store, folder, "k").parent):
        for verb in (
            lambda: store.add("k", b"new", 60),
            lambda: store.replace("k", b"new", 60, stored.version),
            lambda: store.delete("k"),
            store.purge,
        ):
            start = time.monotonic()
            with pytest.raises(StoreError) as caught:
                verb()
            assert isinstance(caught.value.__cause__, OSError)
            assert time.monotonic() - start < 3
        assert store.get("k") == stored

    assert store.replace("k", b"new", 60, stored.version) is Outcome.DONE


def test_fork_in_the_middle_of_a_write(store: FilesystemStore, folder: Path) -> None:
    """A child that was forked while another thread wrote does not keep that thread's lock."""
    store.add("k", b"old", 60)
    shard = file_of(store, folder, "k").parent
    parent_is_done = multiprocessing.get_context("fork").Event()
    child = multiprocessing.get_context("fork").Process(target=parent_is_done.wait, args=(20,))

    with store._locked(shard), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child.start()

    store.delete("k")  # waits for the lock, if the child has it
    assert child.is_alive()
    parent_is_done.set()
    child.join()


def test_processes_lose_no_step(store: FilesystemStore) -> None:
    """Processes exclude each other as threads do."""
    store.add("k", b"0", 60)

    def count() -> None:
        for _ in range(20):
            while True:
                stored = store.get("k")
                assert stored is not None
                if store.replace("k", b"%d" % (int(stored.value) + 1), 60, stored.version) is Outcome.DONE:
                    break

    children = [multiprocessing.get_context("fork").Process(target=count) for _ in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for child in children:
            child.start()
    for child in children:
        child.join()

    stored = store.get("k")
    assert stored is not None
    assert stored.value == b"80"


# Folders that fail


def test_link_in_place_of_a_lock(store: FilesystemStore, folder: Path, tmp_path: Path) -> None:
    """A lock file that is a link makes no file elsewhere."""
    shard = file_of(store, folder, "k").parent
    (shard / ".lock").unlink()
    (shard / ".lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreError):
        store.add("k", b"value", 60)

    assert not (tmp_path / "elsewhere").exists()


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A folder that cannot be one is StoreError to every verb, with the system's error as its cause."""
    (tmp_path / "file").write_bytes(b"")
    store = FilesystemStore(tmp_path / "file")

    for verb in (lambda: store.get("k"), lambda: store.add("k", b"", 60), lambda: store.delete("k")):
        with pytest.raises(StoreError) as caught:
            verb()
        assert isinstance(caught.value.__cause__, OSError)


def test_read_only_folder(open_folder: Path) -> None:
    """In a folder that may only be read, reading works, and every write is StoreError."""
    store = FilesystemStore(open_folder, mode=0o644)
    store.add("k", b"old", 60)
    stored = store.get("k")
    assert stored is not None
    for path in [open_folder, *open_folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)

    def look() -> None:
        assert store.get("k") == stored
        assert list(store.keys("")) == ["k"]
        for verb in (
            lambda: store.add("other", b"new", 60),
            lambda: store.replace("k", b"new", 60, stored.version),
            lambda: store.delete("k"),
        ):
            with pytest.raises(StoreError) as caught:
                verb()
            assert isinstance(caught.value.__cause__, PermissionError)

    assert in_child(look, nobody=True) == 0


def test_folder_of_somebody_else(open_folder: Path) -> None:
    """A folder that one may not enter is StoreError, not an empty store."""
    store = FilesystemStore(open_folder)
    store.add("k", b"old", 60)
    open_folder.chmod(0)

    def look() -> None:
        with pytest.raises(StoreError) as caught:
            store.get("k")
        assert isinstance(caught.value.__cause__, PermissionError)

    assert in_child(look, nobody=True) == 0


def test_folder_removed_meanwhile(store: FilesystemStore, folder: Path) -> None:
    """Who removes the folder logs everybody out, and breaks nothing."""
    store.add("k", b"old", 60)
    shutil.rmtree(folder)

    assert store.get("k") is None
    assert list(store.keys("")) == []
    assert store.purge() == 0
    store.delete("k")
    assert store.add("k", b"new", 60)


# Settings


def test_built_from_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """flask-session's settings and its default folder, or a URL, say where, as seen from where the app started."""
    monkeypatch.chdir(tmp_path)
    cases = {
        "flask_session": Options(None, 2, {}),
        "a": Options(None, 2, {"SESSION_FILE_DIR": "a", "SESSION_FILE_MODE": 0o640}),
        "b c": Options(f"file://{tmp_path}/b%20c", 2, {"SESSION_FILE_DIR": "a"}),
    }
    stores = {name: build(options) for name, options in cases.items()}
    monkeypatch.chdir("/")

    for store in stores.values():
        store.add("k", b"value", 60)

    assert {path.name for path in tmp_path.iterdir()} == set(cases)
    assert file_of(stores["a"], tmp_path / "a", "k").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("file://sessions", {}),
        ("file:sessions", {}),
        ("file://", {}),
        ("file://host/sessions", {}),
        (None, {"SESSION_FILE_MODE": "600"}),
    ],
)
def test_refused_settings(url: str | None, settings: dict[str, Any]) -> None:
    """A URL that names no folder, and a mode that is no number, are refused."""
    with pytest.raises(ValueError, match="SESSION_"):
        build(Options(url, 2, settings))


def file_of(store: Store, folder: Path, key: str) -> Path:
    """Where a key's file is, or would be; its folder is made."""
    before = store.get(key)
    if before is None:
        assert store.add(key, b"", 60)
    (path,) = (path for path in folder.rglob("*") if path.is_file() and key.encode() in path.read_bytes())
    if before is None:
        store.delete(key)
    assert store.get(key) == before
    return path


def drafts(shard: Path) -> list[str]:
    return [path.name for path in shard.iterdir() if path.name.startswith(".") and path.name != ".lock"]


def lock_of(shard: Path) -> Any:
    """Hold a shard's lock, as a halted writer does."""
    file = (shard / ".lock").open("rb+")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may reach, as they may not pytest's."""
    above = Path(tempfile.mkdtemp(dir="/tmp"))
    above.chmod(0o755)
    folder = above / "sessions"
    yield folder
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(above)


def in_child(work: Callable[[], None], *, nobody: bool = False) -> int | None:
    """Do something in a child process, as a user for whom permissions count; its exit code."""

    def run() -> None:
        if nobody and os.geteuid() == 0:
            os.setuid(65534)
        work()

    child = multiprocessing.get_context("fork").Process(target=run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child.start()
    child.join(20)
    child.kill()
    child.join()
    return child.exitcode
