"""Room for a thread's searches, kept between its queries: touched pages only, never cleared.

Not all of their memory: a filter's lists, a batch's scan and fresh rows with codes make some of their own.
"""

import threading
from typing import Self

import numpy as np

from pqdb.kernels.room import CANDIDATES, LINE, PIECES, ROOM, pieces_of
from pqdb.search.index import Index


class Layout:
    """Where each piece of the scratch of so many queries lies, behind the first; and how many bytes all of it takes."""

    __slots__ = ("offsets", "size")

    def __init__(self, offsets: np.ndarray, size: int) -> None:
        self.offsets = offsets  # (PIECES,) uint64
        self.size = size

    @classmethod
    def of(cls, frame: np.void, n: int) -> Self:
        """For n queries under a record of kernels.frame.FRAME."""
        lines = [-(-size // LINE) for size in pieces_of(frame, n).values()]
        ends = np.cumsum(lines, dtype=np.uint64) * np.uint64(LINE)
        return cls(ends - np.array(lines, np.uint64) * np.uint64(LINE), int(ends[-1]))


class Scratch:
    """Candidate arrays of one thread, what else a block of queries needs, and the record that tells kernels.road where
    they are.
    """

    def __init__(self, capacity: int) -> None:
        self.values = np.empty(capacity, np.float32)
        self.bounds = np.empty(capacity, np.float32)
        self.rows = np.empty(capacity, np.uint32)
        self.places = np.empty(capacity, np.int64)
        self._record = np.zeros(1, ROOM)
        self._record["capacity"] = capacity
        for name in CANDIDATES:
            self._record[f"{name}_at"] = getattr(self, name).ctypes.data
        self._at: int = self._record.ctypes.data
        self._layout: Layout | None = None
        self._pieces = np.empty(0, np.uint8)
        self._shape: tuple[int, int] | None = None  # of an index's tables: its own, so that it is found by identity
        self._table = np.empty((0, 0, 0), np.uint8)

    def room(self, layout: Layout) -> int:
        """The address of a kernels.room.ROOM with pieces that lie as the layout says."""
        if self._layout is not layout:
            if len(self._pieces) < layout.size + LINE:
                self._pieces = np.empty(layout.size + LINE, np.uint8)
            first = -(-self._pieces.ctypes.data // LINE) * LINE
            self._record.view(np.uint64)[-len(PIECES) :] = layout.offsets + np.uint64(first)
            self._layout = layout
        return self._at

    def table(self, index: Index, q: int) -> np.ndarray:
        """Room for the distance tables of q queries."""
        if self._shape is not index.table_shape or len(self._table) != q:
            self._shape, self._table = index.table_shape, np.empty((q, *index.table_shape), index.table_type)
        return self._table


class _Kept(threading.local):
    """What this thread's searches have given back."""

    def __init__(self) -> None:
        self.free: list[Scratch] = []


_kept = _Kept()


def borrow(capacity: int) -> Scratch:
    """Scratch with room for `capacity` candidates at least, nobody else's until it is given back: a search may begin
    while another one of its thread is under way, in a signal's handler or in what a collector of garbage calls.
    """
    try:
        held: Scratch | None = _kept.free.pop()
    except IndexError:
        held = None
    if held is None or len(held.values) < capacity:
        held = Scratch(capacity + capacity // 4)
    return held


def give_back(held: Scratch) -> None:
    """For the thread's next search. What is not given back, since its search failed, is forgotten."""
    _kept.free.append(held)
