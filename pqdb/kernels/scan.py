"""The scan: every code of the probed lists against the query's table, survivors into a list of candidates."""

from typing import Any

import numpy as np

from pqdb.kernels import dot_simd, scan_plain, scan_simd
from pqdb.kernels._cpu import KERNEL
from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.cells import lists_to_scan
from pqdb.kernels.intrinsics import load_f32, load_u32, lowest_bit, prefetch
from pqdb.kernels.places import is_allowed
from pqdb.kernels.topk import push

GROUP = 32
PAIR = 2 * GROUP  # codes: as many as a mask has bits
STRETCH = 4  # pairs that are scored before anyone looks at their masks
SPACE = STRETCH * (1 + PAIR) + GROUP // 2  # numbers of 64 bits: masks, values and bounds of a stretch, sums of a group
AHEAD = 12  # groups: as long as memory takes to answer
ALL = np.uint64((1 << GROUP) - 1)  # a word in which every code passes
FIRST = 16  # lists, of which it is known what scale is usual around a query
Ahead = tuple[Whole, Whole, Whole, Whole]  # lists entered, groups left of the last, the address of the next, its word
NOWHERE: Ahead = (np.int64(0), np.int64(0), np.int64(0), np.int64(0))  # before the first list

SIMD = KERNEL != "plain"
FAMILY = KERNEL if SIMD else "avx2"  # named in any case: plain kernels never call them
SCAN_FAMILY = FAMILY.removesuffix("dot")  # both families of ARM scan alike
NARROW, WIDENS = scan_simd.NARROW, SCAN_FAMILY != "avx512"  # whether sums of more nibbles take a second step
score, score_bias = (scan_simd.SCORES[SCAN_FAMILY, bias] for bias in (False, True))
score_two, score_bias_two = (scan_simd.SCORE_PAIRS[SCAN_FAMILY, bias] for bias in (False, True))
score_wide, score_bias_wide = (scan_simd.SCORES_WIDE[SCAN_FAMILY, bias] for bias in (False, True))
dot, dots, nibble_dots = dot_simd.DOT[FAMILY], dot_simd.DOTS[FAMILY], dot_simd.NIBBLE_DOTS[FAMILY]

if SIMD:

    @kernel_inline
    def score_nibbles(
        record: Address,
        table: Address,
        m: Whole,
        bias: bool,
        base: Real,
        a: Real,
        b: Real,
        g: Real,
        floor: Real,
        threshold: Real,
        values: Address,
        bounds: Address,
        sums: Address,
        asked: Address,
    ) -> Whole:
        """Score one group of 4-bit codes; see scan_simd."""
        if WIDENS and m > NARROW:
            if bias:
                return score_bias_wide(
                    record, table, np.uint64(m), base, a, b, g, floor, threshold, values, bounds, asked
                )
            return score_wide(record, table, np.uint64(m), base, a, b, g, floor, threshold, values, bounds, asked)
        if bias:
            return score_bias(record, table, np.uint64(m), base, a, b, g, floor, threshold, values, bounds, asked)
        return score(record, table, np.uint64(m), base, a, b, g, floor, threshold, values, bounds, asked)

    @kernel_inline
    def dot_i8(row: Address, query: Address, size: Whole) -> Whole:
        """Dot product of two int8 rows at addresses; size a multiple of 64."""
        return dot(row, query, np.uint64(size))

    @kernel_inline
    def dots_u8(bank: Address, query: Address, quads: Whole, out: Address) -> None:
        """Products of an int8 query with the 64 rows of a bank; see dot_simd."""
        dots(bank, query, np.uint64(quads), out)

    @kernel_inline
    def dots_u4(bank: Address, query: Address, steps: Whole, out: Address) -> None:
        """The same of a bank of nibbles."""
        nibble_dots(bank, query, np.uint64(steps), out)

else:

    @kernel_inline
    def score_nibbles(
        record: Address,
        table: Address,
        m: Whole,
        bias: bool,
        base: Real,
        a: Real,
        b: Real,
        g: Real,
        floor: Real,
        threshold: Real,
        values: Address,
        bounds: Address,
        sums: Address,
        asked: Address,
    ) -> Whole:
        """Score one group of 4-bit codes; see scan_plain."""
        scan_plain.group_sums_plain(record, table, m, sums)
        factors = record + np.uint64(16 * m)
        return scan_plain.score_sums_plain(factors, sums, bias, base, a, b, g, floor, threshold, values, bounds)

    dot_i8, dots_u8, dots_u4 = scan_plain.dot_i8_plain, scan_plain.dots_u8_plain, scan_plain.dots_u4_plain


@kernel_inline
def score_group(
    nbits: Whole,
    record: Address,
    table: Address,
    m: Whole,
    bias: bool,
    base: Real,
    a: Real,
    b: Real,
    g: Real,
    floor: Real,
    threshold: Real,
    values: Address,
    bounds: Address,
    sums: Address,
    asked: Address,
) -> Whole:
    """Values and upper bounds of one group, written to their addresses; returns the mask of bounds ≥ threshold. The
    record at `asked` is asked for meanwhile.
    """
    if nbits == 4:
        return score_nibbles(record, table, m, bias, base, a, b, g, floor, threshold, values, bounds, sums, asked)
    for line in range(0, GROUP * m, 64):
        prefetch(asked + np.uint64(line))
    scan_plain.byte_sums_plain(record, table, m, sums)
    factors = record + np.uint64(GROUP * m)
    return scan_plain.score_sums_plain(factors, sums, bias, base, a, b, g, floor, threshold, values, bounds)


@kernel_inline
def score_pair(
    nbits: Whole,
    record: Address,
    second: Address,
    table: Address,
    m: Whole,
    bias: bool,
    base: Real,
    a: Real,
    b: Real,
    g: Real,
    floor: Real,
    threshold: Real,
    values: Address,
    bounds: Address,
    sums: Address,
    asked: Address,
    asked_second: Address,
) -> Whole:
    """As score_group, for two groups: side by side they read the table once, and take a tenth less time."""
    if SIMD and nbits == 4 and not (WIDENS and m > NARROW):
        if bias:
            return score_bias_two(
                record, second, table, np.uint64(m), base, a, b, g, floor, threshold, values, bounds, asked,
                asked_second,
            )  # fmt: skip
        return score_two(
            record, second, table, np.uint64(m), base, a, b, g, floor, threshold, values, bounds, asked, asked_second
        )
    first = score_group(nbits, record, table, m, bias, base, a, b, g, floor, threshold, values, bounds, sums, asked)
    values, bounds = values + np.uint64(4 * GROUP), bounds + np.uint64(4 * GROUP)
    other = score_group(
        nbits, second, table, m, bias, base, a, b, g, floor, threshold, values, bounds, sums, asked_second
    )
    return first | other << np.uint64(GROUP)


@kernel_inline
def groups_of(count: Whole) -> Whole:
    """Groups that so many codes fill."""
    return (np.int64(count) + GROUP - 1) // GROUP


@kernel_inline
def look_ahead(
    ahead: Ahead, here: Address, record_bytes: Whole, order: Array, stop: Whole, codes: Array, counts: Array,
    words: Array, firsts: Array,
) -> tuple[Address, Ahead]:  # fmt: skip
    """The address of the group to ask for next, `here` where there is none, and how far ahead that is. Groups are those
    of the lists order[:stop], one after the other, without those in which nothing passes, where words tell.
    """
    list_, left, at, word = ahead
    while True:
        while left == 0:
            if list_ >= stop:
                return here, (list_, left, at, word)
            which = order[list_]
            left, at = groups_of(counts[which]), np.int64(codes[which])
            word = firsts[which] if len(words) else 0
            list_ += 1
        found = np.uint64(at)
        left, at, word = left - 1, at + record_bytes, word + 1
        if len(words) == 0 or words[word - 1] != 0:
            return found, (list_, left, at, word)


@kernel_inline
def run_ahead(
    record_bytes: Whole, order: Array, stop: Whole, codes: Array, counts: Array, words: Array, firsts: Array
) -> Ahead:
    """AHEAD groups behind the first: as far as a scan looks."""
    ahead = NOWHERE
    for _ in range(AHEAD):
        _, ahead = look_ahead(ahead, np.uint64(0), record_bytes, order, stop, codes, counts, words, firsts)
    return ahead


@kernel
def drop_below(
    threshold: Real, start: Whole, stop: Whole, kept: Whole, values: Array, bounds: Array, rows: Array, places: Array
) -> Whole:
    """Move the candidates start:stop whose bound reaches the threshold to `kept` and after, in order; returns the end
    of them.
    """
    for i in range(start, stop):  # without a branch: half of them stay, and none can be foretold
        bound = bounds[i]
        values[kept], bounds[kept], rows[kept], places[kept] = values[i], bound, rows[i], places[i]
        kept += bound >= threshold
    return kept


@kernel_inline
def collect(
    mask: Any,
    first: Whole,
    row_at: Address,
    probe: Whole,
    allowed: Array,
    heap: Array,
    values_at: Address,
    bounds_at: Address,
    found: Whole,
    values: Array,
    bounds: Array,
    rows: Array,
    places: Array,
) -> Whole:
    """Append the survivors of a pair of groups whose row is allowed; returns the new number of candidates.

    `first` is the position of the pair's first vector in its list, `row_at` the address of its row number, values_at
    and bounds_at those of its value and bound.
    """
    while mask != np.uint64(0):
        v = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        row = load_u32(row_at + np.uint64(4 * v))
        if is_allowed(allowed, row):
            value = load_f32(values_at + np.uint64(4 * v))
            values[found], bounds[found], rows[found] = value, load_f32(bounds_at + np.uint64(4 * v)), row
            places[found] = (np.int64(probe) << 32) | np.int64(first + v)
            found += 1
            if value > heap[0]:
                push(heap, value)
    return found


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
    nbits: Whole,
    m: Whole,
    record_bytes: Whole,
    bias: bool,
    record: Address,  # of the first group
    n: Whole,  # groups
    base: Real,
    margin: Real,
    floor: Real,
    table: Address,
    a: Real,
    b: Real,
    threshold: Real,
    words: Array,
    word_at: Whole,  # the word of the first group
    firsts: Array,
    masks: Array,  # uint64 out
    values_at: Address,
    bounds_at: Address,
    sums_at: Address,
    ahead: Ahead,
    order: Array,
    stop: Whole,
    codes: Array,
    counts: Array,
) -> Ahead:
    """Score n groups of one list, two to a mask; returns how far ahead it looked by then."""
    for pair in range((n + 1) >> 1):
        low, high = passing_of_pair(words, word_at + 2 * pair, n - 2 * pair)
        at, second, both = np.uint64(4 * PAIR * pair), record + np.uint64(record_bytes), np.uint64(0)
        if low != 0 and high != 0:
            asked, ahead = look_ahead(ahead, record, record_bytes, order, stop, codes, counts, words, firsts)
            asked_second, ahead = look_ahead(ahead, record, record_bytes, order, stop, codes, counts, words, firsts)
            both = score_pair(
                nbits, record, second, table, m, bias, base, a, b, margin, floor, threshold, values_at + at,
                bounds_at + at, sums_at, asked, asked_second,
            )  # fmt: skip
        elif low != 0 or high != 0:
            asked, ahead = look_ahead(ahead, record, record_bytes, order, stop, codes, counts, words, firsts)
            shift = np.uint64(0) if low != 0 else np.uint64(GROUP)
            at += np.uint64(4) * shift
            mask = score_group(
                nbits, record if low != 0 else second, table, m, bias, base, a, b, margin, floor, threshold,
                values_at + at, bounds_at + at, sums_at, asked,
            )  # fmt: skip
            both = mask << shift
        masks[pair] = both & (low | high << np.uint64(GROUP))
        record += np.uint64(2 * record_bytes)
    return ahead


@kernel_inline
def scan_list(
    nbits: Whole,
    m: Whole,
    record_bytes: Whole,
    bias: bool,
    which: Whole,  # the list
    probe: Whole,
    base: Real,
    margin: Real,
    floor: Real,
    table: Address,
    a: Real,
    b: Real,
    allowed: Array,
    words: Array,
    firsts: Array,
    heap: Array,
    space: Array,  # (SPACE,) uint64 scratch
    found: Whole,
    values: Array,
    bounds: Array,
    rows: Array,
    places: Array,
    ahead: Ahead,
    order: Array,  # (≥ stop,) int32 the lists to be scanned: this and the next as look_ahead has them
    stop: Whole,
    codes: Array,
    counts: Array,
) -> tuple[Whole, Ahead]:
    """Append the survivors of one list; returns the new number of candidates, and how far ahead it looked by then. The
    rest is as scan_lists has it.

    Which groups have survivors cannot be foretold. A processor that finds out at once has gone on with the next group
    for nothing: it is told some groups later, when the masks are known (docs/decisions/030).
    """
    values_at = np.uint64(space.ctypes.data) + np.uint64(8 * STRETCH)
    bounds_at = values_at + np.uint64(4 * STRETCH * PAIR)
    sums_at = bounds_at + np.uint64(4 * STRETCH * PAIR)
    record, count, word_at = codes[which], np.int64(counts[which]), firsts[which] if len(words) else 0
    row_at = record + np.uint64(groups_of(count) * record_bytes)
    bits = allowed[:0] if len(words) else allowed  # words have told already
    for first in range(0, count, STRETCH * PAIR):
        n: Whole = min(STRETCH * PAIR, count - first)
        ahead = score_stretch(
            nbits, m, record_bytes, bias, record, groups_of(n), base, margin, floor, table, a, b, heap[0], words,
            word_at, firsts, space, values_at, bounds_at, sums_at, ahead, order, stop, codes, counts,
        )  # fmt: skip
        last = (n - 1) // PAIR
        space[last] &= ~np.uint64(0) >> np.uint64(PAIR * (last + 1) - n)  # a last group need not be full
        for pair in range(last + 1):
            at, place = np.uint64(4 * PAIR * pair), first + PAIR * pair
            found = collect(
                space[pair], place, row_at + np.uint64(4 * place), probe, bits, heap, values_at + at, bounds_at + at,
                found, values, bounds, rows, places,
            )  # fmt: skip
        record += np.uint64(2 * STRETCH * record_bytes)
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
    heap: Array,  # (depth,) float32 scratch
    space: Array,  # (SPACE,) uint64 scratch
    values: Array,  # (capacity,) float32 candidates: value,
    bounds: Array,  # (capacity,) float32   upper bound,
    rows: Array,  # (capacity,) uint32   row,
    places: Array,  # (capacity,) int64   probe << 32 | position in the list
    starts: Array,  # (q + 1,) int64 candidates of query i are starts[i]:starts[i + 1]
    cuts: Array,  # (q,) float32 value of the depth-th best
) -> Whole:
    """Scan the probed lists of each query; returns how many queries were finished before the candidates' room ran out.

    A candidate is kept if its upper bound reaches the depth-th best value seen, and its row is allowed. Groups in which
    none is are passed over, where words tell.
    """
    starts[0] = 0
    for q in range(lists.shape[0]):
        room = starts[q]
        for p in range(probed[q]):
            room += passing[lists[q, p]] if len(there) else counts[lists[q, p]]
        if room > values.shape[0]:
            return q
        heap[:] = -np.inf
        found = starts[q]
        table, a, b = np.uint64(tables[q].ctypes.data), coefficients[q, 0], coefficients[q, 1]
        p, stop, checked = 0, np.int64(probed[q]), 0
        ahead = run_ahead(record_bytes, lists[q], stop, codes, counts, words, firsts)
        while p < stop:
            found, ahead = scan_list(
                nbits, m, record_bytes, bias, lists[q, p], p, bases[q, p], blurred(margins[q, p], a, m), floors[q],
                table, a, b, allowed, words, firsts, heap, space, found, values, bounds, rows, places, ahead, lists[q],
                stop, codes, counts,
            )  # fmt: skip
            p += 1
            if p == stop and len(there):
                stop = lists_to_scan(
                    checked, stop, there[q], lists[q], passing, groups, shares, cells[q], cell_of[q], most, heap[0]
                )
                checked = p
                for later in range(p, stop):
                    room += passing[lists[q, later]]
                if room > values.shape[0]:
                    return q
        if p > probed[q] >= 0:
            probed[q] = p
        cuts[q] = heap[0]
        starts[q + 1] = drop_below(heap[0], starts[q], found, starts[q], values, bounds, rows, places)
    return lists.shape[0]
