"""Lists of whole groups: fewer groups, nobody far from home."""

import numpy as np

from pqdb.kernels.pack import GROUP
from pqdb.partition.assign import Assigner
from pqdb.partition.fill import MOST_FARTHER, MOST_OVER, fill_groups


def groups_of(lists: np.ndarray, n_lists: int) -> int:
    return int((-(-np.bincount(lists, minlength=n_lists) // GROUP)).sum())


def two_lists(first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """So many rows in each of two lists, all a little farther from the other one."""
    lists = np.array([[0, 1]] * first + [[1, 0]] * second, np.int32)
    return lists, np.linspace(0, MOST_FARTHER / 2, first + second, dtype=np.float32)


def test_the_rows_that_lie_nearest_to_a_border_go() -> None:
    lists, farther = two_lists(GROUP + 3, GROUP + 20)
    farther[: GROUP + 3] = 0.05
    farther[[4, 9, 30]] = 0.001, 0.002, 0.003
    filled = fill_groups(lists, farther, 2)
    assert np.flatnonzero(filled != lists[:, 0]).tolist() == [4, 9, 30]
    assert np.bincount(filled).tolist() == [GROUP, GROUP + 23]


def test_nobody_goes_where_it_saves_nothing() -> None:
    for first, second in [(GROUP, GROUP + 5), (GROUP + MOST_OVER + 1, GROUP + MOST_OVER + 1), (GROUP + 6, 2 * GROUP)]:
        lists, farther = two_lists(first, second)
        assert np.array_equal(fill_groups(lists, farther, 2), lists[:, 0]), (first, second)


def test_all_go_or_none() -> None:
    """Five rows are over, and the other list has room for four."""
    lists, farther = two_lists(GROUP + 5, 2 * GROUP - 4)
    assert np.array_equal(fill_groups(lists, farther, 2), lists[:, 0])
    lists, farther = two_lists(GROUP + 4, 2 * GROUP - 4)
    assert np.bincount(fill_groups(lists, farther, 2)).tolist() == [GROUP, 2 * GROUP]


def test_nobody_goes_far() -> None:
    lists, farther = two_lists(GROUP + 2, GROUP + 20)
    farther[: GROUP + 2] = 1.01 * MOST_FARTHER
    farther[7] = 0
    assert np.array_equal(fill_groups(lists, farther, 2), lists[:, 0])
    assert np.array_equal(fill_groups(lists, np.full(len(lists), np.inf, np.float32), 2), lists[:, 0])


def test_no_list_is_made_so_short_that_it_would_be_merged() -> None:
    """32 rows are a quarter of the mean of lists of 128."""
    lists = np.array([[0, 1]] * (GROUP + 3) + [[1, 0]] * (6 * GROUP + 20), np.int32)
    assert np.array_equal(fill_groups(lists, np.zeros(len(lists), np.float32), 2), lists[:, 0])


def test_no_list_is_made_so_long_that_it_would_be_split() -> None:
    """Eight groups are more than twice the mean."""
    lists = np.array([[0, 1]] * (3 * GROUP + 3) + [[1, 0]] * (7 * GROUP + 20) + [[2, 1]] * 30, np.int32)
    assert np.array_equal(fill_groups(lists, np.zeros(len(lists), np.float32), 3), lists[:, 0])
    longer = np.concatenate([lists, [[2, 1]] * 60]).astype(np.int32)
    assert np.bincount(fill_groups(longer, np.zeros(len(longer), np.float32), 3)).tolist() == [96, 247, 90]


def test_an_empty_list_is_not_begun() -> None:
    lists = np.array([[0, 1]] * (GROUP + 4), np.int32)
    assert np.array_equal(fill_groups(lists, np.zeros(GROUP + 4, np.float32), 2), lists[:, 0])


def test_no_rows() -> None:
    assert len(fill_groups(np.empty((0, 2), np.int32), np.empty(0, np.float32), 3)) == 0


def test_real_lists_have_fewer_groups_and_every_row_a_near_list(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((6_000, 16)).astype(np.float32)
    centroids = rows[:60]
    near, farther = Assigner.of(centroids, rows, len(rows)).two_nearest(rows)
    filled = fill_groups(near, farther, 60)
    before, after, least = groups_of(near[:, 0], 60), groups_of(filled, 60), -(-len(rows) // GROUP)
    assert after - least < 0.6 * (before - least)
    assert ((filled == near[:, 0]) | (filled == near[:, 1])).all()
    own, now = (((rows - centroids[lists]) ** 2).sum(axis=1) for lists in (near[:, 0], filled))
    assert (now <= (1 + MOST_FARTHER) * own + 1e-4).all()
    assert np.mean(filled != near[:, 0]) < 0.06
