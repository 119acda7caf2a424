"""Room for a thread's candidates, kept between its queries: touched pages only, never cleared."""

import threading

import numpy as np


class Scratch:
    """Candidate arrays of one thread."""

    def __init__(self, capacity: int) -> None:
        self.values = np.empty(capacity, np.float32)
        self.bounds = np.empty(capacity, np.float32)
        self.rows = np.empty(capacity, np.uint32)
        self.places = np.empty(capacity, np.int64)


_local = threading.local()


def scratch(capacity: int) -> Scratch:
    """This thread's scratch, with room for `capacity` candidates at least."""
    held: Scratch | None = getattr(_local, "scratch", None)
    if held is None or len(held.values) < capacity:
        held = _local.scratch = Scratch(capacity + capacity // 4)
    return held
