"""Locks between processes: one `fcntl.lockf` lock a file, held by one holder a process.

Such a lock belongs to the process and the file: closing any descriptor of the file drops it, so each lock
file is opened once a process. A forked child inherits none of it.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pqdb.errors import LockedError, ReadOnlyError, StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_POLL_SECONDS = 0.02


class _File:
    """A lock file, open once in this process."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.holder: FileLock | None = None
        self.users = 0


_files: dict[tuple[int, int], _File] = {}
_guard = threading.RLock()


class FileLock:
    """One would-be holder of a lock file, which is made where it is not there.

    Raises ReadOnlyError where the file cannot be written, StorageError.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._pid = os.getpid()
        self._closed = False
        with _guard:
            self._key, self._file = _open(self.path)
            self._file.users += 1

    @property
    def held(self) -> bool:
        """Whether this holder has the lock."""
        return self._file.holder is self and self._pid == os.getpid()

    def acquire(self, blocking: bool = False, timeout: float | None = None) -> bool:
        """Take the lock. -> whether it is held: False at once when not blocking, else after `timeout` s."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._try():
            if not blocking or (deadline is not None and time.monotonic() >= deadline):
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Let go of the lock; no error where it is not held."""
        with _guard:
            if self.held:
                self._file.holder = None
                _unlock(self._file.descriptor)

    def close(self) -> None:
        """Let go of the lock and, after the last holder, of the file."""
        with _guard:
            if self._closed or self._pid != os.getpid():
                return
            self.release()
            self._closed = True
            self._file.users -= 1
            if not self._file.users:
                del _files[self._key]
                os.close(self._file.descriptor)

    def __enter__(self) -> Self:
        if not self.acquire():
            raise LockedError(errno.EAGAIN, f"{self.path} is held by another process")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _try(self) -> bool:
        with _guard:
            if self._closed or self._pid != os.getpid():
                raise LockedError(errno.EBADF, f"the lock {self.path} is closed, or was opened before a fork")
            if self._file.holder is not None:
                return self._file.holder is self
            if not _lock(self._file.descriptor):
                return False
            self._file.holder = self
            return True


def _open(path: Path) -> tuple[tuple[int, int], _File]:
    try:
        known = path.stat()
        file = _files.get((known.st_dev, known.st_ino))
        if file is not None:
            return (known.st_dev, known.st_ino), file
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as error:
        kind = ReadOnlyError if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else StorageError
        raise kind(error.errno, f"the lock file {path} cannot be opened: {error.strerror}") from error
    stat = os.fstat(descriptor)
    return (stat.st_dev, stat.st_ino), _files.setdefault((stat.st_dev, stat.st_ino), _File(descriptor))


if sys.platform == "win32":

    def _lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _forget_all() -> None:
    """In a forked child: the parent holds the locks, the child may open the files anew."""
    globals()["_guard"] = threading.RLock()  # another thread of the parent may have held it
    _files.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
