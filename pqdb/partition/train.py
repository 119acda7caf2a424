"""Training the centroids of the inverted lists: k-means on a sample, kept even."""

import numpy as np
from numpy.typing import NDArray

from pqdb.errors import InputError
from pqdb.partition.assign import assign
from pqdb.partition.balance import parts_of_lists, shares
from pqdb.partition.lloyd import Progress, kmeans, means, silent

ROWS_PER_LIST = 128  # four groups of 32: shorter lists cost more to rank and to reach than they save …
LISTS = 0.4  # … and past 134,000 rows longer ones do, too: of n rows there are so many times n^⅔ (docs/decisions/050)
FEWEST_ROWS = 5_000  # below, one list
MOST_LISTS = 65_536

POINTS_PER_CENTROID = 256  # more buys nothing …
MOST_FLOATS = 1 << 26  # … and past 256 MB of them, FEWEST_POINTS a centroid must do
FEWEST_POINTS = 16
FLAT_LISTS = 1024  # up to here at once: 5 % fewer rows are scanned at recall 0.95 than by two levels
_ROUNDS = 5  # eight were measured to save 0.5 % of the rows that are scanned, twelve 1 %
_BALANCE_ROUNDS = 2
_FIRST_SHARE = 0.6  # of the time


def choose_n_lists(n_rows: int) -> int:
    """Lists for so many rows: one below FEWEST_ROWS, then about one in ROWS_PER_LIST rows, and past 134,000 rows fewer:
    what it takes to rank all lists grows with them, and what it takes to scan those that are probed with their length.
    """
    if n_rows < FEWEST_ROWS:
        return 1
    few: int = round(LISTS * n_rows ** (2 / 3))
    return min(MOST_LISTS, round(n_rows / ROWS_PER_LIST), few)


def points_needed(n_lists: int, dim: int) -> int:
    """Rows of a sample that training so many lists makes use of; it copies them once or twice."""
    return min(POINTS_PER_CENTROID * n_lists, max(MOST_FLOATS // dim, FEWEST_POINTS * n_lists))


def train_centroids(
    sample: NDArray[np.float32], n_lists: int, *, seed: int = 0, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Centroids (≤ n_lists, dim) of sample (n, dim), n ≥ 1.

    Fewer than n_lists come back only where rows are too few or too alike, or a list lost its last row in the
    last round. At most points_needed(n_lists, dim) rows are used, drawn at random. The same sample and seed
    give the same centroids to the bit on one machine. progress is told the share done, and what it raises
    ends the training. Raises InputError.
    """
    if sample.ndim != 2 or len(sample) == 0 or n_lists < 1:
        raise InputError(f"expected a sample (n ≥ 1, dim) and n_lists ≥ 1, not {sample.shape} and {n_lists}")
    report = progress or silent
    rng = np.random.default_rng(seed)
    points, origin = _about_zero(_drawn(sample, points_needed(n_lists, sample.shape[1]), rng))
    centroids = _first_centroids(points, n_lists, rng, lambda done: report(_FIRST_SHARE * done))
    for done in range(1, _BALANCE_ROUNDS + 1):
        labels = assign(points, centroids)
        centroids, counts = means(points, labels, centroids)
        centroids = _balanced(points, labels, centroids, parts_of_lists(counts, n_lists), rng)
        report(_FIRST_SHARE + (1.0 - _FIRST_SHARE) * done / (_BALANCE_ROUNDS + 1))
    centroids, counts = means(points, assign(points, centroids), centroids)
    report(1.0)
    trained: NDArray[np.float32] = centroids[counts > 0] + origin
    return trained


def _drawn(sample: NDArray[np.float32], wanted: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """The sample, or `wanted` random rows of it, in their order."""
    if len(sample) <= wanted:
        return np.asarray(sample, np.float32)
    return sample[np.sort(rng.choice(len(sample), wanted, replace=False))]


def _about_zero(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points (n, d) less an origin (d,): in float32 distances lose their digits far from zero. Where the points lie
    nearer to it than to one another they stay what they are, for a copy of all of them takes long.
    """
    mean = points.mean(axis=0, dtype=np.float64)
    away, length = float(mean @ mean), np.einsum("nd,nd->n", points, points).mean(dtype=np.float64)
    if away <= length - away:
        return points, np.zeros(points.shape[1], np.float32)
    origin = mean.astype(np.float32)
    return points - origin, origin


def _first_centroids(
    points: NDArray[np.float32], n_lists: int, rng: np.random.Generator, progress: Progress
) -> NDArray[np.float32]:
    if n_lists <= FLAT_LISTS:
        return kmeans(points, n_lists, _ROUNDS, rng, progress)
    heads = round(n_lists**0.5)
    few = rng.choice(len(points), min(len(points), POINTS_PER_CENTROID * heads), replace=False)
    labels = assign(points, kmeans(points[few], heads, _ROUNDS, rng))
    return _subdivided(points, labels, shares(np.bincount(labels), n_lists), rng, progress)


def _balanced(
    points: NDArray[np.float32],
    labels: NDArray[np.int32],
    centroids: NDArray[np.float32],
    parts: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Centroids of lists that stay as they are, then those of lists cut into 2 parts and more."""
    cut = _subdivided(points, labels, np.where(parts > 1, parts, 0), rng)
    return np.concatenate([centroids[parts == 1], cut])


def _subdivided(
    points: NDArray[np.float32],  # (n, d)
    labels: NDArray[np.int32],  # (n,)
    parts: NDArray[np.int64],  # (groups,)
    rng: np.random.Generator,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Centroids (≤ Σ parts, d) of parts[g] clusters within the points of each group g."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(labels, minlength=len(parts)))[:-1])
    found = [points[:0]]
    cut = np.flatnonzero(parts)
    for done, g in enumerate(cut, start=1):
        found.append(kmeans(points[groups[g]], int(parts[g]), _ROUNDS, rng))
        progress(done / len(cut))
    return np.concatenate(found)
