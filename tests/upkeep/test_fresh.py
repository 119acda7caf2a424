"""Fresh rows: they join their lists, the watermark follows, and nothing that is dead is carried on."""

import numpy as np
import pytest

from pqdb.metric import WITH_CODES, Metric
from pqdb.upkeep import build, fresh
from tests.conftest import SEED
from tests.data import clustered
from tests.upkeep.conftest import Keep


@pytest.mark.parametrize("metric", WITH_CODES)
@pytest.mark.parametrize("rerank", ["int8", "source", None])
def test_fresh_rows_join_their_lists(
    keep: Keep, monkeypatch: pytest.MonkeyPatch, metric: Metric, rerank: str | None
) -> None:
    monkeypatch.setattr(build, "choose_n_lists", lambda n: 10)
    kept = keep(600, metric=metric, rerank=rerank)
    kept.collection.train()
    before = kept.rows_of_lists()
    more = clustered(150, 12, seed=SEED + 1)
    kept.collection.upsert(np.arange(600, 750), more)
    assert kept.collection.info()["fresh"] == 150
    kept.collection.optimize()
    after = kept.rows_of_lists()
    assert all(now[: len(then)] == then for now, then in zip(after, before, strict=True))
    assert sorted(row for rows in after for row in rows) == list(range(750))
    info = kept.collection.info()
    assert (info["fresh"], info["indexed"], info["generation"]) == (0, 750, 1)
    hits = kept.collection.search(more, 1, nprobe=10, rerank=750)
    assert metric == "dot" or hits.ids[:, 0].tolist() == list(range(600, 750))
    assert kept.collection.verify() == []


def test_dead_rows_leave_the_lists_that_are_rewritten(keep: Keep) -> None:
    kept = keep(400)
    kept.collection.train()
    kept.collection.delete(np.arange(0, 400, 2))
    kept.collection.upsert([1], kept.vectors[1])  # an update: row 1 is dead, row 400 alive
    kept.collection.optimize()
    assert sorted(row for rows in kept.rows_of_lists() for row in rows) == [*range(3, 400, 2), 400]


def test_rows_that_died_fresh_never_enter(keep: Keep) -> None:
    kept = keep(400)
    kept.collection.train()
    kept.collection.upsert(np.arange(400, 450), clustered(50, 12, seed=1))
    kept.collection.delete(np.arange(400, 450))
    kept.collection.optimize()
    assert sum(map(len, kept.rows_of_lists())) == 400
    assert kept.collection.info()["fresh"] == 0


def test_many_fresh_rows_are_indexed_in_batches(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "BATCH_ROWS", 64)
    kept = keep(300)
    kept.collection.train()
    kept.collection.upsert(np.arange(300, 700), clustered(400, 12, seed=1))
    kept.collection.optimize()
    assert sorted(row for rows in kept.rows_of_lists() for row in rows) == list(range(700))


def test_codes_that_are_repacked_stay_the_same(keep: Keep) -> None:
    """Ten rounds of joining a list must not wear its codes down: residuals go through int8 each time."""
    once, often = keep(400, name="once"), keep(400, name="often")
    more = clustered(100, 12, seed=1)
    for kept in (once, often):
        kept.collection.train()
    once.collection.upsert(np.arange(400, 500), more)
    once.collection.optimize()
    for start in range(0, 100, 10):
        often.collection.upsert(np.arange(400 + start, 410 + start), more[start : start + 10])
        often.collection.optimize()
    queries = clustered(20, 12, seed=3)
    first, second = (kept.collection.search(queries, 20, nprobe=9, rerank=500) for kept in (once, often))
    assert np.array_equal(first.ids, second.ids)
    blocks = []
    for kept in (once, often):
        with kept.stores.blocks.write() as batch:
            _, codes, rerank = batch.read_list(1, 0)
            blocks.append((bytes(codes or b""), bytes(rerank or b"")))
    assert blocks[0] == blocks[1]
