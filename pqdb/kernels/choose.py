"""Which lists to scan for the rows a filter lets through: those that are expected to hold the nearest, for what they
cost.

A list with c rows that pass and a centroid of value v is expected to hold c·S((t − v)/u) rows with values above t. S is
how rows scatter about their centroids in the belt around the query that the list lies in (search/scatter.py); u is the
length of the list's residuals, against others', times that of what they are multiplied with: the query, for l2 twice
its way to the centroid. Where t leaves k expected, the k nearest are taken to begin; lists are scanned in the order of
what they hold above it for each group of codes, until the share that is aimed at is in those scanned. If then the k-th
value that was found leaves more to be expected in the others, because filters follow the data in a way that counts do
not tell, they are scanned too, a few at a time.
"""

import numpy as np

from pqdb.kernels._jit import kernel_inline, kernel_inline_with_arrays, kernel_with_arrays
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.cells import find_threshold, gather_cells, share_of_cell
from pqdb.kernels.rounding import extent
from pqdb.kernels.route import Centroids, Desk, Fine, ease, interpolate, keys_of, value_lists

GRADE_SHIFT = 20  # of a float32's bits: eight grades to a factor of two
GRADES = 208  # from 2⁻²⁰ rows a group to 64: a group has 32
LEAST_GRADE = 107 << 3  # that of 2⁻²⁰
FLOOR = np.float32(0.5)  # of what a search without a filter scans: in any case


@kernel_inline_with_arrays
def grade_lists(
    passing: Array, groups: Array, cell_of: Array, mass: Array, grade_of: Array, held: Array, costs: Array,
    members: Array,
) -> Real:  # fmt: skip
    """The grade of each list, by the rows it is expected to hold for a group, grade_of (n_lists,) int32 out; and of
    each grade those rows, held float32, groups, costs int64, and lists, members int64, (GRADES,) out. Returns how many
    rows all lists hold. mass: the share of each cell's rows that counts.
    """
    mine, worth, whole = np.empty(len(passing), np.float32), np.empty(len(passing), np.float32), np.float32(0)
    for i in range(len(passing)):
        mine[i] = np.float32(passing[i]) * mass[cell_of[i]]
        worth[i] = mine[i] / np.float32(max(groups[i], 1))
    bits = worth.view(np.int32)
    for i in range(len(passing)):
        grade_of[i] = min(max((bits[i] >> GRADE_SHIFT) - LEAST_GRADE, 0), GRADES - 1)
    held[:] = 0
    costs[:] = 0
    members[:] = 0
    for i in range(len(passing)):
        if passing[i] > 0:
            grade = grade_of[i]
            held[grade] += mine[i]
            costs[grade] += max(groups[i], 1)
            members[grade] += 1
            whole += mine[i]
    return whole


@kernel_inline
def take_grades(held: Array, costs: Array, members: Array, enough: Real, least: Real) -> tuple[Whole, Whole]:
    """How many lists, from the best grade on, hold enough rows and so many groups at least; and their groups."""
    taken: Real = np.float32(0)
    cost: Whole = 0
    n: Whole = 0
    for grade in range(GRADES - 1, -1, -1):
        if taken >= enough and cost >= least:
            break
        if members[grade]:
            share = np.float32(1)  # those of a grade are much alike: no more of the last than needed
            if taken + held[grade] > enough and cost + costs[grade] > least:
                by_rows = (enough - taken) / held[grade] if held[grade] > 0 else np.float32(0)
                share = min(share, max(by_rows, np.float32(least - cost) / np.float32(costs[grade])))
            n += np.int64(np.ceil(share * np.float32(members[grade])))
            cost += np.int64(np.ceil(share * np.float32(costs[grade])))
            taken += held[grade]
    return n, cost


@kernel_with_arrays
def choose_lists(
    values: Array,  # (n_lists,) float32 of the centroids: inner products, or squared distances negated
    kinds: Array,  # (n_lists,) uint8: by length of a list's residuals
    lengths: Array,  # (KINDS,) float32 of residuals of each kind, 1 on the mean
    l2: bool,
    query_length: Real,  # not for l2
    shares: Array,  # (belts, n) float32 of rows more than low + i·step units above what their centroid tells
    low: Real,
    step: Real,
    shift: Real,  # what a row lies below its centroid on the mean
    passing: Array,  # (n_lists,) int32
    groups: Array,  # (n_lists,) int32
    k: Whole,
    aim: Real,  # share of the k nearest; 1 or more: all lists that hold a row that passes
    least: Real,  # groups to take in any case
    lists: Array,  # (n_lists,) int32 out: those that hold a row that passes, the best first, to within a grade
    cells: Array,  # (CELLS, 4) float32 out: those in use, then one of −1 rows
    cell_of: Array,  # (n_lists,) int32 out; 0 for lists that hold no row that passes
) -> tuple[Whole, Whole, Whole]:
    """Returns how many lists there are to scan first, and their groups; and how many there are in all."""
    n = gather_cells(values, kinds, lengths, l2, query_length, low, step, shift, passing, cells, cell_of)
    threshold, mass = find_threshold(shares, cells, n, k), np.empty(n, np.float32)
    for c in range(n):
        mass[c] = share_of_cell(shares, cells, c, threshold)
    grade_of, held = np.empty(len(values), np.int32), np.empty(GRADES, np.float32)
    costs, members = np.empty(GRADES, np.int64), np.empty(GRADES, np.int64)
    whole = grade_lists(passing, groups, cell_of, mass, grade_of, held, costs, members)
    first, cost = take_grades(held, costs, members, np.inf if aim >= 1 else aim * whole, least)
    there = 0
    for grade in range(GRADES - 1, -1, -1):
        members[grade], there = there, there + members[grade]
    for i in range(len(values)):
        if passing[i] > 0:
            lists[members[grade_of[i]]] = i
            members[grade_of[i]] += 1
    return first, cost, there


@kernel_with_arrays
def choose_queries(
    queries: Array,  # (q, d) float32
    l2: bool,
    center: Array,  # these as route_queries has them
    banks: Array,
    scales: Array,
    weights: Array,
    leads: Array,
    offsets: Array,
    fine: Array,
    fine_scales: Array,
    centroids: Array,
    noise: Real,
    within: Real,
    knots: Array,
    widths: Array,
    kinds: Array,  # these as choose_lists has them
    lengths: Array,
    shares: Array,
    low: Real,
    step: Real,
    shift: Real,
    passing: Array,
    groups: Array,
    k: Whole,
    aim: Real,
    mean_groups: Real,  # of a list
    limit: Real,  # groups: a query that would have to scan more probes none: −1
    lists: Array,  # (q, n_lists) int32 out
    probed: Array,  # (q,) int32 out, to be scanned first
    there: Array,  # (q,) int32 out, in all
    wanted: Array,  # (q,) int64 out: groups to scan first
    cells: Array,  # (q, CELLS, 4) float32 out
    cell_of: Array,  # (q, n_lists) int32 out
    bases: Array,  # (q, n_lists) float32 out
    margins: Array,  # (q, n_lists) float32 out
) -> None:
    """For each query, what route_queries finds where no row is barred."""
    n_lists, known = scales.shape[0], Centroids(l2, center, banks, scales, weights, leads, offsets)
    keys, values = np.empty(n_lists, np.float32), np.empty(n_lists, np.float32)
    products, nearness = np.empty(64 * banks.shape[0], np.int32), np.empty(n_lists, np.float32)
    moved, small, low_key = np.empty(len(center), np.float32), np.empty(fine.shape[1], np.int8), np.empty(1, np.float32)
    desk, valued = Desk(moved, small, products, values, keys), Fine(fine, fine_scales, centroids)
    for q in range(queries.shape[0]):
        seen = keys_of(queries, q, known, desk)
        easy = ease(keys, extent(keys, n_lists, low_key), l2, seen.length, len(center), leads, within)
        least = FLOOR * interpolate(easy, knots, widths) * mean_groups
        for i in range(n_lists):
            nearness[i] = min(values[i] - seen.length, np.float32(0)) if l2 else values[i]
        n, wanted[q], there[q] = choose_lists(
            nearness, kinds, lengths, l2, np.sqrt(seen.length), shares, low, step, shift, passing, groups, k, aim,
            least, lists[q], cells[q], cell_of[q],
        )  # fmt: skip
        probed[q] = n if wanted[q] <= limit else -1
        if probed[q] >= 0:
            value_lists(queries, q, seen, known, valued, desk, noise, lists, there[q], bases, margins)
