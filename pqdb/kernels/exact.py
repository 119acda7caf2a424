"""Exact scores from source vectors, at their addresses: float32, float16, or int8 with a scale."""

import numpy as np

from pqdb.kernels._jit import kernel
from pqdb.kernels.intrinsics import load_f16, load_f32, load_i8, prefetch
from pqdb.kernels.topk import push_pair, sort_pairs_descending

FLOAT32, FLOAT16, INT8 = 0, 1, 2
BLOCK = 64  # rows held in cache while every query passes over them
AHEAD = 4


@kernel
def dot_row(kind: int, address: int, query: np.ndarray) -> float:
    """⟨query, row⟩; an int8 row is a float32 scale and then its bytes."""
    total = np.float32(0)
    if kind == FLOAT32:
        for i in range(query.shape[0]):
            total += query[i] * load_f32(address + np.uint64(4 * i))
        return total
    if kind == FLOAT16:
        for i in range(query.shape[0]):
            total += query[i] * load_f16(address + np.uint64(2 * i))
        return total
    for i in range(query.shape[0]):
        total += query[i] * np.float32(load_i8(address + np.uint64(4 + i)))
    return total * load_f32(address)


@kernel
def distance_row(kind: int, address: int, query: np.ndarray) -> float:
    """|query − row|²"""
    total = np.float32(0)
    if kind == FLOAT32:
        for i in range(query.shape[0]):
            step = query[i] - load_f32(address + np.uint64(4 * i))
            total += step * step
        return total
    if kind == FLOAT16:
        for i in range(query.shape[0]):
            step = query[i] - load_f16(address + np.uint64(2 * i))
            total += step * step
        return total
    scale = load_f32(address)
    for i in range(query.shape[0]):
        step = query[i] - scale * np.float32(load_i8(address + np.uint64(4 + i)))
        total += step * step
    return total


@kernel
def row_value(kind: int, l2: bool, address: int, query: np.ndarray) -> float:
    """Value of a source row, larger is nearer: the inner product, or the squared distance negated."""
    if l2:
        return -distance_row(kind, address, query)
    return dot_row(kind, address, query)


@kernel
def row_address(runs: np.ndarray, rows_per_run: int, row_bytes: int, row: int) -> int:
    """Address of a row in its run."""
    row = np.int64(row)
    return runs[row // rows_per_run] + np.uint64((row % rows_per_run) * row_bytes)


@kernel
def scan_rows(kind, l2, queries, runs, rows_per_run, row_bytes, start, stop, allowed, heaps, heap_rows):  # type: ignore[no-untyped-def]
    """Every allowed row of start:stop against every query, into the queries' heaps of (value, row).

    queries (q, d) float32; heaps (q, k) float32; heap_rows (q, k) uint32.
    """
    for block in range(start, stop, BLOCK):
        end = min(block + BLOCK, stop)
        for q in range(queries.shape[0]):
            heap, items = heaps[q], heap_rows[q]
            for row in range(block, end):
                if (allowed[row >> 3] >> (row & 7)) & 1:
                    value = row_value(kind, l2, row_address(runs, rows_per_run, row_bytes, row), queries[q])
                    if value > heap[0]:
                        push_pair(heap, items, value, row)


@kernel
def score_rows(kind, l2, query, runs, rows_per_run, row_bytes, rows, heap, heap_rows):  # type: ignore[no-untyped-def]
    """The named rows against one query, into its heap; rows are far apart, so the next ones are asked for ahead of time."""
    for i in range(rows.shape[0] + AHEAD):
        if i < rows.shape[0]:
            address = row_address(runs, rows_per_run, row_bytes, rows[i])
            for line in range(0, row_bytes, 64):
                prefetch(address + np.uint64(line))
        if i >= AHEAD:
            row = rows[i - AHEAD]
            value = row_value(kind, l2, row_address(runs, rows_per_run, row_bytes, row), query)
            if value > heap[0]:
                push_pair(heap, heap_rows, value, row)


@kernel
def finish(
    kind: int,
    l2: bool,
    queries: np.ndarray,  # (q, d) float32
    runs: np.ndarray,  # (n_runs,) uint64 addresses
    rows_per_run: int,
    row_bytes: int,
    candidates: np.ndarray,  # (q, r) uint32 rows to score
    found: np.ndarray,  # (q,) int32 how many of them
    fresh: int,  # rows fresh:n_rows are not in any list yet and are scored too
    n_rows: int,
    allowed: np.ndarray,  # uint8 bitmap of rows that may be found
    values: np.ndarray,  # (q, k) float32 out, nearest first, −inf where there are fewer
    rows: np.ndarray,  # (q, k) uint32 out
) -> None:
    """The last step of every search: exact values of the candidates and of the fresh rows, the best k in order."""
    values[:] = -np.inf
    rows[:] = 0
    for q in range(queries.shape[0]):
        if found[q] > 0:
            score_rows(kind, l2, queries[q], runs, rows_per_run, row_bytes, candidates[q, : found[q]], values[q], rows[q])
    if fresh < n_rows:
        scan_rows(kind, l2, queries, runs, rows_per_run, row_bytes, fresh, n_rows, allowed, values, rows)
    for q in range(queries.shape[0]):
        sort_pairs_descending(values[q], rows[q])
