"""Manhattan distance: always compared exactly, through every verb."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.config import CollectionConfig
from tests.conftest import SEED
from tests.data import clustered, queries_near

DIM, ROWS = 37, 700
VECTORS = clustered(ROWS, DIM, seed=SEED)
QUERIES = queries_near(VECTORS, 5, seed=SEED + 1)


def truth(query: np.ndarray, among: Any = slice(None)) -> tuple[list[int], np.ndarray]:
    """Rows and distances, nearest first."""
    rows = np.arange(ROWS)[among]
    far = np.abs(VECTORS[rows].astype(np.float64) - query).sum(axis=1)
    order = np.argsort(far, kind="stable")
    return rows[order].tolist(), far[order]


@pytest.fixture
def things(db: pqdb.Database) -> pqdb.Collection:
    made = db.create_collection("things", DIM, "l1")
    made.upsert(range(ROWS), VECTORS, [{"even": row % 2 == 0, "group": row % 9} for row in range(ROWS)])
    return made


def test_it_is_flat_without_being_told(things: pqdb.Collection, db: pqdb.Database) -> None:
    assert things.metric == "l1"
    assert things.config.quantization == pqdb.Flat()
    assert db.create_collection("told", DIM, "l1", quantization=pqdb.Flat()).config == things.config
    for codes in (pqdb.PQ(), pqdb.SQ("int8")):
        with pytest.raises(pqdb.InputError, match="metric l1 is compared exactly, without codes"):
            db.create_collection("coded", DIM, "l1", quantization=codes)
    with pytest.raises(pqdb.InputError, match="source=None leaves nothing to compare"):
        db.create_collection("coded", DIM, "l1", source=None)
    assert "coded" not in db


def test_searches_give_distances_nearest_first(things: pqdb.Collection) -> None:
    batch = things.search(QUERIES, 10)
    for query, hits in zip(QUERIES, batch, strict=True):
        rows, far = truth(query)
        assert hits.ids == things.search(query, 10).ids == things.search(query, 10, exact=True).ids == rows[:10]
        np.testing.assert_allclose(hits.scores, far[:10], rtol=1e-5)
        assert hits.smaller_is_nearer
        assert things.search(query, 5, filter={"must": {"key": "even", "match": {"value": True}}}).ids == (
            truth(query, slice(None, None, 2))[0][:5]
        )


def test_a_threshold_is_strict(things: pqdb.Collection) -> None:
    whole = np.rint(VECTORS * 8)  # distances without rounding, so that equal is equal
    things.upsert(range(ROWS), whole)
    hits = things.search(whole[3], 50)
    cut = float(hits.scores[20])
    nearer = [name for name, score in zip(hits.ids, hits.scores, strict=True) if score < cut]
    assert things.search(whole[3], 50, score_threshold=cut).ids == nearer
    assert len(things.search(whole[3], 50, score_threshold=0)) == 0
    assert things.search(whole[3], 50, score_threshold=1e-3).ids == [3]


def test_upkeep_has_nothing_to_learn(things: pqdb.Collection) -> None:
    before = things.search(QUERIES, 10).ids.tolist()
    things.train()
    things.optimize()
    things.delete(range(0, ROWS, 3))
    things.compact()
    assert things.info()["generation"] == 0
    assert things.measure_recall(10).recall == 1
    assert things.explain(QUERIES[0]).lists == 0
    left = [name for name in before[0] if name % 3]
    assert things.search(QUERIES[0], len(left)).ids == left
    assert things.verify() == []


@pytest.mark.parametrize(("source", "step"), [("float16", 2e-3), ("int8", 0.05)])
def test_sources_of_fewer_bytes_are_compared_as_they_are_kept(db: pqdb.Database, source: Any, step: float) -> None:
    made = db.create_collection("small", DIM, "l1", source=source)
    made.upsert(range(ROWS), VECTORS)
    hits = made.search(QUERIES[0], 10, with_vector=True)
    for hit in hits:
        assert hit.score == pytest.approx(np.abs(np.asarray(hit.vector) - QUERIES[0]).sum(), rel=1e-4)
    np.testing.assert_allclose(hits.scores, truth(QUERIES[0])[1][:10], rtol=step)


def test_one_of_several_vectors(db: pqdb.Database) -> None:
    """Beside one that has codes; each is searched in its own way."""
    vectors = {"near": pqdb.VectorConfig(DIM, "l1"), "like": pqdb.VectorConfig(DIM)}
    made = db.create_collection("named", vectors=vectors)
    made.upsert(range(ROWS), {"near": [*VECTORS[:-1], None], "like": VECTORS})
    made.train()
    assert made.search(QUERIES[0], 10, using="near").ids == truth(QUERIES[0], slice(0, ROWS - 1))[0][:10]
    assert made.info()["vectors"]["like"]["generation"] == 1
    assert made.info()["vectors"]["near"]["generation"] == 0


@pytest.mark.parametrize("file", ["points.hdf5", "points.parquet", "points.npz", "points.jsonl"])
def test_it_moves_house(things: pqdb.Collection, db: pqdb.Database, tmp_path: Path, file: str) -> None:
    pqdb.export_points(things, tmp_path / file)
    told = {} if file.endswith(("hdf5", "parquet")) else {"metric": "l1"}  # what a file says of its metric is enough
    pqdb.import_points(db, "moved", tmp_path / file, **told)
    assert db["moved"].config == things.config
    assert db["moved"].search(QUERIES, 10).ids.tolist() == things.search(QUERIES, 10).ids.tolist()


def test_a_metric_of_later_days_is_refused_as_a_format() -> None:
    """What an older pqdb says of a newer one's collections."""
    told = CollectionConfig(DIM, "l1").to_dict()
    assert CollectionConfig.from_dict(told) == CollectionConfig(DIM, "l1")
    with pytest.raises(pqdb.FormatError, match="does not know the metric 'l7'"):
        CollectionConfig.from_dict({**told, "metric": "l7"})
