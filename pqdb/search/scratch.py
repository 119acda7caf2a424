"""Room for a thread's candidates, kept between its queries: touched pages only, never cleared."""

import threading

import numpy as np

from pqdb.kernels.frame import ROOM
from pqdb.search.index import Index


class Scratch:
    """Candidate arrays of one thread, and the record that tells kernels.road where they are."""

    def __init__(self, capacity: int) -> None:
        self.values = np.empty(capacity, np.float32)
        self.bounds = np.empty(capacity, np.float32)
        self.rows = np.empty(capacity, np.uint32)
        self.places = np.empty(capacity, np.int64)
        arrays = (self.values, self.bounds, self.rows, self.places)
        self.room = np.array([(capacity, *(array.ctypes.data for array in arrays))], ROOM)
        self._index: Index | None = None
        self._table = np.empty((0, 0, 0), np.uint8)

    def table(self, index: Index, q: int) -> np.ndarray:
        """Room for the distance tables of q queries."""
        if self._index is not index or len(self._table) != q:
            self._index, self._table = index, np.empty((q, *index.table_shape), index.table_type)
        return self._table


_local = threading.local()


def scratch(capacity: int) -> Scratch:
    """This thread's scratch, with room for `capacity` candidates at least."""
    held: Scratch | None = getattr(_local, "scratch", None)
    if held is None or len(held.values) < capacity:
        held = _local.scratch = Scratch(capacity + capacity // 4)
    return held
