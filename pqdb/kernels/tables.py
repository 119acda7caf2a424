"""Asymmetric distance tables: one query against every codeword, once for all lists (Jégou et al. 2011, ADC).

Entries are small integers: tables[j, c] = round((t − min_j) / a) with t = β⟨q_j, codeword c of j⟩ and a the widest
sub-quantizer's range over the largest entry, so that Σ t ≈ b + a·Σ tables with b = Σ min_j. Rounding, not truncation,
keeps the sum unbiased.
"""

import numpy as np

from pqdb.kernels._jit import kernel_inline, kernel_with_arrays
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.banks import bank_products
from pqdb.kernels.lanes import LANES, LANES_AVAILABLE, nibble_round, nibble_row
from pqdb.kernels.vectors import quantize_i8


@kernel_with_arrays
def rotate(queries: Array, axes: Array, scales: Array, out: Array) -> None:
    """out[q, i] = ⟨axis i, query q⟩ in int8: axes (n, quads, 64, 4) uint8 (see bank_products) with scales (d_out,);
    out (q, d_out) float32.

    Its error is far below the rounding of the table's entries, at a twentieth of the cost of float32.
    """
    small, products = np.empty(4 * axes.shape[1], np.int8), np.empty(64 * axes.shape[0], np.int32)
    turn(queries, axes, scales, small, products, out)


@kernel_inline
def turn(queries: Array, axes: Array, scales: Array, small: Array, products: Array, out: Array) -> None:
    """rotate; small (4·quads,) int8 and products (64·n,) int32 scratch."""
    for q in range(queries.shape[0]):
        step = quantize_i8(queries[q], small)
        bank_products(axes, False, small, products)
        for i in range(scales.shape[0]):
            out[q, i] = step * scales[i] * np.float32(products[i])


@kernel_with_arrays
def build_tables(
    queries: Array,  # (q, d_out) float32, rotated
    codewords: Array,  # (d_out, ksub) float32
    bounds: Array,  # (m + 1,) int32
    beta: Real,
    top: Whole,  # the largest entry
    tables: Array,  # (q, m, ksub) uint8 or uint16, out
    coefficients: Array,  # (q, 2) float32 a, b, out
) -> None:
    """Tables of every query, and the a and b that undo the rounding."""
    raw, span = np.empty(tables.shape[1:], np.float32), np.empty(1, np.float32)
    tabulate(queries, codewords, bounds, np.float32(beta), top, raw, span, tables, coefficients)


@kernel_inline
def tabulate(
    queries: Array, codewords: Array, bounds: Array, beta: Real, top: Whole, raw: Array, span: Array, tables: Array,
    coefficients: Array,
) -> None:  # fmt: skip
    """build_tables; raw (m, ksub) and span (1,) float32 scratch."""
    for q in range(queries.shape[0]):
        if tables.shape[2] == LANES and LANES_AVAILABLE:
            widest, offset = nibble_products(queries, q, codewords, bounds, beta, raw, span)
        else:
            widest, offset = products(queries, q, codewords, bounds, beta, raw)
        step = widest / np.float32(top) if widest > 0 else np.float32(1)
        coefficients[q, 0], coefficients[q, 1] = step, offset
        round_entries(raw, np.float32(1) / step, tables, q)


@kernel_inline
def nibble_products(
    queries: Array, q: Whole, codewords: Array, bounds: Array, beta: Real, raw: Array, span: Array
) -> tuple[Real, Real]:
    """raw[j, c] = t − min_j for 16 codewords, in registers; returns the widest range and Σ min_j."""
    span_at, raw_at = np.uint64(span.ctypes.data), np.uint64(raw.ctypes.data)
    query_at = np.uint64(queries.ctypes.data) + np.uint64(4 * q * queries.shape[1])
    words_at = np.uint64(codewords.ctypes.data)
    widest, offset = np.float32(0), np.float32(0)
    for j in range(raw.shape[0]):
        first, size = np.int64(bounds[j]), np.int64(bounds[j + 1] - bounds[j])
        if size == 0:
            for c in range(LANES):
                raw[j, c] = np.float32(0)
        else:
            offset += nibble_row(query_at, words_at, first, size, beta, raw_at, span_at)
            widest = max(widest, span[0])
        raw_at += np.uint64(4 * LANES)
    return widest, offset


@kernel_inline
def products(queries: Array, q: Whole, codewords: Array, bounds: Array, beta: Real, raw: Array) -> tuple[Real, Real]:
    """As `nibble_products`, for any number of codewords, on any CPU."""
    m, ksub = raw.shape
    widest, offset = np.float32(0), np.float32(0)
    for j in range(m):
        for c in range(ksub):
            raw[j, c] = np.float32(0)
        for i in range(bounds[j], bounds[j + 1]):
            x = beta * queries[q, i]
            for c in range(ksub):
                raw[j, c] += x * codewords[i, c]
        low, high = raw[j, 0], raw[j, 0]
        for c in range(ksub):
            low, high = min(low, raw[j, c]), max(high, raw[j, c])
        for c in range(ksub):
            raw[j, c] -= low
        widest = max(widest, high - low)
        offset += low
    return widest, offset


@kernel_inline
def round_entries(raw: Array, factor: Real, tables: Array, q: Whole) -> None:
    """tables[q] = round(raw · factor)."""
    m, ksub = raw.shape
    if ksub == LANES and LANES_AVAILABLE:
        raw_at = np.uint64(raw.ctypes.data)
        out = np.uint64(tables.ctypes.data) + np.uint64(q * m * ksub)
        for j in range(m):
            nibble_round(raw_at + np.uint64(4 * LANES * j), factor, out + np.uint64(LANES * j))
        return
    for j in range(m):
        for c in range(ksub):
            tables[q, j, c] = np.uint32(raw[j, c] * factor + np.float32(0.5))
