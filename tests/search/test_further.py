"""A search by recall has k hits, if there are so many points, however few rows its lists hold."""

import numpy as np
import pytest

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
