"""The list of each row: its nearest centroid, by matrix products over blocks of rows."""

import numpy as np
from numpy.typing import NDArray

from pqdb.errors import DimensionError
from pqdb.kernels.kmeans import nearest_by_product

_BLOCK_FLOATS = 1 << 21  # products held at a time
_MIN_BLOCK_ROWS = 512


def assign(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """The nearest of centroids (lists, dim) to each of vectors (n, dim) by squared distance: (n,) int32.

    The lowest number wins a tie. For cosine and dot as for l2: the nearest centroid leaves the smallest residual to code.
    Raises DimensionError.
    """
    if vectors.ndim != 2 or vectors.shape[1] != centroids.shape[1]:
        raise DimensionError(f"expected vectors of {centroids.shape[1]} dimensions, not of shape {vectors.shape}")
    # ‖x − c‖² = ‖x‖² − 2⟨x, c⟩ + ‖c‖² loses its digits when all rows lie far from zero, so both are moved there first.
    origin = centroids.mean(axis=0)
    near_zero = centroids - origin
    half_norms = half_squares(near_zero)
    names = np.arange(len(centroids), dtype=np.int32)
    labels = np.zeros(len(vectors), np.int32)
    step = max(_MIN_BLOCK_ROWS, _BLOCK_FLOATS // len(centroids))
    for start in range(0, len(vectors), step):
        part = slice(start, start + step)
        products = near_zero @ (vectors[part] - origin).T
        best = np.full(products.shape[1], -np.inf, np.float32)
        nearest_by_product(products, half_norms, names, best, labels[part])
    return labels


def half_squares(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """‖v‖²/2 of each row (n,)."""
    squares: NDArray[np.float32] = np.einsum("ij,ij->i", vectors, vectors) / np.float32(2.0)
    return squares
