"""What a search sees of writes: everything acknowledged, at once, and nothing that is gone."""

import threading
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.config import Quantization
from pqdb.metric import WITH_CODES, Metric
from tests import naive
from tests.conftest import SEED
from tests.data import clustered, queries_near

KINDS: list[tuple[Quantization, Any, Any]] = [
    (pqdb.PQ(), "int8", "float32"),
    (pqdb.PQ(m=4, nbits=8), "source", "float16"),
    (pqdb.PQ(), None, "float32"),
    (pqdb.PQ(), "int8", None),
    (pqdb.Flat(), "int8", "int8"),
    (pqdb.SQ("int8"), None, "float32"),
    (pqdb.SQ("int8"), "float16", None),
    (pqdb.SQ("float16"), None, "int8"),
    (pqdb.SQ("float16"), None, None),
    (pqdb.SQ("int4"), "float16", "float16"),
    (pqdb.SQ("1bit"), "source", "float32"),
]
NAMES = [
    "default", "8 bit", "no tier", "no source", "flat", "int8", "int8 float16", "float16", "float16 alone", "int4",
    "1bit",
]  # fmt: skip
kinds = pytest.mark.parametrize(
    ("quantization", "rerank", "source"), KINDS, ids=NAMES
)
metrics = pytest.mark.parametrize("metric", WITH_CODES)


@metrics
@kinds
def test_any_order_of_writes_and_upkeep_answers_as_a_dict_would(
    db: pqdb.Database, metric: Metric, quantization: Quantization, rerank: Any, source: Any
) -> None:
    """The model is a dict of id → vector; after each step the exhaustive search must find its nearest."""
    rng = np.random.default_rng(SEED)
    things = db.create_collection("things", 8, metric, quantization=quantization, rerank=rerank, source=source)
    pool = clustered(3_000, 8, seed=SEED)
    model: dict[int, np.ndarray] = {}
    for step in range(14):
        ids = rng.integers(0, 400, int(rng.integers(1, 120)))
        vectors = pool[rng.integers(0, len(pool), len(ids))]
        if step % 3 == 2:
            gone = ids[: len(ids) // 2].tolist()
            assert things.delete(gone) == len(model.keys() & set(gone))
            for each in gone:
                model.pop(each, None)
        else:
            things.upsert(ids, vectors)
            model.update(zip(ids.tolist(), vectors, strict=True))
        if step in (4, 9) and (source is not None or step == 4):
            things.train()
        elif step in (6, 11):
            things.optimize()
        check(things, model, metric, approximate=source is None)
    assert things.verify() == []


def check(things: pqdb.Collection, model: dict[int, np.ndarray], metric: Metric, approximate: bool) -> None:
    assert len(things) == len(model)
    ids = np.array(sorted(model))
    rows = np.array([model[i] for i in ids.tolist()])
    rows = naive.search.stored(naive.search.prepared(rows, metric), things.config.kept_source)
    queries = queries_near(np.array(list(model.values())), 4, seed=len(model))
    k = min(10, len(model))
    truth, _ = naive.search.nearest(naive.search.prepared(queries, metric), rows, metric, k)
    hits = things.search(queries, k, nprobe=1_000, rerank=max(k, 10_000))
    for one, near, query in zip(hits, truth, queries, strict=True):
        assert len(set(one.ids)) == k
        assert model.keys() >= set(one.ids)
        if approximate:
            assert np.abs(one.scores - near).max() <= 0.15 * np.abs(truth).max()
        else:
            np.testing.assert_allclose(one.scores, near, rtol=1e-4, atol=1e-4)
        fresh = things.search(query, k)
        assert model.keys() >= set(fresh.ids)


@kinds
def test_a_point_is_found_by_the_very_next_query(
    db: pqdb.Database, quantization: Quantization, rerank: Any, source: Any
) -> None:
    things = db.create_collection("things", 8, "cosine", quantization=quantization, rerank=rerank, source=source)
    things.upsert(np.arange(500), clustered(500, 8, seed=SEED))
    things.train()
    rng = np.random.default_rng(SEED)
    for number in range(20):
        vector = rng.standard_normal(8).astype(np.float32)
        things.upsert([10_000 + number], vector)
        assert things.search(vector, 1).ids == [10_000 + number]
        things.upsert([10_000 + number], -vector)  # an update is seen, and its old place is empty
        assert 10_000 + number not in things.search(vector, 5).ids
        assert things.search(-vector, 1).ids == [10_000 + number]
        if number % 2:
            assert things.delete([10_000 + number]) == 1
            assert 10_000 + number not in things.search(-vector, 20).ids


@metrics
def test_duplicates_are_all_found(db: pqdb.Database, metric: Metric) -> None:
    """200 points of one vector among others: each is there once, all with its score."""
    things = db.create_collection("things", 12, metric)
    vectors = clustered(800, 12, seed=SEED)
    vectors[300:500] = vectors[0]
    things.upsert(np.arange(800), vectors)
    things.train()
    hits = things.search(vectors[0], 201)
    assert set(hits.ids) >= {0, *range(300, 500)} if metric != "dot" else len(set(hits.ids)) == 201
    if metric != "dot":
        best = 0.0 if metric == "l2" else 1.0
        np.testing.assert_allclose(hits.scores, best, atol=1e-3 if metric == "l2" else 1e-6)


@metrics
def test_a_collection_of_one_vector_only(db: pqdb.Database, metric: Metric) -> None:
    things = db.create_collection("things", 12, metric)
    things.upsert(np.arange(300), np.tile(clustered(1, 12, seed=SEED), (300, 1)))
    things.train()
    hits = things.search(clustered(1, 12, seed=SEED)[0], 300)
    assert sorted(hits.ids) == list(range(300))


@metrics
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_zero_vectors_are_points_like_others(db: pqdb.Database, metric: Metric, share: float) -> None:
    """For cosine and dot they score 0 against everything; for l2 they lie at the origin."""
    things = db.create_collection("things", 12, metric)
    vectors = clustered(600, 12, seed=SEED)
    vectors[: int(600 * share)] = 0
    things.upsert(np.arange(600), vectors)
    things.train()
    for query in (vectors[599] + 0.1, np.zeros(12, np.float32)):
        hits = things.search(query, 600, nprobe=100, rerank=600)
        truth, _ = naive.search.nearest(
            naive.search.prepared(query, metric), naive.search.prepared(vectors, metric), metric, 600
        )
        assert sorted(hits.ids) == list(range(600))
        np.testing.assert_allclose(hits.scores, truth[0], rtol=1e-4, atol=1e-4)


def test_length_does_not_matter_to_cosine(db: pqdb.Database) -> None:
    things = db.create_collection("things", 12, "cosine")
    vectors = clustered(600, 12, seed=SEED)
    lengths = np.logspace(-12, 12, 600)[:, None].astype(np.float32)
    things.upsert(np.arange(600), vectors * lengths)
    things.train()
    queries = queries_near(vectors, 10, seed=1)
    truth, _ = naive.search.nearest(
        naive.search.prepared(queries, "cosine"), naive.search.prepared(vectors, "cosine"), "cosine", 10
    )
    for factor in (1e-10, 1.0, 1e10):
        hits = things.search(queries * np.float32(factor), 10, nprobe=100, rerank=600)
        np.testing.assert_allclose(hits.scores, truth, rtol=1e-5)


@metrics
@pytest.mark.parametrize("rerank", ["int8", "source"])
def test_tight_clusters_of_near_duplicates(db: pqdb.Database, metric: Metric, rerank: Any) -> None:
    """40 texts in 60 variants each, a thousandth apart, far below what a code or an int8 step can tell: default
    recall@10 ≥ 0.95.
    """
    rng = np.random.default_rng(SEED)
    centres = clustered(40, 32, seed=SEED)
    rows = np.repeat(centres, 60, axis=0) * (1 + 0.001 * rng.standard_normal((2_400, 32)).astype(np.float32))
    things = db.create_collection("things", 32, metric, rerank=rerank)
    things.upsert(np.arange(2_400), rows)
    things.train()
    queries = np.ascontiguousarray(rows[rng.integers(0, 2_400, 40)] * np.float32(1.0002))
    truth, _ = naive.search.nearest(
        naive.search.prepared(queries, metric), naive.search.prepared(rows, metric), metric, 10
    )
    hits = things.search(queries, 10)
    assert naive.search.recall(hits.scores.astype(float), truth, metric) >= 0.95


@metrics
@pytest.mark.parametrize("dim", [2, 8])
def test_every_point_finds_itself_however_short_its_code(db: pqdb.Database, metric: Metric, dim: int) -> None:
    """2 or 8 dimensions are one or two nibbles a code: hundreds of points share each. Found itself: 97 in 100."""
    things = db.create_collection("things", dim, metric)
    rows = clustered(1_500, dim, seed=SEED)
    things.upsert(np.arange(1_500), rows)
    things.train()
    truth, _ = naive.search.nearest(
        naive.search.prepared(rows[:300], metric), naive.search.prepared(rows, metric), metric, 1
    )
    hits = things.search(rows[:300], 1)
    assert naive.search.recall(hits.scores.astype(float), truth, metric) >= 0.97


@metrics
def test_data_far_from_the_origin_and_of_any_size(db: pqdb.Database, metric: Metric) -> None:
    """float16 factors are relative to the data's own scale: no overflow, and l2 loses no digits far from zero."""
    for number, (offset, scale) in enumerate([(0.0, 1e-6), (0.0, 1e6), (300.0, 1.0)]):
        things = db.create_collection(f"c{number}", 16, metric)
        rows = (clustered(800, 16, seed=SEED) + np.float32(offset)) * np.float32(scale)
        things.upsert(np.arange(800), rows)
        things.train()
        queries = queries_near(rows, 10, seed=2)
        hits = things.search(queries, 10)
        truth, _ = naive.search.nearest(
            naive.search.prepared(queries, metric), naive.search.prepared(rows, metric), metric, 10
        )
        chosen = np.take_along_axis(
            naive.search.scores(naive.search.prepared(queries, metric), naive.search.prepared(rows, metric), metric),
            hits.ids.astype(int),
            axis=1,
        )
        assert naive.search.recall(chosen, truth, metric) >= 0.95


def test_two_threads_search_while_one_writes(db: pqdb.Database) -> None:
    """Points 0–999 never change and must be found by every query; what the writer adds must never be torn."""
    things = db.create_collection("things", 16, "l2")
    steady = clustered(1_000, 16, seed=SEED)
    things.upsert(np.arange(1_000), steady)
    things.train()
    failures: list[BaseException] = []
    stop = threading.Event()

    def search(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            while not stop.is_set():
                row = int(rng.integers(0, 1_000))
                hits = things.search(steady[row], 3, nprobe=50, rerank=1_500, with_vector=True)
                assert hits[0].id == row
                assert hits[0].score == 0
                for hit in hits:
                    distance = np.linalg.norm(hit.vector - steady[row])
                    assert hit.score == pytest.approx(distance, rel=1e-4, abs=1e-4)
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=search, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    try:
        for round_ in range(12):
            more = clustered(200, 16, seed=round_) + np.float32(0.5)
            things.upsert(np.arange(1_000, 1_200), more, [{"round": round_}] * 200)
            if round_ % 4 == 1:
                things.optimize()
            if round_ % 4 == 3:
                things.train()
            things.delete(np.arange(1_100, 1_150))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert things.verify() == []
