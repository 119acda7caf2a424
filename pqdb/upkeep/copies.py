"""Which rows have copies: other rows so near that, seen from anywhere else, there is one point (docs/decisions/029)."""

import numpy as np

from pqdb.partition.router import Router
from pqdb.search.batch import search_batch
from pqdb.search.plan import plan_by_hand
from pqdb.search.snapshot import Snapshot
from pqdb.upkeep.calibrate import Sample

COPY = 0.01  # of the mean square of residuals: the square of how far copies are apart
FEW, MOST = 0.05, 1_000  # share of rows that may have one; where more make a point, rows are all alike
AT_FIRST = 128  # rows whose copies are counted


def find_copies(snapshot: Snapshot, sample: Sample, count: int, allowed: np.ndarray) -> tuple[np.ndarray, int]:
    """(≤ count,) bool: which of the first rows of a sample have a copy; and how many rows usually make one point. None
    and 1 where few have copies, and where the usual row is as good as all others.

    Of inner products, where a row may have any number of nearer ones, it is only told how many make a point: as many as
    there are in a list, at most.
    """
    assert snapshot.index is not None
    router, none = snapshot.index.router, np.zeros(min(count, len(sample.rows)), bool)
    if router.spreads is None:
        return none, 1
    near = COPY * float(router.spreads.mean())
    if snapshot.config.metric == "dot":
        return none, _alike_in_lists(router, sample, near)

    def counted(some: slice, most: int) -> np.ndarray:
        return _count(snapshot, sample.vectors[some], sample.rows[some], near * router.unit**2, most, allowed)

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


def _alike_in_lists(router: Router, sample: Sample, near: float) -> int:
    """How many rows usually make one point, by those of a sample that are in one list."""
    lists, counts = sample.lists(len(sample.rows)), []
    for vector, mine in zip(router.to_index_space(sample.vectors[:AT_FIRST]), lists, strict=False):
        others = router.to_index_space(sample.vectors[lists == mine])
        counts.append(np.sum(((others - vector) ** 2).sum(axis=1) <= near) - 1)  # but for itself
    usual = float(np.median(counts)) / sample.share(len(sample.rows))
    return 1 + round(usual) if usual < MOST - 1 else 1
