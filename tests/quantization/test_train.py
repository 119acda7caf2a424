"""Training a codebook: reproducible, sane on any data, and rotated only where that finds more."""

import numpy as np
import pytest

from pqdb.errors import DimensionError, InputError
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import decode, encode, normalise
from pqdb.quantization.train import Layout, train_codebook
from tests.compiled import compiled


def distortion(codebook: Codebook, residuals: np.ndarray) -> float:
    """Mean ‖r/‖r‖ − r̂‖²: 1 is what no code at all leaves."""
    units = normalise(residuals)[0]
    return float(np.square(units - decode(codebook, encode(codebook, residuals)[0])).sum(axis=1).mean())


def gaussian(seed: int, n: int, scales: np.ndarray) -> np.ndarray:
    """(n, d) float32 of these standard deviations, turned so that no axis shows them."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((len(scales), len(scales))))[0]
    return np.asarray((rng.standard_normal((n, len(scales))) * scales) @ turn, np.float32)


@pytest.mark.parametrize("layout", ["plain", "rotated", "auto"])
def test_the_same_sample_and_seed_give_the_same_bytes(layout: Layout) -> None:
    residuals = gaussian(0, 240, np.linspace(2, 0.2, 8))
    first = train_codebook(residuals, 4, layout=layout, seed=5)
    assert train_codebook(residuals.copy(), 4, layout=layout, seed=5).to_bytes() == first.to_bytes()
    assert train_codebook(residuals, 4, layout=layout, seed=6).to_bytes() != first.to_bytes()


@compiled
def test_threads_do_not_change_a_bit() -> None:
    residuals = gaussian(1, 20_000, np.linspace(2, 0.2, 64))
    first = train_codebook(residuals, 16, seed=1).to_bytes()
    assert all(train_codebook(residuals, 16, seed=1).to_bytes() == first for _ in range(3))


def test_shapes_of_codebooks() -> None:
    residuals = gaussian(2, 60, np.ones(10))
    plain = train_codebook(residuals, 3, layout="plain")
    assert (plain.m, plain.nbits, plain.dim, plain.d_out) == (4, 4, 10, 10)
    assert plain.bounds.tolist() == [0, 3, 6, 10, 10]
    rotated = train_codebook(residuals, 3, layout="rotated")
    assert rotated.rotation is not None
    assert np.allclose(rotated.rotation @ rotated.rotation.T, np.eye(rotated.d_out), atol=1e-5)
    classic = train_codebook(residuals, 5, 8)
    assert (classic.m, classic.ksub, classic.rotation) == (8, 256, None)


@compiled
@pytest.mark.parametrize(
    ("m", "nbits", "most"),
    [(4, 4, 0.70), (8, 4, 0.43), (16, 4, 0.16), (4, 8, 0.43), (8, 8, 0.17)],
)
def test_distortion_is_what_that_many_bits_leave_of_a_gaussian(m: int, nbits: int, most: float) -> None:
    """16 dimensions: near the 16-word constants of allocation.py, and their like for 256 words."""
    residuals = gaussian(3, 30_000, np.ones(16))
    assert distortion(train_codebook(residuals, m, nbits, layout="plain"), residuals) <= most


@compiled
def test_energy_is_worth_following_where_it_falls_steeply() -> None:
    residuals = gaussian(4, 10_000, np.exp(-np.arange(64) / 6))
    plain = distortion(train_codebook(residuals, 16, layout="plain"), residuals)
    assert distortion(train_codebook(residuals, 16, layout="rotated"), residuals) < 0.5 * plain


@compiled
def test_auto_rotates_where_energy_falls_steeply() -> None:
    assert train_codebook(gaussian(5, 6_000, np.exp(-np.arange(64) / 6)), 16).rotation is not None


@compiled
@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_auto_stays_plain_where_all_axes_are_alike(metric: str) -> None:
    residuals = gaussian(6, 6_000, np.ones(64))
    assert train_codebook(residuals, 16, metric=metric).rotation is None  # type: ignore[arg-type]


@compiled
def test_a_rotation_must_pay_its_price() -> None:
    residuals = gaussian(5, 6_000, np.exp(-np.arange(64) / 6))
    assert train_codebook(residuals, 16, rotation_gain=1.1).rotation is None


@compiled
def test_auto_ranks_the_vectors_it_is_given() -> None:
    """Far apart lists decide every neighbour alone, so no code finds more than another, and none rotates."""
    residuals = gaussian(7, 6_000, np.exp(-np.arange(64) / 6))
    lists = np.repeat(np.arange(600), 10)  # ten rows a list: the neighbours of a row are its list
    centroids = np.random.default_rng(7).standard_normal((600, 64)).astype(np.float32) * 1000
    assert train_codebook(residuals, 16, vectors=residuals + centroids[lists]).rotation is None
    assert train_codebook(residuals, 16).rotation is not None


@pytest.mark.parametrize("nbits", [4, 8])
@pytest.mark.parametrize("n", [1, 5, 300])
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_rows_that_are_all_alike(n: int, value: float, nbits: int) -> None:
    residuals = np.full((n, 6), value, np.float32)
    codebook = train_codebook(residuals, 4, nbits)
    codes, s = encode(codebook, residuals)
    assert np.allclose(s[:, None] * decode(codebook, codes), residuals, rtol=0.02)


def test_fewer_rows_than_words_are_coded_without_loss(rng: np.random.Generator) -> None:
    residuals = rng.standard_normal((9, 6)).astype(np.float32)
    codebook = train_codebook(residuals, 3)
    assert distortion(codebook, residuals) < 1e-4


def test_near_duplicates_of_every_size_keep_their_direction(rng: np.random.Generator) -> None:
    directions = rng.standard_normal((200, 8)).astype(np.float32)
    sizes = np.float32(10.0) ** rng.integers(-12, 4, 200).astype(np.float32)
    residuals = directions * sizes[:, None]
    codebook = train_codebook(residuals, 8)
    codes, s = encode(codebook, residuals)
    guesses = s[:, None] * decode(codebook, codes)
    errors = np.linalg.norm(guesses - residuals, axis=1) / np.linalg.norm(residuals, axis=1)
    assert errors.max() < 0.6


def test_progress_rises_to_one_and_may_end_the_training() -> None:
    residuals = gaussian(8, 300, np.linspace(2, 0.2, 8))
    seen: list[float] = []
    train_codebook(residuals, 4, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(done: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train_codebook(residuals, 4, progress=stop)


@pytest.mark.parametrize(
    ("residuals", "how", "words"),
    [
        (np.zeros((0, 4)), {}, r"n ≥ 1, not \(0, 4\)"),
        (np.zeros(4), {}, r"not \(4,\)"),
        (np.zeros((9, 4)), {"m": 5}, "1 to 4 sub-quantizers, not 5"),
        (np.zeros((9, 4)), {"m": 0}, "1 to 4 sub-quantizers, not 0"),
        (np.zeros((9, 4)), {"nbits": 6}, "4 or 8 bits, not 6"),
        (np.zeros((9, 4)), {"nbits": 8, "layout": "rotated"}, "4 bits, not 8"),
    ],
)
def test_what_cannot_be_trained_is_refused(residuals: np.ndarray, how: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        train_codebook(residuals.astype(np.float32), **{"m": 2, **how})  # type: ignore[arg-type]


def test_vectors_of_another_shape_are_refused() -> None:
    with pytest.raises(DimensionError, match=r"\(9, 4\), not \(8, 4\)"):
        train_codebook(np.zeros((9, 4), np.float32), 2, vectors=np.zeros((8, 4), np.float32))
