"""The scan: every code of the probed lists against the query's table, survivors into a list of candidates."""

from typing import Any, NamedTuple

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.ahead import Ahead, Lists, groups_of, look_ahead, run_ahead
from pqdb.kernels.cells import More, go_on
from pqdb.kernels.intrinsics import load_f32, load_u32, lowest_bit
from pqdb.kernels.pack import GROUP
from pqdb.kernels.places import is_allowed
from pqdb.kernels.score import Code, Query, Scores, beyond, score_group, score_pair
from pqdb.kernels.topk import push

PAIR = 2 * GROUP  # codes: as many as a mask has bits
STRETCH = 4  # pairs that are scored before anyone looks at their masks
SPACE = STRETCH * (1 + PAIR) + GROUP // 2  # numbers of 64 bits: masks, values and bounds of a stretch, sums of a group
ALL = np.uint64((1 << GROUP) - 1)  # a word in which every code passes
FIRST = 16  # lists, of which it is known what scale is usual around a query


class Candidates(NamedTuple):
    """Rows that could be among the best."""

    values: Array  # float32
    bounds: Array  # float32 upper bounds of these
    rows: Array  # uint32
    places: Array  # int64 probe << 32 | position in the list


@kernel
def drop_below(threshold: Real, start: Whole, stop: Whole, kept: Whole, candidates: Candidates) -> Whole:
    """Move the candidates start:stop whose bound reaches the threshold to `kept` and after, in order; returns the end
    of them.
    """
    values, bounds, rows, places = candidates
    for i in range(start, stop):  # without a branch: half of them stay, and none can be foretold
        bound = bounds[i]
        values[kept], bounds[kept], rows[kept], places[kept] = values[i], bound, rows[i], places[i]
        kept += bound >= threshold
    return kept


@kernel_inline
def collect(
    mask: Any, first: Whole, row_at: Address, scores: Scores, probe: Whole, allowed: Array, heap: Array, found: Whole,
    candidates: Candidates,
) -> Whole:  # fmt: skip
    """Append the survivors of a pair of groups whose row is allowed; returns the new number of candidates.

    `first` is the position of the pair's first vector in its list, `row_at` the address of its row number.
    """
    values, bounds, rows, places = candidates
    while mask != np.uint64(0):
        v = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        at = np.uint64(4 * v)
        row = load_u32(row_at + at)
        if is_allowed(allowed, row):
            value = load_f32(scores.values + at)
            values[found], bounds[found], rows[found] = value, load_f32(scores.bounds + at), row
            places[found] = (np.int64(probe) << 32) | np.int64(first + v)
            found += 1
            if value > heap[0]:
                push(heap, value)
    return found


@kernel_inline
def most_candidates(q: Whole, starts: Array, lists: Array, probed: Array, counts: Array, more: More) -> Whole:
    """How many candidates all queries up to q can have at most, of which the last has none yet."""
    most = starts[q]
    for p in range(probed[q]):
        most += more.passing[lists[q, p]] if len(more.there) else counts[lists[q, p]]
    return most


@kernel_inline
def end_query(
    q: Whole, scanned: Whole, found: Whole, cut: Real, probed: Array, cuts: Array, starts: Array,
    candidates: Candidates,
) -> None:  # fmt: skip
    """Query q scanned so many lists, and its candidates end at `found`: those below its cut are dropped."""
    if scanned > probed[q] >= 0:
        probed[q] = scanned
    cuts[q] = cut
    starts[q + 1] = drop_below(cut, starts[q], found, starts[q], candidates)


@kernel_inline
def held_at(reached: Array, q: Whole, heap: Array) -> Real:
    """The cut that query q is held at, ∞ where at none. The heap of its best values is emptied, or filled with it: what
    it rises to counts for nothing then.
    """
    held = reached[q] if len(reached) else np.float32(np.inf)
    heap[:] = held if held < np.inf else -np.inf
    return held


@kernel_inline
def blurred(margin: Real, a: Real, m: Whole) -> Real:
    """A margin, widened by what the rounding of a table's entries to steps of a adds up to: the sum of m errors, even
    within half a step, at three standard deviations. No margin stays none.
    """
    rounding = np.float32(3 / 12**0.5) * a
    return np.sqrt(margin * margin + np.float32(m) * rounding * rounding) if margin > 0 else margin


@kernel
def least_scales(
    usual: Array,  # (n_lists,) float32 scale that codes of each list have usually; or none, where that is not known
    lists: Array,  # (q, p) int32
    probed: Array,  # (q,) int32
    floors: Array,  # (q,) float32 out
) -> None:
    """The scale by which a code's margin is told at least, query by query: the mean of what is usual in the first lists
    probed. It does not depend on how many follow: margins are measured where all do.

    The cut is itself an estimate, and as uncertain as the codes it was set by. A row that lies at its list's centroid,
    with all its copies, has no error of its own, and would have to reach what the largest errors of others have come to
    (docs/decisions/047).
    """
    for q in range(lists.shape[0]):
        floors[q] = 0
        n = min(probed[q], FIRST) if usual.shape[0] > 0 else 0
        for p in range(n):
            floors[q] += usual[lists[q, p]]
        if n > 0:
            floors[q] /= np.float32(n)


@kernel_inline
def passing_of_pair(words: Array, word_at: Whole, n: Whole) -> tuple[Whole, Whole]:
    """Which codes of a pair of groups pass, a bit each; of the second none where there are fewer than two."""
    low = np.uint64(words[word_at]) if len(words) else ALL
    if n < 2:
        return low, np.uint64(0)
    return low, np.uint64(words[word_at + 1]) if len(words) else ALL


@kernel_inline
def score_stretch(
    code: Code,
    query: Query,
    lists: Lists,
    record: Address,  # of the first group
    n: Whole,  # groups
    base: Real,
    margin: Real,
    threshold: Real,
    word_at: Whole,  # the word of the first group
    masks: Array,  # uint64 out
    scores: Scores,
    ahead: Ahead,
    order: Array,
    stop: Whole,
) -> Ahead:
    """Score n groups of one list, two to a mask; returns how far ahead it looked by then."""
    size = code.record_bytes
    for pair in range((n + 1) >> 1):
        low, high = passing_of_pair(lists.words, word_at + 2 * pair, n - 2 * pair)
        out, both = beyond(scores, 2 * pair), np.uint64(0)
        if low != 0 and high != 0:
            asked, ahead = look_ahead(ahead, record, size, order, stop, lists)
            asked_second, ahead = look_ahead(ahead, record, size, order, stop, lists)
            both = score_pair(code, query, record, base, margin, threshold, out, asked, asked_second)
        elif low != 0 or high != 0:
            asked, ahead = look_ahead(ahead, record, size, order, stop, lists)
            which = 0 if low != 0 else 1
            mine = record + np.uint64(which * size)
            mask = score_group(code, query, mine, base, margin, threshold, beyond(out, which), asked)
            both = mask << np.uint64(GROUP * which)
        masks[pair] = both & (low | high << np.uint64(GROUP))
        record += np.uint64(2 * size)
    return ahead


@kernel_inline
def scan_list(
    code: Code,
    query: Query,
    lists: Lists,
    which: Whole,  # the list
    probe: Whole,
    base: Real,
    margin: Real,
    allowed: Array,
    heap: Array,
    held: Real,
    space: Array,  # (SPACE,) uint64 scratch
    found: Whole,
    candidates: Candidates,
    ahead: Ahead,
    order: Array,  # (≥ stop,) int32 the lists to be scanned: this and the next as look_ahead has them
    stop: Whole,
) -> tuple[Whole, Ahead]:
    """Append the survivors of one list; returns the new number of candidates, and how far ahead it looked by then. The
    rest is as scan_lists has it.

    Which groups have survivors cannot be foretold. A processor that finds out at once has gone on with the next group
    for nothing: it is told some groups later, when the masks are known (docs/decisions/030).
    """
    values_at = np.uint64(space.ctypes.data) + np.uint64(8 * STRETCH)
    bounds_at = values_at + np.uint64(4 * STRETCH * PAIR)
    scores = Scores(values_at, bounds_at, bounds_at + np.uint64(4 * STRETCH * PAIR))
    record, count, filtered = lists.codes[which], np.int64(lists.counts[which]), len(lists.words) > 0
    row_at, word_at = record + np.uint64(groups_of(count) * code.record_bytes), lists.firsts[which] if filtered else 0
    bits = allowed[:0] if filtered else allowed  # words have told already
    for first in range(0, count, STRETCH * PAIR):
        n: Whole = min(STRETCH * PAIR, count - first)
        ahead = score_stretch(
            code, query, lists, record, groups_of(n), base, margin, min(heap[0], held), word_at, space, scores, ahead,
            order, stop,
        )  # fmt: skip
        last = (n - 1) // PAIR
        space[last] &= ~np.uint64(0) >> np.uint64(PAIR * (last + 1) - n)  # a last group need not be full
        for pair in range(last + 1):
            place, out = first + PAIR * pair, beyond(scores, 2 * pair)
            rows_at = row_at + np.uint64(4 * place)
            found = collect(space[pair], place, rows_at, out, probe, bits, heap, found, candidates)
        record += np.uint64(2 * STRETCH * code.record_bytes)
        word_at += 2 * STRETCH
    return found, ahead


@kernel
def scan_lists(
    nbits: Whole,
    m: Whole,
    record_bytes: Whole,
    bias: bool,
    codes: Array,  # (n_lists,) uint64 address of each list's first group
    counts: Array,  # (n_lists,) uint32
    lists: Array,  # (q, p) int32 lists to scan, best first
    probed: Array,  # (q,) int32 how many of them; out, where there may be more
    bases: Array,  # (q, p) float32 A of each
    margins: Array,  # (q, p) float32 g of each
    floors: Array,  # (q,) float32 as least_scales has them
    tables: Array,  # (q, m, ksub) uint8, or uint16 for 8-bit codes
    coefficients: Array,  # (q, 2) float32 a, b
    allowed: Array,  # uint8 bitmap of rows that may be found; without bytes all may
    words: Array,  # (n_groups,) uint32 the same, list by list: see places.mark_rows; or none
    firsts: Array,  # (n_lists + 1,) int64 the first word of each list
    there: Array,  # (q,) int32 lists that may be scanned if needed: this and the next five as in choose.py; or none
    passing: Array,
    groups: Array,
    shares: Array,
    cells: Array,
    cell_of: Array,
    most: Real,  # rows that may be expected in lists that are not scanned
    reached: Array,  # (q,) float32 a value that k rows are known to reach: the query's cut is held at it; ∞ or none
    heap: Array,  # (depth,) float32 scratch
    space: Array,  # (SPACE,) uint64 scratch
    values: Array,  # (capacity,) float32 candidates: value,
    bounds: Array,  # (capacity,) float32   upper bound,
    rows: Array,  # (capacity,) uint32   row,
    places: Array,  # (capacity,) int64   probe << 32 | position in the list
    starts: Array,  # (q + 1,) int64 candidates of query i are starts[i]:starts[i + 1]
    cuts: Array,  # (q,) float32 value of the depth-th best, or the one held at
) -> Whole:
    """Scan the probed lists of each query; returns how many queries were finished before the candidates' room ran out.

    A candidate is kept if its upper bound reaches the depth-th best value seen, or the one that its query is held at,
    and its row is allowed. Groups in which none is are passed over, where words tell.
    """
    code, known = Code(nbits, m, record_bytes, bias), Lists(codes, counts, words, firsts)
    candidates = Candidates(values, bounds, rows, places)
    more = More(there, passing, groups, shares, cells, cell_of, most)
    starts[0] = 0
    for q in range(lists.shape[0]):
        needed = most_candidates(q, starts, lists, probed, counts, more)
        if needed > values.shape[0]:
            return q
        held = held_at(reached, q, heap)
        found, a = starts[q], coefficients[q, 0]
        query = Query(np.uint64(tables[q].ctypes.data), a, coefficients[q, 1], floors[q])
        p, stop, checked = 0, np.int64(probed[q]), 0
        ahead = run_ahead(record_bytes, lists[q], stop, known)
        while p < stop:
            found, ahead = scan_list(
                code, query, known, lists[q, p], p, bases[q, p], blurred(margins[q, p], a, m), allowed, heap, held,
                space, found, candidates, ahead, lists[q], stop,
            )  # fmt: skip
            p += 1
            if p == stop and len(there):
                stop, needed = go_on(more, q, checked, stop, lists[q], min(heap[0], held), needed)
                checked = p
                if needed > values.shape[0]:
                    return q
        end_query(q, p, found, min(heap[0], held), probed, cuts, starts, candidates)
    return lists.shape[0]
