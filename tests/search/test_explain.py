"""explain tells the truth."""

import numpy as np
import pytest

import pqdb
from pqdb.metric import WITH_CODES, Metric
from tests.conftest import SEED
from tests.data import clustered
from tests.search.conftest import ROWS, Make


@pytest.mark.parametrize("metric", WITH_CODES)
def test_counts_add_up(make: Make, metric: Metric) -> None:
    made = make(metric)
    n_lists = made.collection.info()["lists"]
    for query in made.raw[:5]:
        all_of_it = made.collection.explain(query, 10, nprobe=n_lists, rerank=100)
        assert (all_of_it.kind, all_of_it.lists, all_of_it.n_lists) == ("codes", n_lists, n_lists)
        assert all_of_it.codes == ROWS
        assert ROWS / 32 <= all_of_it.groups <= ROWS / 32 + n_lists
        assert all_of_it.expected == pytest.approx(0.999)
        assert all_of_it.candidates >= all_of_it.reranked >= 100
        assert all_of_it.candidates <= 102  # ties of estimates apart, the cut is the hundredth
        assert (all_of_it.fresh, all_of_it.recall) == (made.collection.info()["fresh"], None)
        by_recall = made.collection.explain(query, 10, recall=0.9)
        assert 1 <= by_recall.lists <= n_lists
        assert 10 <= by_recall.reranked <= by_recall.candidates <= by_recall.codes <= ROWS
        assert by_recall.recall == 0.9
        assert by_recall.expected is not None
        assert 0.9 - 1e-6 <= by_recall.expected <= 1  # lists are whole: a fraction of one is rounded up
        assert made.collection.explain(query, 10).recall == 0.97


def test_it_gives_the_hits_of_the_search_and_a_time_for_each_stage(make: Make) -> None:
    made = make("cosine")
    told = made.collection.explain(made.raw[0], 7)
    assert told.hits is not None
    assert told.hits.ids == made.collection.search(made.raw[0], 7).ids
    assert {"route", "tables", "scan", "rerank", "finish"} <= told.microseconds.keys()
    assert all(us >= 0 for us in told.microseconds.values())
    assert str(told).startswith(f"codes: {told.lists} of {told.n_lists} lists, {told.codes} codes")


@pytest.mark.parametrize("metric", WITH_CODES)
def test_the_recall_expected_rises_with_the_lists_and_comes_from_the_calibration(make: Make, metric: Metric) -> None:
    made, rises = make(metric), 0
    for query in made.raw[:12]:
        told = [made.collection.explain(query, 10, nprobe=n) for n in (1, 2, 4, 8, 16)]
        expected = [each.expected or 0 for each in told]
        assert expected == sorted(expected)
        assert 0 < expected[0] <= expected[-1] <= 1
        rises += expected[0] < expected[-1]
        asked = made.collection.explain(query, 10, recall=0.95)
        again = made.collection.explain(query, 10, nprobe=asked.lists)
        assert again.expected == asked.expected
    assert rises >= 4  # for some queries one list is enough


def test_exact_searches_and_fresh_rows_are_told_apart(db: pqdb.Database) -> None:
    things = db.create_collection("things", 8, "l2")
    things.upsert(np.arange(300), clustered(300, 8, seed=SEED))
    query = np.ones(8, np.float32)
    young = things.explain(query, 5)
    assert (young.kind, young.fresh, young.codes, young.recall) == ("exact", 300, 0, None)
    things.train()
    things.upsert(np.arange(290, 310), clustered(20, 8, seed=SEED + 1))
    told = things.explain(query, 5)
    assert (told.kind, told.fresh, told.codes, told.n_lists) == ("codes", 20, 300, 1)
    assert things.explain(query, 5, exact=True).kind == "exact"
    assert things.explain(query, 5, exact=True).fresh == 320


def test_one_query_at_a_time(make: Make) -> None:
    made = make("cosine")
    with pytest.raises(pqdb.DimensionError, match=r"one query of \(24,\), not 2 queries"):
        made.collection.explain(made.raw[:2])
