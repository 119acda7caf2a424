"""Lists of whole groups: a scan takes as long for the last group of a list as for others, however few rows it has."""

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels.pack import GROUP
from pqdb.partition.balance import LARGE

SHORT = 0.5  # of the mean: no list is made shorter, or it would soon be one that is merged into others
MOST_OVER = GROUP // 2  # rows of a last group that are found places elsewhere
MOST_FARTHER = 0.1  # of a row's squared distance to its centroid: so much farther a row may go


def fill_groups(lists: NDArray[np.int32], farther: NDArray[np.float32], n_lists: int) -> NDArray[np.int32]:
    """(n,) int32 the list of each row, where there are fewer groups: lists (n, 2) are the nearest to each row and
    another one near it, `farther` (n,) how much, as Assigner.two_nearest tells both.

    The few rows by which a list begins another group go where they are almost as near and groups have room, those
    first that lie nearest to a border; if all of them find room. No list becomes one that would be merged or split for
    it (docs/decisions/048).
    """
    filled, counts, mean = lists[:, 0].copy(), np.bincount(lists[:, 0], minlength=n_lists), len(lists) / n_lists
    may_go = np.flatnonzero(farther <= MOST_FARTHER)
    may_go = may_go[np.lexsort((farther[may_go], filled[may_go]))]
    starts = np.searchsorted(filled[may_go], np.arange(n_lists + 1))
    for number in np.argsort(counts % GROUP, kind="stable"):
        over = counts[number] % GROUP
        rows = may_go[starts[number] : starts[number + 1]]
        if 0 < over <= min(MOST_OVER, len(rows)) and counts[number] - over >= SHORT * mean:
            rows = rows[_with_room(lists[rows, 1], counts, over, LARGE * mean)]
            if len(rows) == over:
                filled[rows] = lists[rows, 1]
                np.add.at(counts, filled[rows], 1)
                counts[number] -= over
    return filled


def _with_room(others: NDArray[np.int32], counts: NDArray[np.int64], wanted: int, longest: float) -> list[int]:
    """The first places in `others`, lists, that can all be taken without another group, nor by a list that would be
    longer than `longest` with its last group full; so many of them at most.
    """
    going: list[int] = []
    room: dict[int, int] = {}
    for place, other in enumerate(others.tolist()):
        if other not in room:
            left = -int(counts[other]) % GROUP
            room[other] = left if counts[other] + left <= longest else 0
        if room[other] > 0:
            room[other] -= 1
            going.append(place)
            if len(going) == wanted:
                break
    return going
