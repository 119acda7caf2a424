"""Locks between processes, and between two holders of one process."""

import os
from pathlib import Path

import pytest

from pqdb.errors import LockedError, StorageError
from pqdb.store import FileLock
from tests.store.processes import hear, talk, tell


def test_one_of_two_processes_has_it(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with talk("hold_lock", lock.path) as child:
        assert hear(child) == "True"
        assert not lock.acquire()
        assert not lock.acquire(blocking=True, timeout=0.05)
        with pytest.raises(LockedError, match="held by another process"), lock:
            pass
        tell(child)
        assert hear(child) == "free"
        with lock:
            assert lock.held
        assert not lock.held
    lock.close()


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with talk("hold_lock", lock.path) as child:
        assert hear(child) == "True"
    assert lock.acquire()
    lock.close()


def test_one_of_two_holders_of_a_process_has_it(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    second.release()  # not his to let go of
    assert first.held
    first.release()
    assert second.acquire()
    first.close()
    assert second.held
    second.close()


def test_another_holder_that_closes_does_not_free_it_for_other_processes(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    second.close()
    with talk("hold_lock", first.path) as child:
        assert hear(child) == "False"
    first.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 counts numpy's threads
def test_a_forked_child_has_no_lock(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        said = [lock.held, FileLock(lock.path).acquire()]
        try:
            lock.acquire()
        except LockedError as error:
            said.append("before a fork" in str(error))
        os.write(write, repr(said).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"[False, False, True]"
    assert lock.held
    with talk("hold_lock", lock.path) as other:
        assert hear(other) == "False"
    os.close(read)
    os.close(write)
    lock.close()


def test_a_lock_that_cannot_be_opened_or_is_closed_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        FileLock(tmp_path / "no folder" / "lock")
    lock = FileLock(tmp_path / "lock")
    lock.close()
    lock.close()
    with pytest.raises(LockedError, match="closed"):
        lock.acquire()
