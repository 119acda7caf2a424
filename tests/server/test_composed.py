"""Prefetch, fusion, diversity, recommendations and groups, held to the official client's own local mode."""

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from .conftest import failed

POINTS = "/collections/docs/points"
N, DIM = 60, 8
EN = models.Filter(must=[models.FieldCondition(key="lang", match=models.MatchValue(value="en"))])
DISTANCES = [models.Distance.COSINE, models.Distance.DOT, models.Distance.EUCLID]


@pytest.fixture
def vectors(rng) -> np.ndarray:
    return rng.normal(size=(N, DIM)).astype(np.float32)


def fill(client: QdrantClient, vectors: np.ndarray, distance: models.Distance) -> QdrantClient:
    client.create_collection("docs", models.VectorParams(size=DIM, distance=distance))
    points = [
        models.PointStruct(
            id=i,
            vector=row.tolist(),
            payload={"lang": "de" if i % 2 else "en", "file": f"f{i % 7}", "tags": [i % 3, "all"], "at": {"n": i % 4}},
        )
        for i, row in enumerate(vectors)
    ]
    client.upsert("docs", points)
    return client


@pytest.fixture(params=DISTANCES)
def both(request, http, vectors) -> tuple[QdrantClient, QdrantClient]:
    """Our service and Qdrant's local mode, filled alike."""
    ours = QdrantClient(url="http://embedded", transport=http.client._transport, check_compatibility=False)
    return fill(ours, vectors, request.param), fill(QdrantClient(":memory:"), vectors, request.param)


def alike(both, **query) -> list[int]:
    """The ids both find, which must be the same with the same scores."""
    ours, theirs = (client.query_points("docs", **query).points for client in both)
    assert [hit.id for hit in ours] == [hit.id for hit in theirs]
    assert [hit.score for hit in ours] == pytest.approx([hit.score for hit in theirs], rel=1e-4, abs=1e-5)
    return [hit.id for hit in ours]


def alike_but_for_ties(both, **query) -> None:
    """The same ids with the same scores; those of one score in any order."""
    ours, theirs = (client.query_points("docs", **query).points for client in both)
    assert {hit.id: hit.score for hit in ours} == pytest.approx({hit.id: hit.score for hit in theirs}, rel=1e-4)
    assert [hit.score for hit in ours] == sorted((hit.score for hit in ours), reverse=True)


def near(rng, **more) -> models.Prefetch:
    return models.Prefetch(query=rng.normal(size=DIM).tolist(), **more)


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.9])
def test_mmr(both, rng, diversity):
    mmr = models.Mmr(diversity=diversity, candidates_limit=30)
    query = models.NearestQuery(nearest=rng.normal(size=DIM).tolist(), mmr=mmr)
    assert len(alike(both, query=query, limit=6)) == 6
    found = alike(both, query=query, limit=6, query_filter=EN)
    assert all(id_ % 2 == 0 for id_ in found)


def test_mmr_without_diversity_is_the_nearest(both, rng):
    vector = rng.normal(size=DIM).tolist()
    query = models.NearestQuery(nearest=vector, mmr=models.Mmr(diversity=0.0))
    assert alike(both, query=query, limit=5) == alike(both, query=vector, limit=5)


def test_rank_fusion(both, rng):
    prefetch = [near(rng, limit=20), near(rng, limit=10, filter=EN)]
    alike_but_for_ties(both, prefetch=prefetch, query=models.FusionQuery(fusion=models.Fusion.RRF), limit=N)
    weighted = models.RrfQuery(rrf=models.Rrf(k=5, weights=[3.0, 1.0]))
    alike_but_for_ties(both, prefetch=prefetch, query=weighted, limit=N)


def test_fusion_by_distribution(both, rng):
    if both[0].get_collection("docs").config.params.vectors.distance == models.Distance.EUCLID:
        pytest.skip("local mode adds up distances as if they were similarities")
    prefetch = [near(rng, limit=20), near(rng, limit=10)]
    alike(both, prefetch=prefetch, query=models.FusionQuery(fusion=models.Fusion.DBSF), limit=15)


def test_a_query_ranks_what_its_prefetches_find(both, rng):
    vector = rng.normal(size=DIM).tolist()
    found = alike(both, prefetch=[near(rng, limit=8)], query=vector, limit=20)
    assert len(found) == 8
    assert len(alike(both, prefetch=[near(rng, limit=8), near(rng, limit=8)], query=vector, limit=30)) > 8
    nested = near(rng, limit=6, prefetch=[near(rng, limit=12)])
    assert len(alike(both, prefetch=nested, query=vector, limit=20)) == 6


def test_a_prefetch_that_only_filters_takes_any_limit(both, rng):
    prefetch = [models.Prefetch(filter=EN, limit=999_999_999)]
    found = both[0].query_points("docs", prefetch=prefetch, query=rng.normal(size=DIM).tolist(), limit=N).points
    assert sorted(hit.id for hit in found) == list(range(0, N, 2))


def test_a_filter_of_a_fusion_holds_for_every_prefetch(both, rng):
    prefetch = [near(rng, limit=20), near(rng, limit=20)]
    fusion = models.FusionQuery(fusion=models.Fusion.RRF)
    found = both[0].query_points("docs", prefetch=prefetch, query=fusion, query_filter=EN, limit=N).points
    assert len(found) >= 20
    assert all(hit.id % 2 == 0 for hit in found)


def test_a_filter_of_a_query_holds_for_every_prefetch(both, rng):
    """The limit of a prefetch counts what may still be found, down to the innermost."""
    vector = rng.normal(size=DIM).tolist()
    assert len(alike(both, prefetch=[near(rng, limit=8)], query=vector, query_filter=EN, limit=20)) == 8
    nested = near(rng, limit=6, prefetch=[near(rng, limit=12)])
    assert len(alike(both, prefetch=nested, query=vector, query_filter=EN, limit=20)) == 6
    fusion = models.FusionQuery(fusion=models.Fusion.RRF)
    alike_but_for_ties(both, prefetch=[nested, near(rng, limit=5)], query=fusion, query_filter=EN, limit=20)


def test_what_a_query_is_made_of_takes_no_place_in_a_prefetch(both):
    for query in (7, models.RecommendQuery(recommend=models.RecommendInput(positive=[7], negative=[8]))):
        found = both[0].query_points("docs", prefetch=models.Prefetch(query=7, limit=9), query=query, limit=20).points
        assert len(found) >= 8
        prefetch = models.Prefetch(query=models.SampleQuery(sample=models.Sample.RANDOM), limit=N - 2)
        found = both[0].query_points("docs", prefetch=prefetch, query=query, limit=N).points
        assert len(found) == N - (1 if query == 7 else 2) - (1 if query == 7 else 0)


def test_thresholds(both, rng):
    """Of a fusion's scores what is as good as one stays; nothing is compared with it that has no score."""
    lists = [near(rng, limit=5), near(rng, limit=5)]
    fusion = models.FusionQuery(fusion=models.Fusion.RRF)
    asked = {"prefetch": lists, "query": fusion, "limit": N, "score_threshold": 0.5}
    ours, theirs = (client.query_points("docs", **asked).points for client in both)
    assert {hit.id for hit in ours} == {hit.id for hit in theirs}
    assert min(hit.score for hit in ours) == 0.5
    for query in (None, models.OrderByQuery(order_by="at.n")):
        with pytest.raises(UnexpectedResponse, match="needed to use the score_threshold"):
            both[0].query_points("docs", query=query, score_threshold=0.5)
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    assert len(both[0].query_points("docs", query=sample, score_threshold=2.0, limit=4).points) == 4


def test_what_has_no_score_scores_one(both):
    assert alike(both, limit=4) == [0, 1, 2, 3]
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    found = both[0].query_points("docs", query=sample, limit=4).points
    assert [hit.score for hit in found] == [1.0] * 4
    assert len(both[0].query_points("docs", query=sample, limit=10, offset=N - 3).points) == 3
    assert both[0].query_points("docs", query=sample, limit=10, offset=N).points == []


@pytest.mark.parametrize("negative", [[], [9, 10]])
def test_recommendations(both, rng, negative):
    examples = models.RecommendInput(positive=[3, 4, rng.normal(size=DIM).tolist()], negative=negative)
    found = alike(both, query=models.RecommendQuery(recommend=examples), limit=12)
    assert not {3, 4, *negative} & set(found)


@pytest.mark.parametrize(("positive", "negative"), [([3, 4], []), ([3], [9, 10]), ([], [9])])
def test_recommendations_by_best_score(both, positive, negative):
    examples = models.RecommendInput(positive=positive, negative=negative, strategy=models.RecommendStrategy.BEST_SCORE)
    found = alike(both, query=models.RecommendQuery(recommend=examples), limit=12)
    assert not {*positive, *negative} & set(found)


@pytest.mark.parametrize("key", ["file", "tags", "at.n"])
def test_groups(both, rng, key):
    vector = rng.normal(size=DIM).tolist()
    asked = {"group_by": key, "query": vector, "limit": 4, "group_size": 5, "with_payload": ["lang"]}
    ours, theirs = (client.query_points_groups("docs", **asked).groups for client in both)
    assert [group.id for group in ours] == [group.id for group in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert [hit.id for hit in mine.hits] == [hit.id for hit in other.hits]
        assert all(hit.payload.keys() == {"lang"} for hit in mine.hits)


def test_groups_without_a_vector_and_with_a_filter(both):
    asked = {"group_by": "file", "limit": 3, "group_size": 4, "query_filter": EN}
    ours, theirs = (client.query_points_groups("docs", **asked).groups for client in both)
    assert [(group.id, [hit.id for hit in group.hits]) for group in ours] == [
        (group.id, [hit.id for hit in group.hits]) for group in theirs
    ]


def test_groups_of_what_prefetches_find(http, database):
    """Half of the nearest chunks belong to no document, and each document has many: prefetches look deeper."""
    collection = database.create_collection("chunks", dim=2, metric="l2")
    payloads = [{"doc": i // 2 % 4, "lang": "en" if i % 8 < 6 else "de"} if i % 2 else {} for i in range(200)]
    collection.upsert(range(200), [[i, 0] for i in range(200)], payloads)
    prefetch = [{"query": [0, 0], "limit": 10}, {"query": [1, 0], "limit": 10}]
    path = "/collections/chunks/points/query/groups"
    for query in ({"fusion": "rrf"}, {"nearest": [0, 0]}):
        body = {"prefetch": prefetch, "query": query, "group_by": "doc", "limit": 4, "group_size": 3}
        groups = http.ok("POST", path, body)["groups"]
        assert {group["id"]: [hit["id"] for hit in group["hits"]] for group in groups} == {
            doc: [2 * doc + 1 + 8 * n for n in range(3)] for doc in range(4)
        }


def test_groups_of_a_key_nobody_has(both):
    assert both[0].query_points_groups("docs", group_by="none", query=[1.0] * DIM).groups == []


def test_deep_groups_are_found_and_filled(http, database):
    """The nearest 3,000 points are of one group: the others lie deeper, and are filled all the same."""
    collection = database.create_collection("deep", dim=2, metric="l2")
    n = 3_260
    collection.upsert(range(n), [[i, 0] for i in range(n)], [{"g": max(0, i - 2_999) // 50} for i in range(n)])
    body = {"query": [0, 0], "group_by": "g", "limit": 5, "group_size": 3}
    groups = http.ok("POST", "/collections/deep/points/query/groups", body)["groups"]
    assert [group["id"] for group in groups] == [0, 1, 2, 3, 4]
    assert all(len(group["hits"]) == 3 for group in groups)


def test_a_point_without_a_vector_is_no_example(docs):
    docs.ok("PUT", POINTS, {"points": [{"id": 9, "vector": {}}]})
    status, text = docs.error("POST", f"{POINTS}/query", {"query": {"recommend": {"positive": [9]}}})
    assert (status, text) == (400, "Wrong input: point 9 has no vector to search by")


ONES = [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"query": {"fusion": "rrf"}}, 400, "a fusion needs prefetches"),
        ({"prefetch": [{"query": ONES}]}, 400, "prefetches need a query"),
        ({"prefetch": [{"query": ONES, "offset": 1}], "query": ONES}, 400, "prefetch[0]: unknown field `offset`"),
        ({"prefetch": [{"query": ONES, "using": "title"}], "query": ONES}, 400, "Not existing vector name"),
        ({"prefetch": [{}] * 65, "query": ONES}, 422, "prefetch: length 65 invalid"),
        ({"prefetch": [{"query": ONES}], "query": {"fusion": "sum"}}, 400, "unknown variant `sum`"),
        ({"prefetch": [{"query": ONES}], "query": {"rrf": {"k": 0}}}, 422, "k: value 0 invalid"),
        ({"prefetch": [{"query": ONES}], "query": {"rrf": {"weights": [1, 2]}}}, 400, "2 weights for 1 prefetches"),
        ({"query": {"nearest": ONES, "mmr": {"diversity": 1.5}}}, 422, "diversity: value 1.5 invalid"),
        ({"query": {"recommend": {"positive": []}}}, 400, "at least one positive example"),
        ({"query": {"recommend": {"positive": [999]}}}, 404, "No point with id 999 found"),
        ({"query": {"recommend": {"positive": [1], "strategy": "sum_scores"}}}, 400, "the strategy `sum_scores`"),
        ({"query": {"recommend": {"positive": [None]}}}, 400, "expected a vector or a point id"),
    ],
)
def test_what_cannot_be_composed_is_refused(unchanged, body, status, words):
    got, text = unchanged.error("POST", f"{POINTS}/query", body)
    assert (got, words in text) == (status, True), text


def test_prefetches_as_deep_as_the_sea_are_refused(unchanged):
    for levels in (9, 300):
        body = b'{"prefetch": ' * levels + b"{}" + b', "query": 1}' * levels
        assert failed(*unchanged.raw("POST", f"{POINTS}/query", body))[0] == 400


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "missing field `group_by`"),
        ({"group_by": "a..b"}, 400, "is not a payload path"),
        ({"group_by": "a", "group_size": 0}, 422, "group_size: value 0 invalid"),
        ({"group_by": "a", "offset": 1}, 400, "unknown field `offset`"),
        ({"group_by": "a", "with_lookup": "other"}, 400, "points of other collections"),
    ],
)
def test_groups_refuse(unchanged, body, status, words):
    got, text = unchanged.error("POST", f"{POINTS}/query/groups", body)
    assert (got, words in text) == (status, True), text


def test_errors_of_composition_reach_the_client(both):
    with pytest.raises(UnexpectedResponse, match="fusion needs prefetches"):
        both[0].query_points("docs", query=models.FusionQuery(fusion="rrf"))
