"""An environment that was compacted: its data went into a fresh file in a numbered folder, and where is written down.

LMDB gives pages back to itself, never to the disk: a file only shrinks by being written anew. The fresh copy has a
folder of its own (`points/1`), because its transactions count from one again and so it needs a lock file of its own.
Two marks lead there:

* in the old file the key ``moved`` of the first database: sealed u32 number. Its commit is the moment of the move, and
  the last commit of the old file. Whoever has it open sees another transaction id at his next look, finds the mark and
  follows.
* instead of the old file a pointer of 16 bytes, put there by one rename: magic "pqdbmovd", u32 number, u32 crc32 of the
  twelve bytes before. It gives the disk its bytes back. Without it (a crash in between) the mark still leads on.
"""

import os
import shutil
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from pqdb.errors import CorruptError
from pqdb.store import datafile
from pqdb.store.layout import seal, unseal

KEY = b"moved"
_POINTER = struct.Struct("<8sII")
_MAGIC = b"pqdbmovd"
_U32 = struct.Struct("<I")


def mark(number: int) -> bytes:
    """The value of the key `moved`."""
    return seal(_U32.pack(number))


def number_of(value: bytes | memoryview, where: str) -> int:
    """Where a mark leads to. Raises CorruptError."""
    number: int = _U32.unpack(unseal(value, f"the mark of {where} that it moved"))[0]
    return number


def home_of(folder: Path) -> Path:
    """The folder that holds an environment's data file: itself, or the one its pointer names. Raises CorruptError."""
    try:
        with (folder / datafile.NAME).open("rb") as file:
            head = file.read(_POINTER.size + 1)
    except OSError:
        return folder  # opening it will say what is wrong
    if not head.startswith(_MAGIC):
        return folder
    if len(head) != _POINTER.size or zlib.crc32(head[:-4]) != _U32.unpack(head[-4:])[0]:
        raise CorruptError(f"{folder / datafile.NAME} is not what was written: a pointer whose checksum differs")
    return folder / str(_POINTER.unpack(head)[1])


def fresh_number(folder: Path, home: Path) -> int:
    """A number no folder of this environment has yet, but for leftovers of a compaction that was interrupted."""
    return int(home.name) + 1 if home != folder else 1


def clear(folder: Path, home: Path) -> None:
    """Delete numbered folders that are not the home: what an interrupted compaction left, or a move left behind."""
    for each in folder.iterdir():
        if each.name.isdecimal() and each != home:
            shutil.rmtree(each, ignore_errors=True)


def point(folder: Path, home: Path) -> None:
    """Put the pointer to `home` where the first data file was, and delete what nobody needs any more."""
    head = _POINTER.pack(_MAGIC, int(home.name), 0)[:-4]
    aside = folder / f".{datafile.NAME}"
    with aside.open("wb") as file:
        file.write(head + _U32.pack(zlib.crc32(head)))
        file.flush()
        os.fsync(file.fileno())
    aside.rename(folder / datafile.NAME)
    datafile.sync_folder(folder)
    with suppress(OSError):
        (folder / "lock.mdb").unlink()
    clear(folder, home)
