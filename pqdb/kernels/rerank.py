"""Rerank: better values for the candidates of the scan, the likeliest first, until no other can still win."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.intrinsics import prefetch
from pqdb.kernels.scan_values import FACTORS, value_of
from pqdb.kernels.topk import among_best, largest_first, push_pair
from pqdb.kernels.vectors import FLOAT16, INT8, quantize_i8

AHEAD = 12  # rows asked for ahead of their turn


@kernel_inline
def bring_forward(
    cut: Real, start: Whole, stop: Whole, values: Array, bounds: Array, rows: Array, places: Array
) -> Whole:
    """Put the candidates of start:stop whose value makes the cut before the others; returns where these begin."""
    front = start
    for i in range(start, stop):
        if values[i] >= cut:
            values[i], values[front] = values[front], values[i]
            bounds[i], bounds[front] = bounds[front], bounds[i]
            rows[i], rows[front] = rows[front], rows[i]
            places[i], places[front] = places[front], places[i]
            front += 1
    return front


@kernel_inline
def rerank_by(
    kind: Whole,  # vectors.INT8 or FLOAT16
    queries: Array,  # (q, d) float32
    beta: Real,  # 1 for inner products, 2 for l2
    size: Whole,  # values of a row that are multiplied
    row_bytes: Whole,
    blocks: Array,  # (n_lists,) uint64 address of each list's rerank rows
    lists: Array,  # (q, p) int32
    bases: Array,  # (q, p) float32
    values: Array,  # candidates of the scan: value,
    bounds: Array,  #   upper bound,
    rows: Array,  #   row,
    places: Array,  #   probe << 32 | position
    starts: Array,  # (q + 1,) int64
    cuts: Array,  # (q,) float32
    k: Whole,
    best: Array,  # (q, keep) float32 out, best first
    best_rows: Array,  # (q, keep) uint32 out
    found: Array,  # (q,) int32 out
    reranked: Array,  # (q,) int32 out
    small: Array,  # (size,) int8 scratch, for INT8
) -> None:
    """First all candidates whose estimate made the scan's cut, then every other whose bound still beats the k-th
    value: in this order they are left, each query's by themselves.
    """
    for q in range(queries.shape[0]):
        if kind == INT8:
            query_at, factor = np.uint64(small.ctypes.data), np.float32(quantize_i8(queries[q], small) * beta)
        else:
            query_at, factor = np.uint64(queries[q].ctypes.data), np.float32(beta)
        nearest = np.float32(-np.inf)
        best[q] = -np.inf
        done, start, stop = 0, starts[q], starts[q + 1]
        front = bring_forward(cuts[q], start, stop, values, bounds, rows, places)
        for i in range(start, stop + AHEAD):
            if i < stop and (i < front or bounds[i] >= nearest):
                row = blocks[lists[q, places[i] >> 32]] + np.uint64(row_bytes * (places[i] & 0xFFFFFFFF))
                for line in range(0, row_bytes + 56, 64):
                    prefetch(row + np.uint64(line))
            j = i - AHEAD
            if j < start or (j >= front and bounds[j] < nearest):
                continue
            probe = places[j] >> 32
            row = blocks[lists[q, probe]] + np.uint64(row_bytes * (places[j] & 0xFFFFFFFF))
            value = value_of(kind, row, size, bases[q, probe], factor, query_at)
            done += 1
            if value > best[q, 0]:
                push_pair(best[q], best_rows[q], value, rows[j])
                nearest = among_best(best[q], k)
        reranked[q] = done
        found[q] = min(done, best.shape[1])
        largest_first(best[q], best_rows[q])


@kernel
def rerank_candidates(
    queries: Array, beta: Real, dpad: Whole, blocks: Array, lists: Array, bases: Array, values: Array, bounds: Array,
    rows: Array, places: Array, starts: Array, cuts: Array, k: Whole, best: Array, best_rows: Array, found: Array,
    reranked: Array, small: Array,
) -> None:  # fmt: skip
    """rerank_by int8 residuals: rows of dpad values."""
    rerank_by(
        INT8, queries, beta, dpad, dpad + FACTORS, blocks, lists, bases, values, bounds, rows, places, starts, cuts,
        k, best, best_rows, found, reranked, small,
    )  # fmt: skip


@kernel
def rerank_by_halves(
    queries: Array, beta: Real, row_bytes: Whole, blocks: Array, lists: Array, bases: Array, values: Array,
    bounds: Array, rows: Array, places: Array, starts: Array, cuts: Array, k: Whole, best: Array,
    best_rows: Array, found: Array, reranked: Array, small: Array,
) -> None:  # fmt: skip
    """rerank_by float16 residuals."""
    rerank_by(
        FLOAT16, queries, beta, queries.shape[1], row_bytes, blocks, lists, bases, values, bounds, rows, places, starts,
        cuts, k, best, best_rows, found, reranked, small,
    )  # fmt: skip


@kernel
def keep_estimates(values: Array, rows: Array, starts: Array, best: Array, best_rows: Array, found: Array) -> None:
    """Without a rerank tier: the candidates with the best estimates, as they are."""
    for q in range(best.shape[0]):
        best[q] = -np.inf
        for i in range(starts[q], starts[q + 1]):
            if values[i] > best[q, 0]:
                push_pair(best[q], best_rows[q], values[i], rows[i])
        found[q] = min(starts[q + 1] - starts[q], best.shape[1])
        largest_first(best[q], best_rows[q])
