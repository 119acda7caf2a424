"""Nearest centroids, flat and by two levels, against numpy."""

import numpy as np
import pytest

from pqdb.errors import DimensionError
from pqdb.partition import assign as assignment
from pqdb.partition import two_levels
from pqdb.partition.assign import Assigner, assign
from pqdb.partition.nearest import nearest_centroids
from pqdb.partition.two_levels import TwoLevels
from tests import naive_quantization as naive
from tests.compiled import compiled
from tests.data import clustered


def whole_numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small whole numbers as float32: sums of their products are exact, so ties are ties."""
    return rng.integers(-4, 5, shape).astype(np.float32)


@pytest.mark.parametrize(("n", "k"), [(0, 3), (1, 1), (300, 7), (90, 40)])
def test_the_nearest_centroid_and_the_lowest_of_equals(rng: np.random.Generator, n: int, k: int) -> None:
    vectors, centroids = whole_numbers(rng, n, 5), whole_numbers(rng, k, 5)
    labels = nearest_centroids(vectors, centroids)
    assert labels.dtype == np.int32
    assert np.array_equal(labels, naive.nearest(vectors, centroids))


def test_rows_far_from_zero_keep_their_digits(rng: np.random.Generator) -> None:
    """At 5,000 a float32 square holds no difference of 1; seen from the mean of the centroids it does."""
    centroids = (5_000 + 8 * rng.standard_normal((30, 8))).astype(np.float32)
    vectors = centroids[rng.integers(0, 30, 400)] + rng.standard_normal((400, 8)).astype(np.float32)
    assert np.array_equal(assign(vectors, centroids), naive.nearest(vectors, centroids))


def test_read_only_vectors_are_taken(rng: np.random.Generator) -> None:
    vectors, centroids = whole_numbers(rng, 20, 5), whole_numbers(rng, 4, 5)
    vectors.flags.writeable = False
    centroids.flags.writeable = False
    assert len(assign(vectors, centroids)) == 20


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(DimensionError, match=r"4 dimensions, not \(2, 5\)"):
        assign(np.zeros((2, 5), np.float32), np.zeros((3, 4), np.float32))


def test_two_levels_that_open_every_group_are_flat(rng: np.random.Generator) -> None:
    centroids = rng.standard_normal((40, 5)).astype(np.float32)
    rows = rng.standard_normal((60, 5)).astype(np.float32)
    levels = TwoLevels.build(centroids, rows)
    assert levels is not None
    assert levels.opened == len(levels.groups) == 6
    assert np.array_equal(levels.nearest(rows).labels, naive.nearest(rows, centroids))


def test_two_levels_know_what_comes_next(rng: np.random.Generator) -> None:
    centroids = rng.standard_normal((40, 5)).astype(np.float32)
    rows = rng.standard_normal((60, 5)).astype(np.float32)
    levels = TwoLevels.build(centroids, rows)
    assert levels is not None
    near = levels.nearest(rows, two=True)
    order = np.argsort(((rows[:, None] - centroids) ** 2).sum(axis=2), axis=1)
    assert np.array_equal(np.stack([near.labels, near.next_labels], axis=1), order[:, :2])


def test_how_much_farther_the_next_one_is(rng: np.random.Generator) -> None:
    centroids = np.array([[5_000, 0], [5_004, 0], [5_000, 30]], np.float32)
    vectors = np.array([[5_001, 0], [5_002, 0], [5_000, 12], [5_000, 0]], np.float32)
    lists, farther = Assigner.of(centroids, vectors, 4).two_nearest(vectors)
    assert lists[:3].tolist() == [[0, 1], [0, 1], [0, 1]]
    np.testing.assert_allclose(farther[:3], [8, 0, 16 / 144], rtol=1e-5)
    assert farther[3] == np.inf  # it lies at its centroid


def test_with_one_centroid_there_is_no_other(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((5, 3)).astype(np.float32)
    lists, farther = Assigner.of(vectors[:1], vectors, 5).two_nearest(vectors)
    assert lists[:, 0].tolist() == [0] * 5
    assert (farther == np.inf).all()


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two levels from 400 lists on, so that tests need not be large."""
    monkeypatch.setattr(assignment, "MANY_LISTS", 400)
    monkeypatch.setattr(assignment, "MANY_ROWS", 2_000)


@compiled
@pytest.mark.usefixtures("few_are_many")
def test_two_levels_agree_with_comparing_all(seed: int) -> None:
    rows = clustered(6_000, 8, seed=seed)
    centroids = rows[:: len(rows) // 400][:400]
    assert TwoLevels.build(centroids, rows) is not None
    chosen, true = assign(rows, centroids), nearest_centroids(rows, centroids)
    assert 0.985 <= np.mean(chosen == true) < 1
    far = np.linalg.norm(rows - centroids[chosen], axis=1).sum()
    assert far <= 1.001 * np.linalg.norm(rows - centroids[true], axis=1).sum()
    assert np.array_equal(assign(rows, centroids), chosen)


@compiled
@pytest.mark.usefixtures("few_are_many")
def test_two_levels_step_aside_where_groups_tell_little(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_levels, "OPENED", (2, 4))  # of 20 groups
    rows = rng.standard_normal((3_000, 64)).astype(np.float32)  # in all directions alike: no near groups
    centroids = rows[:400]
    assert TwoLevels.build(centroids, rows) is None
    assert np.array_equal(assign(rows, centroids), nearest_centroids(rows, centroids))
