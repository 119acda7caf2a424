"""One query against every centroid: which lists to scan, in which order, and how many."""

from typing import NamedTuple

import numpy as np

from pqdb.kernels._jit import kernel_inline, kernel_with_arrays
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.banks import bank_products
from pqdb.kernels.dots import dot_i8
from pqdb.kernels.intrinsics import prefetch
from pqdb.kernels.rounding import extent
from pqdb.kernels.topk import sift_down_pair, sort_heap
from pqdb.kernels.vectors import FLOAT32, distance, dot, quantize_i8

BUCKETS = 128
HALVINGS = 48  # keys may lie anywhere: one far centroid, and all others are within a millionth of low … high
HALF_ULP = 2.0**-10  # of a float16, twice: a bias factor is twice a product with the centroid
CROWD = 8  # keys of the bucket that the last list comes from, and an eighth of the lists: more are sorted
LINE, AHEAD = 64, 6  # bytes of a cache line; rows asked for ahead of their turn
SHORTEST, LONGEST = np.float32(1e-36), np.float32(3e38)  # squared length of a query that float32 can tell
HARDEST = np.float32(-1e30)  # below every knot, and the mean of two such is a number, too
LEAST_COMMON = np.float32(1e-30)  # of a center's squared length
RIVALS = 8.0  # standard deviations below the best that lists rival it
LEAST_SPREAD = np.float32(1e-30)  # of keys: less has no inverse


class Centroids(NamedTuple):
    """Those of all lists, as route_queries has them."""

    l2: bool
    center: Array
    banks: Array
    scales: Array
    weights: Array
    leads: Array
    offsets: Array


class Fine(NamedTuple):
    """What the lists that are taken are valued by, likewise; none of either where the banks tell well enough."""

    rows: Array
    scales: Array
    centroids: Array


class Desk(NamedTuple):
    """Room for one query at a time."""

    moved: Array  # (d,) float32 less what it has in common with centroids
    small: Array  # (≥ d,) int8 of that, padded with zeros
    products: Array  # (64 · banks,) int32
    values: Array  # (n_lists,) float32
    keys: Array  # (n_lists,) float32


class Seen(NamedTuple):
    """What was found out about a query."""

    length: Real  # squared, for l2 from the center
    base: Real  # the center's value
    share: Real  # how much of the center lies in the query, 1 for l2
    step: Real  # scale of the query's int8


@kernel_inline
def interpolate(x: Real, knots: Array, heights: Array) -> Real:
    """Piecewise linear through (knots, heights), flat outside; knots ascending."""
    last = knots.shape[0] - 1
    if x <= knots[0]:
        return heights[0]
    for i in range(last):
        if x < knots[i + 1]:
            share = (x - knots[i]) / (knots[i + 1] - knots[i])
            return heights[i] + share * (heights[i + 1] - heights[i])
    return heights[last]


@kernel_inline
def floor_of_largest(keys: Array, high: Real, low: Real, n: Whole) -> Real:
    """A number that n of the keys reach at least and, where keys differ, few more than 2·n: by halving low … high."""
    above, floor, ceiling = keys.shape[0], low, high
    for _ in range(HALVINGS):
        if above <= 2 * n:
            break
        middle = np.float32(0.5) * (floor + ceiling)
        if middle <= floor or middle >= ceiling:
            break  # no number lies between
        count = 0
        for i in range(keys.shape[0]):
            count += keys[i] >= middle
        if count >= n:
            floor, above = middle, count
        else:
            ceiling = middle
    return floor


@kernel_with_arrays
def sort_largest(keys: Array, picked: Array, few: Whole, n: Whole, lists: Array, q: Whole) -> None:
    """lists[q, :n] = the first n of the `few` picked positions, in the order of their keys; changes their order."""
    heap, items = np.empty(few, np.float32), picked[:few]
    for j in range(few):
        heap[j] = keys[items[j]]
    for at in range(few // 2 - 1, -1, -1):
        sift_down_pair(heap, items, few, at)
    sort_heap(heap, items)
    for j in range(n):
        lists[q, j] = items[j]


@kernel_inline
def select_largest(
    keys: Array, high: Real, low: Real, n: Whole, lists: Array, q: Whole, histogram: Array, picked: Array
) -> None:
    """lists[q, :n] = positions of the n largest keys, all between low and high, largest first to within a bucket's
    width: a counting sort of those above a floor. Where many share the bucket that the last comes from, a heap sort.
    picked (twice as many as keys, and one) and histogram are scratch.
    """
    floor, few = floor_of_largest(keys, high, low, n), 0
    for i in range(keys.shape[0]):  # without a branch: few of many are taken, and none can be foretold
        picked[few] = i
        few += keys[i] >= floor
    width = np.float32(BUCKETS - 1) / (high - floor) if high - floor > LEAST_SPREAD else np.float32(0)
    histogram[:] = 0
    for j in range(few):
        histogram[np.int32((high - keys[picked[j]]) * width)] += 1
    start, crowd = np.int32(0), np.int32(0)
    for b in range(BUCKETS):
        if start < n:
            crowd = histogram[b]
        start += histogram[b]
        histogram[b] = start - histogram[b]
    if few > n and crowd > CROWD + n // 8:
        sort_largest(keys, picked, few, n, lists, q)
        return
    sorted_ = picked[keys.shape[0] + 1 :]
    for j in range(few):  # without a branch again
        bucket = np.int32((high - keys[picked[j]]) * width)
        place = histogram[bucket]
        sorted_[place], histogram[bucket] = picked[j], place + 1
    for j in range(n):
        lists[q, j] = sorted_[j]


@kernel_inline
def keys_of(queries: Array, q: Whole, known: Centroids, desk: Desk) -> Seen:
    """Value and key of every list for query q, as route_queries has them, and its int8: on the desk.

    What queries and centroids have in common is no part of what is rounded: for l2 the center, for inner products as
    much of the center as lies in the query.
    """
    center, moved, values, keys = known.center, desk.moved, desk.values, desk.keys
    dim, center_at, moved_at = center.shape[0], np.uint64(center.ctypes.data), np.uint64(moved.ctypes.data)
    base, share, common = np.float32(0), np.float32(1), np.float32(0)
    if not known.l2:
        common = dot(FLOAT32, center_at, center_at, dim)
        base = dot(FLOAT32, center_at, np.uint64(queries.ctypes.data) + np.uint64(4 * q * dim), dim)
        share = base / common if common > LEAST_COMMON else np.float32(0)
    for i in range(dim):
        moved[i] = queries[q, i] - share * center[i]
    step = quantize_i8(moved, desk.small) * np.float32(2 if known.l2 else 1)
    bank_products(known.banks, 4 * known.banks.shape[1] < dim, desk.small, desk.products)
    length = min(dot(FLOAT32, moved_at, moved_at, dim) + share * base, LONGEST)
    for i in range(known.scales.shape[0]):
        values[i] = base + step * known.scales[i] * np.float32(desk.products[i]) - share * known.offsets[i]
        keys[i] = values[i] * known.weights[i]
    reach = np.float32(1) if known.l2 else np.sqrt(length)
    for i in range(known.leads.shape[0]):
        keys[i] += reach * known.leads[i]
    return Seen(length, base, share, step)


@kernel_inline
def rivals(keys: Array, best: Real, within: Real) -> Real:
    """How many lists are about as good as the best, each counted by how near its key comes: 1 for the best itself, 0
    for one that lies `within` below it.
    """
    total, inverse, floor = np.float32(0), np.float32(1) / within, best - within
    for i in range(keys.shape[0]):
        total += max(keys[i] - floor, np.float32(0)) * inverse
    return total


@kernel_inline
def ease(keys: Array, best: Real, l2: bool, length: Real, dim: Whole, leads: Array, within: Real) -> Real:
    """How easy a query is of such keys, the best of them, and squared length: the larger the fewer lists it takes. It
    is the harder the more lists rival the best, `within` RIVALS times the standard deviation σ of what a row's value is
    off its centroid's, for a query of length 1 (docs/decisions/056). For l2 a row at r from its centroid, which is at g
    from the query, is off by −2⟨g, r⟩ − |r|²: with a standard deviation of 2σ|g|, and σ² √2d for lengths that differ as
    those of even noise. The length of a query changes nothing in what is near it by inner product, nor in this, but
    where it cannot be told in float32: that is as hard as it gets.

    Generations that know no `within` go by the best key alone, and those of before by that of the query as it is.
    """
    if l2 and within == 0:
        return best - length
    if leads.shape[0] == 0:
        return best
    if not (length < LONGEST and (l2 or length > SHORTEST)):
        return HARDEST
    if within == 0:
        return best / np.sqrt(length)
    if l2:
        apart = max(length - best, np.float32(0)) + within * within * np.float32(dim / (2 * RIVALS * RIVALS))
        scale = np.float32(2) * within * np.sqrt(apart)
    else:
        scale = within * np.sqrt(length)
    return -rivals(keys, best, scale) if SHORTEST < scale < LONGEST else np.float32(-1)


@kernel_inline
def nearest_first(known: Centroids, values: Array, keys: Array, highest: Real, lowest: Real, low: Array) -> Real:
    """For inner products, the list whose centroid has the largest value takes a key above all others; returns the
    highest then. Generations that do not know spreads rank as they did.

    A list of copies has no spread. What others around it have may be worth more than being the query itself is; where
    they are more than are probed, what is asked for was not found (docs/decisions/049). low (1,) is scratch.
    """
    if known.l2 or len(known.leads) == 0:
        return highest
    largest, nearest = extent(values, values.shape[0], low), 0
    while values[nearest] < largest:
        nearest += 1
    above = highest + np.float32(2 / BUCKETS) * (highest - lowest)  # a bucket of its own, where keys are sorted
    keys[nearest] = above if above < LONGEST else highest
    return keys[nearest]


@kernel_with_arrays
def list_keys(
    queries: Array,  # (q, d) float32
    l2: bool,
    center: Array,  # these as route_queries has them
    banks: Array,
    scales: Array,
    weights: Array,
    leads: Array,
    offsets: Array,
    within: Real,  # as `ease` has it
    left_out: Array,  # (q,) int32: a list of no account for each query, −1 for none
    keys: Array,  # (q, n_lists) float32 out: the larger the earlier a list is probed; −inf for the one left out
    easy: Array,  # (q,) float32 out: how easy each query is, as `ease` has it
) -> None:
    """What route_queries ranks lists by, as if the lists left out were not there."""
    known, values = Centroids(l2, center, banks, scales, weights, leads, offsets), np.empty(len(scales), np.float32)
    moved, small = np.empty(center.shape[0], np.float32), np.empty(8 * banks.shape[1], np.int8)
    products, low = np.empty(64 * banks.shape[0], np.int32), np.empty(1, np.float32)
    for q in range(queries.shape[0]):
        seen = keys_of(queries, q, known, Desk(moved, small, products, values, keys[q]))
        highest, lowest = extent(keys[q], keys.shape[1], low), low[0]
        if left_out[q] >= 0:
            keys[q, left_out[q]] = values[left_out[q]] = -np.inf
            highest = extent(keys[q], keys.shape[1], low)
        easy[q] = ease(keys[q], highest, l2, seen.length, len(center), leads, within)
        nearest_first(known, values, keys[q], highest, lowest, low)


@kernel_inline
def value_finely(seen: Seen, known: Centroids, fine: Fine, desk: Desk, lists: Array, q: Whole, n: Whole) -> None:
    """Values of the n lists of query q as int8 gives them, in place of those that nibbles gave."""
    small_at, fine_at, size = np.uint64(desk.small.ctypes.data), np.uint64(fine.rows.ctypes.data), fine.rows.shape[1]
    for p in range(n + AHEAD):
        if p < n:
            row = fine_at + np.uint64(size * lists[q, p])
            for line in range(0, size, LINE):
                prefetch(row + np.uint64(line))
        if p >= AHEAD:
            which = lists[q, p - AHEAD]
            product = seen.step * np.float32(dot_i8(fine_at + np.uint64(size * which), small_at, size))
            desk.values[which] = seen.base + fine.scales[which] * product - seen.share * known.offsets[which]


@kernel_inline
def value_lists(
    queries: Array, q: Whole, seen: Seen, known: Centroids, fine: Fine, desk: Desk, noise: Real, lists: Array,
    n: Whole, bases: Array, margins: Array,
) -> None:  # fmt: skip
    """Bases and margins of the n lists of query q, as route_queries has them, after keys_of.

    For l2 an estimate is no better than its bias factor, a float16, which is the larger the farther the centroid lies
    from zero. Here that is in units of the code's scale, as the margin is.
    """
    exact = fine.centroids.shape[0] > 0
    if fine.rows.shape[0] > 0 and not exact:
        value_finely(seen, known, fine, desk, lists, q, n)
    dim = queries.shape[1]
    center_at, rounding = np.uint64(known.center.ctypes.data), np.float32(HALF_ULP if noise > 0 else 0)
    away = np.sqrt(dot(FLOAT32, center_at, center_at, dim)) if known.l2 else np.float32(0)
    query_at = np.uint64(queries.ctypes.data) + np.uint64(4 * q * dim)
    margin = np.float32(noise) * np.sqrt(seen.length)
    for p in range(n):
        which = lists[q, p]
        bases[q, p] = desk.values[which]
        margins[q, p] = margin
        centroid_at = np.uint64(fine.centroids.ctypes.data) + np.uint64(4 * dim * which)
        if known.l2:
            if exact:
                bases[q, p] = -distance(FLOAT32, centroid_at, query_at, dim, np.float32(1))
            else:
                bases[q, p] = min(bases[q, p] - seen.length, np.float32(0))
            margins[q, p] = np.float32(2 * noise) * np.sqrt(-bases[q, p])
            margins[q, p] += rounding * (np.sqrt(known.offsets[which]) + away)
        elif exact:
            bases[q, p] = dot(FLOAT32, centroid_at, query_at, dim)


@kernel_inline
def rank_queries(
    queries: Array, known: Centroids, fine: Fine, noise: Real, within: Real, knots: Array, widths: Array, lists: Array,
    probed: Array, bases: Array, margins: Array, desk: Desk, histogram: Array, picked: Array, low: Array,
) -> None:  # fmt: skip
    """route_queries; the last four are scratch."""
    for q in range(queries.shape[0]):
        seen = keys_of(queries, q, known, desk)
        high, lowest = extent(desk.keys, desk.keys.shape[0], low), low[0]
        easy = ease(desk.keys, high, known.l2, seen.length, queries.shape[1], known.leads, within)
        wanted = np.int64(np.ceil(interpolate(easy, knots, widths)))
        n = min(max(wanted, 1), lists.shape[1])
        high = nearest_first(known, desk.values, desk.keys, high, lowest, low)
        select_largest(desk.keys, high, lowest, n, lists, q, histogram, picked)
        probed[q] = n
        value_lists(queries, q, seen, known, fine, desk, noise, lists, n, bases, margins)


@kernel_with_arrays
def route_queries(
    queries: Array,  # (q, d) float32
    l2: bool,
    center: Array,  # (d,) float32 mean of the centroids
    banks: Array,  # (n, steps, 64, 4) uint8 centroids less the center, as bytes or nibbles: see kernels.banks
    scales: Array,  # (n_lists,) float32 undoing the rounding
    weights: Array,  # (n_lists,) float32 1; for inner products 1/|c| where leads are not known
    leads: Array,  # (n_lists,) float32 what the spread of its rows is worth, of length 1, or none: see Router
    offsets: Array,  # (n_lists,) float32 −⟨center, c − center⟩; |c − center|² for l2
    fine: Array,  # (n_lists, dpad) int8 centroids less the center, to value those that nibbles ranked; or (0, dpad)
    fine_scales: Array,  # (n_lists,) float32 undoing that rounding
    centroids: Array,  # (n_lists, d) float32; or none, where values in int8 are good enough (see Index.centroids)
    noise: Real,  # z·σ: margin of an estimate in units of the query's distance and the code's scale
    within: Real,  # as `ease` has it
    knots: Array,  # (b,) float32 how easy queries are
    widths: Array,  # (b,) float32 how many lists to probe at each
    lists: Array,  # (q, p) int32 out
    probed: Array,  # (q,) int32 out
    bases: Array,  # (q, p) float32 out
    margins: Array,  # (q, p) float32 out
) -> None:
    """Rank lists by ⟨q, c⟩ (inner product; the largest comes first in any case) or −|q − c|² (l2) and their leads, and
    take as many as the query's own difficulty asks for.

    The difficulty is told by the keys (see `ease`): `widths` is calibrated against it (docs/architecture.md).
    """
    n_lists = scales.shape[0]
    keys, values = np.empty(n_lists, np.float32), np.empty(n_lists, np.float32)
    moved, small = np.empty(center.shape[0], np.float32), np.empty(fine.shape[1], np.int8)
    products = np.empty(64 * banks.shape[0], np.int32)
    histogram, picked, low = np.empty(BUCKETS, np.int32), np.empty(2 * n_lists + 1, np.int32), np.empty(1, np.float32)
    rank_queries(
        queries, Centroids(l2, center, banks, scales, weights, leads, offsets), Fine(fine, fine_scales, centroids),
        noise, within, knots, widths, lists, probed, bases, margins, Desk(moved, small, products, values, keys),
        histogram, picked, low,
    )  # fmt: skip
