"""Rows that are in no list yet but have codes: each against the centroid of the list it is going to."""

import numpy as np

from pqdb.kernels._jit import kernel
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.scan import GROUP, score_group


@kernel
def rows_with_fresh(
    nbits: Whole,
    m: Whole,
    record_bytes: Whole,
    bias: bool,
    records: Address,  # of groups of 32 codes, as a list has them
    lists: Array,  # (32 · groups,) uint32 the list of each place: unsigned, or loops over it are not vectorised
    first: Whole,  # the row of the first place; rows follow one another
    watermark: Whole,  # rows below it are in lists by now
    every: Array,  # (q, n_lists) float32 the value of each centroid
    margins: Array,  # (q, p) float32 g of the lists probed: one and the same, but for l2
    noise: Real,  # z·σ, of which g is made for l2
    tables: Array,  # (q, m, ksub)
    coefficients: Array,  # (q, 2) float32 a, b
    cuts: Array,  # (q,) float32 a row must be able to reach
    allowed: Array,  # uint8 bitmap of rows that may be found
    rows: Array,  # uint32 rows to be scored: those of query i begin at firsts[i] …
    firsts: Array,  # (q,) int64 in and out
    found: Array,  # (q,) int32 in and out: … and are so many
) -> Array:
    """The rows to be scored of every query, and behind them the coded ones whose upper bound reaches the cut."""
    n, places, most = len(found), len(lists), 0
    for q in range(n):
        most = max(most, found[q])
    width = most + places
    joined = np.empty(n * width, np.uint32)
    values, bounds, sums = np.empty(GROUP, np.float32), np.empty(GROUP, np.float32), np.empty(GROUP, np.uint32)
    centroids, margins_here = np.empty(GROUP, np.float32), np.empty(GROUP, np.float32)
    values_at, bounds_at = np.uint64(values.ctypes.data), np.uint64(bounds.ctypes.data)
    sums_at = np.uint64(sums.ctypes.data)
    for q in range(n):
        stop = q * width
        for i in range(firsts[q], firsts[q] + found[q]):
            joined[stop] = rows[i]
            stop += 1
        table, a, b = np.uint64(tables[q].ctypes.data), coefficients[q, 0], coefficients[q, 1]
        start, value_of_list, cut = max(watermark - first, 0), every[q], cuts[q]
        margins_here[:] = margins[q, 0]
        for group in range(start // GROUP, places // GROUP):
            at, base = records + np.uint64(group * record_bytes), group * GROUP
            # With g = 1 a bound is the value and the code's scale.
            score_group(
                nbits, at, table, m, bias, np.float32(0), a, b, np.float32(1), -np.inf, values_at, bounds_at, sums_at
            )
            here, reached = lists[base : base + GROUP], 0
            for v in range(GROUP):
                centroids[v] = value_of_list[here[v]]
            if bias:
                for v in range(GROUP):
                    margins_here[v] = np.float32(2) * noise * np.sqrt(-centroids[v])
            for v in range(GROUP):
                bounds[v] = values[v] + centroids[v] + (bounds[v] - values[v]) * margins_here[v]
                reached += bounds[v] >= cut
            if reached == 0:
                continue
            for v in range(GROUP):
                row = first + base + v
                if bounds[v] >= cut and row >= watermark and (allowed[row >> 3] >> (row & 7)) & 1:
                    joined[stop] = row
                    stop += 1
        firsts[q], found[q] = q * width, stop - q * width
    return joined
