"""Where rows lie in their lists, and where among them those that a filter lets through."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.intrinsics import load_f16, load_u32

GROUP_SHIFT = 5  # of 32 rows


@kernel
def read_places(
    codes: Array,  # (n_lists,) uint64 address of each list's codes; 0: it has none
    counts: Array,  # (n_lists,) uint32
    firsts: Array,  # (n_lists + 1,) int64 the first group of each list
    group_bytes: Whole,  # of 32 codes
    scale_at: Whole,  # where the scales of a group's codes begin in it; −1: they have none
    row_bytes: Whole,  # of a row's code, where codes are not grouped; else 0
    places: Array,  # (n,) int32 out: the place of each row among all places of all groups; untouched where it has none
    lengths: Array,  # (n_lists,) float32 out: mean square of the scales of each list's codes
) -> None:
    """Go through the row numbers of all lists, and the scales of their codes."""
    for number in range(len(counts)):
        count, record = np.int64(counts[number]), codes[number]
        groups = firsts[number + 1] - firsts[number]
        row_at = record + np.uint64(groups * group_bytes + count * row_bytes)
        squares: Real = np.float32(0)
        for i in range(count):
            places[load_u32(row_at + np.uint64(4 * i))] = (firsts[number] << GROUP_SHIFT) + i
            if scale_at >= 0:
                scale = load_f16(record + np.uint64((i >> GROUP_SHIFT) * group_bytes + scale_at + 2 * (i & 31)))
                squares += scale * scale
        lengths[number] = squares / np.float32(count) if count else np.float32(0)


@kernel_inline
def is_allowed(allowed: Array, row: Whole) -> bool:
    """Whether a row's bit is set. A bitmap without bytes allows all."""
    return len(allowed) == 0 or (allowed[row >> 3] >> (row & 7)) & 1 != 0


@kernel_inline
def any_allowed(allowed: Array, start: Whole, stop: Whole) -> bool:
    """Whether any row of [start, stop) may be allowed: by whole bytes of their bits."""
    if len(allowed) == 0:
        return True
    bits = 0
    for byte in range(start >> 3, ((stop - 1) >> 3) + 1):
        bits |= allowed[byte]
    return bits != 0


@kernel_inline
def ones(word: Whole) -> Whole:
    """How many bits of 32 are set: counted in pairs, then fours, then eights, and these added."""
    bits = np.int64(word)
    bits -= (bits >> 1) & 0x55555555
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F
    bits += bits >> 8
    return (bits + (bits >> 16)) & 63


@kernel
def fill_words(counts: Array, firsts: Array, words: Array) -> None:
    """Words (n_groups,) uint32 out as of lists of so many rows, counts (n_lists,) uint32, that are all marked."""
    for number in range(len(counts)):
        left: Whole = np.int64(counts[number])
        for group in range(firsts[number], firsts[number + 1]):
            words[group] = np.uint32((np.int64(1) << np.int64(min(left, 32))) - 1)
            left -= 32


@kernel
def mark_rows(places: Array, rows: Array, firsts: Array, words: Array, passing: Array, groups: Array) -> None:
    """Turn the bits of some rows (m,) uint32 over: a word a group, words (n_groups,) uint32 in and out, bit i for its
    row i; and count what is marked then: of each list how many rows, passing (n_lists,) int32 out, and in how many
    groups, groups (n_lists,) int32 out.

    places (n,) int32 and firsts (n_lists + 1,) int64 as read_places has them, −1 for rows that lie in no list.
    """
    for row in rows:
        place = places[row]
        if place >= 0:
            words[place >> GROUP_SHIFT] ^= np.uint32(1) << np.uint32(place & 31)
    for number in range(len(passing)):
        n, some = 0, 0
        for group in range(firsts[number], firsts[number + 1]):
            some += words[group] != 0
            n += ones(words[group])
        passing[number], groups[number] = n, some
