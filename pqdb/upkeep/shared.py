"""Give back what dead points hold where they have several vectors, whose rows are the same.

How many are dead is told by the pages of row records, since a point may lack any of its vectors. A point in a page, or
run, that is mostly dead moves like one that is written anew: one commit copies its vectors behind all other rows and
lets the old row die. It is fresh in every index then, and indexed with what else is fresh.
"""

import numpy as np

from pqdb.config import FRESH_ROWS
from pqdb.store.layout import META_ROWS, bits_at
from pqdb.store.points import PointStore
from pqdb.store.slots import indexed
from pqdb.upkeep.compact import DEAD, drop_dead_pages, drop_dead_runs
from pqdb.upkeep.train import Progress

FEWEST_DEAD = 2_000  # rows: fewer are not worth the work


class SharedRows:
    """The rows of a collection whose vectors have names."""

    def __init__(self, points: PointStore) -> None:
        self._points = points
        self._moving = False  # pages that are mostly dead are being emptied, a round at a time
        self._barren = -1  # sequence at which there was nothing to give back, though it looked so

    def step(self, progress: Progress) -> bool:
        """Give some back, where a quarter of the rows on disk is dead; returns whether there was any."""
        with self._points.read() as view:
            kept, seq = view.rows_on_disk, view.seq
            dead = kept - view.n_live
        if not self._moving and (dead < max(DEAD * kept, FEWEST_DEAD) or seq == self._barren):
            return False
        self._moving = self.tidy(DEAD, progress) > 0
        if not self._moving:
            with self._points.read() as view:
                self._barren = view.seq
        return self._moving

    def tidy(self, most: float, progress: Progress) -> int:
        """Move some points out of groups of rows of which more than a share of `most` is dead, and delete what nobody
        needs any more; returns how many were moved or deleted.
        """
        rows = self._rows_to_move(most)
        if len(rows):
            progress("move rows", 0.0)
            with self._points.write() as batch:
                batch.settle(rows, batch.reserve(rows))
            progress("move rows", 1.0)
        return len(rows) + self._drop_dead()

    def _rows_to_move(self, most: float) -> np.ndarray:
        """Up to FRESH_ROWS living rows, (n,) uint32, of groups that are mostly dead; a group is as many rows as the
        longest run holds.
        """
        size = max([META_ROWS, *(runs.rows_per_run for runs in self._points.geometry.values())])
        with self._points.read() as view:
            groups = np.unique(view.kept_pages() * META_ROWS // size)
            groups = groups[(groups + 1) * size <= view.n_rows]
            counts = view.alive_each(groups, size)
            sparse = groups[(counts > 0) & (counts < (1 - most) * size)]
            sparse = sparse[: max(1, int(np.searchsorted(np.cumsum(counts[np.isin(groups, sparse)]), FRESH_ROWS)))]
            rows = (sparse[:, None] * size + np.arange(size)).ravel()
            living: np.ndarray = rows[bits_at(view.live, rows)].astype(np.uint32)
            return living

    def _drop_dead(self) -> int:
        dropped = sum(drop_dead_runs(self._points, slot) for slot in indexed(self._points.geometry))
        return dropped + drop_dead_pages(self._points)
