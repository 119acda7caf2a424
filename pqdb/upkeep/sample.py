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
    own_lists = sample.lists(len(sample.rows))[which]

    def rest(number: int) -> np.ndarray:
        bits, own = allowed.copy(), np.packbits(sample.list_of_row == own_lists[number], bitorder="little")
        bits[: len(own)] &= ~own
        return bits

    return rest
