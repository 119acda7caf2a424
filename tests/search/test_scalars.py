"""What scalar codes have to live through besides plain searches: filters, learning anew without a source, new lists."""

from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.config import Quantization
from pqdb.metric import WITH_CODES, Metric
from tests import naive
from tests.conftest import SEED
from tests.data import clustered, queries_near

N, DIM, K = 1_200, 16, 10
KINDS = [pqdb.SQ("int8"), pqdb.SQ("float16"), pqdb.SQ("int4"), pqdb.SQ("1bit")]
scalars = pytest.mark.parametrize("quantization", KINDS, ids=str)


@pytest.mark.parametrize("metric", WITH_CODES)
@scalars
def test_filters_find_what_passes(
    db: pqdb.Database, monkeypatch: pytest.MonkeyPatch, metric: Metric, quantization: Quantization
) -> None:
    """Few rows are scored one by one, many are found in the lists: either way those that numpy finds."""
    rows = clustered(N, DIM, seed=SEED)
    things = db.create_collection("things", DIM, metric, quantization=quantization)
    things.upsert(np.arange(N), rows, [{"part": i % 2, "rare": i % 100} for i in range(N)])
    monkeypatch.setattr("pqdb.upkeep.build.choose_n_lists", lambda n: 12)
    things.train()
    for query in queries_near(rows, 6, seed=SEED + 2):
        for key, value in (("part", 1), ("rare", 7)):
            wanted = {"must": [{"key": key, "match": {"value": value}}]}
            passing = np.flatnonzero(np.arange(N) % (2 if key == "part" else 100) == value)
            prepared = naive.search.prepared(rows[passing], metric)
            truth, _ = naive.search.nearest(naive.search.prepared(query, metric), prepared, metric, K)
            found = things.search(query, K, filter=wanted, recall=0.99)
            assert len(found) == K
            assert set(found.ids) <= set(passing.tolist())
            assert naive.search.recall(found.scores[None].astype(np.float64), truth, metric) >= 0.8


@pytest.mark.parametrize("quantization", [pqdb.SQ("int8"), pqdb.SQ("float16"), pqdb.SQ("int4")], ids=str)
def test_with_a_filter_questions_that_are_like_no_row_find_what_they_ask_for(
    db: pqdb.Database, rng: np.random.Generator, quantization: Quantization
) -> None:
    """What was found decides when it is enough: of values scanned one by one too. Asked 0.9, else .69 is found."""
    n, dim = 6_000, 48
    centres, others = 1.2 * rng.standard_normal((60, dim)), 1.2 * rng.standard_normal((60, dim))
    rows = (centres[rng.integers(0, 60, n)] + rng.standard_normal((n, dim))).astype(np.float32)
    queries = (others[rng.integers(0, 60, 200)] + rng.standard_normal((200, dim))).astype(np.float32)
    things = db.create_collection("things", dim, "l2", quantization=quantization)
    things.upsert(np.arange(n), rows, [{"part": i % 7} for i in range(n)])
    things.optimize()
    passing = np.flatnonzero(np.arange(n) % 7 != 2)
    truth, _ = naive.search.nearest(queries.astype(np.float64), rows[passing].astype(np.float64), "l2", K)
    found = things.search(queries, K, filter={"must_not": [{"key": "part", "match": {"value": 2}}]}, recall=0.9)
    assert naive.search.recall(found.scores.astype(np.float64), truth, "l2") >= 0.88


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize(
    ("quantization", "rerank"),
    [(pqdb.SQ("int8"), None), (pqdb.SQ("float16"), None), (pqdb.SQ("1bit"), "float16"), (pqdb.PQ(), "float16")],
    ids=str,
)
def test_without_a_source_values_are_learned_from_again(
    db: pqdb.Database, metric: Metric, quantization: Quantization, rerank: Any
) -> None:
    rows = clustered(N, DIM, seed=SEED)
    things = db.create_collection("things", DIM, metric, quantization=quantization, rerank=rerank, source=None)
    things.upsert(np.arange(N), rows)
    things.train()
    things.delete(np.arange(0, N, 7))
    things.upsert(np.arange(N, N + 50), clustered(50, DIM, seed=SEED + 1))
    things.optimize()
    first = things.info()["generation"]
    things.train()
    assert things.info()["generation"] == first + 1
    assert things.verify() == []
    kept = np.setdiff1d(np.arange(N), np.arange(0, N, 7))
    queries = queries_near(rows, 20, seed=SEED + 2)
    prepared = naive.search.prepared(rows, metric)
    truth, _ = naive.search.nearest(naive.search.prepared(queries, metric), prepared[kept], metric, K)
    found = [[i for i in hits.ids if i < N][:K] for hits in things.search(queries, K + 5, nprobe=100)]
    scores = np.stack([naive.search.scores(q[None], prepared[each], metric)[0] for q, each in
                       zip(naive.search.prepared(queries, metric), found, strict=True)])  # fmt: skip
    assert naive.search.recall(scores, truth, metric) >= 0.9


@pytest.mark.parametrize("quantization", [pqdb.SQ("1bit"), pqdb.SQ("int4")], ids=str)
def test_short_codes_alone_cannot_be_learned_from(db: pqdb.Database, quantization: Quantization) -> None:
    things = db.create_collection("things", DIM, quantization=quantization, rerank=None, source=None)
    things.upsert(np.arange(N), clustered(N, DIM, seed=SEED))
    things.train()
    with pytest.raises(pqdb.InputError, match="keeps no vectors to learn from"):
        things.train()


@scalars
def test_bytes_are_told_as_they_are(db: pqdb.Database, quantization: Quantization) -> None:
    things = db.create_collection("things", DIM, quantization=quantization)
    things.upsert(np.arange(N), clustered(N, DIM, seed=SEED))
    things.train()
    sizes = things.info()["bytes"]
    a_row = {"int8": 64 + 8 + 4, "float16": 64 + 8 + 4, "int4": 8 + 2 + 4, "1bit": 2 + 2 + 4}
    assert sizes["codes"] == pytest.approx(N * a_row[quantization.form], rel=0.06)  # type: ignore[union-attr]
    assert sizes["rerank"] == (0 if things.config.rerank is None else N * 72)


def test_a_collection_with_scalars_opens_again(tmp_path: Any) -> None:
    rows = clustered(N, DIM, seed=SEED)
    answers = []
    for form in ("int8", "float16", "int4", "1bit"):
        with pqdb.open(tmp_path / form, upkeep="manual") as db:
            things = db.create_collection("things", DIM, quantization=pqdb.SQ(form))
            things.upsert(np.arange(N), rows)
            things.train()
            answers.append(things.search(rows[:5], K).ids.tolist())
        with pqdb.open(tmp_path / form, read_only=True) as db:
            assert db["things"].config.quantization == pqdb.SQ(form)
            assert db["things"].search(rows[:5], K).ids.tolist() == answers[-1]
