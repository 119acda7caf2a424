"""What is like some examples and unlike others: by one averaged vector, or by the best score among them."""

from collections.abc import Callable

import numpy as np

from pqdb.config import MAX_K
from pqdb.metric import Metric
from pqdb.quantization.source import decode_source
from pqdb.search.diversity import nearness
from pqdb.search.snapshot import Snapshot

Find = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""The k nearest rows of one query (1, d) among those that may be recommended: values (k,) and rows (k,)."""

BLOCK = 4_096  # rows scored at once
FIRST_DEPTH = 64  # neighbours of every example looked at first; then ever more


def averaged(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """(1, d): the mean of the positive examples (p, d), moved on by as much as it is off the mean of the negative."""
    target = positive.mean(axis=0)
    if len(negative):
        target = 2 * target - negative.mean(axis=0)
    return np.ascontiguousarray(target[None], np.float32)


def best_scored(
    snapshot: Snapshot, rows: np.ndarray, positive: np.ndarray, negative: np.ndarray, k: int, find: Find
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the highest scores among `rows` (n,), all that may be recommended: scores (k,) and rows (k,).

    A row nearest to a positive example scores above 0, the more the nearer; one nearest to a negative below 0. The
    neighbours of every positive example are looked at, ever deeper, until no other row can score higher; without any,
    every row is scored.
    """
    depth = max(4 * k, FIRST_DEPTH)
    while len(positive) and depth < min(len(rows), MAX_K):
        found = [find(example[None], depth) for example in positive]
        candidates = np.unique(np.concatenate([near for _, near in found]))
        scores = _scores(snapshot, candidates, positive, negative)
        order = np.argsort(-scores, kind="stable")[:k]
        bound = _scaled(np.array(max(float(values[-1]) for values, _ in found)))
        if len(order) == k and scores[order[-1]] >= bound:
            return scores[order], candidates[order]
        depth *= 4
    scores = _scores(snapshot, rows, positive, negative)
    order = np.argsort(-scores, kind="stable")[:k]
    return scores[order], rows[order]


def _scores(snapshot: Snapshot, rows: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """(n,) float32."""
    parts = [np.zeros(0, np.float32)]
    for first in range(0, len(rows), BLOCK):
        raw = snapshot.points.source_of(rows[first : first + BLOCK])
        vectors = decode_source(raw, snapshot.config.dim, snapshot.config.kept_source)
        best, worst = (_nearest(vectors, each, snapshot.config.metric) for each in (positive, negative))
        parts.append(np.where(best > worst, _scaled(best), -_scaled(worst)).astype(np.float32))
    return np.concatenate(parts)


def _nearest(vectors: np.ndarray, examples: np.ndarray, metric: Metric) -> np.ndarray:
    """(n,) nearness to the nearest example."""
    if not len(examples):
        return np.full(len(vectors), -np.inf)
    best: np.ndarray = nearness(vectors, examples, metric).max(axis=1)
    return best


def _scaled(nearness: np.ndarray) -> np.ndarray:
    """Brought into 0 … 1, order kept."""
    with np.errstate(invalid="ignore"):  # −inf / inf, of no examples, is never chosen
        squeezed: np.ndarray = (nearness / (1 + np.abs(nearness)) + 1) / 2
    return squeezed
