"""How many rows make one point: so near to one another that, seen from anywhere else, they are one (decision 029)."""

import numpy as np

from pqdb.partition.router import Router
from pqdb.search.batch import search_batch
from pqdb.search.plan import plan_by_hand
from pqdb.search.snapshot import Snapshot
from pqdb.upkeep.sample import Sample

COPY = 0.01  # of the mean square of residuals: the square of how far copies are apart
MOST = 1_000  # where more make a point, rows are all alike
LOOKED_AT = 128  # rows whose copies are counted


def count_alike(snapshot: Snapshot, sample: Sample, allowed: np.ndarray) -> int:
    """How many rows of a sample usually make one point; 1 where the usual row has no copy, or more than MOST.

    Of inner products, where a row may have any number of nearer ones, as many as there are in a list, at most.
    """
    assert snapshot.index is not None
    router = snapshot.index.router
    if router.spreads is None:
        return 1
    near = COPY * float(router.spreads.mean())
    if snapshot.config.metric == "dot":
        copies = _copies_in_lists(router, sample, near)
    else:
        apart = near * router.unit**2
        copies = _copies(snapshot, sample, apart, 1, allowed) and _copies(snapshot, sample, apart, MOST, allowed)
    return 1 + round(copies) if copies < MOST - 1 else 1


def _copies(snapshot: Snapshot, sample: Sample, near: float, most: int, allowed: np.ndarray) -> float:
    """How many other rows are usually no farther from one than `near`, a squared distance, of `most` looked for."""
    index, rows = snapshot.index, sample.rows[:LOOKED_AT]
    assert index is not None
    plan = plan_by_hand(index.calibration, index.router.n_lists, most + 1, index.router.n_lists, None)
    values, found = search_batch(snapshot, sample.vectors[: len(rows)], plan, allowed, most + 1)
    apart = -values if snapshot.config.metric == "l2" else 2 - 2 * values
    return float(np.median(((apart <= near) & (found != rows[:, None])).sum(axis=1)))


def _copies_in_lists(router: Router, sample: Sample, near: float) -> float:
    """As _copies, of those that are in one list."""
    lists, counts = sample.lists(len(sample.rows)), []
    for vector, mine in zip(router.to_index_space(sample.vectors[:LOOKED_AT]), lists, strict=False):
        others = router.to_index_space(sample.vectors[lists == mine])
        counts.append(np.sum(((others - vector) ** 2).sum(axis=1) <= near) - 1)  # but for itself
    return float(np.median(counts)) / sample.share(len(sample.rows))
