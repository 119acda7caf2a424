"""The scan of codes that are kept value by value: int8 rows with a scale, or float16 rows, one dot product each."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.cells import More, go_on
from pqdb.kernels.dots import dot_i8
from pqdb.kernels.intrinsics import load_f32, load_u32, prefetch
from pqdb.kernels.places import is_allowed
from pqdb.kernels.scan import Candidates, end_query, held_at, most_candidates
from pqdb.kernels.topk import push
from pqdb.kernels.vectors import FLOAT16, INT8, dot, quantize_i8

FACTORS = 8  # bytes of a row before its values: scale and bias
PAGE, HEAD = 4096, 64  # a list begins so many bytes behind the start of a page (docs/format.md)
START_BYTES, PAGE_BYTES = 256, 192
AHEAD = 2 * PAGE  # bytes of a list that are asked for while the one before is scanned


@kernel_inline
def announce(address: Address, size: Whole) -> None:
    """Ask for the first lines of each page of a list, while the list before it is scanned: that starts the
    processor's own prefetcher, which fills the rest of a page.
    """
    for line in range(0, START_BYTES, 64):
        prefetch(address + np.uint64(line))
    for page in range(PAGE - HEAD, size, PAGE):
        for line in range(0, PAGE_BYTES, 64):
            prefetch(address + np.uint64(page + line))


@kernel_inline
def value_of(kind: Whole, row: Address, size: Whole, base: Real, factor: Real, query_at: Address) -> Real:
    """Value of one row (scale, bias, `size` values): base + bias + factor · scale · ⟨q, r⟩.

    The query is int8 rows' own kind, padded with zeros to `size`, or float32.
    """
    start = row + np.uint64(FACTORS)
    if kind == INT8:
        product = np.float32(dot_i8(start, query_at, np.uint64(size)))
    else:
        product = np.float32(dot(FLOAT16, start, query_at, size))
    return base + load_f32(row + np.uint64(4)) + factor * load_f32(row) * product


@kernel
def round_queries(queries: Array, factors: Array, small: Array) -> None:
    """Queries (q, d) float32 as int8 rows (q, ≥ d), and the factors (q,) times what undoes the rounding."""
    for q in range(queries.shape[0]):
        factors[q] *= quantize_i8(queries[q], small[q])


@kernel
def scan_values(
    kind: Whole,  # vectors.INT8 or FLOAT16
    size: Whole,  # values of a row that are multiplied: all with padding of int8, the dimensions of float16
    row_bytes: Whole,
    codes: Array,  # (n_lists,) uint64 address of each list's first row
    counts: Array,  # (n_lists,) uint32
    lists: Array,  # (q, p) int32 lists to scan, best first
    probed: Array,  # (q,) int32 how many of them
    bases: Array,  # (q, p) float32 A of each
    margins: Array,  # (q, p) float32 g of each
    floors: Array,  # (q,) float32 as scan.least_scales has them
    queries: Array,  # (q, ≥ size) int8 or float32
    factors: Array,  # (q,) float32 what a product is multiplied with, besides the row's scale
    allowed: Array,  # uint8 bitmap of rows that may be found; without bytes all may
    there: Array,  # lists that may be scanned if needed: this and the next seven as in scan_lists; or none
    passing: Array,
    groups: Array,
    shares: Array,
    cells: Array,
    cell_of: Array,
    most: Real,
    reached: Array,
    heap: Array,  # (depth,) float32 scratch
    values: Array,  # candidates, as scan.scan_lists has them
    bounds: Array,
    rows: Array,
    places: Array,
    starts: Array,  # (q + 1,) int64
    cuts: Array,  # (q,) float32
) -> Whole:
    """As scan.scan_lists, which see: returns how many queries were finished before the candidates' room ran out."""
    candidates = Candidates(values, bounds, rows, places)
    more = More(there, passing, groups, shares, cells, cell_of, most)
    starts[0] = 0
    for q in range(lists.shape[0]):
        needed = most_candidates(q, starts, lists, probed, counts, more)
        if needed > values.shape[0]:
            return q
        held = held_at(reached, q, heap)
        found = starts[q]
        query_at, factor = np.uint64(queries[q].ctypes.data), factors[q]
        p, stop, checked = 0, np.int64(probed[q]), 0
        while p < stop:
            count, row = np.int64(counts[lists[q, p]]), codes[lists[q, p]]
            row_at = row + np.uint64(count * row_bytes)
            base, margin = bases[q, p], margins[q, p]
            if p + 1 < stop:
                following = lists[q, p + 1]
                announce(codes[following], min(np.int64(counts[following]) * row_bytes, AHEAD))
            for i in range(count):
                value = value_of(kind, row, size, base, factor, query_at)
                bound = value + max(load_f32(row), floors[q]) * margin
                if bound >= min(heap[0], held):
                    number = load_u32(row_at + np.uint64(4 * i))
                    if is_allowed(allowed, number):
                        values[found], bounds[found], rows[found] = value, bound, number
                        places[found] = (np.int64(p) << 32) | np.int64(i)
                        found += 1
                        if value > heap[0]:
                            push(heap, value)
                row += np.uint64(row_bytes)
            p += 1
            if p == stop and len(there):
                stop, needed = go_on(more, q, checked, stop, lists[q], min(heap[0], held), needed)
                checked = p
                if needed > values.shape[0]:
                    return q
        end_query(q, p, found, min(heap[0], held), probed, cuts, starts, candidates)
    return lists.shape[0]
