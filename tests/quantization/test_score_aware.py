"""Codebooks fitted to scores: less of the loss they are fitted to, and their bytes."""

import numpy as np
import pytest

from pqdb.errors import CorruptError, InputError
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import decode, encode, normalise
from pqdb.quantization.score_aware import WEIGHT, refit
from pqdb.quantization.train import train_codebook
from tests.data import clustered

DIM, M = 16, 8
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def data() -> Data:
    """Vectors and their residuals to a few centroids."""
    vectors = normalise(clustered(3_000, DIM, seed=6))[0]
    centroids = vectors[:20]
    return vectors, vectors - centroids[(vectors @ centroids.T).argmax(axis=1)]


def loss(codebook: Codebook, residuals: np.ndarray, vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(n,) |r − r̂|² + weight · ⟨r − r̂, x/|x|⟩², of residuals at length 1."""
    apart = normalise(residuals)[0] - decode(codebook, codes)
    along = np.einsum("nd,nd->n", apart, normalise(vectors)[0])
    found: np.ndarray = np.square(apart).sum(axis=1) + codebook.weight * along**2
    return found


def weighted(data: Data, weight: float) -> Codebook:
    residuals = data[1]
    plain = train_codebook(residuals, M, layout="plain")
    return Codebook(DIM, 4, plain.bounds, plain.codewords, None, weight)


def test_codes_leave_less_of_the_loss_than_the_nearest_words(data: Data) -> None:
    vectors, residuals = data
    book = weighted(data, 3.0)
    nearest = encode(weighted(data, 0.0), residuals)[0]
    codes, s = encode(book, residuals, vectors)
    before, after = (loss(book, residuals, vectors, each) for each in (nearest, codes))
    assert np.all(after <= before + 1e-5)
    assert after.mean() < 0.97 * before.mean()
    units, lengths = normalise(residuals)
    overlaps = np.maximum((units * decode(book, codes)).sum(axis=1), 0.1)
    np.testing.assert_allclose(s, lengths / overlaps, rtol=1e-4, atol=1e-6)


def test_no_single_word_could_be_exchanged_for_a_better_one(data: Data) -> None:
    """Where three sweeps were enough, every code is a minimum along each of its subspaces."""
    vectors, residuals = data[0][:40], data[1][:40]
    book = weighted(data, 2.0)
    codes, _ = encode(book, residuals, vectors)
    least = loss(book, residuals, vectors, codes)
    better = 0
    for j in range(M):
        for c in range(16):
            other = codes.copy()
            other[:, j] = c
            better += int((loss(book, residuals, vectors, other) < least - 1e-5).sum())
    assert better <= 5


def test_refitted_words_leave_less_of_the_loss(data: Data) -> None:
    vectors, residuals = data
    book = weighted(data, 2.0)
    codes, _ = encode(book, residuals, vectors)
    words = refit(book, normalise(residuals)[0], normalise(vectors)[0], codes)
    fitted = Codebook(DIM, 4, book.bounds, words, None, 2.0)
    assert loss(fitted, residuals, vectors, codes).mean() < loss(book, residuals, vectors, codes).mean()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_training_for_scores_gives_a_weighted_codebook_again_and_again(data: Data, metric: str) -> None:
    vectors, residuals = data
    one, same = (
        train_codebook(residuals, M, vectors=vectors, metric=metric, objective="score", seed=3)  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert one.weight == WEIGHT
    assert one.to_bytes() == same.to_bytes()
    read = Codebook.from_bytes(one.to_bytes())
    assert read.weight == pytest.approx(one.weight)
    assert np.array_equal(read.codewords, one.codewords)
    assert one.to_bytes()[4] == 2
    assert train_codebook(residuals, M).to_bytes()[4] == 1


def test_a_weight_that_is_none_is_refused() -> None:
    book = train_codebook(clustered(300, 8, seed=1), 4, layout="plain")
    for weight in (-1.0, np.inf, np.nan):
        with pytest.raises(InputError, match="a weight of at least 0"):
            Codebook(8, 4, book.bounds, book.codewords, None, weight)
    good = Codebook(8, 4, book.bounds, book.codewords, None, 1.5).to_bytes()
    with pytest.raises(CorruptError, match=f"has {len(good)} bytes, not {len(good) - 4}"):
        Codebook.from_bytes(good[:-4])
