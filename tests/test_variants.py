"""Searches in other ways: in groups, unlike one another, by examples; and lists of hits fused.

The answers are compared with plain NumPy, and with the engine of qdrant-edge-py where it is installed.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.metric import DISTANCES, METRICS
from tests.conftest import SEED
from tests.data import clustered, queries_near
from tests.query.engine import edge

DIM, ROWS = 6, 300
VECTORS = clustered(ROWS, DIM, seed=SEED)
QUERIES = queries_near(VECTORS, 4, seed=SEED + 1)
PAYLOADS: list[Any] = [
    {"file": f"f{row % 25}", "page": row % 7, "tags": [f"t{row % 4}", row % 3]} if row % 11 else {"file": None}
    for row in range(ROWS)
]
second_oracle = pytest.mark.skipif(edge is None, reason="qdrant-edge-py is not installed: no second oracle")


@pytest.fixture(params=METRICS)
def things(request: pytest.FixtureRequest, db: pqdb.Database) -> pqdb.Collection:
    made = db.create_collection("things", DIM, request.param)
    made.upsert(range(ROWS), VECTORS, PAYLOADS)
    return made


@pytest.fixture
def shard(things: pqdb.Collection) -> Iterator[Any]:
    """The same points in the engine."""
    distance = {"cosine": "Cosine", "dot": "Dot", "l2": "Euclid", "l1": "Manhattan"}[things.metric]
    with tempfile.TemporaryDirectory() as folder:
        vectors = edge.EdgeVectorParams(size=DIM, distance=getattr(edge.Distance, distance))
        made = edge.EdgeShard.create(str(Path(folder) / "shard"), edge.EdgeConfig(vectors=vectors, wal_enabled=False))
        points = [edge.Point(row, VECTORS[row].tolist(), PAYLOADS[row]) for row in range(ROWS)]
        made.update(edge.UpdateOperation.upsert_points(points))
        yield made
        made.close()


def theirs(shard: Any, query: Any, limit: int = 10, **how: Any) -> tuple[list[int], list[float]]:
    found = shard.query(edge.QueryRequest(query=query, limit=limit, **how))
    return [point.id for point in found], [point.score for point in found]


def same(hits: Any, expected: tuple[list[int], list[float]]) -> None:
    assert [hit.id for hit in hits] == expected[0]
    assert [hit.score for hit in hits] == pytest.approx(expected[1], rel=1e-4, abs=1e-5)


# -- groups


def grouped(things: pqdb.Collection, query: np.ndarray, key: str, limit: int, size: int, filter: Any = None) -> Any:
    """By the whole ranking."""
    groups: dict[Any, list[Any]] = {}
    for hit in things.search(query, ROWS, filter=filter, exact=True):
        value = (hit.payload or {}).get(key)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str | int):
                groups.setdefault(each, []).append(hit.id)
    return [(name, ids[:size]) for name, ids in list(groups.items())[:limit]]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("key", ["file", "page", "tags"])
@pytest.mark.parametrize(("limit", "size"), [(1, 1), (3, 2), (5, 40), (50, 3), (4, 12)])
def test_groups_are_filled(things: pqdb.Collection, key: str, limit: int, size: int, indexed: bool) -> None:
    if indexed:
        things.create_payload_index(key, "integer" if key == "page" else "keyword")
    for among in (None, {"must": {"key": "page", "range": {"lt": 4}}}):
        for query in QUERIES:
            found = things.search_groups(query, key, limit, size, filter=among)
            expected = grouped(things, query, key, limit, size, among)
            assert [(group.id, [hit.id for hit in group.hits]) for group in found] == expected


def test_groups_far_behind_others_are_found_too(db: pqdb.Database) -> None:
    """One document has all the nearest points, twelve thousand of them: more than a search gives at once."""
    made = db.create_collection("chunks", 2, "l2", quantization=pqdb.Flat())
    n = 12_000
    near = np.stack([np.linspace(0, 1, n), np.zeros(n)], axis=1)
    far = np.stack([np.linspace(5, 6, 8), np.zeros(8)], axis=1)
    payloads = [{"doc": "long"}] * n + [{"doc": f"short {i % 2}"} for i in range(8)]
    made.upsert(range(n + 8), np.concatenate([near, far]), payloads)
    for indexed in (False, True):
        if indexed:
            made.create_payload_index("doc", "keyword")
        groups = made.search_groups([0, 0], "doc", 5, 3)
        assert [(group.id, [hit.id for hit in group.hits]) for group in groups] == [
            ("long", [0, 1, 2]), ("short 0", [n, n + 2, n + 4]), ("short 1", [n + 1, n + 3, n + 5]),
        ]  # fmt: skip


@pytest.mark.parametrize("indexed", [False, True])
def test_a_group_is_not_filled_with_points_of_another_first(db: pqdb.Database, indexed: bool) -> None:
    """Behind eight points of one group, or none, lies one more of it, and then one that is in two."""
    made = db.create_collection("tagged", 1, "l2")
    tags: list[Any] = [["A"], *[None] * 7, ["A"], ["A", "B"], ["B"], ["A"]]
    made.upsert(range(12), np.arange(12)[:, None], [None if each is None else {"tags": each} for each in tags])
    if indexed:
        made.create_payload_index("tags", "keyword")
    groups = made.search_groups([0], "tags", 2, 2)
    assert [(group.id, [hit.id for hit in group.hits]) for group in groups] == [("A", [0, 8]), ("B", [9, 10])]


def test_groups_by_id_threshold_and_bare(things: pqdb.Collection) -> None:
    groups = things.search_groups(5, "file", 3, 2, with_payload=False, with_vector=True)
    hits = [hit for group in groups for hit in group.hits]
    assert 5 not in [hit.id for hit in hits]
    assert all(hit.payload is None and hit.vector is not None for hit in hits)
    cut = float(things.search(QUERIES[0], 4).scores[-1])
    kept = things.search_groups(QUERIES[0], "file", 10, 3, score_threshold=cut)
    assert sum(len(group.hits) for group in kept) <= 3
    assert things.search_groups(QUERIES[0], "nothing") == []
    with pytest.raises(pqdb.FilterError):
        things.search_groups(QUERIES[0], "a..b")
    with pytest.raises(pqdb.DimensionError, match="one query"):
        things.search_groups(QUERIES, "file")


# -- maximal marginal relevance


@second_oracle
@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7])
def test_diverse_hits_are_those_of_the_engine(things: pqdb.Collection, shard: Any, diversity: float) -> None:
    for query in QUERIES:
        asked = edge.Mmr(query.tolist(), 1 - diversity, 30)
        expected, _ = theirs(shard, asked, 8)
        hits = things.search_mmr(query, 8, diversity=diversity, candidates=30)
        assert hits.ids == expected
        scores = dict(zip(*_ranking(things, query), strict=True))
        assert hits.scores.tolist() == pytest.approx([scores[name] for name in hits.ids], rel=1e-5)


def _ranking(things: pqdb.Collection, query: np.ndarray) -> tuple[list[Any], list[float]]:
    hits = things.search(query, ROWS, exact=True)
    return hits.ids, hits.scores.tolist()


def test_no_diversity_is_the_search_itself(things: pqdb.Collection) -> None:
    for query in QUERIES:
        assert things.search_mmr(query, 10, diversity=0).ids == things.search(query, 10).ids
    few = {"must": {"has_id": [1, 2, 3]}}
    assert set(things.search_mmr(QUERIES[0], 10, filter=few).ids) == {1, 2, 3}
    assert len(things.search_mmr(QUERIES[0], 10, filter={"must": {"has_id": []}})) == 0
    assert 7 not in things.search_mmr(7, 10).ids
    for bad in (-0.1, 1.1, "much", True):
        with pytest.raises(pqdb.InputError, match="diversity must lie between 0 and 1"):
            things.search_mmr(QUERIES[0], diversity=bad)


# -- examples


@second_oracle
def test_points_like_examples_are_those_of_the_engine(things: pqdb.Collection, shard: Any) -> None:
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True) if things.metric == "cosine" else VECTORS
    for positive, negative in (([3], []), ([3, 40], [7]), ([100, 101, 102], [5, 6])):
        average = unit[positive].mean(axis=0)
        if negative:
            average = 2 * average - unit[negative].mean(axis=0)
        without = {"filter": edge.Filter(must_not=[edge.HasIdCondition({*positive, *negative})])}
        same(things.recommend(positive, negative, 10), theirs(shard, edge.Query.Nearest(average.tolist()), **without))
        examples = edge.RecommendQuery(VECTORS[positive].tolist(), VECTORS[negative].tolist())
        found = things.recommend(positive, negative, 10, strategy="best_score")
        same(found, theirs(shard, edge.Query.RecommendBestScore(examples), **without))


@second_oracle
def test_points_unlike_examples_are_those_of_the_engine(things: pqdb.Collection, shard: Any) -> None:
    examples = edge.RecommendQuery([], VECTORS[[3, 4]].tolist())
    expected = theirs(shard, edge.Query.RecommendBestScore(examples))
    same(things.recommend([], list(VECTORS[[3, 4]]), 10, strategy="best_score"), expected)


def test_the_best_score_is_found_by_neighbours_as_by_all_rows(db: pqdb.Database) -> None:
    """With a thousand points the neighbours of the examples are enough; the answer is that of looking at all."""
    made = db.create_collection("many", DIM, "l2")
    vectors = clustered(3_000, DIM, seed=1)
    made.upsert(range(3_000), vectors)
    made.train()
    positive, negative = [3, 500, 900], [7, 8]
    apart = [((vectors[:, None] - vectors[ids][None]) ** 2).sum(axis=2).min(axis=1) for ids in (positive, negative)]
    nearness = [-each / (1 + each) for each in apart]
    scores = np.where(apart[0] < apart[1], (nearness[0] + 1) / 2, -(nearness[1] + 1) / 2)
    scores[positive + negative] = -np.inf
    expected = np.argsort(-scores, kind="stable")[:12]
    found = made.recommend(positive, negative, 12, strategy="best_score", recall=0.999)
    assert found.ids == expected.tolist()
    assert found.scores.tolist() == pytest.approx(scores[expected], rel=1e-4)


def test_examples_are_ids_and_vectors(things: pqdb.Collection) -> None:
    by_id, by_vector = things.recommend([3, 4], k=5), things.recommend([VECTORS[3], VECTORS[4]], k=7)
    assert [name for name in by_vector.ids if name not in (3, 4)][:5] == by_id.ids
    assert things.recommend(VECTORS[[3, 4]], k=7).ids == by_vector.ids
    assert things.recommend([3], k=4).ids == things.search(3, 4).ids
    even = {"must": {"key": "page", "match": {"any": [0, 2, 4]}}}
    for strategy in ("average_vector", "best_score"):
        hits = things.recommend([3], [5], 6, strategy=strategy, filter=even, with_vector=True, offset=2)
        assert hits.ids == things.recommend([3], [5], 8, strategy=strategy, filter=even).ids[2:]
        assert all((hit.payload or {})["page"] in (0, 2, 4) and hit.vector is not None for hit in hits)
        assert len(things.recommend([3], k=3, strategy=strategy, filter={"must": {"has_id": []}})) == 0


def test_examples_that_cannot_be_are_refused(things: pqdb.Collection) -> None:
    with pytest.raises(pqdb.InputError, match=r"needs an example$"):
        things.recommend()
    with pytest.raises(pqdb.InputError, match="by average_vector needs an example that is positive"):
        things.recommend([], [3])
    with pytest.raises(pqdb.InputError, match="strategy='best' is not one of"):
        things.recommend([3], strategy="best")  # type: ignore[arg-type]
    with pytest.raises(pqdb.PointNotFoundError, match="no point 'x'"):
        things.recommend([3], ["x"])
    with pytest.raises(pqdb.DimensionError):
        things.recommend([[1.0, 2.0]])


# -- fusion


@second_oracle
@pytest.mark.parametrize("how", ["rrf", "weighted", "dbsf"])
def test_fused_lists_are_those_of_the_engine(things: pqdb.Collection, shard: Any, how: str) -> None:
    lists = [things.search(query, 20) for query in QUERIES[:3]]
    weights = [3.0, 1.0, 0.5]
    prefetches = [edge.Prefetch(limit=20, query=edge.Query.Nearest(query.tolist())) for query in QUERIES[:3]]
    if how == "dbsf" and things.metric in DISTANCES:
        pytest.skip("the engine sums distances as if larger were nearer")
    if how == "dbsf":
        fused, fusion = pqdb.fuse_dbsf(lists, 15), edge.Fusion.Dbsf()
    elif how == "rrf":
        fused, fusion = pqdb.fuse_rrf(lists, 15), edge.Fusion.Rrf(2)
    else:
        fused, fusion = pqdb.fuse_rrf(lists, 15, weights=weights), edge.Fusion.Rrf(2, weights)
    expected = dict(zip(*theirs(shard, fusion, 60, prefetches=prefetches), strict=True))
    assert [hit.score for hit in fused] == pytest.approx(sorted(expected.values(), reverse=True)[:15], rel=1e-3)
    assert all(hit.score == pytest.approx(expected[hit.id], rel=1e-3) for hit in fused)


def test_fusion_by_rank_in_numbers(things: pqdb.Collection) -> None:
    first, second = things.search(QUERIES[0], 3), things.search(QUERIES[1], 3)
    fused = pqdb.fuse_rrf([first, second, list(first)], constant=60)
    assert fused[0].id == first.ids[0]
    assert fused[0].score == pytest.approx(
        2 / 60 + (1 / (second.ids.index(fused[0].id) + 60) if fused[0].id in second.ids else 0)
    )
    assert fused[0].payload == first[0].payload
    assert pqdb.fuse_rrf([]) == pqdb.fuse_dbsf([]) == []
    single = pqdb.fuse_dbsf([things.search(QUERIES[0], 1)])
    assert [hit.score for hit in single] == [0.5]
    for weights, constant in (([1.0], 2), ([1.0, -1.0], 2), ([1.0, 1.0], 0), ([1.0, np.nan], 2)):
        with pytest.raises(pqdb.InputError):
            pqdb.fuse_rrf([first, second], weights=weights, constant=constant)
