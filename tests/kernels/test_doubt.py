"""Answers whose k-th lies far below the cut of the scan that found them."""

import numpy as np

from pqdb.kernels.doubt import USUAL, find_doubtful

CUT, MARGIN, FLOOR, UNIT = 0.8, 0.3, 0.5, 4.0


def doubtful_of(kth: float, margin: float = MARGIN) -> int:
    """Whether an answer is doubtful whose k-th has this estimate."""
    values, marked = np.array([[9, kth * UNIT], [9, 8]], np.float32), np.full(2, 7, np.uint8)
    margins, floors = np.full((2, 3), margin, np.float32), np.full(2, FLOOR, np.float32)
    found = find_doubtful(np.full(2, CUT, np.float32), margins, floors, values, np.float32(UNIT), marked)
    assert marked[1] == 0  # the other query has reached more than the cut
    assert found == marked[0]
    return int(found)


def test_an_answer_is_doubtful_if_its_last_lies_further_below_the_cut_than_usual() -> None:
    usual = USUAL * MARGIN * FLOOR
    assert [doubtful_of(CUT - share * usual) for share in (-1, 0, 0.99, 1.01, 5)] == [0, 0, 0, 1, 1]


def test_an_answer_is_not_doubtful_where_no_margin_is_known_or_places_are_empty() -> None:
    assert doubtful_of(-5.0, margin=0.0) == 0
    assert doubtful_of(-np.inf) == 0
