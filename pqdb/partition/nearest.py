"""The nearest centroid of each row, every centroid compared: matrix products over blocks of rows."""

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels.kmeans import nearest_by_product

_BLOCK_FLOATS = 1 << 21  # products held at a time: 8 MB
_MIN_BLOCK_ROWS = 512  # shorter blocks leave the matrix product waiting for its threads


def nearest_centroids(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """Number (n,) of the nearest of centroids (k, d) to each of vectors (n, d); the lowest wins a tie.

    ‖x − c‖² is compared as ‖c‖² − 2⟨x, c⟩, which loses digits when all rows lie far from zero: callers move
    them there.
    """
    half_norms = half_squares(centroids)
    names = np.arange(len(centroids), dtype=np.int32)
    labels = np.zeros(len(vectors), np.int32)
    step = max(_MIN_BLOCK_ROWS, _BLOCK_FLOATS // len(centroids))
    for start in range(0, len(vectors), step):
        part = slice(start, start + step)
        products = centroids @ vectors[part].T
        best = np.full(products.shape[1], -np.inf, np.float32)
        nearest_by_product(products, half_norms, names, best, labels[part])
    return labels


def half_squares(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """‖v‖²/2 of each row (n,)."""
    squares: NDArray[np.float32] = np.einsum("ij,ij->i", vectors, vectors) / np.float32(2.0)
    return squares
