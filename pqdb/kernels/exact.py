"""Exact scores from source vectors, at their addresses: float32, float16, or int8 with a scale."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.intrinsics import load_f32, prefetch
from pqdb.kernels.places import any_allowed, is_allowed
from pqdb.kernels.topk import largest_first, push_pair
from pqdb.kernels.vectors import INT8, distance, dot, l1_distance

BLOCK = 64  # rows held in cache while every query passes over them
SCORED = 16  # rows far apart that are scored before anyone looks at their values; the next are asked for by then
ASKED_BYTES = 1_536  # of a row, at most; the processor's own prefetcher goes on from there (docs/decisions/030)

PRODUCT, SQUARES, SIZES = 0, 1, 2  # what the value of a row is made of, as `by` says it


@kernel_inline
def row_value(kind: Whole, by: Whole, row: Whole, query: Whole, dim: Whole) -> Real:
    """Value of a source row, larger is nearer: the inner product, or the negated sum of the differences' squares or
    sizes. Addresses.

    An int8 row is a float32 scale and then its bytes.
    """
    scale, start = np.float32(1), row
    if kind == INT8:
        scale, start = load_f32(row), row + np.uint64(4)
    if by == SQUARES:
        return -distance(kind, start, query, dim, scale)
    if by == SIZES:
        return -l1_distance(kind, start, query, dim, scale)
    return scale * dot(kind, start, query, dim)


@kernel_inline
def row_address(runs: Array, rows_per_run: Whole, row_bytes: Whole, row: Whole) -> Whole:
    """Address of a row in its run."""
    run = np.int64(row) // rows_per_run
    return runs[run] + np.uint64((np.int64(row) - run * rows_per_run) * row_bytes)


@kernel
def scan_rows(
    kind: Whole,
    by: Whole,
    queries: Array,
    runs: Array,
    rows_per_run: Whole,
    row_bytes: Whole,
    start: Whole,
    stop: Whole,
    allowed: Array,
    heaps: Array,
    heap_rows: Array,
) -> None:
    """Every allowed row of start:stop (places.is_allowed) against every query, into the queries' heaps of (value, row).

    queries (q, d) float32; heaps (q, k) float32; heap_rows (q, k) uint32.
    """
    dim = queries.shape[1]
    for block in range(start, stop, BLOCK):
        end = min(block + BLOCK, stop)
        if not any_allowed(allowed, block, end):
            continue
        for q in range(queries.shape[0]):
            heap, items = heaps[q], heap_rows[q]
            query_at = np.uint64(queries.ctypes.data) + np.uint64(4 * q * dim)
            for row in range(block, end):
                if is_allowed(allowed, row):
                    value = row_value(kind, by, row_address(runs, rows_per_run, row_bytes, row), query_at, dim)
                    if value > heap[0]:
                        push_pair(heap, items, value, row)


@kernel_inline
def announce_rows(runs: Array, rows_per_run: Whole, row_bytes: Whole, rows: Array, start: Whole, stop: Whole) -> None:
    """Ask for the lines of rows[start:stop], of long ones for the first."""
    for i in range(start, stop):
        address = row_address(runs, rows_per_run, row_bytes, rows[i])
        for line in range(0, min(row_bytes, ASKED_BYTES), 64):
            prefetch(address + np.uint64(line))


@kernel
def score_rows(
    kind: Whole,
    by: Whole,
    query_at: Address,
    dim: Whole,
    runs: Array,
    rows_per_run: Whole,
    row_bytes: Whole,
    rows: Array,
    start: Whole,
    stop: Whole,
    heap: Array,
    heap_rows: Array,
    scores: Array,
) -> None:
    """rows[start:stop] against one query, into its heap; scores (SCORED,) float32 is scratch.

    Rows are far apart. One that waits for its own, and then goes into the heap, would keep the processor from looking
    further: the next SCORED are asked for first, and all of them have their values before one goes anywhere
    (docs/decisions/030).
    """
    announce_rows(runs, rows_per_run, row_bytes, rows, start, min(start + SCORED, stop))
    for first in range(start, stop, SCORED):
        last = min(first + SCORED, stop)
        announce_rows(runs, rows_per_run, row_bytes, rows, last, min(last + SCORED, stop))
        for i in range(first, last):
            address = row_address(runs, rows_per_run, row_bytes, rows[i])
            scores[i - first] = row_value(kind, by, address, query_at, dim)
        for i in range(first, last):
            if scores[i - first] > heap[0]:
                push_pair(heap, heap_rows, scores[i - first], rows[i])


@kernel
def finish(
    kind: Whole,
    by: Whole,
    queries: Array,  # (q, d) float32
    runs: Array,  # (n_runs,) uint64 addresses
    rows_per_run: Whole,
    row_bytes: Whole,
    candidates: Array,  # uint32 rows; those of query i begin at firsts[i]
    estimates: Array,  # float32 their values so far
    firsts: Array,  # (q,) int64
    found: Array,  # (q,) int32 how many of them
    rescore: bool,  # from the source; else the estimates times `unit` stand
    unit: Real,
    fresh: Whole,  # rows fresh:n_rows are in no list and are compared too
    n_rows: Whole,
    allowed: Array,  # uint8 bitmap of rows that may be found; without bytes all may
    scores: Array,  # (SCORED,) float32 scratch
    values: Array,  # (q, k) float32 out, nearest first, −inf where there are fewer
    rows: Array,  # (q, k) uint32 out
) -> None:
    """The last step of every search: exact values of the candidates and of the fresh rows, the best k in order."""
    values[:] = -np.inf
    rows[:] = 0
    dim = queries.shape[1]
    for q in range(queries.shape[0]):
        start, stop = firsts[q], firsts[q] + found[q]
        if rescore:
            query_at = np.uint64(queries.ctypes.data) + np.uint64(4 * q * dim)
            score_rows(
                kind, by, query_at, dim, runs, rows_per_run, row_bytes, candidates, start, stop, values[q], rows[q],
                scores,
            )  # fmt: skip
        else:
            for i in range(start, stop):
                if np.float32(estimates[i] * unit) > values[q, 0]:
                    push_pair(values[q], rows[q], np.float32(estimates[i] * unit), candidates[i])
    if fresh < n_rows:
        scan_rows(kind, by, queries, runs, rows_per_run, row_bytes, fresh, n_rows, allowed, values, rows)
    for q in range(queries.shape[0]):
        largest_first(values[q], rows[q])
