"""The rows that a generation is measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LONGEST = 2.0  # times the mean: longer lists are not left out


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """Living rows of the collection in random order, and the list of every row."""

    vectors: np.ndarray  # (n, d) float32, as metric.prepare leaves them
    rows: np.ndarray  # (n,) their numbers
    stands_for: int  # the rows it is drawn from
    list_of_row: np.ndarray  # (n_rows,) int32, −1 for a row that is in none

    def lists(self, most: int) -> np.ndarray:
        """(n,) int32 list of each row, of so many at most."""
        lists: np.ndarray = self.list_of_row[self.rows[:most]]
        return lists

    def with_lists_to_leave(self, most: int, lengths: np.ndarray) -> np.ndarray:
        """(n,) int64 which of so many rows at most lie in a list that can be left out: there are others, and it is not
        so long that a search would find little else. lengths (n_lists,) rows of each list.
        """
        own = self.lists(most)
        there = (own >= 0) & (lengths[own] <= LONGEST * lengths.mean()) & (np.count_nonzero(lengths) > 1)
        return np.flatnonzero(there)

    def share(self, most: int) -> float:
        """So many of them at most, in units of the rows they stand for."""
        return min(len(self.rows), most) / self.stands_for


def without_own_lists(sample: Sample, which: np.ndarray, allowed: np.ndarray) -> Callable[[int], np.ndarray]:
    """What tells for each of these rows (n,) of a sample the rows that may be found, a bitmap: those allowed, but for
    all that lie in its own list.
    """
    lists, own = np.unique(sample.lists(len(sample.rows))[which], return_inverse=True)
    members = [_as_bits(rows) for rows in _rows_of(lists, sample.list_of_row)]

    def rest(number: int) -> np.ndarray:
        places, mine = members[own[number]]
        bits = allowed.copy()
        bits[places] &= ~mine
        return bits

    return rest


def _rows_of(lists: np.ndarray, list_of_row: np.ndarray) -> list[np.ndarray]:
    """The rows of each of some lists, ascending; both ascending. One look at all rows, which may be many."""
    rows = np.flatnonzero(np.isin(list_of_row, lists))
    where = list_of_row[rows]
    order = np.argsort(where, kind="stable")
    return np.split(rows[order], np.searchsorted(where[order], lists[1:]))


def _as_bits(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rows, ascending, lie in a bitmap: the bytes that hold any, and the bits of these."""
    places, firsts = np.unique(rows >> 3, return_index=True)
    return places, np.bitwise_or.reduceat((1 << (rows & 7)).astype(np.uint8), firsts)
