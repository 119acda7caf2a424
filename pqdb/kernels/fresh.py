"""Rows that are in no list yet but have codes, in the order of the lists they are going to: a small index beside the
large one, of which the same lists are scanned.
"""

import numpy as np

from pqdb.kernels._jit import kernel_inline, kernel_with_arrays
from pqdb.kernels._types import Address, Array, Whole
from pqdb.kernels.ahead import groups_of
from pqdb.kernels.intrinsics import lowest_bit
from pqdb.kernels.pack import GROUP
from pqdb.kernels.places import is_allowed
from pqdb.kernels.scan import SPACE, blurred
from pqdb.kernels.score import Code, Query, Scores, score_group


@kernel_inline
def join_fresh(
    code: Code, records: Address, fresh: Array, begins: Array, watermark: Whole, lists: Array, probed: Array,
    bases: Array, margins: Array, floors: Array, tables: Array, coefficients: Array, cuts: Array, allowed: Array,
    rows: Array, firsts: Array, found: Array, width: Whole, space: Array, joined: Array,
) -> None:  # fmt: skip
    """rows_with_fresh into joined (q · width,) uint32; space (SPACE,) uint64 is scratch that lives as long as its
    addresses are used, since a caller holds it.
    """
    values_at, all_places = np.uint64(space.ctypes.data), (np.uint64(1) << np.uint64(GROUP)) - np.uint64(1)
    scores = Scores(values_at, values_at + np.uint64(4 * GROUP), values_at + np.uint64(8 * GROUP))
    for q in range(len(found)):
        stop = q * width
        for i in range(firsts[q], firsts[q] + found[q]):
            joined[stop] = rows[i]
            stop += 1
        a = coefficients[q, 0]
        query = Query(np.uint64(tables[q].ctypes.data), a, coefficients[q, 1], floors[q])
        for p in range(probed[q]):
            begin, end = begins[lists[q, p]], begins[lists[q, p] + 1]
            margin = blurred(margins[q, p], a, code.m)
            for group in range(begin // GROUP, groups_of(end) if end > begin else 0):
                place = group * GROUP
                record = records + np.uint64(group * code.record_bytes)
                mask = score_group(code, query, record, bases[q, p], margin, cuts[q], scores, record)
                mask &= all_places << np.uint64(max(begin - place, 0))  # what other lists have in the group
                mask &= all_places >> np.uint64(max(place + GROUP - end, 0))
                while mask != np.uint64(0):
                    row = fresh[place + lowest_bit(mask)]
                    mask &= mask - np.uint64(1)
                    if row >= watermark and is_allowed(allowed, row):
                        joined[stop] = row
                        stop += 1
        firsts[q], found[q] = q * width, stop - q * width


@kernel_with_arrays
def rows_with_fresh(
    nbits: Whole,
    m: Whole,
    record_bytes: Whole,
    bias: bool,
    records: Address,  # of groups of 32 codes, as a list has them
    fresh: Array,  # (n,) uint32 the row of each code
    begins: Array,  # (n_lists + 1,) int64 the codes of list l are begins[l]:begins[l + 1]
    watermark: Whole,  # rows below it are in lists by now
    lists: Array,  # (q, p) int32
    probed: Array,  # (q,) int32
    bases: Array,  # (q, p) float32 A of each
    margins: Array,  # (q, p) float32 g of each
    floors: Array,  # (q,) float32 as scan.least_scales has them
    tables: Array,  # (q, m, ksub)
    coefficients: Array,  # (q, 2) float32 a, b
    cuts: Array,  # (q,) float32 a row must be able to reach
    allowed: Array,  # uint8 bitmap of rows that may be found; without bytes all may
    rows: Array,  # uint32 rows to be scored: those of query i begin at firsts[i] …
    firsts: Array,  # (q,) int64 in and out
    found: Array,  # (q,) int32 in and out: … and are so many
) -> Array:
    """The rows to be scored of every query, and behind them the coded ones whose upper bound reaches the cut."""
    n, most = len(found), 0
    for q in range(n):
        most = max(most, found[q])
    width = most + len(fresh)
    joined = np.empty(n * width, np.uint32)
    join_fresh(
        Code(nbits, m, record_bytes, bias), records, fresh, begins, watermark, lists, probed, bases, margins, floors,
        tables, coefficients, cuts, allowed, rows, firsts, found, width, np.empty(SPACE, np.uint64), joined,
    )  # fmt: skip
    return joined
