"""Learning from live queries: recall comes out as asked on queries that no row resembles."""

import time

import numpy as np
import pytest

import pqdb
from tests.data import clustered

DIM, ROWS = 32, 24_000


@pytest.fixture
def hard(tmp_path) -> tuple[pqdb.Collection, np.ndarray]:
    """A collection, and queries far from its rows: between two clusters, which no calibration query was."""
    rng = np.random.default_rng(5)
    rows = clustered(ROWS, DIM, seed=3)
    with pqdb.open(tmp_path / "db", upkeep="manual") as database:
        collection = database.create_collection("hard", DIM)
        collection.upsert(np.arange(ROWS), rows)
        collection.optimize()
        pairs = rng.integers(0, ROWS, (2, 700))
        queries = rows[pairs[0]] + rows[pairs[1]] + 0.3 * rng.standard_normal((700, DIM))
        yield collection, queries.astype(np.float32)


def test_recall_comes_out_as_asked_after_three_hundred_queries(hard):
    collection, queries = hard
    for query in queries[:300]:
        collection.search(query, 10)
    collection.optimize()
    assert collection.info()["upkeep"]["learned_from_queries"]
    for asked in (0.9, 0.95, 0.98):  # its lists are too coarse for less
        got = collection.measure_recall(10, queries[300:], recall=asked)
        slack = max(0.02, got.high - got.low)
        assert abs(got.recall - asked) <= slack, f"asked {asked}, measured {got}"


def test_a_thousand_neighbours_are_learned_of_too(hard):
    """Scaled as a hundred neighbours take it, .95 came out as .966 here, and .80 as .754 on SIFT."""
    collection, queries = hard
    collection.search(queries[:300], 10)
    collection.optimize()
    for asked, slack in ((0.95, 0.01), (0.98, 0.005)):
        got = collection.measure_recall(1_000, queries[300:], recall=asked)
        assert abs(got.recall - asked) < slack, f"asked {asked}, measured {got}"


def test_few_queries_teach_nothing(hard):
    collection, queries = hard
    before = collection.explain(queries[0], 10).lists
    for query in queries[:50]:
        collection.search(query, 10)
    collection.optimize()
    assert not collection.info()["upkeep"]["learned_from_queries"]
    assert collection.explain(queries[0], 10).lists == before


def test_queries_by_hand_and_exact_ones_are_not_kept_when_switched_off(tmp_path):
    rows = clustered(6_000, DIM, seed=3)
    with pqdb.open(tmp_path / "db", upkeep="manual", live_queries=False) as database:
        collection = database.create_collection("off", DIM)
        collection.upsert(np.arange(6_000), rows)
        collection.optimize()
        for query in rows[:200]:
            collection.search(query, 10)
        collection.optimize()
        assert collection.info()["upkeep"]["live_queries"] == 0
        assert not collection.info()["upkeep"]["learned_from_queries"]


def test_the_background_learns_by_itself(tmp_path):
    rows = clustered(6_000, DIM, seed=3)
    with pqdb.open(tmp_path / "db") as database:
        collection = database.create_collection("busy", DIM)
        collection.upsert(np.arange(6_000), rows)
        collection.optimize()
        for query in rows[:200]:
            collection.search(query, 10)
        for _ in range(300):
            if collection.info()["upkeep"]["learned_from_queries"]:
                break
            collection.upsert(0, rows[0])  # wakes upkeep
            time.sleep(0.1)
        assert collection.info()["upkeep"]["learned_from_queries"]
        assert collection.search(rows[5], 3).ids[0] == 5


def test_what_searches_find_counts_and_not_what_their_margins_might_lose(tmp_path):
    """Of a hundred neighbours a narrow margin loses less where fewer lists are probed: asked .8, it was .825."""
    rng = np.random.default_rng(1)
    rows, queries = (rng.standard_normal((n, 16)).astype(np.float32) for n in (24_000, 700))
    with pqdb.open(tmp_path / "db", upkeep="manual") as database:
        collection = database.create_collection("even", 16, "l2")
        collection.upsert(np.arange(24_000), rows)
        collection.optimize()
        for query in queries[:300]:
            collection.search(query, 10)
        collection.optimize()
        got = collection.measure_recall(100, queries[300:], recall=0.8)
        assert 0.79 < got.recall < 0.818, got
