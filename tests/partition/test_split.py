"""Uneven lists: which are split and merged, and where they are cut."""

import numpy as np
import pytest

from pqdb.partition.split import FEWEST_ROWS, cut, uneven


def test_over_twice_the_mean_is_split_and_under_a_quarter_merged() -> None:
    counts = np.array([100, 100, 100, 20, 24, 305, 240, 10, 100, 100])
    assert counts.mean() == pytest.approx(109.9)
    large, small = uneven(counts)
    assert large.tolist() == [5, 6]
    assert small.tolist() == [7, 3, 4]


def test_even_or_short_lists_are_left_alone() -> None:
    assert [len(each) for each in uneven(np.full(7, 90))] == [0, 0]
    large, _ = uneven(np.array([1, 1, 1, FEWEST_ROWS - 1]))
    assert len(large) == 0


def test_lists_that_have_become_short_on_the_whole_are_merged() -> None:
    counts = np.array([60, 70, 50, 64, 56, 60, 62, 58])
    assert len(uneven(counts)[1]) == len(uneven(counts, 90)[1]) == 0
    assert uneven(counts, 120)[1].tolist() == [2, 4, 7, 0]


def test_one_list_always_stays() -> None:
    large, small = uneven(np.zeros(4, np.int64))
    assert len(small) == 0
    large, small = uneven(np.array([0, 0, 500]))
    assert large.tolist() == [2]
    assert sorted(small.tolist()) == [0, 1]


def test_a_list_is_cut_where_its_clusters_are(rng: np.random.Generator) -> None:
    centres = np.float32([[0, 0], [9, 0], [0, 9]])
    points = np.repeat(centres, 100, axis=0) + 0.1 * rng.standard_normal((300, 2)).astype(np.float32) + 1_000
    parts = cut(points, 100, rng)
    assert sorted((parts - 1_000).round().tolist()) == sorted(centres.tolist())


def test_points_that_cannot_be_told_apart_are_not_cut(rng: np.random.Generator) -> None:
    assert len(cut(np.ones((500, 3), np.float32), 100, rng)) == 1
    nearly = np.ones((500, 3), np.float32)
    nearly[:10] = 5  # ten of a hundred wanted: a part that would be merged at once
    assert len(cut(nearly, 100, rng)) == 1
    nearly[:30] = 5
    assert len(cut(nearly, 100, rng)) == 2
