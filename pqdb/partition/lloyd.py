"""Plain k-means: Lloyd's rounds from random rows."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels.kmeans import sum_by_label
from pqdb.partition.nearest import nearest_centroids
from pqdb.threads import share_rows

_COLUMNS_AT_ONCE = 64  # for a thread
HALF, MANY_POINTS = 32, 4_096  # points a centroid that half of them must leave; fewer points take no time
Progress = Callable[[float], None]


def silent(done: float) -> None:
    """Progress that nobody asked for."""


def kmeans(
    points: NDArray[np.float32], k: int, rounds: int, rng: np.random.Generator, progress: Progress = silent
) -> NDArray[np.float32]:
    """Centroids (≤ k, d) of points (n, d), n ≥ 1, after `rounds` rounds; without those that end empty.

    Random starts: k-means++ was measured to make no difference here (ALGORITHMS). All rounds but the last look at half
    of many points, drawn at random, where these are enough to tell where centroids go: no more rows are scanned then at
    a recall, and a fifth of the time is saved [M].
    """
    start = rng.choice(len(points), min(k, len(points)), replace=False)
    centroids = points[np.sort(start)]
    counts = np.ones(len(centroids), np.int64)
    some = points
    if len(points) >= max(MANY_POINTS, 2 * HALF * k):
        some = points[np.sort(rng.choice(len(points), len(points) // 2, replace=False))]
    for done in range(rounds):
        seen = some if done < rounds - 1 else points
        centroids, counts = means(seen, nearest_centroids(seen, centroids), centroids)
        progress((done + 1) / rounds)
    return centroids[counts > 0]


def means(
    points: NDArray[np.float32], labels: NDArray[np.int32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mean of the points (n, d) of each label, and their number; a label without points keeps its centroid.

    Sums are float64 in row order: the same points give the same means to the bit.
    """
    sums, counts = np.zeros(centroids.shape, np.float64), np.bincount(labels, minlength=len(centroids))
    share_rows(
        lambda part: sum_by_label(points, labels, part.start, part.stop, sums), points.shape[1], _COLUMNS_AT_ONCE
    )
    filled = counts > 0
    moved = centroids.copy()
    moved[filled] = sums[filled] / counts[filled, None]
    return moved, counts
