"""Measuring recall: against the naive truth, with an interval that holds."""

import numpy as np
import pytest

import pqdb
from pqdb.hits import interval
from pqdb.search.truth import recall_of
from tests import naive
from tests.search.conftest import Make


def test_recall_counts_by_value_so_ties_are_not_held_against_a_search() -> None:
    truth = np.array([[3.0, 2.0, 2.0], [1.0, 1.0, 1.0]], np.float32)
    found = np.array([[3.0, 2.0, 1.9], [1.0, 0.5, -np.inf]], np.float32)
    assert recall_of(found, truth).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert recall_of(truth, truth).tolist() == [1.0, 1.0]


def test_fewer_neighbours_than_k_are_all_that_counts() -> None:
    truth = np.array([[3.0, 2.0, -np.inf], [-np.inf] * 3], np.float32)
    assert recall_of(truth, truth).tolist() == [1.0, 1.0]
    assert recall_of(np.array([[3.0, -np.inf, -np.inf], [-np.inf] * 3], np.float32), truth).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("mean", [0.6, 0.9, 0.98])
@pytest.mark.parametrize("n", [50, 200])
def test_the_interval_holds_the_true_recall_nineteen_times_in_twenty(
    rng: np.random.Generator, mean: float, n: int
) -> None:
    """Queries are of different difficulty; over 400 measurements the 95 % interval holds the truth in at least 91 %."""
    difficulty = rng.beta(8 * mean, 8 * (1 - mean), 200_000)
    true = float(difficulty.mean())
    held = 0
    for _ in range(400):
        shares = rng.binomial(10, rng.choice(difficulty, n)) / 10
        _, low, high = interval(shares)
        held += low <= true <= high
    assert held / 400 >= 0.91


def test_all_found_still_has_a_lower_bound_below_one() -> None:
    mean, low, high = interval(np.ones(100))
    assert (mean, high) == (1.0, pytest.approx(1.0))
    assert 0.95 < low < 1.0
    assert interval(np.array([0.5]))[1] < 0.5


@pytest.mark.parametrize("nprobe", [1, 3])
def test_given_queries_are_measured_as_the_oracle_would(make: Make, nprobe: int) -> None:
    made = make("l2")
    report = made.collection.measure_recall(10, made.raw, nprobe=nprobe, rerank=40)
    hits = made.collection.search(made.raw, 10, nprobe=nprobe, rerank=40)
    assert report.recall == pytest.approx(made.recall_of(hits, 10), abs=1e-6)
    assert report.low <= report.recall <= report.high
    assert (report.k, report.n, report.population) == (10, len(made.raw), "given queries")


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_stored_rows_are_measured_without_themselves(make: Make, metric: str) -> None:
    """A row finds itself first at any effort: counted, it would lend 1/k to every measurement."""
    made = make(metric)
    report = made.collection.measure_recall(1, nprobe=1, sample=300, seed=3)
    own = naive.search.scores(made.rows, made.rows, metric)  # type: ignore[no-untyped-call]
    np.fill_diagonal(own, np.inf if metric == "l2" else -np.inf)
    best = own.min(axis=1) if metric == "l2" else own.max(axis=1)
    vectors = np.array([p.vector for p in made.collection.get(np.arange(len(made.rows)), with_vector=True)])
    hits = made.collection.search(vectors, 2, nprobe=1)
    others = [[s for i, s in zip(h.ids, h.scores, strict=True) if i != row][:1] for row, h in enumerate(hits)]
    found = np.array([other[0] if other else np.nan for other in others], np.float64)
    near = found <= best + 1e-5 if metric == "l2" else found >= best - 1e-5
    assert report.population == "stored rows"
    assert report.n == 300
    assert report.low - 0.02 <= near.mean() <= report.high + 0.02


def test_an_exact_collection_finds_everything(make: Make) -> None:
    made = make("cosine", quantization=pqdb.Flat())
    report = made.collection.measure_recall(10, sample=50)
    assert report.recall == 1.0


def test_the_same_seed_measures_the_same_rows(make: Make) -> None:
    made = make("l2")
    first, again, other = (made.collection.measure_recall(10, nprobe=2, sample=60, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.recall != other.recall


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("n", [1, 5])
def test_more_neighbours_asked_for_than_there_are(db: pqdb.Database, metric: str, n: int) -> None:
    things = db.create_collection("few", 3, metric)
    things.upsert(np.arange(n), np.eye(5, 3)[:n] + 0.1)
    for trained in (False, True):
        if trained:
            things.train()
        assert things.measure_recall(10).recall == 1.0
