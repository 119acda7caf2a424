"""Vectors with names: points have several, each its own dimension and metric, and may lack any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import pqdb
from pqdb.cli.main import main
from tests.conftest import SEED
from tests.data import clustered, queries_near

N = 6_000
TITLES, BODIES = clustered(N, 16, seed=SEED), clustered(N, 24, seed=SEED + 1)
VECTORS = {
    "title": pqdb.VectorConfig(16, "cosine"),
    "body": pqdb.VectorConfig(24, "l2", quantization=pqdb.PQ(m=12, nbits=8), source="float16"),
}
HAS_BODY = np.arange(N) % 5 != 0


def unit(vectors: np.ndarray) -> np.ndarray:
    """As cosine keeps them."""
    lengths: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return lengths


def filled(db: pqdb.Database, n: int = N, name: str = "docs") -> pqdb.Collection:
    """n points with a title each; four in five have a body."""
    made = db.create_collection(name, vectors=VECTORS)
    bodies = [BODIES[i] if HAS_BODY[i] else None for i in range(n)]
    made.upsert(np.arange(n), {"title": TITLES[:n], "body": bodies}, [{"tenth": i % 10} for i in range(n)])
    return made


@pytest.fixture
def docs(db: pqdb.Database) -> pqdb.Collection:
    """A hundred points, compared exactly."""
    return filled(db, 100)


def nearest(query: np.ndarray, vectors: np.ndarray, among: np.ndarray, k: int) -> list[int]:
    """By Euclidean distance, which orders unit vectors as cosine does."""
    far = np.square(vectors.astype(np.float64) - query).sum(axis=1)
    far[~among] = np.inf
    return np.argsort(far, kind="stable")[:k].tolist()


def state(collection: pqdb.Collection) -> list[Any]:
    """All points there are, with all of their vectors."""
    page = collection.scroll(10_000, with_vector=True)
    return [(p.id, p.payload, {name: v.tolist() for name, v in p.vector.items()}, p.version) for p in page.points]


# -- making


def test_a_collection_says_what_its_vectors_are(docs: pqdb.Collection, db: pqdb.Database) -> None:
    assert docs.vectors == VECTORS
    assert list(docs.info()["vectors"]) == ["title", "body"]
    assert repr(docs) == "Collection('docs', vectors={'title': 16 cosine, 'body': 24 l2})"
    assert db.create_collection("docs", vectors=VECTORS, exist_ok=True) is docs
    with pytest.raises(pqdb.CollectionExistsError, match="made otherwise"):
        db.create_collection("docs", dim=16, exist_ok=True)
    for asked in ("dim", "metric"):
        with pytest.raises(pqdb.InputError, match="have names"):
            getattr(docs, asked)
    assert db.create_collection("plain", 3).vectors == {"": pqdb.CollectionConfig(3)}


def test_what_cannot_be_made_is_refused(db: pqdb.Database, db_path: Path) -> None:
    one: Any = {"a": pqdb.VectorConfig(3)}
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "needs dim=, or vectors="),
        ({"vectors": {str(i): pqdb.VectorConfig(1) for i in range(65)}}, "not 65"),
        ({"vectors": {"a": 3}}, r"vectors\['a'\] must be a VectorConfig"),
        ({"vectors": {"x" * 256: pqdb.VectorConfig(3)}}, "at most 255 characters"),
        ({"vectors": {"\ud800": pqdb.VectorConfig(3)}}, "valid Unicode"),
        ({"vectors": one, "dim": 3, "rerank": None}, "dim, rerank belongs there"),
    ]
    for arguments, said in refused:
        with pytest.raises(pqdb.InputError, match=said):
            db.create_collection("x", **arguments)
    with pytest.raises(pqdb.InputError, match="source=None is not offered"):
        pqdb.VectorConfig(3, source=None)
    assert db.collections() == []
    assert [each.name for each in db_path.iterdir()] == ["catalog"]


# -- points


def test_points_come_back_with_the_vectors_they_have(docs: pqdb.Collection) -> None:
    lacks, has = docs.get([0, 1], with_vector=True)
    assert list(lacks.vector) == ["title"]
    assert list(has.vector) == ["title", "body"]
    assert np.allclose(has.vector["title"], unit(TITLES)[1], atol=1e-6)
    assert np.array_equal(has.vector["body"], BODIES[1].astype(np.float16).astype(np.float32))
    assert docs.get([1])[0].vector is None
    assert list(docs.get([1], with_vector=["body"])[0].vector) == ["body"]
    assert docs.get([0], with_vector=["body"])[0].vector == {}
    assert list(docs.scroll(1, with_vector=True).points[0].vector) == ["title"]
    assert all("title" in point.vector for point in docs.sample(5, with_vector=True))
    hits = docs.search(1, 2, using="body", with_vector=True)
    assert all(list(vectors) == ["title", "body"] for vectors in hits.vectors)
    assert list(hits[0].vector) == ["title", "body"]


def test_a_point_may_have_no_vector_at_all(docs: pqdb.Collection) -> None:
    docs.upsert([1_000, 1_001], {}, [{"tenth": 3}, None])
    docs.upsert(1_002, {"title": TITLES[0], "body": None})
    assert docs.count() == 103
    assert docs.get([1_000], with_vector=True)[0].vector == {}
    assert list(docs.get([1_002], with_vector=True)[0].vector) == ["title"]
    assert 1_000 not in docs.search(TITLES[0], 103, using="title").ids
    assert docs.count({"must": [{"key": "tenth", "match": {"value": 3}}]}) == 11


def test_an_upsert_replaces_a_point_with_all_its_vectors(docs: pqdb.Collection) -> None:
    docs.upsert([1], {"body": BODIES[51:52]})
    point = docs.get([1], with_vector=True)[0]
    assert list(point.vector) == ["body"]
    assert point.payload is None
    assert set(docs.search(BODIES[51], 2, using="body").ids) == {1, 51}
    assert 1 not in docs.search(TITLES[1], 100, using="title").ids


def test_of_equal_ids_the_last_wins_with_its_vectors(docs: pqdb.Collection) -> None:
    docs.upsert([7, 7], {"title": [TITLES[1], None], "body": [None, BODIES[2]]})
    assert list(docs.get([7], with_vector=True)[0].vector) == ["body"]
    assert docs.verify() == []


def test_bad_vectors_change_nothing(docs: pqdb.Collection) -> None:
    before, sequence = state(docs), docs.info()["sequence"]
    two, nan = TITLES[:2], np.full((2, 24), np.nan)
    refused: list[tuple[Any, type[Exception], str]] = [
        (two, pqdb.InputError, "has the vectors 'title', 'body': give a mapping"),
        ({"head": two}, pqdb.InputError, "none named 'head'"),
        ({"": two}, pqdb.InputError, "none named ''"),
        ({"title": TITLES[:3]}, pqdb.InputError, "2 ids for 3 vectors 'title'"),
        ({"title": [TITLES[0]]}, pqdb.InputError, "2 ids for 1 vectors 'title'"),
        ({"title": BODIES[:2]}, pqdb.DimensionError, "expected 16 dimensions, not 24"),
        ({"title": two, "body": nan}, pqdb.InputError, "vectors are finite numbers"),
        ({"title": "ab"}, pqdb.InputError, "must be a sequence"),
        ({"title": [None, [1.0, 2.0]]}, pqdb.DimensionError, "expected 16 dimensions, not 2"),
    ]
    for vectors, kind, said in refused:
        for write in (docs.upsert, docs.set_vectors):
            with pytest.raises(kind, match=said):
                write([1, 2], vectors)
    with pytest.raises(pqdb.PointNotFoundError, match="there is no point 500"):
        docs.set_vectors([1, 500], {"title": two})
    assert (state(docs), docs.info()["sequence"]) == (before, sequence)
    assert docs.verify() == []


def test_a_mapping_for_a_vector_without_a_name_is_refused(db: pqdb.Database) -> None:
    plain = db.create_collection("plain", 3)
    with pytest.raises(pqdb.InputError, match="has no name: give an array"):
        plain.upsert([1], {"": [[1, 2, 3]]})
    plain.upsert([1], [[1, 2, 3]])
    with pytest.raises(pqdb.InputError, match="every point has it"):
        plain.delete_vectors("", [1])
    with pytest.raises(pqdb.InputError, match="one vector, which has no name; there is none named 'title'"):
        plain.search([1, 2, 3], using="title")
    assert plain.search([1, 2, 3], using="").ids == [1]
    assert plain.get([1], with_vector=[""])[0].vector is not None
    with pytest.raises(pqdb.InputError, match="none named 'title'"):
        plain.get([1], with_vector=["title"])


def test_one_vector_of_a_point_changes_and_the_others_stay(docs: pqdb.Collection) -> None:
    before = {point.id: point for point in docs.scroll(100, with_vector=True).points}
    docs.set_vectors([0, 1, 2], {"body": [BODIES[90], None, BODIES[91]]})
    docs.set_vectors([1], {"title": TITLES[60:61]})
    for number, body in ((0, 90), (2, 91)):
        point = docs.get([number], with_vector=True)[0]
        assert np.array_equal(point.vector["body"], BODIES[body].astype(np.float16).astype(np.float32))
        assert np.array_equal(point.vector["title"], before[number].vector["title"])
        assert point.payload == before[number].payload
    one = docs.get([1], with_vector=True)[0]
    assert np.array_equal(one.vector["body"], before[1].vector["body"])
    assert set(docs.search(TITLES[60], 2, using="title").ids) == {1, 60}
    assert docs.verify() == []


def test_vectors_of_one_name_are_deleted_and_points_stay(docs: pqdb.Collection) -> None:
    version = docs.get([1])[0].version
    assert docs.delete_vectors("body", [1, 2, 5, 999]) == 3
    assert docs.get([1])[0].version > version
    assert docs.get([5])[0].version == version  # it had none
    assert list(docs.get([1], with_vector=True)[0].vector) == ["title"]
    assert 1 not in docs.search(BODIES[1], 100, using="body").ids
    assert docs.search(TITLES[1], 1, using="title").ids == [1]
    passing = {"must": [{"key": "tenth", "match": {"value": 3}}]}
    assert docs.delete_vectors(["title", "body"], filter=passing) == 10
    assert docs.get([3], with_vector=True)[0].vector == {}
    assert docs.count() == 100
    assert docs.verify() == []
    with pytest.raises(pqdb.InputError, match="none named 'head'"):
        docs.delete_vectors("head", [1])
    with pytest.raises(pqdb.InputError, match="needs ids or a filter"):
        docs.delete_vectors("body")


def test_a_document_is_replaced_with_all_its_vectors(docs: pqdb.Collection) -> None:
    docs.replace(("tenth", 4), [4_000], {"title": TITLES[:1], "body": [None]}, [{"tenth": 4}])
    fourth = {"must": [{"key": "tenth", "match": {"value": 4}}]}
    assert [p.id for p in docs.scroll(100, filter=fourth).points] == [4_000]
    assert docs.count() == 91


# -- searching


def test_each_vector_is_searched_by_its_own_metric(docs: pqdb.Collection) -> None:
    queries = queries_near(TITLES[:100], 5, seed=1)
    bodies = queries_near(BODIES[:100], 5, seed=2)
    every = np.ones(100, bool)
    for query in queries:
        wanted = nearest(query / np.linalg.norm(query), unit(TITLES[:100]), every, 5)
        assert docs.search(query, 5, using="title").ids == wanted
    for query in bodies:
        hits = docs.search(query, 5, using="body")
        assert hits.ids == nearest(query, BODIES[:100], HAS_BODY[:100], 5)
        assert np.allclose(hits.scores, np.linalg.norm(BODIES[hits.ids] - query, axis=1), atol=1e-2)
    assert docs.search(bodies, 5, using="body").ids.tolist() == [docs.search(q, 5, using="body").ids for q in bodies]


def test_a_search_must_say_by_which_vector(docs: pqdb.Collection, db: pqdb.Database) -> None:
    asks: list[Callable[..., object]] = [
        lambda **how: docs.search(TITLES[0], **how),
        lambda **how: docs.search_groups(TITLES[0], "tenth", **how),
        lambda **how: docs.search_mmr(TITLES[0], **how),
        lambda **how: docs.recommend([1], **how),
        lambda **how: docs.explain(TITLES[0], **how),
        docs.measure_recall,
        lambda **how: docs.lists_of(TITLES[:1], **how),
        docs.rollback,
    ]
    for ask in asks:
        with pytest.raises(pqdb.InputError, match="has the vectors 'title', 'body': using= says which"):
            ask()
        with pytest.raises(pqdb.InputError, match="none named 'head'"):
            ask(using="head")
    with pytest.raises(pqdb.DimensionError, match="expected 24 dimensions, not 16"):
        docs.search(TITLES[0], using="body")
    beside = db.create_collection("beside", vectors={"": pqdb.VectorConfig(16), "body": VECTORS["body"]})
    beside.upsert([1], {"": TITLES[:1]})
    assert beside.search(TITLES[0]).ids == beside.search(TITLES[0], using="").ids == [1]
    assert beside.search(BODIES[0], using="body").ids == []


def test_examples_need_the_vector_they_are_searched_by(docs: pqdb.Collection) -> None:
    assert docs.search(1, 3, using="body").ids == nearest(BODIES[1], BODIES[:100], HAS_BODY[:100], 4)[1:]
    for ask in (lambda: docs.search(5, using="body"), lambda: docs.recommend([1], [5], using="body")):
        with pytest.raises(pqdb.PointNotFoundError, match="point 5 of collection 'docs' has no vector 'body'"):
            ask()
    with pytest.raises(pqdb.PointNotFoundError, match="there is no point 500"):
        docs.search(500, using="body")
    assert 5 in docs.recommend([1, 2], k=98, using="title").ids


def test_the_other_searches_take_a_vector_too(docs: pqdb.Collection) -> None:
    having = set(np.flatnonzero(HAS_BODY[:100]).tolist())
    groups = docs.search_groups(BODIES[1], "tenth", limit=3, group_size=2, using="body")
    assert [len(group.hits) for group in groups] == [2, 2, 2]
    assert groups[0].hits[0].id == 1
    assert all(hit.id in having for group in groups for hit in group.hits)
    assert len(docs.search_groups(BODIES[1], "tenth", limit=10, using="body")) == 8  # tenths 0 and 5 have no body
    assert docs.search_mmr(BODIES[1], 5, using="body").ids[0] == 1
    best = docs.recommend([1], k=3, strategy="best_score", using="body", with_vector=["title"])
    assert set(best.ids) <= having
    assert list(best[0].vector) == ["title"]


def test_filters_pass_points_by_payload_and_by_the_vectors_they_have(docs: pqdb.Collection) -> None:
    third = {"must": [{"key": "tenth", "match": {"any": [0, 1]}}]}
    assert set(docs.search(BODIES[1], 100, using="body", filter=third).ids) == {i for i in range(100) if i % 10 == 1}
    docs.create_payload_index("tenth", "integer")
    assert set(docs.search(BODIES[1], 100, using="body", filter=third).ids) == {i for i in range(100) if i % 10 == 1}
    lacking = {"must_not": [{"has_vector": "body"}]}
    assert docs.count(lacking) == 20
    assert set(docs.search(TITLES[1], 100, using="title", filter=lacking).ids) == set(range(0, 100, 5))
    assert docs.search(BODIES[1], 100, using="body", filter=lacking).ids == []
    assert docs.count({"must": [{"has_vector": "other"}]}) == docs.count({"must": [{"has_vector": ""}]}) == 0
    doubtful = {"should": [{"has_vector": "body"}, {"key": "tenth", "values_count": {"gt": 1}}]}
    assert docs.count(doubtful) == 80
    both: Any = {"must": [{"has_vector": "body"}, {"has_vector": "title"}, {"has_id": [0, 1]}]}
    assert [p.id for p in docs.scroll(10, filter=both).points] == [1]
    assert docs.delete(filter=lacking) == 20
    assert dict(docs.facet("tenth")) == {tenth: 10 for tenth in range(10) if tenth % 5}


# -- indexes


def test_every_vector_has_an_index_of_its_own(db: pqdb.Database, figure: Any) -> None:
    docs = filled(db)
    docs.optimize()
    facts = docs.info()["vectors"]
    assert facts["title"]["indexed"] == facts["title"]["points"] == N
    assert facts["body"]["indexed"] == facts["body"]["points"] == int(HAS_BODY.sum())
    assert facts["title"]["generation"] == 1
    assert facts["body"]["generation"] == 0  # 4,800 are too few to learn from
    docs.upsert(np.arange(N, N + 1_000), {"body": BODIES[:1_000]})
    docs.optimize()
    assert docs.info()["vectors"]["body"]["generation"] == 1
    assert docs.explain(BODIES[0], using="body").kind == "codes"
    for name, queries in (("title", queries_near(TITLES, 100, seed=3)), ("body", queries_near(BODIES, 100, seed=4))):
        report = docs.measure_recall(queries=queries, using=name)
        figure(f"recall@10 of {name}", round(report.recall, 3))
        assert report.recall >= 0.95
    assert docs.search(BODIES[:50], 10, using="body").ids[:, 0].tolist() != []
    assert docs.verify() == []
    docs.train(using="body")
    facts = docs.info()["vectors"]
    assert (facts["title"]["generation"], facts["body"]["generation"]) == (1, 2)
    assert docs.rollback(using="body") == 1
    assert docs.verify() == []


def test_dead_points_are_given_back_whatever_they_lacked(db: pqdb.Database) -> None:
    docs = filled(db)
    docs.optimize()
    gone = np.flatnonzero(np.arange(N) % 3)
    docs.delete(gone)
    docs.delete_vectors("title", [3, 6])
    docs.optimize()
    left = np.setdiff1d(np.arange(N), gone)
    assert docs.info()["dead_rows"] < 0.3 * N
    assert docs.verify() == []
    before = state(docs)
    docs.compact(drop_previous=True)
    assert docs.info()["dead_rows"] <= 170
    assert docs.verify() == []
    assert state(docs) == before
    among = np.isin(np.arange(N), left) & HAS_BODY
    for query in queries_near(BODIES[left], 5, seed=5):
        assert docs.search(query, 5, using="body", exact=True).ids == nearest(query, BODIES, among, 5)
        assert docs.search(query, 5, using="body", recall=0.999).ids == nearest(query, BODIES, among, 5)
    assert docs.search(TITLES[3], 1, using="title").ids != [3]


def test_another_opening_finds_the_same(db: pqdb.Database, db_path: Path) -> None:
    docs = filled(db, 300)
    before, hits = state(docs), docs.search(BODIES[1], 5, using="body").ids
    db.close()
    with pqdb.open(db_path, read_only=True) as again:
        read = again["docs"]
        assert read.vectors == VECTORS
        assert state(read) == before
        assert read.search(BODIES[1], 5, using="body").ids == hits
        for write in (lambda: read.upsert([1], {}), lambda: read.delete_vectors("body", [1]), read.optimize):
            with pytest.raises(pqdb.ReadOnlyError):
                write()
    with pqdb.open(db_path) as again:
        again.rename_collection("docs", "papers")
        with pytest.raises(pqdb.PointNotFoundError, match="'papers'"):
            again["papers"].search(999, using="body")
        again.drop_collection("papers")
    assert sorted(each.name for each in db_path.iterdir()) == ["catalog"]


# -- care


def test_a_backup_holds_every_index(db: pqdb.Database, tmp_path: Path) -> None:
    docs = filled(db)
    docs.optimize()
    before, hits = state(docs), docs.search(TITLES[1], 5, using="title").ids
    db.backup(tmp_path / "copy")
    assert pqdb.check(tmp_path / "copy").problems == []
    with pqdb.open(tmp_path / "copy", upkeep="manual") as copy:
        assert state(copy["docs"]) == before
        assert copy["docs"].search(TITLES[1], 5, using="title").ids == hits
        assert copy["docs"].info()["vectors"]["title"]["generation"] == 1


def test_a_damaged_index_is_named_and_built_again(db: pqdb.Database, db_path: Path) -> None:
    docs = filled(db)
    docs.optimize()
    before = state(docs)
    db.close()
    [file] = db_path.glob("*/index-1/data.mdb")
    data = bytearray(file.read_bytes())
    for start in range(8 * 4096, len(data), 3 * 4096):
        data[start : start + 4096] = bytes(4096)
    file.write_bytes(data)
    problems = pqdb.check(db_path).problems
    assert problems
    assert all(problem.startswith("docs: index-1: ") for problem in problems)
    report = pqdb.repair(db_path)
    assert report.done == [f"docs: its index-1 is built again from its {N:,} points"]
    assert pqdb.check(db_path).problems == []
    with pqdb.open(db_path, upkeep="manual") as again:
        assert state(again["docs"]) == before
        assert again["docs"].info()["vectors"]["title"]["generation"] == 1


def test_damaged_points_are_saved_with_the_vectors_they_had(
    db: pqdb.Database, db_path: Path, tmp_path: Path
) -> None:
    docs = filled(db, 1_000)
    before = {point.id: point for point in docs.scroll(1_000, with_vector=True).points}
    db.close()
    [file] = db_path.glob("*/points/data.mdb")
    data = bytearray(file.read_bytes())
    at = data.find(np.ascontiguousarray(BODIES[501], np.float16).tobytes())
    data[at] ^= 0xFF
    file.write_bytes(data)
    assert any("source run" in problem for problem in pqdb.check(db_path).problems)
    report = pqdb.repair(db_path, save=tmp_path / "saved")
    assert "points are damaged" in report.refused[0]
    with pqdb.open(tmp_path / "new", upkeep="manual") as other:
        other.create_collection("docs", vectors=VECTORS)
    ran = CliRunner().invoke(main, ["import", str(tmp_path / "new"), "docs", str(tmp_path / "saved" / "docs.jsonl")])
    assert ran.exit_code == 0, ran.output
    with pqdb.open(tmp_path / "new", upkeep="manual") as other:
        saved = other["docs"].scroll(1_000, with_vector=True).points
    assert 500 < len(saved) < 1_000
    assert 501 not in {point.id for point in saved}
    for point in saved:
        assert point.payload == before[point.id].payload
        assert list(point.vector) == list(before[point.id].vector)
        assert all(np.allclose(vector, before[point.id].vector[name]) for name, vector in point.vector.items())


def test_points_go_through_files_with_their_names(db: pqdb.Database, db_path: Path, tmp_path: Path) -> None:
    before = state(filled(db, 50))
    db.close()
    run = CliRunner().invoke
    file = str(tmp_path / "docs.jsonl")
    assert run(main, ["export", str(db_path), "docs", file]).exit_code == 0
    assert run(main, ["import", str(tmp_path / "new"), "docs", file]).exit_code == 0
    with pqdb.open(tmp_path / "new", upkeep="manual") as other:
        assert list(other["docs"].vectors) == ["title", "body"]
        after = other["docs"].scroll(50, with_vector=["title"]).points
    assert [point.id for point in after] == [id_ for id_, *_ in before]
    assert np.allclose([p.vector["title"] for p in after], [vectors["title"] for _, _, vectors, _ in before])
    refused = run(main, ["export", str(db_path), "docs", str(tmp_path / "docs.npy")])
    assert refused.exit_code == 1
    assert "have names" in refused.output


def test_an_older_pqdb_is_told_that_the_format_is_newer(db: pqdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from pqdb.store import manifest

    filled(db, 10)
    db.create_collection("plain", 3)
    db.close()
    monkeypatch.setitem(manifest.READABLE, "points", (1, 2))
    with pqdb.open(db.path, upkeep="manual") as older:
        assert older["plain"].count() == 0
        with pytest.raises(pqdb.FormatError, match="format version 3"):
            older["docs"].count()
