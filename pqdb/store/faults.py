"""LMDB's errors, and the operating system's, as ours: sentences that name the file."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import lmdb

from pqdb.errors import CorruptError, DiskFullError, PqdbError, ReadOnlyError, StorageError
from pqdb.store import datafile

if sys.platform != "win32":
    import resource

_SPARE_DISK = 1 << 20


@contextmanager
def mapping_errors(path: Path, writing: bool = False) -> Iterator[None]:
    """Turn LMDB's errors inside into ours; NotFoundError stays, for whoever opens databases to interpret."""
    try:
        yield
    except lmdb.NotFoundError:
        raise
    except lmdb.Error as error:
        raise_ours(error, path, writing)


def raise_ours(error: BaseException, path: Path, writing: bool = False) -> NoReturn:
    """Raise the error of ours that an LMDB error is; any other error as it is."""
    if not isinstance(error, lmdb.Error):
        raise error
    code = getattr(error, "code", 0)
    if isinstance(
        error,
        (
            lmdb.CorruptedError,
            lmdb.PageNotFoundError,
            lmdb.InvalidError,
            lmdb.PanicError,
            lmdb.VersionMismatchError,
            lmdb.BadTxnError,
        ),
    ):
        raise CorruptError(f"{path} is damaged: {error}") from error
    if isinstance(error, lmdb.ReadonlyError):
        raise ReadOnlyError(f"{path} cannot be written; open it with read_only=True") from error
    if code > 0:
        raise sentence(code, os.strerror(code), path, writing) from error
    raise StorageError(f"{path}: {error}") from error


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write inside into ours: DiskFullError, ReadOnlyError, StorageError."""
    try:
        yield
    except PqdbError:
        raise
    except OSError as error:
        raise sentence(error.errno, error.strerror, path, writing=True) from error


def sentence(code: int | None, text: str | None, path: Path, writing: bool) -> PqdbError:
    """The error of ours for an errno."""
    if code in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnlyError(code, f"{path} cannot be written: {text}; open it with read_only=True")
    if code in (errno.EIO, errno.EINVAL) and writing and _is_full(path):
        code, text = errno.ENOSPC, os.strerror(errno.ENOSPC)
    if code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return DiskFullError(code, f"no room to write {path}: {text}; nothing of this write was kept")
    return StorageError(code, f"{path}: {text}")


def _is_full(path: Path) -> bool:
    """Whether a short write was one for want of room: LMDB calls every short write EIO, and a copy, which it writes
    past the page cache, ends at an unaligned place: EINVAL.
    """
    file = path / datafile.NAME
    if sys.platform == "win32":
        return False
    try:
        disk = os.statvfs(path)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        size = file.stat().st_size
    except OSError:
        return False
    room = disk.f_bavail * disk.f_frsize
    return room < _SPARE_DISK or (limit != resource.RLIM_INFINITY and size + _SPARE_DISK > limit)
