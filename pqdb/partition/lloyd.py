"""Plain k-means: Lloyd's rounds from random rows."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels.kmeans import sum_by_label
from pqdb.partition.nearest import nearest_centroids

Progress = Callable[[float], None]


def silent(done: float) -> None:
    """Progress that nobody asked for."""


def kmeans(
    points: NDArray[np.float32], k: int, rounds: int, rng: np.random.Generator, progress: Progress = silent
) -> NDArray[np.float32]:
    """Centroids (≤ k, d) of points (n, d), n ≥ 1, after `rounds` rounds; without those that end empty.

    Random starts: k-means++ was measured to make no difference here (ALGORITHMS).
    """
    start = rng.choice(len(points), min(k, len(points)), replace=False)
    centroids = points[np.sort(start)]
    counts = np.ones(len(centroids), np.int64)
    for done in range(rounds):
        centroids, counts = means(points, nearest_centroids(points, centroids), centroids)
        progress((done + 1) / rounds)
    return centroids[counts > 0]


def means(
    points: NDArray[np.float32], labels: NDArray[np.int32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mean of the points (n, d) of each label, and their number; a label without points keeps its centroid.

    Sums are float64 in row order: the same points give the same means to the bit.
    """
    sums = np.zeros(centroids.shape, np.float64)
    counts = np.zeros(len(centroids), np.int64)
    sum_by_label(points, labels, sums, counts)
    filled = counts > 0
    moved = centroids.copy()
    moved[filled] = sums[filled] / counts[filled, None]
    return moved, counts
