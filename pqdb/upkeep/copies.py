"""Which rows have copies: other rows so near that, seen from anywhere else, there is one point (docs/decisions/029)."""

import numpy as np

from pqdb.panels import half_squares, inner_products
from pqdb.search.batch import search_batch
from pqdb.search.plan import plan_by_hand
from pqdb.search.snapshot import Snapshot

COPY = 0.01  # of the mean square of residuals: the square of how far copies are apart
FEW, MOST = 0.05, 1_000  # share of rows that may have one; where more make a point, rows are all alike
AT_FIRST = 128  # rows whose copies are counted
SEEN_ROWS, SEEN_PART = 1 << 16, 1 << 12  # of a sample, among which those of inner products are looked for, by parts


def find_copies(
    snapshot: Snapshot, sample: np.ndarray, rows: np.ndarray, count: int, n_live: int, allowed: np.ndarray
) -> tuple[np.ndarray, int]:
    """(≤ count,) bool: which of the first rows of a sample have a copy; and how many rows usually make one point. None
    and 1 where few have copies, and where the usual row is as good as all others.

    sample (n, d) prepared vectors of the rows (n,), which stand for n_live. Of inner products it is only told how many
    make a point, for a row may have any number of nearer ones: by how many there are in the sample.
    """
    assert snapshot.index is not None
    router, none = snapshot.index.router, np.zeros(min(count, len(rows)), bool)
    if router.spreads is None:
        return none, 1
    near = COPY * float(router.spreads.mean())
    if snapshot.config.metric == "dot":
        return none, _alike_in(router.to_index_space(sample[:SEEN_ROWS]), near, n_live)

    def counted(some: slice, most: int) -> np.ndarray:
        return _count(snapshot, sample[some], rows[some], near * router.unit**2, most, allowed)

    if np.mean(counted(slice(0, AT_FIRST), 1) > 0) <= FEW:
        return none, 1
    usual = int(np.median(counted(slice(0, AT_FIRST), MOST)))
    return (counted(slice(0, count), 1) > 0, 1 + usual) if usual < MOST else (none, 1)


def _count(
    snapshot: Snapshot, vectors: np.ndarray, rows: np.ndarray, near: float, most: int, allowed: np.ndarray
) -> np.ndarray:
    """(q,) how many copies each of these rows (q, d) has, of `most` that are looked for: rows no farther than `near`,
    a squared distance.
    """
    index, metric = snapshot.index, snapshot.config.metric
    assert index is not None
    plan = plan_by_hand(index.calibration, index.router.n_lists, most + 1, index.router.n_lists, None)
    values, found = search_batch(snapshot, vectors, plan, allowed, most + 1)
    apart = -values if metric == "l2" else 2 - 2 * values
    copies: np.ndarray = ((apart <= near) & (found != rows[:, None])).sum(axis=1)
    return copies


def _alike_in(moved: np.ndarray, near: float, n_live: int) -> int:
    """How many rows usually make one point, by some of n_live (n, d), in index space."""
    first = moved[:AT_FIRST]
    squares, counts = half_squares(first)[:, None], np.full(len(first), -1)  # but for itself
    for start in range(0, len(moved), SEEN_PART):
        part = moved[start : start + SEEN_PART]
        counts += (squares + half_squares(part) - inner_products(first, part) <= near / 2).sum(axis=1)
    usual = float(np.median(counts)) * n_live / len(moved)
    return 1 + round(usual) if usual < MOST else 1
