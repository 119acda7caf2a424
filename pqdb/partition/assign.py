"""The list of each row."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pqdb.errors import DimensionError
from pqdb.panels import Panels, half_squares
from pqdb.partition.middle import middle
from pqdb.partition.two_levels import TwoLevels
from pqdb.threads import share_rows

MANY_LISTS = 4096  # from here on two levels are worth their grouping …
MANY_ROWS = 16_384  # … for as many rows
_SAMPLE_ROWS = 1024  # on which two levels are tried
_BLOCK_ROWS = 8192


@dataclass(frozen=True, eq=False, slots=True)
class Assigner:
    """What assigns rows to centroids, a part at a time."""

    origin: NDArray[np.float32]  # (dim,) rows far from zero are compared from there
    centroids: Panels | TwoLevels

    @classmethod
    def of(cls, centroids: NDArray[np.float32], sample: NDArray[np.float32], n_rows: int) -> Self:
        """For n_rows rows: groups of centroids (lists, dim) are made and tried on the sample (n, dim) once. Raises
        DimensionError.
        """
        _check(sample, centroids.shape[1])
        origin = middle(centroids)
        near_zero = centroids - origin
        levels = None
        if len(centroids) >= MANY_LISTS and n_rows >= MANY_ROWS:
            levels = TwoLevels.build(near_zero, sample[:: max(1, len(sample) // _SAMPLE_ROWS)] - origin)
        return cls(origin, levels or Panels.of(near_zero))

    def nearest(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """(n,) the nearest to each of vectors (n, dim). Raises DimensionError."""
        _check(vectors, len(self.origin))
        labels = np.empty(len(vectors), np.int32)

        def assign_part(part: slice) -> None:
            labels[part] = self.centroids.nearest(vectors[part] - self.origin).labels

        share_rows(assign_part, len(vectors), _BLOCK_ROWS)
        return labels

    def two_nearest(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(n, 2) the nearest to each of vectors (n, dim) and another one near it, and (n,) how much farther that is:
        its squared distance in units of the nearest's, less 1, inf where there is none. Raises DimensionError.
        """
        _check(vectors, len(self.origin))
        labels, farther = np.empty((len(vectors), 2), np.int32), np.empty(len(vectors), np.float32)

        def assign_part(part: slice) -> None:
            rows = vectors[part] - self.origin
            near = self.centroids.nearest(rows, two=True)
            labels[part, 0], labels[part, 1] = near.labels, near.next_labels
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = (near.best - near.next_best) / (half_squares(rows) - near.best)
            farther[part] = np.where(ratio >= 0, ratio, np.inf)  # a row at its centroid itself stays there

        share_rows(assign_part, len(vectors), _BLOCK_ROWS)
        return labels, farther


def assign(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """The nearest of centroids (lists, dim) to each of vectors (n, dim) by squared distance: (n,) int32.

    For cosine and dot as for l2: the nearest centroid leaves the smallest residual to code. Many rows
    against many lists go by two levels where those were seen to agree for 99 rows in 100; the others get a
    list nearly as near. Memory is bounded by blocks of rows. Raises DimensionError.
    """
    return Assigner.of(centroids, vectors, len(vectors)).nearest(vectors)


def _check(vectors: NDArray[np.float32], dim: int) -> None:
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise DimensionError(f"expected vectors of {dim} dimensions, not {vectors.shape}")
