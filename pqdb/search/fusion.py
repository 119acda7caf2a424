"""Several lists of hits as one: by their ranks, or by scores brought to one scale."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pqdb.errors import InputError
from pqdb.hits import Hit, Hits, Id

RRF_CONSTANT = 2  # of Qdrant; 60 in the paper (Cormack, Clarke, Büttcher 2009), which levels the ranks out
SPREAD = 3.0  # standard deviations to each side of the mean that a list's scores are taken to span


def fuse_rrf(
    lists: Sequence[Sequence[Hit]],
    limit: int = 10,
    *,
    constant: int = RRF_CONSTANT,
    weights: Sequence[float] | None = None,
) -> list[Hit]:
    """Reciprocal rank fusion: a hit's score is the sum of 1 / ((rank + 1) / weight + constant − 1) over the lists.

    Ranks count from 0. The same point in several lists is one hit, with the payload and vector it had first. Raises
    InputError for weights that do not fit the lists.
    """
    shares = [1.0] * len(lists) if weights is None else [float(weight) for weight in weights]
    if len(shares) != len(lists):
        raise InputError(f"{len(shares)} weights for {len(lists)} lists of hits")
    if constant < 1 or not all(share > 0 and math.isfinite(share) for share in shares):
        raise InputError(f"fusion by rank takes a constant of at least 1 and weights above 0, not {constant}, {shares}")
    scored = (
        [(hit, 1 / ((rank + 1) / share + constant - 1)) for rank, hit in enumerate(hits)]
        for hits, share in zip(lists, shares, strict=True)
    )
    return _summed(scored, limit)


def fuse_dbsf(lists: Sequence[Hits], limit: int = 10) -> list[Hit]:
    """Distribution-based score fusion: each list's scores are moved and scaled so that mean ± 3 σ become 0 … 1, then
    summed. Distances count negated; a list without any spread counts ½.
    """
    return _summed((list(zip(hits, _normalised(hits), strict=True)) for hits in lists), limit)


def _normalised(hits: Hits) -> list[float]:
    scores = np.array([hit.score for hit in hits], np.float64) * (-1 if hits.smaller_is_nearer else 1)
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    if not deviation:
        return [0.5] * len(scores)
    least = scores.mean() - SPREAD * deviation
    found: list[float] = ((scores - least) / (2 * SPREAD * deviation)).tolist()
    return found


def _summed(lists: Iterable[list[tuple[Hit, float]]], limit: int) -> list[Hit]:
    """Hits by the sums of their scores, larger first; of equal ones the one that came first."""
    sums: dict[Id, float] = {}
    first: dict[Id, Hit] = {}
    for scored in lists:
        for hit, score in scored:
            sums[hit.id] = sums.get(hit.id, 0.0) + score
            first.setdefault(hit.id, hit)
    best = sorted(sums, key=sums.__getitem__, reverse=True)[:limit]
    return [replace(first[name], score=sums[name]) for name in best]
