"""A few hundred of the queries lately asked, in memory only: what the database learns its recall from."""

import random
import threading

import numpy as np

CAPACITY = 400
EVERY = 8  # once full, every eighth query takes the place of a random one


class Reservoir:
    """Queries as they were asked, offered by every search and read by upkeep. Never on disk."""

    def __init__(self, seed: int = 0) -> None:
        self._queries: list[np.ndarray] = []  # each (d,) float32
        self._skip = 0
        self._random = random.Random(seed)  # (numpy's takes ten times as long for one number)
        self._lock = threading.Lock()
        self.taken = 0  # how many were ever taken in

    def offer(self, queries: np.ndarray) -> None:
        """Queries (q, d) that were just asked; costs a fraction of a microsecond where they are passed over."""
        if self._skip > 0:
            self._skip -= 1
            return
        if not self._lock.acquire(blocking=False):
            return  # a query more or less; and whoever waits may be in a signal's handler, on the holder's own thread
        try:
            for query in queries[:CAPACITY]:
                self.taken += 1
                if len(self._queries) < CAPACITY:
                    self._queries.append(query.copy())
                else:
                    self._queries[self._random.randrange(CAPACITY)] = query.copy()
                    self._skip = EVERY - 1
        finally:
            self._lock.release()

    def queries(self) -> np.ndarray:
        """(n, d) float32, a copy."""
        with self._lock:
            return np.array(self._queries, np.float32)

    def __len__(self) -> int:
        return len(self._queries)
