"""Sparse vectors compared with a query: segment by segment, and vector by vector where there is no segment yet.

In a segment the pairs of a dimension lie side by side (its layout is docs/format.md's), so a query reads only what it
names: each weight times the query's value is added to its row's sum, as inverted indexes have done since Salton.
"""

from typing import NamedTuple

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline, kernel_inline_with_room, kernel_with_room
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.frame import f32_at, u16_at, u32_at

SEGMENT_ROWS = 4_096
HEADER_BYTES = 16


class Segment(NamedTuple):
    """The arrays of one, as they lie in the file."""

    dims: Array  # (d,) uint32 ascending
    starts: Array  # (d + 1,) uint32
    weights: Array  # (p,) float32
    rows: Array  # (p,) uint16, within the segment


class Loose(NamedTuple):
    """Vectors one behind the other, of rows that are in no segment."""

    rows: Array  # (n,) uint32 ascending
    starts: Array  # (n + 1,) int64
    dims: Array  # (p,) uint32, of each vector ascending
    weights: Array  # (p,) float32


@kernel_inline_with_room
def segment_at(address: Address) -> Segment:
    """The segment at an address."""
    head = u32_at(address, 4)
    n_dims, n_pairs = np.int64(head[2]), np.int64(head[3])
    dims_at = address + np.uint64(HEADER_BYTES)
    weights_at = dims_at + np.uint64(8 * n_dims + 4)
    return Segment(
        u32_at(dims_at, n_dims), u32_at(dims_at + np.uint64(4 * n_dims), n_dims + 1), f32_at(weights_at, n_pairs),
        u16_at(weights_at + np.uint64(4 * n_pairs), n_pairs),
    )  # fmt: skip


@kernel
def place_of(dims: Array, first: Whole, stop: Whole, dim: Whole) -> Whole:
    """Where a dimension stands in dims[first:stop], ascending; −1 where it does not."""
    low, high = first, stop
    while low < high:
        middle = (low + high) // 2
        if dims[middle] < dim:
            low = middle + 1
        else:
            high = middle
    return low if low < stop and dims[low] == dim else -1


@kernel_inline
def may_be_found(allowed: Array, row: Whole, n_rows: Whole) -> bool:
    """Whether a row is there, and one that may be found: without a bitmap all may."""
    return bool(row < n_rows and (allowed.shape[0] == 0 or (allowed[row >> 3] >> (row & 7)) & 1 != 0))


@kernel_inline
def is_behind(value: Real, row: Whole, other: Real, other_row: Whole) -> bool:
    """Whether one comes behind another: it scores less, or as much and its row is larger."""
    return bool(value < other or (value == other and row > other_row))


@kernel
def take(value: Real, row: Whole, best: Array, rows: Array, found: Whole) -> Whole:
    """Put a row among the best found, a heap whose first is the last of them; returns how many there are now."""
    n = best.shape[0]
    if found == n:
        if not is_behind(best[0], rows[0], value, row):
            return found
        best[0], rows[0] = value, row
        sink(best, rows, n, 0)
        return found
    at = found
    while at > 0:
        above = (at - 1) // 2
        if not is_behind(value, row, best[above], rows[above]):
            break
        best[at], rows[at] = best[above], rows[above]
        at = above
    best[at], rows[at] = value, row
    return found + 1


@kernel
def sink(best: Array, rows: Array, size: Whole, at: Whole) -> None:
    """Restore the order of the heap best[:size] below `at`."""
    value, row = best[at], rows[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and is_behind(best[child + 1], rows[child + 1], best[child], rows[child]):
            child += 1
        if not is_behind(best[child], rows[child], value, row):
            break
        best[at], rows[at] = best[child], rows[child]
        at = child
    best[at], rows[at] = value, row


@kernel_inline
def add_up(segment: Segment, dims: Array, values: Array, sums: Array, seen: Array, touched: Array) -> Whole:
    """Add what a segment's rows score to sums (SEGMENT_ROWS,); returns how many rows were touched: touched[:n], each
    marked in `seen`.
    """
    n = np.int64(0)
    for t in range(dims.shape[0]):
        place = place_of(segment.dims, 0, segment.dims.shape[0], dims[t])
        if place < 0:
            continue
        value = values[t]
        for p in range(np.int64(segment.starts[place]), np.int64(segment.starts[place + 1])):
            row = np.int64(segment.rows[p])
            sums[row] += value * segment.weights[p]
            touched[n] = row  # without a branch: it stays if the row was not seen yet
            n += 1 - np.int64(seen[row])
            seen[row] = 1
    return n


@kernel_inline
def score_loose(loose: Loose, i: Whole, dims: Array, values: Array) -> tuple[Real, bool]:
    """What one loose vector scores, and whether it names any of the query's dimensions."""
    total, shares, first = np.float32(0), False, loose.starts[i]
    for t in range(dims.shape[0]):
        place = place_of(loose.dims, first, loose.starts[i + 1], dims[t])
        if place >= 0:
            total += values[t] * loose.weights[place]
            shares, first = True, place + 1
    return total, shares


@kernel_with_room
def search_sparse(
    dims: Array,  # (t,) uint32 ascending: what the query names
    values: Array,  # (t,) float32
    segments: Array,  # (s,) uint64 addresses; 0: of no row
    loose_rows: Array,  # of Loose
    loose_starts: Array,
    loose_dims: Array,
    loose_weights: Array,
    allowed: Array,  # uint8 bitmap of rows that may be found; without bytes all may
    n_rows: Whole,
    best: Array,  # (k,) float32 out: inner products, the largest first, −inf where there are fewer
    rows: Array,  # (k,) uint32 out
) -> Whole:
    """The k rows of the largest inner products among those that name a dimension of the query; of equal ones the
    smaller rows. Returns how many there are.
    """
    sums, seen = np.zeros(SEGMENT_ROWS, np.float32), np.zeros(SEGMENT_ROWS, np.uint8)
    touched, found = np.empty(SEGMENT_ROWS + 1, np.int64), 0
    for s in range(segments.shape[0]):
        if segments[s] == 0:
            continue
        n, base = add_up(segment_at(segments[s]), dims, values, sums, seen, touched), s * SEGMENT_ROWS
        for i in range(n):
            row = touched[i]
            value = sums[row]
            sums[row], seen[row] = 0, 0
            if (found < best.shape[0] or value >= best[0]) and may_be_found(allowed, base + row, n_rows):
                found = take(value, np.uint32(base + row), best, rows, found)
    loose = Loose(loose_rows, loose_starts, loose_dims, loose_weights)
    for i in range(loose_rows.shape[0]):
        value, shares = score_loose(loose, i, dims, values)
        if shares and may_be_found(allowed, np.int64(loose_rows[i]), n_rows):
            found = take(value, loose_rows[i], best, rows, found)
    for last in range(found - 1, 0, -1):  # the second half of heapsort
        best[0], best[last] = best[last], best[0]
        rows[0], rows[last] = rows[last], rows[0]
        sink(best, rows, last, 0)
    for i in range(found, best.shape[0]):
        best[i], rows[i] = -np.inf, 0
    return found


@kernel_with_room
def count_rows(
    dims: Array,  # as search_sparse has them
    segments: Array,
    loose_rows: Array,
    loose_starts: Array,
    loose_dims: Array,
    live: Array,  # uint8 bitmap of the rows that count; without bytes all do
    n_rows: Whole,
    counts: Array,  # (t,) int64 out
) -> None:
    """How many rows name each dimension."""
    counts[:] = 0
    for s in range(segments.shape[0]):
        if segments[s] == 0:
            continue
        segment, base = segment_at(segments[s]), s * SEGMENT_ROWS
        for t in range(dims.shape[0]):
            place = place_of(segment.dims, 0, segment.dims.shape[0], dims[t])
            if place >= 0:
                for p in range(np.int64(segment.starts[place]), np.int64(segment.starts[place + 1])):
                    counts[t] += may_be_found(live, base + np.int64(segment.rows[p]), n_rows)
    for i in range(loose_rows.shape[0]):
        if may_be_found(live, np.int64(loose_rows[i]), n_rows):
            first = loose_starts[i]
            for t in range(dims.shape[0]):
                place = place_of(loose_dims, first, loose_starts[i + 1], dims[t])
                if place >= 0:
                    counts[t] += 1
                    first = place + 1
