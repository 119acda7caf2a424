"""The list of each row."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pqdb.errors import DimensionError
from pqdb.panels import Panels
from pqdb.partition.two_levels import TwoLevels
from pqdb.threads import share_rows

MANY_LISTS = 4096  # from here on two levels are worth their grouping …
MANY_ROWS = 16_384  # … for as many rows
_SAMPLE_ROWS = 1024  # on which two levels are tried
_BLOCK_ROWS = 8192


Assigner = Callable[[NDArray[np.float32]], NDArray[np.int32]]


def assign(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """The nearest of centroids (lists, dim) to each of vectors (n, dim) by squared distance: (n,) int32.

    For cosine and dot as for l2: the nearest centroid leaves the smallest residual to code. Many rows
    against many lists go by two levels where those were seen to agree for 99 rows in 100; the others get a
    list nearly as near. Memory is bounded by blocks of rows. Raises DimensionError.
    """
    return assigner(centroids, vectors, len(vectors))(vectors)


def assigner(centroids: NDArray[np.float32], sample: NDArray[np.float32], n_rows: int) -> Assigner:
    """What assigns n_rows rows a part at a time: groups of centroids are made and tried on the sample (n, dim) once."""
    _check(sample, centroids)
    origin = centroids.mean(axis=0)  # rows far from zero are compared there
    near_zero = centroids - origin
    levels = None
    if len(centroids) >= MANY_LISTS and n_rows >= MANY_ROWS:
        levels = TwoLevels.build(near_zero, sample[:: max(1, len(sample) // _SAMPLE_ROWS)] - origin)
    nearest: Assigner = (levels or Panels.of(near_zero)).nearest

    def assign_rows(vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        _check(vectors, centroids)
        labels = np.empty(len(vectors), np.int32)

        def assign_part(part: slice) -> None:
            labels[part] = nearest(vectors[part] - origin)

        share_rows(assign_part, len(vectors), _BLOCK_ROWS)
        return labels

    return assign_rows


def _check(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> None:
    if vectors.ndim != 2 or vectors.shape[1] != centroids.shape[1]:
        raise DimensionError(f"expected vectors of {centroids.shape[1]} dimensions, not {vectors.shape}")
