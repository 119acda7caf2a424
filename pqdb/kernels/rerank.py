"""Rerank: better values for the candidates of the scan, the likeliest first, until no other can still win."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.exact import SCORED
from pqdb.kernels.intrinsics import prefetch
from pqdb.kernels.scan_values import FACTORS, value_of
from pqdb.kernels.topk import among_best, largest_first, push_pair
from pqdb.kernels.vectors import FLOAT16, INT8, quantize_i8


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
def row_at(blocks: Array, lists: Array, q: Whole, place: Whole, row_bytes: Whole) -> Address:
    """Address of the rerank row of a candidate of query q."""
    return blocks[lists[q, place >> 32]] + np.uint64(row_bytes * (place & 0xFFFFFFFF))


@kernel_inline
def ask_for(
    asked: Whole, stop: Whole, kept: Whole, most: Whole, front: Whole, nearest: Real, row_bytes: Whole, blocks: Array,
    lists: Array, q: Whole, bounds: Array, rows: Array, places: Array,
) -> tuple[Whole, Whole]:  # fmt: skip
    """Move the candidates from `asked` on that can still win to `kept` and after, until these are `most`, and ask for
    their rerank rows; returns the ends of both.
    """
    while asked < stop and kept < most:
        if asked < front or bounds[asked] >= nearest:
            rows[kept], places[kept] = rows[asked], places[asked]
            row = row_at(blocks, lists, q, places[kept], row_bytes)
            for line in range(0, row_bytes + 56, 64):
                prefetch(row + np.uint64(line))
            kept += 1
        asked += 1
    return asked, kept


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
    places: Array,  #   probe << 32 | position; all four are overwritten, and of no use afterwards
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
    value. A block of them has its values before it is seen which of these are good (docs/decisions/030).
    """
    for q in range(queries.shape[0]):
        if kind == INT8:
            query_at, factor = np.uint64(small.ctypes.data), np.float32(quantize_i8(queries[q], small) * beta)
        else:
            query_at, factor = np.uint64(queries[q].ctypes.data), np.float32(beta)
        nearest = np.float32(-np.inf)
        best[q] = -np.inf
        start, stop = starts[q], starts[q + 1]
        front = bring_forward(cuts[q], start, stop, values, bounds, rows, places)
        done, asked, kept = start, start, start
        while done < kept or asked < stop:
            asked, kept = ask_for(
                asked, stop, kept, done + 2 * SCORED, front, nearest, row_bytes, blocks, lists, q, bounds, rows, places
            )  # fmt: skip
            end = min(done + SCORED, kept)
            for i in range(done, end):
                row = row_at(blocks, lists, q, places[i], row_bytes)
                values[i] = value_of(kind, row, size, bases[q, places[i] >> 32], factor, query_at)
            for i in range(done, end):
                if values[i] > best[q, 0]:
                    push_pair(best[q], best_rows[q], values[i], rows[i])
                    nearest = among_best(best[q], k)
            done = end
        reranked[q] = done - start
        found[q] = min(done - start, best.shape[1])
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
