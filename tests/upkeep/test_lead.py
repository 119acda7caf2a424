"""How much the spread of a list's rows counts where lists are ranked."""

import numpy as np
import pytest

import pqdb
from pqdb.search.index import Index
from pqdb.upkeep.lead import LEADS, _cost


def index_of(things: pqdb.Collection) -> Index:
    with things._blocks.read() as view:
        return Index.load(view)


def test_the_cost_of_an_order_is_how_many_lists_hold_the_neighbours() -> None:
    rng = np.random.default_rng(1)
    keys, lists = rng.standard_normal((30, 12)).astype(np.float32), rng.integers(-1, 12, (30, 5))
    ranks = [sorted(-keys[q]).index(-keys[q, each]) for q in range(30) for each in lists[q] if each >= 0]
    counts = [np.quantile(ranks, share) + 1 for share in (0.8, 0.9, 0.95, 0.98)]
    assert _cost(keys, lists) == pytest.approx(float(np.prod(counts)) ** 0.25)


def long_and_short(n: int, dim: int, seed: int) -> np.ndarray:
    """Rows in every direction, a few of them far longer than most, as where popular things are recommended."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, dim)) + 2 * rng.standard_normal((40, dim))[rng.integers(0, 40, n)]
    return (rows * np.exp(rng.standard_normal((n, 1)))).astype(np.float32)


def test_rows_of_differing_lengths_are_found_in_the_wide_lists(db: pqdb.Database) -> None:
    """What a recall takes is measured, so the promise is kept; what it costs is what a lead is for."""
    vectors = long_and_short(12_000, 32, seed=2)
    things = db.create_collection("things", 32, "dot")
    things.upsert(np.arange(12_000), vectors)
    things.optimize()
    router = index_of(things).router
    assert router.lead in LEADS[False]
    assert router.lead > 0
    queries = np.random.default_rng(3).standard_normal((200, 32)).astype(np.float32)
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]

    def recall_of(answers: pqdb.BatchHits) -> float:
        found = [len(set(hits.ids) & set(ids)) / 10 for hits, ids in zip(answers, true.tolist(), strict=True)]
        return float(np.mean(found))

    assert recall_of(things.search(queries, 10, nprobe=len(router.centroids) // 6)) > 0.9
    assert recall_of(things.search(queries, 10, recall=0.95)) > 0.92
    scaled = [things.explain(factor * queries[0], 10, recall=0.95) for factor in (0.01, 1.0, 100.0)]
    assert len({each.lists for each in scaled}) == 1, "the length of a query changes nothing"
