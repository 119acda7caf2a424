"""A search by recall has k hits, if there are so many points, however few rows its lists hold."""

import numpy as np
import pytest

import pqdb
from pqdb.search.plan import plan_by_hand
from tests.search.conftest import Make


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("rerank", ["int8", "source"])
def test_who_asks_for_k_gets_k(make: Make, monkeypatch: pytest.MonkeyPatch, metric: str, rerank: str) -> None:
    made = make(metric, rerank=rerank)
    collection, k, terms = made.collection, 300, (300, 0.8, None, None)
    assert {len(collection.search(query, k, nprobe=1)) < k for query in made.raw} == {True}  # by hand: as it was asked
    index = collection._index[2]
    assert index is not None
    plan = plan_by_hand(index.calibration, index.router.n_lists, k, 1, None)
    monkeypatch.setitem(index.plans, terms, plan)
    monkeypatch.setattr(collection, "_frames", {})
    batch = collection.search(made.raw, k, recall=0.8)
    assert batch.counts.tolist() == [k] * len(made.raw)
    for query, together in zip(made.raw, batch, strict=True):
        for _ in range(2):  # the second is like one before
            hits = collection.search(query, k, recall=0.8)
            assert len(set(hits.ids)) == k
            assert hits.ids == together.ids
            assert np.isfinite(hits.scores).all()


def test_who_asks_for_all_gets_all_where_lists_are_wide_for_some_queries_only() -> None:
    """The widest plan looks into every list; a query that is thought easy looks into fewer, and has too few rows."""
    vectors = np.random.default_rng(1).standard_normal((5_100, 1)).astype(np.float32)
    with pqdb.open(upkeep="manual", live_queries=False) as db:
        things = db.create_collection("things", 1, "dot")
        things.upsert(range(5_100), vectors)
        things.optimize()
        for query in (vectors[60], -vectors[60]):
            assert len(things.search(query, 5_100)) == 5_100
        assert set(things.search(vectors[:20], 5_100).counts.tolist()) == {5_100}
