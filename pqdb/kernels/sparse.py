"""Sparse vectors compared with a query: segment by segment, and vector by vector where there is no segment yet.

In a segment the pairs of a dimension lie side by side (its layout is docs/format.md's), so a query reads only what it
names: each weight times the query's value is added to its row's sum, as inverted indexes have done since Salton. Sums
are of double precision, so that in whatever order they are added up, the same vectors score the same. Once k rows are
found, dimensions that together cannot lift a row above the k-th are left out, and looked up only for rows that
the others lift near it (MaxScore: Turtle, Flood 1995, doi 10.1016/0306-4573(95)00020-H).
"""

from typing import NamedTuple

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline, kernel_inline_with_arrays, kernel_with_arrays
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.frame import f32_at, u16_at, u32_at
from pqdb.kernels.intrinsics import prefetch

SEGMENT_ROWS = 4_096  # at most
LAST_ROW = SEGMENT_ROWS - 1  # a mask, so that damage leads to nowhere else in memory
HEADER_BYTES = 16
ROWS_AT_ONCE = 32  # sums compared without a branch
ADD_NS, LOOK_UP_NS = 1.3, 150.0  # a pair added to its row's sum; a row looked for in a list
AHEAD, LINE = 6, 64  # lines of a dimension's weights, and of its rows, asked for before they are needed; bytes of one
LARGEST = float(np.finfo(np.float32).max)
ROUNDING = 1e-7  # of the largest sum there can be: what becomes of one in single precision differs by less


class Segment(NamedTuple):
    """The arrays of one, as they lie in the file."""

    dims: Array  # (d,) uint32 ascending
    starts: Array  # (d + 1,) uint32
    largest: Array  # (d,) float32 magnitudes
    weights: Array  # (p,) float32
    rows: Array  # (p,) uint16, within the segment


class Loose(NamedTuple):
    """Vectors one behind the other, of rows that are in no segment."""

    rows: Array  # (n,) uint32 ascending
    starts: Array  # (n + 1,) int64
    dims: Array  # (p,) uint32, of each vector ascending
    weights: Array  # (p,) float32


class Terms(NamedTuple):
    """The dimensions of a query that a segment has."""

    values: Array  # (t,) float32 the query's
    starts: Array  # (t,) int64 where their pairs begin
    stops: Array  # (t,) int64
    most: Array  # (t,) float64 what one can add to a row


class Desk(NamedTuple):
    """Room for a segment's rows."""

    sums: Array  # (SEGMENT_ROWS,) float64 zeros
    seen: Array  # (SEGMENT_ROWS,) uint8 zeros
    rows: Array  # (SEGMENT_ROWS + 1,) uint16
    values: Array  # (SEGMENT_ROWS + 1,) float64


class Best(NamedTuple):
    """The best rows found: a heap whose first is the last of them."""

    values: Array  # (k,) float32
    rows: Array  # (k,) uint32


@kernel_inline_with_arrays
def segment_at(address: Address) -> Segment:
    """The segment at an address."""
    head = u32_at(address, 4)
    n_dims, n_pairs = np.int64(head[2]), np.int64(head[3])
    dims_at = address + np.uint64(HEADER_BYTES)
    starts_at = dims_at + np.uint64(4 * n_dims)
    largest_at = starts_at + np.uint64(4 * n_dims + 4)
    weights_at = largest_at + np.uint64(4 * n_dims)
    return Segment(
        u32_at(dims_at, n_dims), u32_at(starts_at, n_dims + 1), f32_at(largest_at, n_dims), f32_at(weights_at, n_pairs),
        u16_at(weights_at + np.uint64(4 * n_pairs), n_pairs),
    )  # fmt: skip


@kernel_inline
def place_of(keys: Array, first: Whole, stop: Whole, key: Whole) -> Whole:
    """Where a key stands in keys[first:stop], ascending; −1 where it does not. Halved without a branch: none of the
    steps can be foretold.
    """
    low, n = first, stop - first
    while n > 1:
        half = n >> 1
        low += half if keys[low + half] <= key else 0
        n -= half
    return low if n == 1 and keys[low] == key else -1


@kernel_inline
def span_of(segment: Segment, place: Whole) -> tuple[Whole, Whole]:
    """Where the pairs of a dimension begin and end: among those there are, for damage is to lead nowhere else."""
    n = segment.rows.shape[0]
    return min(np.int64(segment.starts[place]), n), min(np.int64(segment.starts[place + 1]), n)


@kernel_inline
def may_be_found(allowed: Array, row: Whole, n_rows: Whole) -> bool:
    """Whether a row is there, and one that may be found: without a bitmap all may."""
    return bool(row < n_rows and (allowed.shape[0] == 0 or (allowed[row >> 3] >> (row & 7)) & 1 != 0))


@kernel_inline
def is_behind(value: Real, row: Whole, other: Real, other_row: Whole) -> bool:
    """Whether one comes behind another: it scores less, or as much and its row is larger."""
    return bool(value < other or (value == other and row > other_row))


@kernel_inline
def score_of(total: Real) -> Real:
    """A sum as a float32; the largest there is where it is beyond that: infinity would be no number over HTTP, and
    minus infinity is where nothing was found.
    """
    return np.float32(min(max(total, -LARGEST), LARGEST))


@kernel
def take(best: Best, found: Whole, value: Real, row: Whole) -> Whole:
    """Put a row among the best, of which there are `found`; returns how many there are now."""
    n = best.values.shape[0]
    if found == n:
        if is_behind(best.values[0], best.rows[0], value, row):
            best.values[0], best.rows[0] = value, row
            sink(best, n, 0)
        return found
    at = found
    while at > 0:
        above = (at - 1) // 2
        if not is_behind(value, row, best.values[above], best.rows[above]):
            break
        best.values[at], best.rows[at] = best.values[above], best.rows[above]
        at = above
    best.values[at], best.rows[at] = value, row
    return found + 1


@kernel
def sink(best: Best, size: Whole, at: Whole) -> None:
    """Restore the order of the heap of `size` below `at`."""
    values, rows = best.values, best.rows
    value, row = values[at], rows[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and is_behind(values[child + 1], rows[child + 1], values[child], rows[child]):
            child += 1
        if not is_behind(values[child], rows[child], value, row):
            break
        values[at], rows[at] = values[child], rows[child]
        at = child
    values[at], rows[at] = value, row


@kernel
def put_in_order(best: Best, found: Whole) -> None:
    """Turn the heap into a list, the best first (the second half of heapsort), and fill the places behind it."""
    values, rows = best.values, best.rows
    for last in range(found - 1, 0, -1):
        values[0], values[last] = values[last], values[0]
        rows[0], rows[last] = rows[last], rows[0]
        sink(best, last, 0)
    for i in range(found, values.shape[0]):
        values[i], rows[i] = -np.inf, 0


@kernel_inline
def terms_of(segment: Segment, dims: Array, values: Array, places: Array, terms: Terms) -> Whole:
    """Fill in those of a query's dimensions that a segment has, and ask for their pairs ahead; returns how many.

    All are looked for at once, so that what one waits for out of memory the others need not wait for. places (t,) int64
    is scratch.
    """
    n, held = 0, segment.dims.shape[0]
    places[:] = 0
    while held > 1:
        half = held >> 1
        for t in range(dims.shape[0]):
            places[t] += half if segment.dims[places[t] + half] <= dims[t] else 0
        held -= half
    for t in range(dims.shape[0]):
        if held == 1 and segment.dims[places[t]] == dims[t]:
            place = places[t]
            terms.values[n], terms.most[n] = values[t], abs(np.float64(values[t])) * segment.largest[place]
            terms.starts[n], terms.stops[n] = span_of(segment, place)
            n += 1
    for t in range(n):
        for line in range(AHEAD):
            prefetch(np.uint64(segment.weights.ctypes.data) + np.uint64(4 * terms.starts[t] + LINE * line))
            prefetch(np.uint64(segment.rows.ctypes.data) + np.uint64(2 * terms.starts[t] + LINE * line))
    return n


@kernel_inline
def add(segment: Segment, terms: Terms, t: Whole, sums: Array) -> None:
    """Add what one dimension scores to the sums of its rows."""
    value = np.float64(terms.values[t])
    for p in range(terms.starts[t], terms.stops[t]):
        sums[segment.rows[p] & LAST_ROW] += value * segment.weights[p]


@kernel_inline
def search_all(
    segment: Segment, base: Whole, terms: Terms, n: Whole, desk: Desk, allowed: Array, n_rows: Whole, best: Best,
    found: Whole,
) -> Whole:  # fmt: skip
    """Score every row that names one of the n dimensions; returns how many rows are found now."""
    sums, seen = desk.sums, desk.seen
    for t in range(n):
        add(segment, terms, t, sums)
        for p in range(terms.starts[t], terms.stops[t]):
            seen[segment.rows[p] & LAST_ROW] = 1
    for row in range(SEGMENT_ROWS):
        if seen[row] and may_be_found(allowed, base + row, n_rows):
            found = take(best, found, score_of(sums[row]), np.uint32(base + row))
    sums[:], seen[:] = 0, 0
    return found


@kernel_inline
def count_above(sums: Array, least: Real) -> Whole:
    """How many sums are so large."""
    n = 0
    for row in range(sums.shape[0]):
        n += sums[row] >= least
    return n


@kernel_inline
def add_enough(segment: Segment, terms: Terms, order: Array, left: Array, least: Real, sums: Array) -> Whole:
    """Add dimensions to the sums of their rows, from the end of `order`, until looking the others up for the rows that
    can come to `least` takes less time. Returns how many are left.
    """
    few, pairs = order.shape[0], 0
    for t in range(few):
        pairs += terms.stops[t] - terms.starts[t]
    while few > 0:
        if left[few] < least and count_above(sums, least - left[few]) * few * LOOK_UP_NS <= pairs * ADD_NS:
            break
        few -= 1
        t = order[few]
        add(segment, terms, t, sums)
        pairs -= terms.stops[t] - terms.starts[t]
    return few


@kernel_inline
def lift(segment: Segment, terms: Terms, t: Whole, desk: Desk, n: Whole, least: Real) -> Whole:
    """Add what one dimension scores to the n rows on the desk; returns how many of them come to `least`, and stay."""
    kept, value, first, stop = 0, np.float64(terms.values[t]), terms.starts[t], terms.stops[t]
    for i in range(n):
        row = desk.rows[i]
        place = place_of(segment.rows, first, stop, row)
        total = desk.values[i] + (value * segment.weights[max(place, first)] if place >= 0 else 0.0)
        desk.rows[kept], desk.values[kept] = row, total
        kept += total >= least
    return kept


@kernel_inline
def put_on_desk(sums: Array, least: Real, desk: Desk) -> Whole:
    """The rows whose sums are so large; returns how many."""
    n = 0
    for first in range(0, sums.shape[0], ROWS_AT_ONCE):
        above = 0
        for row in range(first, first + ROWS_AT_ONCE):
            above += sums[row] >= least
        for row in range(first, first + ROWS_AT_ONCE if above else first):
            desk.rows[n], desk.values[n] = row, sums[row]
            n += sums[row] >= least
    return n


@kernel_with_arrays
def search_above(
    segment: Segment, base: Whole, size: Whole, terms: Terms, n: Whole, desk: Desk, allowed: Array, n_rows: Whole,
    best: Best,
) -> None:  # fmt: skip
    """As search_all, where k rows are found and each scores more than 0: of rows that score as much as the last."""
    sums, order = desk.sums[:size], np.argsort(terms.most[:n] / (terms.stops[:n] - terms.starts[:n]))
    left = np.zeros(n + 1, np.float64)  # what order[:j] can add together: sums, since differences lose the small
    for j in range(n):
        left[j + 1] = left[j] + terms.most[order[j]]
    last = best.values[0] - left[n] * ROUNDING
    few = add_enough(segment, terms, order, left, last, sums)
    if few < n:
        on_desk = put_on_desk(sums, last - left[few], desk)
        for j in range(few - 1, -1, -1):
            on_desk = lift(segment, terms, order[j], desk, on_desk, last - left[j])
        for i in range(on_desk):
            row = base + np.int64(desk.rows[i])
            if may_be_found(allowed, row, n_rows):
                take(best, best.values.shape[0], score_of(desk.values[i]), np.uint32(row))
        sums[:] = 0


@kernel_inline
def score_loose(loose: Loose, i: Whole, dims: Array, values: Array) -> tuple[Real, bool]:
    """What one loose vector scores, and whether it names any of the query's dimensions."""
    total: Real = 0.0
    shares, first = False, loose.starts[i]
    for t in range(dims.shape[0]):
        place = place_of(loose.dims, first, loose.starts[i + 1], dims[t])
        if place >= 0:
            total += np.float64(values[t]) * loose.weights[place]
            shares, first = True, place + 1
    return score_of(total), shares


@kernel_with_arrays
def search_sparse(
    dims: Array,  # (t,) uint32 ascending: what the query names
    values: Array,  # (t,) float32
    segments: Array,  # (s,) uint64 addresses; 0: of no row
    bases: Array,  # (s,) int64 first row of each
    sizes: Array,  # (s,) int64 how many rows it is of, a multiple of ROWS_AT_ONCE
    loose_rows: Array,  # of Loose
    loose_starts: Array,
    loose_dims: Array,
    loose_weights: Array,
    allowed: Array,  # uint8 bitmap of rows that may be found; without bytes all may
    n_rows: Whole,
    best_values: Array,  # (k,) float32 out: inner products, the largest first, −inf where there are fewer
    best_rows: Array,  # (k,) uint32 out
) -> Whole:
    """The k rows of the largest inner products among those that name a dimension of the query; of equal ones the
    smaller rows. Returns how many there are.
    """
    best, found, t = Best(best_values, best_rows), 0, dims.shape[0]
    terms = Terms(np.empty(t, np.float32), np.empty(t, np.int64), np.empty(t, np.int64), np.empty(t, np.float64))
    places = np.empty(t, np.int64)
    desk = Desk(
        np.zeros(SEGMENT_ROWS, np.float64), np.zeros(SEGMENT_ROWS, np.uint8), np.empty(SEGMENT_ROWS + 1, np.uint16),
        np.empty(SEGMENT_ROWS + 1, np.float64),
    )  # fmt: skip
    loose = Loose(loose_rows, loose_starts, loose_dims, loose_weights)
    for i in range(loose_rows.shape[0]):
        value, shares = score_loose(loose, i, dims, values)
        if shares and may_be_found(allowed, np.int64(loose_rows[i]), n_rows):
            found = take(best, found, value, loose_rows[i])
    for s in range(segments.shape[0] - 1, -1, -1):  # small ones first: once k rows are found, less has to be read
        if segments[s] != 0:
            segment = segment_at(segments[s])
            n = terms_of(segment, dims, values, places, terms)
            if found == best_values.shape[0] and best_values[0] > 0:
                search_above(segment, bases[s], sizes[s], terms, n, desk, allowed, n_rows, best)
            elif n:
                found = search_all(segment, bases[s], terms, n, desk, allowed, n_rows, best, found)
    put_in_order(best, found)
    return found


@kernel_inline
def count_segment(segment: Segment, base: Whole, dims: Array, live: Array, n_rows: Whole, counts: Array) -> None:
    """Add a segment's rows to the counts of count_rows."""
    for t in range(dims.shape[0]):
        place = place_of(segment.dims, 0, segment.dims.shape[0], dims[t])
        if place >= 0:
            start, stop = span_of(segment, place)
            for p in range(start, stop):
                counts[t] += may_be_found(live, base + np.int64(segment.rows[p]), n_rows)


@kernel_with_arrays
def count_rows(
    dims: Array,  # as search_sparse has them
    segments: Array,
    bases: Array,
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
        if segments[s] != 0:
            count_segment(segment_at(segments[s]), bases[s], dims, live, n_rows, counts)
    for i in range(loose_rows.shape[0]):
        if may_be_found(live, np.int64(loose_rows[i]), n_rows):
            first = loose_starts[i]
            for t in range(dims.shape[0]):
                place = place_of(loose_dims, first, loose_starts[i + 1], dims[t])
                if place >= 0:
                    counts[t] += 1
                    first = place + 1
