"""How many rows that pass a filter are expected above a threshold, in lists that were not scanned yet: see choose.py.

Lists of like value and like length are taken together, as cells, since what is expected is counted many times over.
"""

from typing import NamedTuple

import numpy as np

from pqdb.kernels._jit import kernel_inline, kernel_inline_with_arrays
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.rounding import extent

SPANS, KINDS = 64, 4  # of values, of lengths
CELLS = SPANS * KINDS
BELTS = (24, 6)  # one ends with the nearest 24th of all lists, one with the nearest sixth
ROWS, STEP, PLACE, BELT = 0, 1, 2, 3  # of a cell; a threshold t is at t·step + place in the table of shares
LEAST_WIDTH = np.float32(1e-30)  # of a span: less has no inverse
HALVINGS = 10  # of the range of values, to find where the nearest begin
SLACK = np.float32(1.5)  # times the share that may be missed may seem to be missed by what was found
CHECKED = 32  # groups scanned until that is looked at again


@kernel_inline
def share_above(shares: Array, belt: Whole, place: Real) -> Real:
    """shares[belt] at a place between its first and its last number, or at the nearer end."""
    last = shares.shape[1] - 1  # (no branch: none could be foretold)
    place = min(max(place, np.float32(0)), np.float32(last))
    i = min(np.int64(place), last - 1)
    return shares[belt, i] + np.float32(place - i) * (shares[belt, i + 1] - shares[belt, i])


@kernel_inline
def share_of_cell(shares: Array, cells: Array, c: Whole, threshold: Real) -> Real:
    """Share of a cell's rows that are expected to have values above a threshold."""
    place = threshold * cells[c, STEP] + cells[c, PLACE]
    return share_above(shares, np.int64(cells[c, BELT]), place)


@kernel_inline
def expected_above(shares: Array, cells: Array, threshold: Real) -> Real:
    """Rows of all cells that are expected to have values above a threshold."""
    expected = np.float32(0)
    for c in range(cells.shape[0]):
        if cells[c, ROWS] < 0:
            break
        expected += cells[c, ROWS] * share_of_cell(shares, cells, c, threshold)
    return expected


@kernel_inline
def belts_of(values: Array, top: Real, inverse: Real, belts: Array) -> None:
    """The belt that each span of values lies in, belts (SPANS,) int32 out, by how many lists are nearer."""
    belts[:] = 0
    for value in values:
        belts[np.int32((top - value) * inverse)] += 1
    nearer = 0
    for s in range(SPANS):
        rank = nearer + belts[s] // 2
        nearer += belts[s]
        belts[s] = 0
        for part in BELTS:
            belts[s] += rank * part >= len(values)


@kernel_inline_with_arrays
def gather_cells(
    values: Array, kinds: Array, lengths: Array, l2: bool, query_length: Real, low: Real, step: Real, shift: Real,
    passing: Array, cells: Array, cell_of: Array,
) -> Whole:  # fmt: skip
    """Lists into cells, as choose_lists has them all. Returns how many there are."""
    bottom = np.empty(1, np.float32)
    top = extent(values, len(values), bottom)
    width = (top - bottom[0]) / np.float32(SPANS - 1)
    inverse = np.float32(1) / width if width > LEAST_WIDTH else np.float32(0)
    belts, slots, n = np.empty(SPANS, np.int32), np.full(CELLS, -1, np.int32), 0
    belts_of(values, top, inverse, belts)
    for i in range(len(values)):
        cell_of[i] = 0
        if passing[i] == 0:
            continue
        span = np.int32((top - values[i]) * inverse)
        slot = span * KINDS + kinds[i]
        if slots[slot] < 0:
            value = top - (np.float32(span) + np.float32(0.5)) * width
            length = lengths[kinds[i]]
            way = np.float32(2) * np.sqrt(max(-value, np.float32(0))) if l2 else query_length
            cells[n, STEP] = np.float32(1) / (step * max(way * length, np.float32(1e-30)))
            cells[n, PLACE] = -(value - shift * length * length) * cells[n, STEP] - low / step
            cells[n, BELT], cells[n, ROWS] = belts[span], 0
            slots[slot] = n
            n += 1
        cell_of[i] = slots[slot]
        cells[cell_of[i], ROWS] += passing[i]
    if n < CELLS:
        cells[n, ROWS] = -1
    return n


@kernel_inline
def find_threshold(shares: Array, cells: Array, n: Whole, k: Whole) -> Real:
    """The threshold above which k rows are expected in n cells."""
    floor, ceiling = np.float32(np.inf), np.float32(-np.inf)
    for c in range(n):
        floor = min(floor, -cells[c, PLACE] / cells[c, STEP])
        ceiling = max(ceiling, (np.float32(shares.shape[1]) - cells[c, PLACE]) / cells[c, STEP])
    for _ in range(HALVINGS):
        middle = np.float32(0.5) * (floor + ceiling)
        if expected_above(shares, cells, middle) >= k:
            floor = middle
        else:
            ceiling = middle
    return floor


class More(NamedTuple):
    """Lists that may be scanned if those chosen first were not enough: nothing of all this, where none may."""

    there: Array  # (q,) int32 how many there are of each query, with the first
    passing: Array  # (n_lists,) int32 rows that pass
    groups: Array  # (n_lists,) int32 groups that these are in
    shares: Array  # these as choose.choose_lists leaves them
    cells: Array
    cell_of: Array
    most: Real  # rows that may be expected in lists that are not scanned


@kernel_inline
def go_on(
    more: More, q: Whole, done: Whole, stop: Whole, lists: Array, cut: Real, needed: Whole
) -> tuple[Whole, Whole]:
    """Now that lists[done:stop] of query q were scanned, up to which to go on: no further, if at most `more.most` rows
    are expected in the others above the cut, the depth-th best value found. And `needed`, with as many
    more as these can give.
    """
    there, cells, cell_of = more.there[q], more.cells[q], more.cell_of[q]
    for p in range(done, stop):
        cell = cell_of[lists[p]]
        cells[cell, ROWS] = max(cells[cell, ROWS] - more.passing[lists[p]], np.float32(0))
    if cut > -np.inf and expected_above(more.shares, cells, cut) <= more.most:
        return stop, needed
    cost: Whole = 0
    while stop < there and cost < CHECKED:
        cost += max(more.groups[lists[stop]], 1)
        needed += more.passing[lists[stop]]
        stop += 1
    return stop, needed
