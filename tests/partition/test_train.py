"""Training lists: reproducible, even, near what plain k-means reaches, and calm on any data."""

import numpy as np
import pytest

from pqdb.errors import InputError
from pqdb.partition import train
from pqdb.partition.assign import assign
from pqdb.partition.train import choose_n_lists, points_needed, train_centroids
from tests import naive_quantization as naive
from tests.compiled import compiled
from tests.data import clustered


def spread(rows: np.ndarray, centroids: np.ndarray) -> float:
    """Mean squared distance of rows to their nearest centroid."""
    return float(np.square(rows - centroids[assign(rows, centroids)]).sum(axis=1).mean())


@pytest.mark.parametrize("flat", [True, False])
def test_the_same_sample_and_seed_give_the_same_bits(
    flat: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "FLAT_LISTS", 1024 if flat else 4)
    rows = clustered(600, 6, seed=seed)
    first = train_centroids(rows, 20, seed=3)
    assert first.shape == (20, 6)
    assert first.dtype == np.float32
    assert train_centroids(rows, 20, seed=3).tobytes() == first.tobytes()
    assert train_centroids(rows, 20, seed=4).tobytes() != first.tobytes()


def test_the_sample_is_left_alone(seed: int) -> None:
    rows = clustered(200, 6, seed=seed)
    before = rows.copy()
    rows.flags.writeable = False
    train_centroids(rows, 5)
    assert np.array_equal(rows, before)


@compiled
@pytest.mark.parametrize("flat", [True, False])
def test_lists_are_as_tight_as_plain_k_means_makes_them(
    flat: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "FLAT_LISTS", 1024 if flat else 4)
    rows = clustered(4_000, 16, seed=seed)
    start = rows[np.random.default_rng(seed).choice(4_000, 64, replace=False)]
    assert spread(rows, train_centroids(rows, 64)) <= 1.05 * spread(rows, naive.lloyd(rows, start, 8))


@compiled
@pytest.mark.parametrize("flat", [True, False])
def test_lists_are_even_though_the_data_are_not(
    flat: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "FLAT_LISTS", 1024 if flat else 4)
    crowd = 0.05 * clustered(9_000, 16, seed=seed)  # nine rows in ten lie in a corner
    rows = np.concatenate([crowd, 5 + clustered(1_000, 16, seed=seed + 1)])
    centroids = train_centroids(rows, 100)
    counts = np.bincount(assign(rows, centroids), minlength=100)
    assert len(centroids) == 100
    assert counts.max() <= 3 * counts.mean()  # 2 is where lists are cut; the last round moves some rows again
    assert counts.min() > 0
    assert np.square(counts).sum() / counts.sum() <= 1.35 * counts.mean()


@compiled
def test_large_samples_are_thinned_out(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clustered(20_000, 8, seed=seed)
    monkeypatch.setattr(train, "POINTS_PER_CENTROID", 50)
    assert points_needed(16, 8) == 800
    thinned = train_centroids(rows, 16)
    monkeypatch.undo()
    assert spread(rows, thinned) <= 1.15 * spread(rows, train_centroids(rows, 16))


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("value", [0.0, -3.5])
def test_rows_that_are_all_alike_make_one_list(
    value: float, flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "FLAT_LISTS", 1024 if flat else 4)
    centroids = train_centroids(np.full((200, 4), value, np.float32), 16)
    assert np.array_equal(centroids, np.full((1, 4), value, np.float32))


@pytest.mark.parametrize("flat", [True, False])
def test_fewer_kinds_of_rows_than_lists(
    flat: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "FLAT_LISTS", 1024 if flat else 4)
    kinds = rng.integers(-9, 10, (7, 4)).astype(np.float32)
    rows = kinds[np.arange(280) % 7]
    centroids = train_centroids(rows, 20)
    assert 1 <= len(centroids) <= 20
    assert np.isfinite(centroids).all()
    assert spread(rows, centroids) <= 1e-8


def test_near_duplicates_beside_others(rng: np.random.Generator) -> None:
    """Thousands of rows closer together than float32 products can tell, and a few that are not."""
    close = 1 + 1e-7 * rng.standard_normal((500, 4))
    rows = np.concatenate([close, rng.standard_normal((60, 4))]).astype(np.float32)
    centroids = train_centroids(rows, 12)
    assert np.isfinite(centroids).all()
    assert spread(rows, centroids) < spread(rows, rows.mean(axis=0, keepdims=True)) / 3


def test_more_lists_than_rows(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((5, 4)).astype(np.float32)
    centroids = train_centroids(rows, 9)
    assert len(centroids) == 5
    assert np.allclose(np.sort(centroids, axis=0), np.sort(rows, axis=0), atol=1e-6)


def test_one_list_is_the_mean(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((50, 4)).astype(np.float32)
    assert np.allclose(train_centroids(rows, 1), rows.mean(axis=0, keepdims=True), atol=1e-6)


def test_progress_rises_to_one_and_may_end_the_training(seed: int) -> None:
    rows = clustered(200, 6, seed=seed)
    seen: list[float] = []
    train_centroids(rows, 5, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(done: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train_centroids(rows, 5, progress=stop)


@pytest.mark.parametrize(
    ("sample", "n_lists"), [(np.zeros((0, 4)), 2), (np.zeros(4), 2), (np.zeros((3, 4)), 0)]
)
def test_what_cannot_be_trained_is_refused(sample: np.ndarray, n_lists: int) -> None:
    with pytest.raises(InputError, match=f"and {n_lists}"):
        train_centroids(sample.astype(np.float32), n_lists)


def test_how_many_lists() -> None:
    assert [choose_n_lists(n) for n in (0, 4_999, 5_000, 51_592, 10**6, 10**8)] == [
        1,
        1,
        39,
        403,
        4_000,
        65_536,
    ]


def test_a_sample_is_bounded() -> None:
    assert points_needed(1, 384) == 256
    assert points_needed(537, 384) == 256 * 537
    assert points_needed(8_192, 384) * 384 * 4 <= 1 << 29
    assert points_needed(65_536, 384) == 16 * 65_536
