"""LMDB's lock file: made before LMDB makes it, and asked who holds it. Closing any descriptor of it drops the locks
that this process has on it: nobody may open it who has the environment open.
"""

import os
import struct
import sys
import uuid
from contextlib import suppress
from pathlib import Path

from pqdb.errors import DiskFullError
from pqdb.store.faults import sentence

if sys.platform != "win32":
    import fcntl

NAME = "lock.mdb"
MAX_READERS = 1024
_HEAD, _SLOT = 128, 64  # bytes of it, LMDB 0.9 on 64 bits
_FLOCK = "hhqqi"  # struct flock: type, whence, start, length, process


def provide(folder: Path) -> None:
    """Make the file where there is none, as large as LMDB will want it and with room for all of it on disk.

    LMDB makes a hole of it and writes to that through a memory map: on a full disk that would be SIGBUS. Raises
    DiskFullError. (Where the folder cannot be written LMDB will say so.)
    """
    file = folder / NAME
    if file.exists():  # never to be touched
        return
    aside = folder / f".{NAME}-{uuid.uuid4().hex}"
    try:
        with aside.open("xb") as made:
            made.write(bytes(_HEAD + MAX_READERS * _SLOT))
        with suppress(FileExistsError):  # another process was faster
            os.link(aside, file)
    except OSError as error:
        found = sentence(error.errno, error.strerror, folder, writing=True)
        if isinstance(found, DiskFullError):
            raise found from error
    finally:
        with suppress(OSError):
            aside.unlink()


def holder_of(folder: Path) -> int | None:
    """The id of another process that has the environment open, for LMDB holds a shared lock for as long; or None."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None  # never opened for writing, or by nobody who may
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        kind, _, _, _, holder = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else holder
    finally:
        os.close(descriptor)
