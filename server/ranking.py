"""Arithmetic on ranked lists: fusion, diversity, averages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .ids import PointId

Floats = npt.NDArray[np.float32]
Ranked = list[tuple[PointId, float]]  # the best first

DISTANCES = ("l2", "l1")  # metrics of smaller scores the nearer

_SPREAD = 3.0  # standard deviations on either side of the mean that DBSF takes for the range of scores


def rrf(lists: Sequence[Ranked], k: int, weights: Sequence[float] | None = None) -> Ranked:
    """Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): what stands high in many lists comes first."""
    scores: dict[PointId, float] = defaultdict(float)
    for number, ranked in enumerate(lists):
        weight = 1.0 if weights is None else weights[number]
        for place, (id_, _) in enumerate(ranked):
            scores[id_] += 1 / ((place + 1) / weight + k - 1) if weight > 0 else 0.0
    return best_first(scores)


def dbsf(lists: Sequence[Ranked]) -> Ranked:
    """Distribution-based score fusion: scores of each list, stretched by their own spread, added up."""
    scores: dict[PointId, float] = defaultdict(float)
    for ranked in lists:
        for (id_, _), score in zip(ranked, _stretched([score for _, score in ranked]), strict=True):
            scores[id_] += score
    return best_first(scores)


def _stretched(scores: list[float]) -> list[float]:
    if len(scores) < 2:
        return [0.5] * len(scores)
    values = np.array(scores, np.float64)
    spread = float(values.std(ddof=1))
    if spread == 0:
        return [0.5] * len(scores)
    low = float(values.mean()) - _SPREAD * spread
    return [float((value - low) / (2 * _SPREAD * spread)) for value in values]


def best_first(scores: dict[PointId, float]) -> Ranked:
    """By score; of equal ones numbers come before UUIDs, each ascending."""
    return sorted(scores.items(), key=lambda pair: (-pair[1], isinstance(pair[0], str), pair[0]))


def diverse(vectors: Floats, scores: Floats, diversity: float, n: int, metric: str) -> list[int]:
    """Maximal marginal relevance (Carbonell, Goldstein 1998): which n of the candidates, in the order chosen.

    vectors (c, dim) as they are kept, scores (c,) larger is nearer: distances negated, and for l2 squared. Each choice
    weighs nearness to the query against likeness to what was chosen before.
    """
    chosen: list[int] = []
    left = np.ones(len(vectors), bool)
    likeness = np.full(len(vectors), -np.inf)
    while len(chosen) < min(n, len(vectors)):
        worth = scores if not chosen else (1 - diversity) * scores - diversity * likeness
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        chosen.append(best)
        left[best] = False
        likeness = np.maximum(likeness, _similar(vectors, vectors[best], metric))
    return chosen


def _similar(vectors: Floats, one: Floats, metric: str) -> npt.NDArray[np.float64]:
    """(c,) how like each vector is to one, in the terms of the scores."""
    if metric in DISTANCES:
        apart = np.abs(vectors.astype(np.float64) - one)
        far: npt.NDArray[np.float64] = (apart * apart if metric == "l2" else apart).sum(axis=1)
        return -far
    products: npt.NDArray[np.float64] = vectors.astype(np.float64) @ one.astype(np.float64)
    return products


def averaged(positive: Floats, negative: Floats | None) -> Floats:
    """(dim,) the average of positive examples (p, dim), moved as far again away from that of negative ones (n, dim)."""
    middle = positive.astype(np.float64).mean(axis=0)
    if negative is not None:
        middle = 2 * middle - negative.astype(np.float64).mean(axis=0)
    vector: Floats = middle.astype(np.float32)
    return vector
