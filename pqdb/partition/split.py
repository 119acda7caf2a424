"""Lists that have grown uneven: which to split and which to merge, and where a list is cut."""

import numpy as np
from numpy.typing import NDArray

from pqdb.partition.balance import LARGE, SMALL
from pqdb.partition.lloyd import kmeans, means
from pqdb.partition.middle import middle
from pqdb.partition.nearest import nearest_centroids

SHRUNK = 0.625  # of the rows a list had when it was trained: short lists waste pages, and cost as much to reach
FEWEST_ROWS = 64  # a list of fewer is not split: two groups are scanned as fast as one
_ROUNDS = 8


def uneven(counts: NDArray[np.int64], usual: float = 0.0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of lists to split, largest first, and of those to merge, smallest first, from counts (k,) of rows.

    A list is split over LARGE times the mean and merged under SMALL of it; the last one is not merged. Where the mean
    has fallen far below a `usual` number of rows, so many of the smallest are merged that it is that again.
    """
    mean = counts.sum() / len(counts)
    order = np.argsort(counts, kind="stable")
    small = order[counts[order] < SMALL * mean]
    if mean < SHRUNK * usual:
        small = order[: max(len(small), len(counts) - round(counts.sum() / usual))]
    large = order[(counts[order] > LARGE * mean) & (counts[order] >= FEWEST_ROWS)]
    return large[::-1], small[: len(counts) - 1]


def cut(points: NDArray[np.float32], wanted: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Centroids (k, d) of points (n, d) of one list in parts of about `wanted` rows.

    Parts that would be merged at once are not made; one centroid, or none, where the points cannot be told apart.
    """
    origin = middle(points)
    near_zero = points - origin
    centroids = kmeans(near_zero, max(2, round(len(points) / wanted)), _ROUNDS, rng)
    while len(centroids) > 1:
        labels = nearest_centroids(near_zero, centroids)
        centroids, counts = means(near_zero, labels, centroids)
        if counts.min() >= SMALL * wanted:
            break
        centroids = np.delete(centroids, int(counts.argmin()), axis=0)
    parts: NDArray[np.float32] = centroids + origin
    return parts
