"""Rows into codes: the nearest word of every subspace, and how much of the row the words together hold."""

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels._jit import kernel, kernel_with_arrays
from pqdb.kernels.kmeans import BLOCK, halve_norms, nearest_in_block


@kernel_with_arrays
def encode_rows(
    rows: NDArray[np.float32],  # (n, d_out)
    bounds: NDArray[np.int32],  # (m + 1,) subspace j owns dimensions bounds[j] … bounds[j + 1] − 1
    words: NDArray[np.float32],  # (d_out, ksub)
    codes: NDArray[np.uint8],  # (n, m) out
    overlaps: NDArray[np.float32],  # (n,) out: ⟨row, its decoded code⟩
) -> None:
    """Encode rows; a subspace without dimensions gets code 0.

    Every block is worked at full size, its last one padded with zeros: vector and tail loops round
    differently, and a row's code must not depend on its neighbours.
    """
    n, d_out = rows.shape
    m = bounds.shape[0] - 1
    ksub = words.shape[1]
    half_norms = np.empty((m, ksub), np.float32)
    for j in range(m):
        halve_norms(words[bounds[j] : bounds[j + 1]], half_norms[j])
    block = np.zeros((d_out, BLOCK), np.float32)
    scores = np.empty((2, BLOCK), np.float32)
    best = np.empty(BLOCK, np.float32)
    label = np.empty(BLOCK, np.int32)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for i in range(size):
            overlaps[start + i] = 0.0
            row = rows[start + i]
            for k in range(d_out):
                block[k, i] = row[k]
        block[:, size:] = 0.0
        for j in range(m):
            lo, hi = bounds[j], bounds[j + 1]
            if lo == hi:
                codes[start : start + size, j] = 0
                continue
            nearest_in_block(block[lo:hi], words[lo:hi], half_norms[j], 0, BLOCK, scores, best, label)
            for i in range(size):
                codes[start + i, j] = label[i]
                overlaps[start + i] += best[i] + half_norms[j, label[i]]


@kernel
def decode_rows(
    codes: NDArray[np.uint8],  # (n, m)
    bounds: NDArray[np.int32],  # (m + 1,)
    words: NDArray[np.float32],  # (d_out, ksub)
    rows: NDArray[np.float32],  # (n, d_out) out
) -> None:
    """Write the words that codes name."""
    for i in range(codes.shape[0]):
        for j in range(codes.shape[1]):
            code = codes[i, j]
            for k in range(bounds[j], bounds[j + 1]):
                rows[i, k] = words[k, code]


@kernel
def code_products(
    codes: NDArray[np.uint8],  # (n, m)
    bounds: NDArray[np.int32],  # (m + 1,)
    words: NDArray[np.float32],  # (d_out, ksub)
    vectors: NDArray[np.float32],  # (lists, d_out)
    owners: NDArray[np.int32],  # (n,) the vector each row is multiplied with
    products: NDArray[np.float32],  # (n,) out
) -> None:
    """⟨vectors[owners[i]], decoded code i⟩ of every row, without decoding."""
    for i in range(codes.shape[0]):
        vector = vectors[owners[i]]
        total = np.float32(0.0)
        for j in range(codes.shape[1]):
            code = codes[i, j]
            for k in range(bounds[j], bounds[j + 1]):
                total += vector[k] * words[k, code]
        products[i] = total
