"""The scan of a block of queries, list by list: the codes of a list are fetched once for all queries that probe it.

A query by itself waits for the cache half of its scan. The nearest lists of each query still come first and one query
after the other: its threshold is then near where it ends, and few of the others' rows become candidates for a while.
"""

import numpy as np

from pqdb.kernels._jit import kernel_inline, kernel_with_arrays
from pqdb.kernels._types import Array, Whole
from pqdb.kernels.ahead import NOWHERE, Lists, run_ahead
from pqdb.kernels.scan import SPACE, Candidates, blurred, drop_below, scan_list
from pqdb.kernels.score import Code, Query

ALONE = 8  # an eighth of a query's lists come first
SPARE = 4  # a quarter of the room is free after ranks were closed, or they would be closed again and again


@kernel_inline
def lists_alone(probed: Whole) -> Whole:
    """How many of a query's lists come first."""
    return (probed + ALONE - 1) // ALONE


@kernel_inline
def order_visits(lists: Array, probed: Array, following: Array, visits: Array) -> None:
    """visits (Σ probed,) int64 out: query << 32 | place among its lists. First the nearest lists of each query, then
    the others, list by list. following (n_lists + 1,) int64 scratch.
    """
    following[:] = 0
    first = 0
    for q in range(lists.shape[0]):
        alone = lists_alone(probed[q])
        for p in range(alone):
            visits[first] = (np.int64(q) << 32) | p
            first += 1
        for p in range(alone, probed[q]):
            following[lists[q, p] + 1] += 1
    following[0] = first
    for i in range(1, len(following)):
        following[i] += following[i - 1]
    for q in range(lists.shape[0]):
        for p in range(lists_alone(probed[q]), probed[q]):
            visits[following[lists[q, p]]] = (np.int64(q) << 32) | p
            following[lists[q, p]] += 1


@kernel_inline
def order_lists(lists: Array, visits: Array, order: Array) -> Whole:
    """order (≥ visits,) int32 out: the lists in the order of visits, without those of the visit before; returns how
    many.
    """
    n = 0
    for v in range(len(visits)):
        which = lists[visits[v] >> 32, visits[v] & 0xFFFFFFFF]
        if n == 0 or which != order[n - 1]:
            order[n] = which
            n += 1
    return n


@kernel_inline
def close_ranks(visits: Array, stop: Whole, heaps: Array, spans: Array, candidates: Candidates) -> Whole:
    """Drop what no longer reaches its query's threshold from the spans of the first visits; returns what is left."""
    kept = 0
    for v in range(stop):
        q, p = visits[v] >> 32, visits[v] & 0xFFFFFFFF
        first, kept = kept, drop_below(heaps[q, 0], spans[q, p, 0], spans[q, p, 1], kept, candidates)
        spans[q, p, 0], spans[q, p, 1] = first, kept
    return kept


@kernel_inline
def scan_visits(
    nbits: Whole, m: Whole, record_bytes: Whole, bias: bool, codes: Array, counts: Array, lists: Array, bases: Array,
    margins: Array, floors: Array, tables: Array, coefficients: Array, allowed: Array, words: Array, firsts: Array,
    visits: Array, order: Array, heaps: Array, spans: Array, space: Array, values: Array, bounds: Array, rows: Array,
    places: Array,
) -> bool:  # fmt: skip
    """Candidates in the order of visits, those of each in its span; False if there could be more than there is room
    for, even without those that no longer count.
    """
    code, known = Code(nbits, m, record_bytes, bias), Lists(codes, counts, words, firsts)
    candidates, size = Candidates(values, bounds, rows, places), values.shape[0]
    found, table_at, table_bytes = 0, np.uint64(tables.ctypes.data), np.uint64(tables[0].nbytes)
    n_lists, before = order_lists(lists, visits, order), np.int32(0)
    ahead = run_ahead(record_bytes, order, n_lists, known)
    for v in range(len(visits)):
        q, p = visits[v] >> 32, visits[v] & 0xFFFFFFFF
        which, a = lists[q, p], coefficients[q, 0]
        if found + counts[which] > size:
            found = close_ranks(visits, v, heaps, spans, candidates)
            if found + counts[which] > size - size // SPARE:
                return False
        again = v > 0 and which == before  # then it is in the cache, and the next lists were asked for
        spans[q, p, 0] = found
        query = Query(table_at + table_bytes * np.uint64(q), a, coefficients[q, 1], floors[q])
        found, reached = scan_list(
            code, query, known, which, p, bases[q, p], blurred(margins[q, p], a, m), allowed, heaps[q],
            np.float32(np.inf), space, found, candidates, NOWHERE if again else ahead, order, 0 if again else n_lists,
        )  # fmt: skip
        if not again:
            ahead, before = reached, which
        spans[q, p, 1] = found
    return True


@kernel_with_arrays
def gather_candidates(
    probed: Array, heaps: Array, spans: Array, values: Array, bounds: Array, rows: Array, places: Array, starts: Array,
    cuts: Array,
) -> None:  # fmt: skip
    """Candidates in the order of their queries and of each one's lists, without those below the cut.

    spans (q, p, 2) int64 where those of each list of each query begin and end.
    """
    most = 0
    for q in range(len(probed)):
        for p in range(probed[q]):
            most += spans[q, p, 1] - spans[q, p, 0]
    kept_values, kept_bounds = np.empty(most + 1, np.float32), np.empty(most + 1, np.float32)
    kept_rows, kept_places, size = np.empty(most + 1, np.uint32), np.empty(most + 1, np.int64), 0
    for q in range(len(probed)):
        starts[q], cut = size, heaps[q, 0]
        cuts[q] = cut
        for p in range(probed[q]):
            for i in range(spans[q, p, 0], spans[q, p, 1]):  # without a branch: half of them stay
                bound = bounds[i]
                kept_values[size], kept_bounds[size] = values[i], bound
                kept_rows[size], kept_places[size] = rows[i], places[i]
                size += bound >= cut
    starts[len(probed)] = size
    values[:size], bounds[:size], rows[:size] = kept_values[:size], kept_bounds[:size], kept_rows[:size]
    places[:size] = kept_places[:size]


@kernel_with_arrays
def scan_together(
    nbits: Whole,
    m: Whole,
    record_bytes: Whole,
    bias: bool,
    codes: Array,
    counts: Array,
    lists: Array,
    probed: Array,
    bases: Array,
    margins: Array,
    floors: Array,
    tables: Array,
    coefficients: Array,
    allowed: Array,
    words: Array,
    firsts: Array,
    depth: Whole,
    values: Array,
    bounds: Array,
    rows: Array,
    places: Array,
    starts: Array,
    cuts: Array,
) -> bool:
    """As scan.scan_lists, where no list is added on the way; False if the candidates' room could have run out: then
    nothing of the output is to be used.
    """
    queries, total = lists.shape[0], 0
    for q in range(queries):
        total += probed[q]
    visits, heaps = np.empty(total, np.int64), np.full((queries, depth), -np.inf, np.float32)
    spans = np.empty((queries, lists.shape[1], 2), np.int64)
    order_visits(lists, probed, np.empty(counts.shape[0] + 1, np.int64), visits)
    if not scan_visits(
        nbits, m, record_bytes, bias, codes, counts, lists, bases, margins, floors, tables, coefficients, allowed,
        words, firsts, visits, np.empty(total, np.int32), heaps, spans, np.empty(SPACE, np.uint64), values, bounds,
        rows, places,
    ):  # fmt: skip
        return False
    gather_candidates(probed, heaps, spans, values, bounds, rows, places, starts, cuts)
    return True
