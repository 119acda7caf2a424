"""Maximal marginal relevance (Carbonell, Goldstein 1998): near the query, and unlike what was taken already."""

import numpy as np

from pqdb.metric import Metric


def choose(relevance: np.ndarray, vectors: np.ndarray, metric: Metric, k: int, diversity: float) -> np.ndarray:
    """(min(k, n),) int64: which candidates to take, one after the other.

    relevance (n,): nearness to the query, larger is nearer; vectors (n, d). Each time the candidate with the largest
    (1 − diversity) · relevance − diversity · (its largest nearness to one that was taken) comes next.
    """
    taken: list[int] = []
    nearest = np.full(len(relevance), -np.inf)
    left = np.ones(len(relevance), np.bool_)
    while left.any() and len(taken) < k:
        worth = relevance if not taken else (1 - diversity) * relevance - diversity * nearest
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        taken.append(best)
        left[best] = False
        nearest = np.maximum(nearest, nearness(vectors, vectors[best : best + 1], metric)[:, 0])
    return np.array(taken, np.int64)


def nearness(vectors: np.ndarray, to: np.ndarray, metric: Metric) -> np.ndarray:
    """(n, m) of vectors (n, d) to others (m, d), larger is nearer: inner products, or distances (l2: their squares)
    negated.
    """
    if metric in ("cosine", "dot"):
        inner: np.ndarray = vectors @ to.T
        return inner
    apart = vectors[:, None, :] - to[None, :, :]
    far: np.ndarray = (np.square(apart) if metric == "l2" else np.abs(apart)).sum(axis=2)
    return -far
