"""Scalar codes of four bits and of one: codebooks without k-means.

A nibble is the step of one dimension, or the signs of four. The scan of 4-bit codes serves them as it serves learned
ones: what differs is what a word stands for.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pqdb.quantization.allocation import equal_bounds
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import normalise

MAX_ROTATED = 2_048  # dimensions: beyond, turning a query would take longer than the scan
LEVELS = 16
REACHES = (1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 4.0)  # standard deviations the outermost levels may lie at
_SIGNS = np.array([[1 if word >> i & 1 else -1 for word in range(16)] for i in range(4)], np.float32)


def sign_codebook(dim: int, seed: int) -> Codebook:
    """One bit a dimension: the signs of a residual, turned at random, as RaBitQ has them (Gao, Long 2024).

    A word stands for four signs; the rescale factor of every code, ‖r‖ / ⟨r/‖r‖, r̂⟩, is the paper's unbiased estimator.
    Up to MAX_ROTATED dimensions are turned, so that no residual has its length in a few of them.
    """
    bounds = equal_bounds(dim, -(-dim // 4))
    words = np.empty((dim, LEVELS), np.float32)
    for low, high in pairwise(bounds):
        words[low:high] = _SIGNS[: high - low]
    rotation = None
    if 1 < dim <= MAX_ROTATED:
        turned, triangle = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))
        rotation = (turned * np.sign(np.diagonal(triangle))).T.astype(np.float32)
    return Codebook(dim, 4, bounds, words / np.float32(np.sqrt(dim)), rotation)


def step_codebook(residuals: NDArray[np.float32]) -> Codebook:
    """Four bits a dimension: 16 even steps, as wide as leaves the least error on a sample of residuals (n, dim)."""
    units = normalise(residuals)[0]
    dim = units.shape[1]
    centre, spread = units.mean(axis=0), units.std(axis=0)
    grid = (np.arange(LEVELS, dtype=np.float32) - (LEVELS - 1) / 2) / ((LEVELS - 1) / 2)  # −1 … 1
    least, words = np.full(dim, np.inf), np.zeros((dim, LEVELS), np.float32)
    for reach in REACHES:
        step = np.maximum(2 * reach * spread / (LEVELS - 1), np.finfo(np.float32).tiny)
        places = np.clip(np.rint((units - centre) / step + (LEVELS - 1) / 2), 0, LEVELS - 1)
        errors = np.square(units - centre - (places - (LEVELS - 1) / 2) * step).mean(axis=0)
        better = errors < least
        least[better] = errors[better]
        words[better] = (centre[:, None] + reach * spread[:, None] * grid)[better]
    return Codebook(dim, 4, equal_bounds(dim, dim), words)
