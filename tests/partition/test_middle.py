"""The middle of rows is that of most of them."""

import numpy as np
import pytest

from pqdb.partition.assign import assign
from pqdb.partition.middle import capped, middle, usual
from pqdb.partition.router import Router, mean_squares


@pytest.fixture
def rows(rng: np.random.Generator) -> np.ndarray:
    return (rng.standard_normal((600, 12)) + 3).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_of_rows_like_one_another_it_is_their_mean(rows: np.ndarray) -> None:
    assert (middle(rows) == rows.mean(axis=0, dtype=np.float64).astype(np.float32)).all()
    assert (middle(rows[:1]) == rows[0]).all()


@pytest.mark.parametrize("count", [1, 10, 100])
@pytest.mark.parametrize("times", [1e4, 1e9])
def test_a_few_long_rows_do_not_move_it(rows: np.ndarray, count: int, times: float) -> None:
    others = rows[count:].mean(axis=0)
    rows[:count] *= np.float32(times)
    assert middle(rows) == pytest.approx(others, abs=1e-4)


def test_rows_of_all_lengths_have_one(rows: np.ndarray, rng: np.random.Generator) -> None:
    rows *= 10 ** rng.uniform(-15, 15, (600, 1)).astype(np.float32)
    assert np.isfinite(middle(rows)).all()


def test_copies_are_the_middle(rows: np.ndarray) -> None:
    rows[50:] = rows[50]
    assert np.linalg.norm(middle(rows) - rows[50]) < 1
    assert (middle(rows[50:]) == rows[50]).all()


def test_what_is_usual(rng: np.random.Generator) -> None:
    squares = rng.uniform(1, 2, 500).astype(np.float32)
    mean = usual(squares)
    assert mean == pytest.approx(squares.mean())
    assert (capped(squares) == squares).all()
    squares[3], squares[4] = 1e9, np.inf
    assert usual(squares) == pytest.approx(mean, rel=0.01)
    assert capped(squares)[3:5] == pytest.approx([100 * np.median(squares)] * 2)
    assert len(capped(squares[:0])) == 0


def test_where_most_are_nothing_all_count() -> None:
    squares = np.array([0, 0, 0, 8], np.float32)
    assert usual(squares) == 2
    assert (capped(squares) == squares).all()


def test_rows_find_their_centroids_beside_one_that_is_far(rows: np.ndarray, rng: np.random.Generator) -> None:
    """Compared from a mean that it carries away, 13 rows in 1,000 did."""
    centroids = rows[:40].copy()
    centroids[7] *= np.float32(1e6)
    apart = ((rows[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    assert (assign(rows, centroids) == apart.argmin(axis=1)).all()


@pytest.mark.parametrize("l2", [False, True], ids=["inner product", "l2"])
def test_lists_are_told_apart_beside_one_that_is_far(rows: np.ndarray, l2: bool) -> None:
    centroids, queries = rows[:40].copy(), rows[100:300]
    centroids[7] *= np.float32(1e6)
    keys, _ = Router(l2, np.zeros(12, np.float32), 1.0, centroids, np.ones(40, np.float32)).keys_of(queries)
    exact = queries.astype(np.float64) @ centroids.T.astype(np.float64)
    exact = 2 * exact - np.square(centroids, dtype=np.float64).sum(axis=1) if l2 else exact
    keys[:, 7] = exact[:, 7] = -np.inf
    assert (keys.argmax(axis=1) == exact.argmax(axis=1)).mean() > 0.9


def test_a_far_row_does_not_put_its_list_last(rows: np.ndarray) -> None:
    lists, residuals = np.arange(600, dtype=np.int32) % 6, rows - 3
    before = mean_squares(residuals, lists, 6, l2=True)
    residuals[2] *= np.float32(1e6)
    assert mean_squares(residuals, lists, 6, l2=True) == pytest.approx(before, rel=1.1)
    assert mean_squares(residuals, lists, 6, l2=False)[2] > 1e9
