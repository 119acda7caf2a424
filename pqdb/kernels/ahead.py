"""What is scanned some groups later: asked for line by line, over the ends of lists (docs/decisions/020)."""

from typing import NamedTuple

import numpy as np

from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Address, Array, Whole
from pqdb.kernels.pack import GROUP

AHEAD = 12  # groups: as long as memory takes to answer


class Lists(NamedTuple):
    """Where codes are, and which of them pass a filter."""

    codes: Array  # (n_lists,) uint64 address of each list's first group
    counts: Array  # (n_lists,) uint32 codes of each
    words: Array  # (n_groups,) uint32 a bit for each code that passes, group by group: see places.mark_rows; or none
    firsts: Array  # (n_lists + 1,) int64 the first word of each list


Ahead = tuple[Whole, Whole, Whole, Whole]  # lists entered, groups left of the last, the address of the next, its word
NOWHERE: Ahead = (np.int64(0), np.int64(0), np.int64(0), np.int64(0))  # before the first list


@kernel_inline
def groups_of(count: Whole) -> Whole:
    """Groups that so many codes fill."""
    return (np.int64(count) + GROUP - 1) // GROUP


@kernel_inline
def look_ahead(
    ahead: Ahead, here: Address, record_bytes: Whole, order: Array, stop: Whole, lists: Lists
) -> tuple[Address, Ahead]:
    """The address of the group to ask for next, `here` where there is none, and how far ahead that is. Groups are those
    of the lists order[:stop], one after the other, without those in which nothing passes, where words tell.
    """
    list_, left, at, word = ahead
    while True:
        while left == 0:
            if list_ >= stop:
                return here, (list_, left, at, word)
            which = order[list_]
            left, at = groups_of(lists.counts[which]), np.int64(lists.codes[which])
            word = lists.firsts[which] if len(lists.words) else 0
            list_ += 1
        found = np.uint64(at)
        left, at, word = left - 1, at + record_bytes, word + 1
        if len(lists.words) == 0 or lists.words[word - 1] != 0:
            return found, (list_, left, at, word)


@kernel_inline
def run_ahead(record_bytes: Whole, order: Array, stop: Whole, lists: Lists) -> Ahead:
    """AHEAD groups behind the first: as far as a scan looks."""
    ahead = NOWHERE
    for _ in range(AHEAD):
        _, ahead = look_ahead(ahead, np.uint64(0), record_bytes, order, stop, lists)
    return ahead
