"""Asymmetric distance tables: one query against every codeword, once for all lists (Jégou et al. 2011, ADC)."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline


NIBBLE = 16  # named as a constant so that its loops are compiled for just that many codewords


@kernel_inline
def products(ksub, queries, codewords, q, start, stop, beta, raw, j):  # type: ignore[no-untyped-def]
    """raw[j, c] = β⟨query, codeword c⟩ over dimensions start:stop."""
    for c in range(ksub):
        raw[j, c] = np.float32(0)
    for i in range(start, stop):
        x = beta * queries[q, i]
        for c in range(ksub):
            raw[j, c] += x * codewords[i, c]


@kernel_inline
def lift(ksub, raw, j):  # type: ignore[no-untyped-def]
    """Move raw[j] so that its least entry is 0; returns that entry and the widest left."""
    low, high = raw[j, 0], raw[j, 0]
    for c in range(ksub):
        low, high = min(low, raw[j, c]), max(high, raw[j, c])
    for c in range(ksub):
        raw[j, c] -= low
    return low, high - low


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
            if ksub == NIBBLE:
                products(NIBBLE, queries, codewords, q, bounds[j], bounds[j + 1], beta, raw, j)
                low, span = lift(NIBBLE, raw, j)
            else:
                products(ksub, queries, codewords, q, bounds[j], bounds[j + 1], beta, raw, j)
                low, span = lift(ksub, raw, j)
            widest = max(widest, span)
            offset += low
        step = widest / np.float32(top) if widest > 0 else np.float32(1)
        inverse = np.float32(1) / step
        for j in range(m):
            for c in range(ksub):
                tables[q, j, c] = np.uint32(raw[j, c] * inverse + np.float32(0.5))
        coefficients[q, 0], coefficients[q, 1] = step, offset
