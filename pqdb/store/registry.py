"""The environments that this process has open, one an inode; and what a fork makes of them."""

import os
import threading
import weakref
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pqdb.errors import ForkedError
from pqdb.store import datafile, lockfile, moved

Inode = tuple[int, int]  # device and number of a data file


class Opened(Protocol):
    """What is registered."""

    path: Path
    left_open: Inode | None

    def has_moved(self) -> bool:
        """Whether the file that is mapped is another one than the pointer names."""

    def poison(self) -> None:
        """In a forked child: refuse everything."""


Handle = TypeVar("Handle", bound=Opened)
Key = TypeVar("Key")


class Registry(Generic[Handle]):
    """The handles of this process, one an inode."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._handles: dict[Inode, Handle] = {}
        self._by_path: dict[str, Handle] = {}
        self._everyone: weakref.WeakSet[Handle] = weakref.WeakSet()

    def meet(self, handle: Handle) -> None:
        """Know a handle, so that it is poisoned in a child."""
        self._everyone.add(handle)

    def find(self, folder: Path) -> Handle | None:
        """The handle of a folder: by its inode, or, while the data are being moved to another file, by its path."""
        key = inode(moved.home_of(folder))
        found = self._handles.get(key) if key else None
        if found is None and key:
            alike = self._by_path.get(os.path.realpath(folder))
            found = alike if alike is not None and alike.has_moved() else None
        return found

    def put(self, handle: Handle, key: Inode | None, last: Inode | None) -> None:
        """Let a handle be found by the inode of the file that is mapped, and no more by the last one's."""
        if key is not None:
            self._handles[key] = handle  # first, so that it is found at every instant
            self._by_path[os.path.realpath(handle.path)] = handle
        if last != key:
            _remove(self._handles, last, handle)

    def drop(self, handle: Handle, key: Inode | None) -> None:
        """Let a closed handle be found no more."""
        _remove(self._handles, key, handle)
        for path in [path for path, each in self._by_path.items() if each is handle]:
            _remove(self._by_path, path, handle)

    def user_of(self, folder: Path) -> int | None:
        """The id of a process, perhaps our own, that has an environment open; None where nobody has."""
        with self.lock:  # (what we have open ourselves must not be touched: see lockfile.holder_of)
            return os.getpid() if inode(folder) in self._handles else lockfile.holder_of(folder)

    def refuse_left_open(self, folder: Path) -> None:
        """Raise ForkedError where the parent's map of a folder could not be closed in this process."""
        key = inode(moved.home_of(folder))
        if key is not None and any(each.left_open == key for each in list(self._everyone)):
            raise ForkedError(
                f"{folder} cannot be opened in this process: while it was forked, another thread of its parent read or "
                "wrote there; fork before such threads begin, or spawn"
            )

    def poison(self) -> None:
        """In a forked child: LMDB's locks did not come along, so no handle of the parent's may be used."""
        self.lock = threading.RLock()  # another thread of the parent may have held it
        self._handles.clear()
        self._by_path.clear()
        for handle in list(self._everyone):
            handle.poison()


def _remove(handles: dict[Key, Handle], key: Key | None, handle: Handle) -> None:
    """Forget a handle where it still has that key."""
    if key is not None and handles.get(key) is handle:
        del handles[key]


def inode(folder: Path) -> Inode | None:
    """That of the data file in a folder; None where there is none."""
    try:
        stat = (folder / datafile.NAME).stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
