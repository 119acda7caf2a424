"""Asymmetric distance tables: one query against every codeword, once for all lists (Jégou et al. 2011, ADC)."""

import numpy as np

from pqdb.kernels._jit import kernel


@kernel
def build_tables(
    queries: np.ndarray,  # (q, d_out) float32, rotated
    codewords: np.ndarray,  # (d_out, ksub) float32
    bounds: np.ndarray,  # (m + 1,) int32
    beta: np.float32,
    top: int,
    tables: np.ndarray,  # (q, m, ksub) uint8 or uint16, out
    coefficients: np.ndarray,  # (q, 2) float32 a, b, out
) -> None:
    """tables[q, j, c] = round((t − min_j t) / a) with t = β⟨q_j, codeword c of j⟩, so that Σ t ≈ b + a·Σ tables.

    a is the widest sub-quantizer's range over `top`, the largest entry; rounding, not truncation, keeps the sum unbiased.
    """
    m, ksub = tables.shape[1], tables.shape[2]
    raw = np.empty((m, ksub), np.float32)
    for q in range(queries.shape[0]):
        widest, offset = np.float32(0), np.float32(0)
        for j in range(m):
            raw[j] = np.float32(0)
            for i in range(bounds[j], bounds[j + 1]):
                x = beta * queries[q, i]
                for c in range(ksub):
                    raw[j, c] += x * codewords[i, c]
            low, high = raw[j, 0], raw[j, 0]
            for c in range(1, ksub):
                low, high = min(low, raw[j, c]), max(high, raw[j, c])
            for c in range(ksub):
                raw[j, c] -= low
            widest = max(widest, high - low)
            offset += low
        step = widest / np.float32(top) if widest > 0 else np.float32(1)
        inverse = np.float32(1) / step
        for j in range(m):
            for c in range(ksub):
                tables[q, j, c] = int(raw[j, c] * inverse + np.float32(0.5))
        coefficients[q, 0], coefficients[q, 1] = step, offset


@kernel
def quantize_i8(vector: np.ndarray, out: np.ndarray) -> float:
    """Round a float32 vector to int8 (zero-padded to out's length); returns the scale that undoes it, 0 for a zero vector."""
    largest = np.float32(0)
    for i in range(vector.shape[0]):
        largest = max(largest, abs(vector[i]))
    out[:] = 0
    if largest == 0:
        return np.float32(0)
    inverse = np.float32(127) / largest
    for i in range(vector.shape[0]):
        out[i] = int(np.floor(vector[i] * inverse + np.float32(0.5)))
    return largest / np.float32(127)
