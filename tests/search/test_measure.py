"""Measuring recall: against the naive truth, with an interval that holds."""

import numpy as np
import pytest

import pqdb
from pqdb.hits import interval
from pqdb.metric import Metric
from pqdb.search.truth import recall_of, without_itself
from tests import naive
from tests.data import clustered, queries_near
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


def test_a_query_is_left_out_of_its_own_answer() -> None:
    values = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1], [3, -np.inf, -np.inf], [1, -np.inf, -np.inf]], np.float32)
    rows = np.array([[7, 8, 9], [9, 7, 8], [5, 6, 8], [7, 0, 0], [4, 0, 0]], np.uint32)
    others, left = without_itself((values, rows), np.array([7, 7, -1, 0, 4]))
    assert left.tolist() == [[8, 9], [9, 8], [5, 6], [7, 0], [0, 0]]  # what was not found says row 0, and is not itself
    assert others.tolist() == [[2, 1], [3, 1], [3, 2], [3, -np.inf], [-np.inf, -np.inf]]


def recalls(rng: np.random.Generator, kind: str, mean: float) -> np.ndarray:
    """Recalls of 100,000 queries, whose mean is about this: the population that samples are drawn from."""
    n = 100_000
    if kind == "one neighbour":
        return (rng.random(n) < mean).astype(np.float64)
    if kind == "unlike":  # of very different difficulty
        return rng.binomial(10, rng.beta(1.5 * mean, 1.5 * (1 - mean), n)) / 10
    if kind == "few hard":  # most find everything, a fifth loses it all
        hard = rng.beta(max(0.02, 2 - 10 * (1 - mean)), 10 * (1 - mean), n)
        return rng.binomial(100, np.where(rng.random(n) < 0.8, 1.0, hard)) / 100
    return rng.binomial(10, rng.beta(8 * mean, 8 * (1 - mean), n)) / 10


@pytest.mark.parametrize("kind", ["alike", "unlike", "few hard", "one neighbour"])
@pytest.mark.parametrize("mean", [0.6, 0.9, 0.98])
@pytest.mark.parametrize("n", [50, 200])
def test_the_interval_holds_the_true_recall_nineteen_times_in_twenty(
    rng: np.random.Generator, kind: str, mean: float, n: int
) -> None:
    """Over 1,000 measurements the 95 % interval holds the truth in at least 930, whatever the spread of queries."""
    population = recalls(rng, kind, mean)
    true = float(population.mean())
    bounds = [interval(rng.choice(population, n))[1:] for _ in range(1_000)]
    assert sum(low <= true <= high for low, high in bounds) >= 930


def test_the_interval_is_no_wider_than_it_has_to_be(rng: np.random.Generator) -> None:
    """At most a quarter wider than four standard errors, where these are to be trusted."""
    population = recalls(rng, "alike", 0.9)
    for _ in range(20):
        shares = rng.choice(population, 400)
        _, low, high = interval(shares)
        assert high - low <= 1.25 * 4 * shares.std(ddof=1) / np.sqrt(400)


def test_all_found_still_has_a_lower_bound_below_one() -> None:
    mean, low, high = interval(np.ones(100))
    assert (mean, high) == (1.0, pytest.approx(1.0))
    assert 0.95 < low < 1.0
    assert interval(np.zeros(100))[0::2] == (0.0, pytest.approx(0.04, abs=0.02))
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
def test_a_loss_is_split_into_its_causes(make: Make, metric: Metric) -> None:
    """Each lost neighbour is looked for where it lies: by the stages one by one, and by a search that spares one."""
    made = make(metric)
    lists = made.collection.info()["lists"]
    few = made.collection.measure_recall(10, made.raw, nprobe=2, rerank=1_500)
    assert few.lost_partition > 0.05
    assert few.lost_codes == 0
    blind = made.collection.measure_recall(10, made.raw, nprobe=lists, rerank=10)
    assert blind.lost_partition == 0
    assert blind.lost_codes > 0.05
    for report in (few, blind, made.collection.measure_recall(10, nprobe=3, rerank=12)):
        lost = report.lost_partition + report.lost_codes + report.lost_rerank
        assert report.recall + lost == pytest.approx(1)


def test_what_the_rerank_loses_is_told(make: Make) -> None:
    """Without a source the int8 rows have the last word: what they put in the wrong order was a candidate."""
    made = make("cosine", quantization=pqdb.SQ("1bit"), rerank=None)
    lists = made.collection.info()["lists"]
    report = made.collection.measure_recall(10, made.raw, nprobe=lists)
    lost = report.lost_partition + report.lost_codes + report.lost_rerank
    assert report.recall + lost == pytest.approx(1)
    assert report.lost_partition == 0


def test_logged_queries_are_those_asked_lately(db: pqdb.Database) -> None:
    things = db.create_collection("things", 8)
    things.upsert(np.arange(400), clustered(400, 8, seed=1))
    with pytest.raises(pqdb.InputError, match=r"no query of 'things' has been kept"):
        things.measure_recall(10, "logged")
    things.train()
    for query in queries_near(clustered(400, 8, seed=1), 30, seed=2):
        things.search(query, recall=0.9)
    report = things.measure_recall(5, "logged")
    assert (report.n, report.population) == (30, "logged queries")
    with pytest.raises(pqdb.InputError, match=r"queries are vectors or \"logged\", not 'asked'"):
        things.measure_recall(5, "asked")


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("n", [1, 5])
def test_more_neighbours_asked_for_than_there_are(db: pqdb.Database, metric: str, n: int) -> None:
    things = db.create_collection("few", 3, metric)
    things.upsert(np.arange(n), np.eye(5, 3)[:n] + 0.1)
    for trained in (False, True):
        if trained:
            things.train()
        assert things.measure_recall(10).recall == 1.0
