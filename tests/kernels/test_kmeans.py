"""k-means kernels against numpy: the same integers, the same sums, no word left empty."""

import numpy as np
import pytest

from pqdb.kernels import kmeans
from tests import naive_quantization as naive


def whole_numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small whole numbers as float32: every product and sum of them is exact, so ties are ties."""
    return rng.integers(-4, 5, shape).astype(np.float32)


def nearest(points: np.ndarray, words: np.ndarray) -> np.ndarray:
    """nearest_in_block over all of points (n, d) against words (k, d)."""
    columns, word_columns = np.ascontiguousarray(points.T), np.ascontiguousarray(words.T)
    half_norms = np.empty(len(words), np.float32)
    kmeans.halve_norms(word_columns, half_norms)
    scores, best = np.empty((2, kmeans.BLOCK), np.float32), np.empty(kmeans.BLOCK, np.float32)
    label, labels = np.empty(kmeans.BLOCK, np.int32), []
    for start in range(0, len(points), kmeans.BLOCK):
        size = min(kmeans.BLOCK, len(points) - start)
        kmeans.nearest_in_block(columns, word_columns, half_norms, start, size, scores, best, label)
        labels.append(label[:size].copy())
    return np.concatenate(labels)


@pytest.mark.parametrize("dsub", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("n", [1, 31, 600])
def test_nearest_word_is_the_naive_one_and_the_lowest_of_equals(rng: np.random.Generator, dsub: int, n: int) -> None:
    points, words = whole_numbers(rng, n, dsub), whole_numbers(rng, 16, dsub)
    assert np.array_equal(nearest(points, words), naive.nearest(points, words))


def test_nearest_word_of_real_numbers_is_as_near_as_the_naive_one(rng: np.random.Generator) -> None:
    points = rng.standard_normal((300, 6)).astype(np.float32)
    words = rng.standard_normal((16, 6)).astype(np.float32)
    chosen, true = nearest(points, words), naive.nearest(points, words)
    distances = np.linalg.norm(points - words[chosen], axis=1)
    assert np.allclose(distances, np.linalg.norm(points - words[true], axis=1), rtol=1e-6)


def test_sums_by_label(rng: np.random.Generator) -> None:
    points, labels = whole_numbers(rng, 50, 7), rng.integers(0, 4, 50).astype(np.int32)
    sums = np.ones((5, 7))
    kmeans.sum_by_label(points, labels, 2, 6, sums)
    for label in range(5):
        assert np.array_equal(sums[label, 2:6], 1 + points[labels == label, 2:6].sum(axis=0))
    assert (sums[:, [0, 1, 6]] == 1).all()


def test_first_words_are_those_the_draws_fall_on(rng: np.random.Generator) -> None:
    """Whole numbers: squared distances and their sums are exact, and so is where a draw falls."""
    points, draws = whole_numbers(rng, 300, 5), rng.random(16)
    words = np.empty((5, 16), np.float32)
    kmeans.spread_words(np.ascontiguousarray(points.T), draws, words)
    assert np.array_equal(words.T, naive.spread(points, draws))


def test_what_is_rare_gets_a_word(rng: np.random.Generator) -> None:
    """Of 5,000 points 15 lie far out, each alone: a random start would take one of them in twenty times."""
    points = 1e-3 * rng.standard_normal((5_000, 6)).astype(np.float32)
    points[100:115] = 10 * whole_numbers(rng, 15, 6) + np.arange(15, dtype=np.float32)[:, None]
    words = np.empty((6, 16), np.float32)
    kmeans.spread_words(np.ascontiguousarray(points.T), rng.random(16), words)
    lengths = np.linalg.norm(words, axis=0)
    assert np.count_nonzero(lengths > 1) >= len(np.unique(points[100:115], axis=0)) - 1


def test_where_all_points_are_words_already_any_will_do(rng: np.random.Generator) -> None:
    points = np.repeat(whole_numbers(rng, 3, 4), [5, 1, 2], axis=0)
    words = np.empty((4, 16), np.float32)
    kmeans.spread_words(np.ascontiguousarray(points.T), rng.random(16), words)
    assert {tuple(word) for word in words.T} == {tuple(point) for point in points}


def test_training_words_takes_the_naive_rounds(rng: np.random.Generator) -> None:
    points = whole_numbers(rng, 200, 3)
    start = points[rng.choice(200, 16, replace=False)]
    words = np.ascontiguousarray(start.T)
    kmeans.train_words(np.ascontiguousarray(points.T), words, 3)
    assert np.allclose(words.T, naive.lloyd(points, start, 3), rtol=1e-5, atol=1e-6)


def test_training_words_lowers_the_distortion_and_stops_when_nothing_moves(rng: np.random.Generator) -> None:
    points = rng.standard_normal((2, 400)).astype(np.float32)
    words = points[:, :16].copy()
    before = np.square(points.T - words.T[naive.nearest(points.T, words.T)]).sum()
    assert kmeans.train_words(points, words, 100) < 100
    after = np.square(points.T - words.T[naive.nearest(points.T, words.T)]).sum()
    assert after < 0.8 * before
    settled = words.copy()
    assert kmeans.train_words(points, words, 5) == 1  # one round to see the labels, one to see them stay
    assert np.allclose(words, settled, rtol=1e-6, atol=1e-7)


def test_words_without_points_take_from_the_fullest() -> None:
    words = np.array([[1.0, 5.0, 9.0, 9.0]], np.float32)
    counts = np.array([2, 7, 0, 0])
    kmeans.split_into_empty(words, counts)
    assert counts.tolist() == [2, 2, 3, 2]  # 7 → 4 + 3, then the larger 4 → 2 + 2
    assert np.all(counts > 0)
    assert np.allclose(words[0, 1:], 5.0, rtol=0.01)
    assert len(np.unique(words)) == 4


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_points_that_are_all_equal_give_finite_words(value: float) -> None:
    points = np.full((4, 100), value, np.float32)
    words = points[:, :16].copy()
    kmeans.train_words(points, words, 20)
    assert np.isfinite(words).all()
    assert np.abs(words - value).min() <= 0.05 * value
