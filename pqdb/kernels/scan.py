"""The scan: every code of the probed lists against the query's table, survivors into a list of candidates."""

import numpy as np

from pqdb.kernels import dot_simd, scan_plain, scan_simd
from pqdb.kernels._cpu import KERNEL
from pqdb.kernels._jit import kernel
from pqdb.kernels.intrinsics import load_u32, prefetch
from pqdb.kernels.topk import push

GROUP = 32
PREFETCH_GROUPS = 8  # how far ahead of the scan lines are asked for: 5.0 → 2.2 ns a vector from DRAM

if KERNEL == "avx512":

    @kernel
    def score_nibbles(record, table, m, bias, base, a, b, g, threshold, values, bounds, sums):  # type: ignore[no-untyped-def]
        """Score one group of 4-bit codes; see scan_simd."""
        at, to, top = np.uint64(table.ctypes.data), np.uint64(values.ctypes.data), np.uint64(bounds.ctypes.data)
        if bias:
            return scan_simd.score_bias_avx512(record, at, np.uint64(m), base, a, b, g, threshold, to, top)
        return scan_simd.score_avx512(record, at, np.uint64(m), base, a, b, g, threshold, to, top)

    @kernel
    def dot_i8(row, query, size):  # type: ignore[no-untyped-def]
        """Dot product of two int8 rows at addresses; size a multiple of 64."""
        return dot_simd.dot_i8_avx512(row, query, np.uint64(size))

elif KERNEL == "avx2":

    @kernel
    def score_nibbles(record, table, m, bias, base, a, b, g, threshold, values, bounds, sums):  # type: ignore[no-untyped-def]
        """Score one group of 4-bit codes; see scan_simd."""
        at, to, top = np.uint64(table.ctypes.data), np.uint64(values.ctypes.data), np.uint64(bounds.ctypes.data)
        if bias:
            return scan_simd.score_bias_avx2(record, at, np.uint64(m), base, a, b, g, threshold, to, top)
        return scan_simd.score_avx2(record, at, np.uint64(m), base, a, b, g, threshold, to, top)

    @kernel
    def dot_i8(row, query, size):  # type: ignore[no-untyped-def]
        """Dot product of two int8 rows at addresses; size a multiple of 64."""
        return dot_simd.dot_i8_avx2(row, query, np.uint64(size))

else:

    @kernel
    def score_nibbles(record, table, m, bias, base, a, b, g, threshold, values, bounds, sums):  # type: ignore[no-untyped-def]
        """Score one group of 4-bit codes; see scan_plain."""
        scan_plain.group_sums_plain(record, table, m, sums)
        factors = record + np.uint64(16 * m)
        return scan_plain.score_sums_plain(factors, sums, bias, base, a, b, g, threshold, values, bounds)

    dot_i8 = scan_plain.dot_i8_plain


@kernel
def score_group(nbits, record, table, m, bias, base, a, b, g, threshold, values, bounds, sums):  # type: ignore[no-untyped-def]
    """Values and upper bounds of one group; returns the mask of bounds ≥ threshold."""
    if nbits == 4:
        return score_nibbles(record, table, m, bias, base, a, b, g, threshold, values, bounds, sums)
    scan_plain.byte_sums_plain(record, table, m, sums)
    factors = record + np.uint64(GROUP * m)
    return scan_plain.score_sums_plain(factors, sums, bias, base, a, b, g, threshold, values, bounds)


@kernel
def prefetch_record(address: int, record_bytes: int) -> None:
    """Ask for every cache line of a group record."""
    for line in range(0, record_bytes, 64):
        prefetch(address + np.uint64(line))


@kernel
def drop_below(threshold, start, stop, values, bounds, rows, places):  # type: ignore[no-untyped-def]
    """Keep the candidates start:stop whose bound reaches the threshold, in order; returns the new stop."""
    kept = start
    for i in range(start, stop):
        if bounds[i] >= threshold:
            values[kept], bounds[kept], rows[kept], places[kept] = values[i], bounds[i], rows[i], places[i]
            kept += 1
    return kept


@kernel
def scan_lists(
    nbits: int,
    m: int,
    record_bytes: int,
    bias: bool,
    codes: np.ndarray,  # (n_lists,) uint64 address of each list's first group
    counts: np.ndarray,  # (n_lists,) uint32
    lists: np.ndarray,  # (q, p) int32 lists to scan, best first
    probed: np.ndarray,  # (q,) int32 how many of them
    bases: np.ndarray,  # (q, p) float32 A of each
    margins: np.ndarray,  # (q, p) float32 g of each
    tables: np.ndarray,  # (q, m, ksub) uint8, or uint16 for 8-bit codes
    coefficients: np.ndarray,  # (q, 2) float32 a, b
    allowed: np.ndarray,  # uint8 bitmap of rows that may be found
    heap: np.ndarray,  # (depth,) float32 scratch
    values: np.ndarray,  # (capacity,) float32 candidates: value,
    bounds: np.ndarray,  # (capacity,) float32   upper bound,
    rows: np.ndarray,  # (capacity,) uint32   row,
    places: np.ndarray,  # (capacity,) int64   probe << 32 | position in the list
    starts: np.ndarray,  # (q + 1,) int64 candidates of query i are starts[i]:starts[i + 1]
    cuts: np.ndarray,  # (q,) float32 value of the depth-th best
) -> int:
    """Scan the probed lists of each query; returns how many queries were finished before the candidates' room ran out.

    A candidate is kept if its upper bound reaches the depth-th best value seen, and its row is allowed.
    """
    group_values = np.empty(GROUP, np.float32)
    group_bounds = np.empty(GROUP, np.float32)
    sums = np.empty(GROUP, np.uint32)
    starts[0] = 0
    for q in range(lists.shape[0]):
        room = starts[q]
        for p in range(probed[q]):
            room += counts[lists[q, p]]
        if room > values.shape[0]:
            return q
        heap[:] = -np.inf
        found = starts[q]
        for p in range(probed[q]):
            count = np.int64(counts[lists[q, p]])
            record = codes[lists[q, p]]
            groups = (count + GROUP - 1) // GROUP
            row_at = record + np.uint64(groups * record_bytes)
            following, following_groups = np.uint64(0), 0
            if p + 1 < probed[q]:
                following = codes[lists[q, p + 1]]
                following_groups = (np.int64(counts[lists[q, p + 1]]) + GROUP - 1) // GROUP
            for group in range(groups):
                ahead = group + PREFETCH_GROUPS
                if ahead < groups:
                    prefetch_record(record + np.uint64(PREFETCH_GROUPS * record_bytes), record_bytes)
                elif ahead - groups < following_groups:
                    prefetch_record(following + np.uint64((ahead - groups) * record_bytes), record_bytes)
                mask = score_group(
                    nbits, record, tables[q], m, bias, bases[q, p], coefficients[q, 0], coefficients[q, 1],
                    margins[q, p], heap[0], group_values, group_bounds, sums,
                )  # fmt: skip
                if count - group * GROUP < GROUP:
                    mask &= (np.uint64(1) << np.uint64(count - group * GROUP)) - np.uint64(1)
                v = 0
                while mask != np.uint64(0):
                    if mask & np.uint64(1):
                        row = load_u32(row_at + np.uint64(4 * (group * GROUP + v)))
                        if (allowed[row >> 3] >> (row & 7)) & 1:
                            value = group_values[v]
                            values[found], bounds[found], rows[found] = value, group_bounds[v], row
                            places[found] = (np.int64(p) << 32) | np.int64(group * GROUP + v)
                            found += 1
                            if value > heap[0]:
                                push(heap, value)
                    mask >>= np.uint64(1)
                    v += 1
                record += np.uint64(record_bytes)
        cuts[q] = heap[0]
        starts[q + 1] = drop_below(heap[0], starts[q], found, values, bounds, rows, places)
    return lists.shape[0]
