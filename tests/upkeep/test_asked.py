"""What is asked for to calibrate, and the lists of what is nearest to it."""

import numpy as np
import pytest

from pqdb.partition.router import Router
from pqdb.upkeep.asked import Asked, Nearest, _lists_in_sample
from pqdb.upkeep.sample import Sample


@pytest.mark.parametrize("l2", [False, True])
def test_in_a_sample_of_all_rows_the_nearest_are_the_nearest(l2: bool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((2_400, 12)).astype(np.float32)
    rows, list_of_row = rng.permutation(2_400), rng.integers(0, 7, 2_400).astype(np.int32)
    router = Router(l2, np.zeros(12, np.float32), 1.0, vectors[:7])
    sample, some = Sample(vectors[rows], rows, 2_400, list_of_row), rows[:70]
    found = _lists_in_sample(router, sample, vectors[some], some, 1_050)
    assert found.shape == (70, 1_050)
    asked = vectors[some].astype(np.float64)
    values = asked @ vectors.T - ((vectors.astype(np.float64) ** 2).sum(axis=1) / 2 if l2 else 0)
    values[np.arange(70), some] = -np.inf  # a row does not find itself
    right = found == list_of_row[np.argsort(-values, axis=1)[:, :1_050]]
    assert right.mean() > 0.999, "but for rows that float32 cannot tell apart"


def test_of_a_sample_no_row_that_is_in_no_list_is_found() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((8_000, 8)).astype(np.float32)
    list_of_row = np.full(8_000, -1, np.int32)
    list_of_row[200:] = rng.integers(0, 5, 7_800)
    rows = rng.permutation(8_000)[:2_000]
    router = Router(False, np.zeros(8, np.float32), 1.0, vectors[:5])
    queries = rng.standard_normal((5, 8)).astype(np.float32)
    found = _lists_in_sample(router, Sample(vectors[rows], rows, 8_000, list_of_row), queries, np.full(5, -1), 3_000)
    listed = rows[list_of_row[rows] >= 0]
    nearest = list_of_row[listed[np.argsort(-(queries @ vectors[listed].T), axis=1)]]
    assert found.shape == (5, 1_999)
    assert (found[:, : len(listed)] == nearest).all()
    assert (found[:, len(listed) :] == -1).all()


def test_the_more_neighbours_the_fewer_rows_tell_of_them() -> None:
    """Lists are probed in their own order here: a rank is a list."""
    n, place = 700, np.tile(np.arange(9, dtype=np.int32), (700, 1))
    near = np.repeat(np.arange(n, dtype=np.int32)[:, None] % 9, 120, axis=1)
    nearest = Nearest(near, near[:64, :50] // 2, share=0.01)
    asked = Asked(np.full(n, -1, np.int32), place, np.zeros(n, np.float32))
    for k, rows, width in ((1, 700, 1), (10, 700, 10), (100, 500, 100), (1_000, 64, 10)):
        ranks = nearest.ranks(asked, k)
        assert ranks.shape == (rows, width)
        assert (ranks == (near[:rows, :1] // 2 if k == 1_000 else near[:rows, :1])).all()
    few = nearest.first(30)
    assert few.ranks(asked.take(slice(0, 30)), 1_000).shape == few.ranks(asked.take(slice(0, 30)), 10).shape == (30, 10)
    assert len(nearest.first(100).deep) == 64, "of the others the sample does not tell"


def test_what_is_left_out_is_passed_over_and_comes_last() -> None:
    rng = np.random.default_rng(4)
    centroids = rng.standard_normal((6, 8)).astype(np.float32)
    router = Router(True, np.zeros(8, np.float32), 1.0, centroids)
    queries = centroids[[2, 2]] + np.float32(0.01)
    none, asked = (Asked.of(router, queries, 0.0, out) for out in (None, np.array([2, -1], np.int32)))
    assert none.place[0, 2] == asked.place[1, 2] == 0
    assert asked.place[0, 2] == 5, "nobody looks there"
    assert asked.ease[0] < asked.ease[1] == none.ease[0], "the next list is farther"
    lists = np.array([[2, 2, 3, 2, 5, -1], [2, 2, 3, 2, 5, -1]], np.int32)
    assert asked.ranks(lists, 3).tolist() == [
        [asked.place[0, 3], asked.place[0, 5], -1],
        [0, 0, asked.place[1, 3]],
    ]
