"""An LMDB data file, looked at before it is mapped: a truncated map is SIGBUS, a foreign one an abort."""

import mmap
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pqdb.errors import CorruptError, NotADatabaseError, StorageError

NAME = "data.mdb"

# Page header, then MDB_meta of LMDB 0.9: magic, version, address, map size, the records of two trees (of which only
# the flags are looked at), last page, transaction id.
_META = struct.Struct("<8xHH4x" + "IIQQ" + "4xH42x" * 2 + "QQ")
_FIRST_DB = struct.Struct("<I")  # md_pad of the free list's record holds the page size
_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1
_META_FLAG = 0x08
_FREE_FLAGS, _MAIN_FLAGS = 0x08, 0  # integer keys in the free list, nothing unusual anywhere
_TRIES = 5  # a writer may be at work while we read
_MAX_PAGE = 65536
_PAUSE = 0.002  # seconds


@dataclass(frozen=True)
class DataFile:
    """The newest meta page of a data file, and the size the file has."""

    page_bytes: int
    map_bytes: int
    last_page: int
    txn_id: int
    file_bytes: int

    @property
    def expected_bytes(self) -> int:
        """The size the meta page vouches for."""
        return (self.last_page + 1) * self.page_bytes


class Pulse:
    """The id of a data file's last commit, by any process, read off its meta pages without a transaction.

    Equal ids, nothing changed: a fifth of what a transaction costs. What is to be read after a change needs one.
    """

    def __init__(self, folder: Path) -> None:
        found = inspect(folder)
        with (folder / NAME).open("rb") as file:
            self._pages = mmap.mmap(file.fileno(), 2 * found.page_bytes, access=mmap.ACCESS_READ)
        self._words = memoryview(self._pages).cast("Q")
        self._places = tuple((number * found.page_bytes + _META.size) // 8 - 1 for number in (0, 1))

    def txn_id(self) -> int:
        """The larger of both meta pages' ids; each is one aligned word, so never half written."""
        words, (first, second) = self._words, self._places
        return max(words[first], words[second])

    def close(self) -> None:
        """Let go of the file; txn_id raises ValueError from here on."""
        self._words.release()
        self._pages.close()


def inspect(folder: Path) -> DataFile:
    """Read and check both meta pages of a folder's data file by plain reads.

    Raises NotADatabaseError where there is no data file, CorruptError where it is not one of LMDB's or is
    shorter than its newest meta page says (unless only free pages lie beyond its end).
    """
    path = folder / NAME
    found = _look_often(path)
    if found.file_bytes < found.expected_bytes and _reaches_beyond_end(path):
        raise CorruptError(
            f"{path} is truncated: it has {found.file_bytes:,} bytes, its newest commit needs "
            f"{found.expected_bytes:,}"
        )
    return found


def _look_often(path: Path) -> DataFile:
    """What the meta pages say; they are read again where a writer may have been in between."""
    for _ in range(_TRIES - 1):
        with suppress(CorruptError):
            return _look(path)
        time.sleep(_PAUSE)
    return _look(path)


def _look(path: Path) -> DataFile:
    head, size = _head(path)
    page_bytes = _page_bytes(head, size, path)
    if len(head) < page_bytes + _META.size:
        raise CorruptError(f"{path} is truncated: it has {size:,} bytes, less than two pages")
    metas = [_meta(head[number * page_bytes :], number, path) for number in (0, 1)]
    _check_turns(metas[0][2], metas[1][2], path)
    map_bytes, last_page, txn_id = max(metas, key=lambda meta: meta[2])
    return DataFile(page_bytes, map_bytes, last_page, txn_id, size)


def _check_turns(even: int, odd: int, path: Path) -> None:
    """Commits write the two meta pages in turn, so their numbers differ by one; else the newer one may be made up."""
    if (even or odd) and (abs(even - odd) != 1 or even % 2):
        raise CorruptError(f"{path} is overwritten: its meta pages are of commits {even:,} and {odd:,}, not in turn")


def _head(path: Path) -> tuple[bytes, int]:
    """The beginning of a file, with room for both meta pages, and its size."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_PAGE + _META.size), os.fstat(file.fileno()).st_size
    except (FileNotFoundError, NotADirectoryError):
        raise NotADatabaseError(
            f"{path.parent} is not a pqdb database: there is no {path.name} in it"
        ) from None
    except OSError as error:
        raise StorageError(error.errno, f"{path} cannot be read: {error.strerror}") from error


def _page_bytes(head: bytes, size: int, path: Path) -> int:
    if len(head) < _META.size:
        raise CorruptError(f"{path} is truncated: it has {size:,} bytes, less than one page")
    page_bytes: int = _FIRST_DB.unpack_from(head, 16 + 24)[0]
    _meta(head, 0, path)
    if not 256 <= page_bytes <= _MAX_PAGE or page_bytes & (page_bytes - 1):
        raise CorruptError(f"{path} is overwritten: its page size reads {page_bytes}")
    return page_bytes


def _meta(page: bytes, number: int, path: Path) -> tuple[int, int, int]:
    """(map size, last page, transaction id) of one meta page."""
    _, flags, magic, version, _, map_bytes, free_flags, main_flags, last_page, txn_id = _META.unpack_from(page)
    if not flags & _META_FLAG or magic != _MAGIC:
        raise CorruptError(f"{path} is overwritten: meta page {number} does not begin as LMDB's does")
    if version != _DATA_VERSION:
        raise CorruptError(f"{path} has LMDB data version {version}, not {_DATA_VERSION}")
    if (free_flags, main_flags) != (_FREE_FLAGS, _MAIN_FLAGS):
        raise CorruptError(
            f"{path} is overwritten: meta page {number} has flags {free_flags:#x} and {main_flags:#x}, not ours"
        )
    return map_bytes, last_page, txn_id


def _reaches_beyond_end(path: Path) -> bool:
    """Whether a page in use lies beyond the end of a short file.

    LMDB does not write pages that one transaction took and gave back, so a whole file may end before its last
    page; walking the tree by plain reads tells that apart from a file cut off.
    """
    return bool(walk(path.parent))


def walk(folder: Path) -> list[str]:
    """What is wrong with the structure of a data file at rest, read without mapping it; [] if sound."""
    from lmdb.verify import VerifyError, verify  # only needed on a bad day

    try:
        problems: list[str] = verify(str(folder / NAME), subdir=False)  # type: ignore[no-untyped-call]
    except (VerifyError, OSError) as error:
        return [str(error)]
    return problems


def extend_to(folder: Path, size: int) -> None:
    """Give the file its full size after a commit that left free pages unwritten at its end.

    posix_fallocate never shrinks, so a commit of another process in the meantime is safe.
    """
    path = folder / NAME
    with suppress(OSError):  # (it only spares the next opening a walk)
        if not hasattr(os, "posix_fallocate") or path.stat().st_size >= size:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, size - 1, 1)
        finally:
            os.close(descriptor)


def sync(file: Path) -> None:
    """Make what was written to a file durable."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, with names that outlast a power cut."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable, where the system lets folders be synchronised."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
