"""Queries made of rows: harder ones than rows are, for what rows cannot tell."""

from collections.abc import Callable
from functools import partial

import numpy as np

from pqdb.panels import inner_products
from pqdb.partition.middle import middle

COVARIANCE_ROWS = 2_048  # that the data's covariance is taken from
PROFILES = (2, 30)  # rows of the smallest and of the largest


def made_queries(sample: np.ndarray, metric: str, seed: int, rows: int, made: int) -> tuple[np.ndarray, int]:
    """So many rows of a sample (n, d), then `made` queries of each kind, in the form metric.prepare leaves; and how
    many of them are rows. The kinds are rows with half or four fifths of their dimensions set to the mean, rows with
    noise of the data's own covariance, and for l2 halved sums of two.

    But for l2 a made query is as far from the mean as the row it is made of. What hides from a row four fifths of its
    dimensions takes half of that, and where rows have much in common, the mean is then all that is left: such queries
    have other keys than questions that are as hard.
    """
    rng = np.random.default_rng(seed)
    mean = middle(sample)
    noise = _noise_like(sample[:COVARIANCE_ROWS] - mean, made, rng)

    def veiled(share: float, moved: np.ndarray) -> np.ndarray:
        left: np.ndarray = np.where(rng.random(moved.shape) < share, np.float32(0), moved)
        return left

    def blurred(moved: np.ndarray) -> np.ndarray:
        noisy: np.ndarray = moved + rng.uniform(0, 4, (made, 1)).astype(np.float32) * noise
        return noisy

    kinds = [sample[:rows]]
    changes: tuple[Callable[[np.ndarray], np.ndarray], ...] = partial(veiled, 0.5), partial(veiled, 0.8), blurred
    for change in changes:
        moved = sample[rng.integers(0, len(sample), made)] - mean
        changed = change(moved)
        kinds.append(mean + (changed if metric == "l2" else changed * (_lengths(moved) / _lengths(changed))))
    if metric == "l2":
        kinds.append((sample[rng.integers(0, len(sample), (2, made))].sum(axis=0) / 2).astype(np.float32))
    return _as_prepared(np.concatenate(kinds), metric), len(kinds[0])


def profiles(sample: np.ndarray, metric: str, seed: int, count: int) -> np.ndarray:
    """(count, d) means of 2 to 30 rows of a sample (n, d), in the form metric.prepare leaves: who recommends by what
    somebody liked asks so. They lie nearer to all lists than any row does, and near to none.
    """
    rng = np.random.default_rng(seed)
    sizes = np.rint(np.geomspace(*PROFILES, count)).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = sample[rng.integers(0, len(sample), starts[-1])]
    return _as_prepared(np.add.reduceat(rows, starts[:-1], axis=0) / sizes[:, None], metric)


def strangers(sample: np.ndarray, metric: str, seed: int, count: int) -> np.ndarray:
    """(count, d) queries unlike any row of a sample (n, d), in the form metric.prepare leaves: noise of the data's own
    covariance, as far out as rows, about any share of the mean. Who recommends, or asks across languages, asks so.
    """
    rng = np.random.default_rng(seed)
    mean = middle(sample)
    noise = _noise_like(sample[:COVARIANCE_ROWS] - mean, count, rng)
    far = _lengths(sample[rng.integers(0, len(sample), count)] - mean)
    return _as_prepared(rng.uniform(0, 1, (count, 1)) * mean + noise * (far / _lengths(noise)), metric)


def _as_prepared(queries: np.ndarray, metric: str) -> np.ndarray:
    """Made queries (n, d) in the form that metric.prepare leaves, which would refuse those that are very long."""
    if metric == "cosine":
        queries = queries / _lengths(queries)
    return np.ascontiguousarray(queries, dtype=np.float32)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """(n, 1) of vectors (n, d); 1 for one of nothing, which may then be divided by it."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)  # squares may be too large for float32
    lengths[lengths == 0] = 1
    found: np.ndarray = lengths.astype(np.float32)
    return found


def _noise_like(centred: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, d) float32 Gaussian noise of the covariance of centred rows (n, d): sums of them, weighted at random."""
    weights = rng.standard_normal((count, len(centred)), np.float32) / np.float32(np.sqrt(len(centred)))
    return inner_products(weights, centred.T)
