"""Parts of lists: all that was wanted is given out, small lists go, large ones are cut."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pqdb.partition.balance import LARGE, SMALL, parts_of_lists, shares

counts_lists = st.lists(st.integers(0, 300), min_size=1, max_size=30).filter(any)


@settings(deadline=None)
@given(counts_lists, st.integers(1, 100))
def test_shares_add_up_and_no_other_has_a_smaller_largest_part(counts: list[int], wanted: int) -> None:
    members = np.array(counts)
    filled = np.count_nonzero(members)
    given_out = shares(members, wanted)
    assert np.array_equal(given_out == 0, members == 0)
    assert np.all(given_out <= members)
    assert given_out.sum() == max(filled, min(wanted, members.sum()))
    cut = given_out > 1
    if cut.any():  # taking a part from any group would make it larger than the largest there is
        largest = (members[given_out > 0] / given_out[given_out > 0]).max()
        assert np.all(members[cut] / (given_out[cut] - 1) >= largest)


def test_small_lists_are_merged_and_large_ones_split() -> None:
    counts = np.array([100, 100, 100, 100, 300, 5, 95])
    parts = parts_of_lists(counts, 7)
    assert parts.tolist() == [1, 1, 1, 1, 2, 0, 1]


def test_even_lists_stay_as_they_are() -> None:
    assert parts_of_lists(np.full(9, 50), 9).tolist() == [1] * 9


def test_the_smallest_pay_for_cutting_the_largest() -> None:
    counts = np.array([900, 60, 50, 40, 50, 50, 50, 50, 50, 50])
    parts = parts_of_lists(counts, 10)
    assert parts.sum() == 10
    assert parts[0] == 4  # 900 is 6.7 times the mean: 4 parts are under twice the mean
    assert parts[3] == 0


@settings(deadline=None)
@given(counts_lists)
def test_parts_are_under_twice_the_mean_or_the_small_ones_ran_out(counts: list[int]) -> None:
    members, wanted = np.array(counts), len(counts)
    parts = parts_of_lists(members, wanted)
    mean = members.sum() / wanted
    assert parts.sum() == min(wanted, members[parts > 0].sum())
    assert not parts[members < SMALL * mean].any()
    kept = parts > 0
    if parts.sum() == wanted and np.any(kept & (members < mean)):
        assert np.all(members[kept] / parts[kept] <= LARGE * mean)
