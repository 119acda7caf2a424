"""The scan: every code of the probed lists against the query's table, survivors into a list of candidates."""

from typing import Any

import numpy as np

from pqdb.kernels import dot_simd, scan_plain, scan_simd
from pqdb.kernels._cpu import KERNEL
from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.cells import lists_to_scan
from pqdb.kernels.intrinsics import load_f32, load_u32, lowest_bit, prefetch
from pqdb.kernels.topk import push

GROUP = 32
SPACE = 3 * GROUP  # numbers of 32 bits: what is known of one group for a while
PAGE, HEAD = 4096, 64  # a list begins so many bytes behind the start of a page (docs/format.md)
START_BYTES, PAGE_BYTES = 256, 192

SIMD = KERNEL != "plain"
FAMILY = KERNEL if SIMD else "avx2"  # named in any case: plain kernels never call them
SCAN_FAMILY = FAMILY.removesuffix("dot")  # both families of ARM scan alike
NARROW, WIDENS = scan_simd.NARROW, SCAN_FAMILY != "avx512"  # whether sums of more nibbles take a second step
score, score_bias = (scan_simd.SCORES[SCAN_FAMILY, bias] for bias in (False, True))
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
        threshold: Real,
        values: Address,
        bounds: Address,
        sums: Address,
    ) -> Whole:
        """Score one group of 4-bit codes; see scan_simd."""
        if WIDENS and m > NARROW:
            if bias:
                return score_bias_wide(record, table, np.uint64(m), base, a, b, g, threshold, values, bounds)
            return score_wide(record, table, np.uint64(m), base, a, b, g, threshold, values, bounds)
        if bias:
            return score_bias(record, table, np.uint64(m), base, a, b, g, threshold, values, bounds)
        return score(record, table, np.uint64(m), base, a, b, g, threshold, values, bounds)

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
        threshold: Real,
        values: Address,
        bounds: Address,
        sums: Address,
    ) -> Whole:
        """Score one group of 4-bit codes; see scan_plain."""
        scan_plain.group_sums_plain(record, table, m, sums)
        factors = record + np.uint64(16 * m)
        return scan_plain.score_sums_plain(factors, sums, bias, base, a, b, g, threshold, values, bounds)

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
    threshold: Real,
    values: Address,
    bounds: Address,
    sums: Address,
) -> Whole:
    """Values and upper bounds of one group, written to their addresses; returns the mask of bounds ≥ threshold."""
    if nbits == 4:
        return score_nibbles(record, table, m, bias, base, a, b, g, threshold, values, bounds, sums)
    scan_plain.byte_sums_plain(record, table, m, sums)
    factors = record + np.uint64(GROUP * m)
    return scan_plain.score_sums_plain(factors, sums, bias, base, a, b, g, threshold, values, bounds)


@kernel_inline
def announce(address: Address, size: Whole) -> None:
    """Ask for the first lines of each page of a list, while the list before it is scanned.

    That starts the processor's own prefetcher, which fills the rest of a page without the few buffers that every other
    request waits for: asking for more lines than this was slower, asking for none slower still.
    """
    for line in range(0, START_BYTES, 64):
        prefetch(address + np.uint64(line))
    for page in range(PAGE - HEAD, size, PAGE):
        for line in range(0, PAGE_BYTES, 64):
            prefetch(address + np.uint64(page + line))


@kernel_inline
def announce_list(codes: Array, counts: Array, which: Whole, record_bytes: Whole) -> None:
    """announce a list of groups of codes."""
    announce(codes[which], (np.int64(counts[which]) + GROUP - 1) // GROUP * record_bytes)


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
    known: bool,
    heap: Array,
    values_at: Address,
    bounds_at: Address,
    found: Whole,
    values: Array,
    bounds: Array,
    rows: Array,
    places: Array,
) -> Whole:
    """Append the survivors of one group whose row is allowed, as may be known of all; returns the new number of
    candidates.

    `first` is the position of the group's first vector in its list, `row_at` the address of its row number, values_at
    and bounds_at those of its value and bound.
    """
    while mask != np.uint64(0):
        v = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        row = load_u32(row_at + np.uint64(4 * v))
        if known or (allowed[row >> 3] >> (row & 7)) & 1:
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


@kernel_inline
def scan_list(
    nbits: Whole,
    m: Whole,
    record_bytes: Whole,
    bias: bool,
    record: Address,  # of the list's first group
    count: Whole,
    probe: Whole,
    base: Real,
    margin: Real,
    table: Address,
    a: Real,
    b: Real,
    allowed: Array,
    words: Array,
    word_at: Whole,  # the list's first word
    heap: Array,
    space: Address,  # of SPACE numbers
    found: Whole,
    values: Array,
    bounds: Array,
    rows: Array,
    places: Array,
) -> Whole:
    """Append the survivors of one list; returns the new number of candidates. The rest is as scan_lists has it."""
    values_at, bounds_at, sums_at = space, space + np.uint64(4 * GROUP), space + np.uint64(8 * GROUP)
    n_groups = (count + GROUP - 1) // GROUP
    row_at = record + np.uint64(n_groups * record_bytes)
    for group in range(n_groups):
        if len(words) and words[word_at + group] == 0:
            record += np.uint64(record_bytes)
            continue
        mask = score_group(nbits, record, table, m, bias, base, a, b, margin, heap[0], values_at, bounds_at, sums_at)
        first = group * GROUP
        if len(words):
            mask &= np.uint64(words[word_at + group])
        if count - first < GROUP:
            mask &= (np.uint64(1) << np.uint64(count - first)) - np.uint64(1)
        if mask != np.uint64(0):
            found = collect(
                mask, first, row_at + np.uint64(4 * first), probe, allowed, len(words) > 0, heap, values_at, bounds_at,
                found, values, bounds, rows, places,
            )  # fmt: skip
        record += np.uint64(record_bytes)
    return found


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
    tables: Array,  # (q, m, ksub) uint8, or uint16 for 8-bit codes
    coefficients: Array,  # (q, 2) float32 a, b
    allowed: Array,  # uint8 bitmap of rows that may be found
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
    space: Array,  # (SPACE,) uint32 scratch
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
        while p < stop:
            if p + 1 < stop:
                following = lists[q, p + 1]
                announce_list(codes, counts, following, record_bytes)
            found = scan_list(
                nbits, m, record_bytes, bias, codes[lists[q, p]], np.int64(counts[lists[q, p]]), p, bases[q, p],
                blurred(margins[q, p], a, m), table, a, b, allowed, words, firsts[lists[q, p]] if len(words) else 0,
                heap, np.uint64(space.ctypes.data), found, values, bounds, rows, places,
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
