"""Sparse vectors over HTTP: the official client, unmodified, beside its own local mode; and the wire itself."""

import math

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

import pqdb
import pqdb_server
from tests.query.engine import edge

from .conftest import failed

NAME = "docs"
N, DIM, WORDS = 60, 8, 40
IDF = models.SparseVectorParams(modifier=models.Modifier.IDF)
PLAIN = models.SparseVectorParams()
DENSE = models.VectorParams(size=DIM, distance=models.Distance.COSINE)
EVEN = models.Filter(must=[models.FieldCondition(key="even", match=models.MatchValue(value=True))])
POINTS = f"/collections/{NAME}/points"
YOUNG = {"weights": [3.0, 1.0]} if "weights" in models.Rrf.model_fields else {}  # (the oldest client lacks them)


def sparse(indices: list[int], values: list[float]) -> models.SparseVector:
    return models.SparseVector(indices=indices, values=values)


def drawn(rng: np.random.Generator, n: int = 6) -> models.SparseVector:
    """Some words with weights; their order is that of the draw."""
    chosen = rng.choice(WORDS, n, replace=False)
    return sparse(chosen.tolist(), rng.uniform(0.1, 2, n).astype(np.float32).tolist())


def ids(answer: models.QueryResponse) -> list:
    return [point.id for point in answer.points]


# -- beside local mode


@pytest.fixture
def both(client, rng) -> tuple[QdrantClient, QdrantClient]:
    """The same points here and in local mode: a dense vector, words by weight, and words by weight and rarity. Every
    tenth lacks the first of these.
    """
    local = QdrantClient(":memory:")
    points = []
    for i in range(N):
        vector = {"dense": rng.normal(size=DIM).tolist(), "rare": drawn(rng)}
        vector |= {"words": drawn(rng)} if i % 10 else {}
        points.append(models.PointStruct(id=i, vector=vector, payload={"even": i % 2 == 0, "group": i % 3}))
    for each in (client, local):
        each.create_collection(NAME, {"dense": DENSE}, sparse_vectors_config={"words": PLAIN, "rare": IDF})
        each.upsert(NAME, points)
    return client, local


def alike(both: tuple[QdrantClient, QdrantClient], **asked) -> list:
    """Ask both; the answers must be the same."""
    here, there = (each.query_points(NAME, **asked).points for each in both)
    assert [hit.id for hit in here] == [hit.id for hit in there]
    assert [hit.score for hit in here] == pytest.approx([hit.score for hit in there], rel=1e-5)
    return [hit.id for hit in here]


@pytest.mark.parametrize("using", ["words", "rare"])
def test_searches(both, rng, using):
    assert len(alike(both, query=drawn(rng), using=using, limit=N)) > 20
    assert len(alike(both, query=drawn(rng, 1), using=using, limit=5, offset=2)) > 0
    found = alike(both, query=drawn(rng), using=using, limit=N, query_filter=EVEN)
    assert found
    assert all(id_ % 2 == 0 for id_ in found)
    query = models.NearestQuery(nearest=drawn(rng))
    assert len(alike(both, query=query, using=using, limit=N, score_threshold=1.0)) < 40
    assert alike(both, query=sparse([WORDS + 1], [1.0]), using=using) == []
    assert alike(both, query=sparse([], []), using=using) == []


def test_by_the_id_of_a_point_which_is_not_found_itself(both):
    assert 7 not in alike(both, query=7, using="words", limit=N)
    assert 7 not in alike(both, query=7, using="rare", limit=N)
    with pytest.raises(UnexpectedResponse, match="point 10 has no vector `words`"):
        both[0].query_points(NAME, query=10, using="words")
    with pytest.raises(UnexpectedResponse, match="No point with id 999 found"):
        both[0].query_points(NAME, query=999, using="words")


@pytest.mark.skipif(not YOUNG, reason="the local mode of the oldest client counts points without the vector, too")
def test_rarity_follows_what_is_there(both, rng):
    query = drawn(rng)
    for each in both:
        each.delete(NAME, list(range(0, 30, 3)))
        each.delete_vectors(NAME, ["rare"], [31, 32])
        each.update_vectors(NAME, [models.PointVectors(id=40, vector={"rare": query})])
    assert alike(both, query=query, using="rare", limit=N)[0] == 40


@pytest.mark.parametrize(
    "query",
    [
        models.FusionQuery(fusion=models.Fusion.RRF),
        models.RrfQuery(rrf=models.Rrf(k=60, **YOUNG)),
        models.FusionQuery(fusion=models.Fusion.DBSF),
    ],
    ids=["rrf", "weighted", "dbsf"],
)
def test_hybrid_search(both, rng, query):
    prefetch = [
        models.Prefetch(query=rng.normal(size=DIM).tolist(), using="dense", limit=20),
        models.Prefetch(query=drawn(rng), using="rare", limit=20),
    ]
    here, there = (each.query_points(NAME, prefetch=prefetch, query=query, limit=N).points for each in both)
    assert {hit.id: hit.score for hit in here} == pytest.approx({hit.id: hit.score for hit in there}, rel=1e-5)
    assert len(here) > 20


def test_one_kind_ranks_what_the_other_finds(both, rng):
    dense, words = rng.normal(size=DIM).tolist(), drawn(rng)
    by_words = models.Prefetch(query=words, using="words", limit=7)
    assert len(alike(both, prefetch=by_words, query=dense, using="dense", limit=N)) == 7
    by_meaning = models.Prefetch(query=dense, using="dense", limit=20)
    found = alike(both, prefetch=by_meaning, query=words, using="words", limit=N)
    assert 0 < len(found) < 20


def test_several_at_once_and_groups(both, rng):
    requests = [
        models.QueryRequest(query=drawn(rng), using="words", limit=3),
        models.QueryRequest(query=rng.normal(size=DIM).tolist(), using="dense", limit=3),
    ]
    here, there = (each.query_batch_points(NAME, requests) for each in both)
    assert [ids(answer) for answer in here] == [ids(answer) for answer in there]
    asked = {"query": drawn(rng), "using": "rare", "group_by": "group", "group_size": 2, "limit": 3}
    here, there = (each.query_points_groups(NAME, **asked).groups for each in both)
    assert [(g.id, [hit.id for hit in g.hits]) for g in here] == [(g.id, [hit.id for hit in g.hits]) for g in there]


def test_points_come_back_with_the_vectors_asked_for(both):
    client, local = both
    here, there = (each.retrieve(NAME, [1], with_vectors=["words"])[0].vector["words"] for each in both)
    assert here.indices == there.indices
    assert here.values == pytest.approx(there.values, rel=1e-6)
    whole, lacks = client.retrieve(NAME, [1, 10], with_vectors=True)
    assert sorted(whole.vector) == ["dense", "rare", "words"]
    assert isinstance(whole.vector["words"], models.SparseVector)
    assert sorted(lacks.vector) == ["dense", "rare"]
    page, _ = client.scroll(NAME, limit=2, with_vectors=["words"])
    assert [list(point.vector) for point in page] == [[], ["words"]]
    hit = client.query_points(NAME, query=7, using="words", limit=1, with_vectors=["words"]).points[0]
    assert hit.vector == client.retrieve(NAME, [hit.id], with_vectors=["words"])[0].vector
    having = models.Filter(must=[models.HasVectorCondition(has_vector="words")])
    assert client.count(NAME, having).count == local.count(NAME, having).count == N - N // 10


# -- beside Qdrant's engine


@pytest.mark.skipif(edge is None, reason="qdrant-edge-py is not installed here")
@pytest.mark.parametrize("modifier", ["None", "Idf"])
def test_scores_are_those_of_qdrants_engine(http, rng, tmp_path, modifier):
    config = edge.EdgeConfig(
        vectors={}, sparse_vectors={"words": edge.EdgeSparseVectorParams(modifier=getattr(edge.Modifier, modifier))}
    )
    shard = edge.EdgeShard.create(str(tmp_path / "shard"), config)
    made = {"sparse_vectors": {"words": {"modifier": modifier.lower()}}}
    http.ok("PUT", f"/collections/{NAME}", made)
    vectors = {i: drawn(rng) for i in range(N)}
    shard.update(edge.UpdateOperation.upsert_points([
        edge.Point(i, {"words": edge.SparseVector(each.indices, each.values)}, {}) for i, each in vectors.items()
    ]))  # fmt: skip
    points = [{"id": i, "vector": {"words": each.model_dump()}} for i, each in vectors.items()]
    http.ok("PUT", f"{POINTS}?wait=true", {"points": points})
    for n in (1, 3, 12):
        query, limit = drawn(rng, n), int(rng.integers(1, N))
        nearest = edge.Query.Nearest(edge.SparseVector(query.indices, query.values), using="words")
        there = shard.query(edge.QueryRequest(limit=limit, query=nearest))
        here = http.ok("POST", f"{POINTS}/query", {"query": query.model_dump(), "using": "words", "limit": limit})
        assert [hit["id"] for hit in here["points"]] == [hit.id for hit in there]
        assert [hit["score"] for hit in here["points"]] == pytest.approx([hit.score for hit in there], rel=1e-5)
    shard.close()


# -- one by one


def test_rarity_is_that_among_the_points_that_have_the_vector(client):
    client.create_collection(NAME, {}, sparse_vectors_config={"words": IDF})
    vectors = [sparse([1, 5], [1, 2]), sparse([5, 9], [0.5, -1]), sparse([1, 7], [0, 3])]
    client.upsert(NAME, [models.PointStruct(id=i, vector={"words": each}) for i, each in enumerate(vectors)])
    client.upsert(NAME, [models.PointStruct(id=9, vector={})])
    two, one = (math.log(1 + (3 - n + 0.5) / (n + 0.5)) for n in (2, 1))
    found = client.query_points(NAME, query=sparse([5], [1.0]), using="words").points
    assert {hit.id: hit.score for hit in found} == pytest.approx({0: 2 * two, 1: 0.5 * two})
    found = client.query_points(NAME, query=sparse([9], [1.0]), using="words").points
    assert {hit.id: hit.score for hit in found} == pytest.approx({1: -one})


def test_an_empty_vector_is_kept_and_never_found(client):
    client.create_collection(NAME, {}, sparse_vectors_config={"words": PLAIN})
    vectors = [sparse([], []), sparse([1], [1.0])]
    client.upsert(NAME, [models.PointStruct(id=i, vector={"words": each}) for i, each in enumerate(vectors)])
    assert client.retrieve(NAME, [0], with_vectors=True)[0].vector == {"words": sparse([], [])}
    assert client.count(NAME, models.Filter(must=[models.HasVectorCondition(has_vector="words")])).count == 2
    assert ids(client.query_points(NAME, query=sparse([1], [1.0]), using="words")) == [1]
    assert ids(client.query_points(NAME, query=0, using="words")) == []


def test_points_of_equal_scores_come_by_id(client):
    client.create_collection(NAME, {}, sparse_vectors_config={"words": PLAIN})
    points = [models.PointStruct(id=i, vector={"words": sparse([1, 2], [1, 1])}) for i in (9, 3, 7, 5, 1)]
    client.upsert(NAME, points)
    assert ids(client.query_points(NAME, query=sparse([1], [1.0]), using="words")) == [1, 3, 5, 7, 9]
    assert ids(client.query_points(NAME, query=sparse([1], [1.0]), using="words", score_threshold=1.0)) == []


# -- collections


def test_a_collection_is_described_as_it_was_made(client, url):
    knobs = models.SparseIndexParams(on_disk=True, full_scan_threshold=100)
    made = {"words": models.SparseVectorParams(index=knobs), "rare": IDF, "bare": PLAIN}
    client.create_collection(NAME, {"dense": DENSE}, sparse_vectors_config=made)
    params = client.get_collection(NAME).config.params
    assert (params.vectors, params.sparse_vectors) == ({"dense": DENSE}, made)
    told = httpx.get(f"{url}/collections/{NAME}").json()["result"]["config"]
    assert told["pqdb"]["sparse"] == [
        {"name": "words", "idf": False}, {"name": "rare", "idf": True}, {"name": "bare", "idf": False},
    ]  # fmt: skip


def test_what_was_sent_is_echoed_and_nothing_else(http):
    sent = {"a": {}, "b": {"index": {}, "modifier": "idf"}, "c": {"index": None, "modifier": "none"}}
    http.ok("PUT", f"/collections/{NAME}", {"sparse_vectors": sent})
    params = http.ok("GET", f"/collections/{NAME}")["config"]["params"]
    assert params["sparse_vectors"] == {**sent, "c": {"modifier": "none"}}
    assert params["vectors"] == {}


def test_beside_the_vector_without_a_name(client, rng):
    """As mem0 makes its collections and writes to them."""
    client.create_collection(NAME, DENSE, sparse_vectors_config={"bm25": IDF})
    params = client.get_collection(NAME).config.params
    assert (params.vectors, params.sparse_vectors) == (DENSE, {"bm25": IDF})
    dense = rng.normal(size=(3, DIM)).tolist()
    client.upsert(NAME, [models.PointStruct(id=1, vector={"": dense[1], "bm25": sparse([3], [1.0])}, payload={"n": 1})])
    client.upsert(NAME, [models.PointStruct(id=2, vector=dense[2])])
    client.upsert(NAME, models.Batch(ids=[0], vectors=dense[:1]))
    assert ids(client.query_points(NAME, query=dense[2], limit=1)) == [2]
    assert ids(client.query_points(NAME, query=sparse([3, 4], [1.0, 1.0]), using="bm25")) == [1]
    both, one = client.retrieve(NAME, [1, 2], with_vectors=True)
    assert sorted(both.vector) == ["", "bm25"]
    assert isinstance(one.vector, list)
    twice = [models.PointVectors(id=1, vector=dense[0]), models.PointVectors(id=1, vector={"bm25": sparse([8], [2.0])})]
    client.update_vectors(NAME, twice)
    assert client.retrieve(NAME, [1], with_vectors=["bm25"])[0].vector == {"bm25": sparse([8], [2.0])}
    assert 1 in ids(client.query_points(NAME, query=dense[0], limit=2))
    client.update_collection(NAME, vectors_config={"": models.VectorParamsDiff(on_disk=True)})
    assert client.get_collection(NAME).config.params.vectors.on_disk is True


def test_one_made_by_the_library_is_described_too(client, database):
    vectors = {"": pqdb.VectorConfig(3), "words": pqdb.SparseConfig(), "rare": pqdb.SparseConfig(idf=True)}
    docs = database.create_collection(NAME, vectors=vectors)
    docs.upsert([1], {"": [[1, 0, 0]], "words": [pqdb.SparseVector([2], [1])]})
    assert client.get_collection(NAME).config.params.sparse_vectors == {"words": PLAIN, "rare": IDF}
    assert ids(client.query_points(NAME, query=sparse([2], [1.0]), using="words")) == [1]


def test_knobs_change_and_a_modifier_stays(client):
    client.create_collection(NAME, {}, sparse_vectors_config={"words": PLAIN, "rare": IDF})
    knobs = models.SparseIndexParams(on_disk=True)
    client.update_collection(NAME, sparse_vectors_config={"rare": models.SparseVectorParams(index=knobs)})
    index = models.SparseIndexParams(full_scan_threshold=7)
    more = models.SparseVectorParams(index=index, modifier=models.Modifier.IDF)
    client.update_collection(NAME, sparse_vectors_config={"rare": more})
    merged = models.SparseIndexParams(on_disk=True, full_scan_threshold=7)
    assert client.get_collection(NAME).config.params.sparse_vectors == {
        "words": PLAIN, "rare": models.SparseVectorParams(index=merged, modifier=models.Modifier.IDF)
    }  # fmt: skip
    with pytest.raises(UnexpectedResponse, match="changing the modifier of a sparse vector"):
        client.update_collection(NAME, sparse_vectors_config={"words": IDF})
    with pytest.raises(UnexpectedResponse, match="Not existing vector name error: new"):
        client.update_collection(NAME, sparse_vectors_config={"new": PLAIN})


# -- points


@pytest.fixture
def words(http):
    """A service with the collection "docs" of a dense vector and a sparse one, and two points."""
    made = {"vectors": {"dense": {"size": 2, "distance": "Dot"}}, "sparse_vectors": {"words": {}}}
    http.ok("PUT", f"/collections/{NAME}", made)
    points = [
        {"id": 1, "vector": {"dense": [1, 0], "words": {"indices": [7, 4294967295, 0], "values": [0.05, 0.1, 3]}}},
        {"id": 2, "vector": {"dense": [0, 1], "words": {"indices": [7], "values": [0.5]}}},
    ]
    http.ok("PUT", f"{POINTS}?wait=true", {"points": points})
    return http


def test_indices_come_sorted_and_values_with_the_digits_of_float32(words):
    text = words.client.get(f"{POINTS}/1").text
    assert '"words":{"indices":[0,7,4294967295],"values":[3.0,0.05,0.1]}' in text
    found = words.ok("POST", f"{POINTS}/query", {"query": 2, "using": "words", "with_vector": True})["points"]
    assert [(hit["id"], hit["score"], hit["vector"]["words"]["indices"]) for hit in found] == [
        (1, 0.025, [0, 7, 4294967295])
    ]


def test_all_ways_to_write(words):
    columns = {"words": [{"indices": [1], "values": [1]}, {"indices": [2], "values": [2]}]}
    words.ok("PUT", POINTS, {"batch": {"ids": [3, 4], "vectors": columns}})
    words.ok("PUT", f"{POINTS}/vectors", {"points": [{"id": 3, "vector": {"words": {"indices": [9], "values": [1]}}}]})
    operations = [
        {"upsert": {"points": [{"id": 5, "vector": {"words": {"indices": [5], "values": [5]}}}]}},
        {"update_vectors": {"points": [{"id": 5, "vector": {"dense": [1, 1]}}]}},
        {"delete_vectors": {"points": [1], "vector": ["words"]}},
    ]
    words.ok("POST", f"{POINTS}/batch", {"operations": operations})
    page = words.ok("POST", f"{POINTS}/scroll", {"with_vector": True, "with_payload": False})["points"]
    shown = {point["id"]: point["vector"] for point in page}
    assert shown == {
        1: {"dense": [1, 0]},
        2: {"dense": [0, 1], "words": {"indices": [7], "values": [0.5]}},
        3: {"words": {"indices": [9], "values": [1]}},
        4: {"words": {"indices": [2], "values": [2]}},
        5: {"dense": [1, 1], "words": {"indices": [5], "values": [5]}},
    }
    words.ok("POST", f"{POINTS}/vectors/delete", {"filter": {"must": [{"has_id": [2]}]}, "vector": ["words"]})
    with_words = {"filter": {"must": [{"has_vector": "words"}]}}
    assert words.ok("POST", f"{POINTS}/count", with_words) == {"count": 3}


def test_the_older_searches(words):
    vector = {"name": "words", "vector": {"indices": [7], "values": [2.0]}}
    found = words.ok("POST", f"{POINTS}/search", {"vector": vector, "limit": 5})
    assert [(hit["id"], hit["score"]) for hit in found] == [(2, 1.0), (1, 0.1)]
    found = words.ok("POST", f"{POINTS}/search/batch", {"searches": [{"vector": vector, "limit": 1}]})
    assert [[hit["id"] for hit in hits] for hits in found] == [[2]]


def test_knobs_of_effort_are_taken(words):
    asked = {"query": {"indices": [7], "values": [1.0]}, "using": "words"}
    params = {"hnsw_ef": 64, "exact": True, "indexed_only": True, "idf": "global"}
    headers = {"x-pqdb-recall": "0.99"}
    assert len(words.ok("POST", f"{POINTS}/query", {**asked, "params": params}, headers=headers)["points"]) == 2


def test_points_travel_as_lines(words):
    ours = f"/pqdb/v1/collections/{NAME}"
    lines = words.client.get(f"{ours}/export").content
    words.ok("POST", f"{POINTS}/delete", {"filter": {}})
    kind = {"content-type": "application/x-ndjson"}
    assert words.client.post(f"{ours}/import", content=lines, headers=kind).json()["result"] == {"points": 2}
    assert words.client.get(f"{ours}/export").content == lines
    new = {"id": 3, "vector": {"words": {"indices": [7], "values": [9]}}}
    words.ok("POST", f"{ours}/replace", {"filter": {"must": [{"has_id": [1]}]}, "points": [new]})
    asked = {"query": {"indices": [7], "values": [1.0]}, "using": "words"}
    assert [hit["id"] for hit in words.ok("POST", f"{POINTS}/query", asked)["points"]] == [3, 2]


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"indices": [1, 2], "values": [1.0]}, 422, "words.values: must be the same length as indices (1 != 2)"),
        ({"indices": [1, 2, 1], "values": [1, 2, 3]}, 422, "words.indices: must be unique"),
        ({"indices": [-1], "values": [1]}, 400, "words.indices[0]: invalid type or value: integer `-1`"),
        ({"indices": [0, 4294967296], "values": [1, 2]}, 400, "words.indices[1]: invalid type or value"),
        ({"indices": [1.5], "values": [1]}, 400, "expected an unsigned 32-bit integer"),
        ({"indices": [True], "values": [1]}, 400, "words.indices[0]: invalid type or value: boolean `true`"),
        ({"indices": ["1"], "values": [1]}, 400, "expected an unsigned 32-bit integer"),
        ({"indices": [1], "values": ["1"]}, 400, 'words.values[0]: invalid type: string "1", expected a number'),
        ({"indices": [1], "values": [None]}, 400, "words.values[0]: invalid type: null"),
        ({"indices": [1], "values": [1e39]}, 400, "finite float32"),
        ({"indices": 1, "values": [1]}, 400, "words.indices: invalid type: integer `1`, expected an array"),
        ({"indices": [1], "values": None}, 400, "words: missing field `values`"),
        ({"indices": [1], "values": [1], "model": "bm25"}, 400, "words: unknown field `model`"),
        ({"indices": list(range(70_000)), "values": [1] * 70_000}, 400, "at most 16,384 dimensions"),
        ({"indices": [1]}, 400, "expected a vector"),
        ([0.5, 0.5], 400, "Conversion between sparse and regular vectors failed: vector `words` is sparse"),
        ({"text": "some words", "model": "Qdrant/bm25"}, 400, "embedding on the server"),
    ],
)
def test_what_is_no_sparse_vector_is_refused_and_nothing_is_written(words, given, status, said):
    for method, path, body in (
        ("PUT", "", {"points": [{"id": 1, "vector": {"words": given}}]}),
        ("PUT", "", {"batch": {"ids": [1], "vectors": {"words": [given]}}}),
        ("PUT", "/vectors", {"points": [{"id": 1, "vector": {"words": given}}]}),
        ("POST", "/query", {"query": {"nearest": given}, "using": "words"}),
    ):
        got, text = words.error(method, POINTS + path, body)
        if path != "/query":  # where the place has another name
            assert (got, said in text.replace("words[0]", "words")) == (status, True), text
        assert got == status or "indices" not in given
    assert words.ok("GET", f"{POINTS}/1")["vector"]["words"]["indices"] == [0, 7, 4294967295]


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ({"dense": [{"indices": [1], "values": [1]}]}, "failed: vector `dense` is not sparse"),
        ({"words": {"indices": [1], "values": [1]}}, "words: invalid type"),
        ({"other": [{"indices": [1], "values": [1]}]}, "Not existing vector name error: other"),
        ({"words": [None]}, "invalid type: null, expected a vector"),
        ([[1, 2]], "Not existing vector name error: "),
    ],
)
def test_a_batch_that_does_not_fit(words, vectors, said):
    status, text = words.error("PUT", POINTS, {"batch": {"ids": [1], "vectors": vectors}})
    assert (status, said in text) == (400, True), text


QUERY = {"indices": [7], "values": [1.0]}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("query", {"query": QUERY}, "Not existing vector name error: "),
        ("query", {"query": QUERY, "using": "dense"}, "failed: vector `dense` is not sparse"),
        ("query", {"query": [1.0, 0.0], "using": "words"}, "failed: vector `words` is sparse"),
        ("query", {"query": {"recommend": {"positive": [1]}}, "using": "words"}, "recommendations by sparse vectors"),
        ("query", {"query": {"recommend": {"positive": [QUERY], "strategy": "best_score"}}, "using": "words"},
         "recommendations by sparse vectors"),
        ("query", {"query": {"recommend": {"positive": [QUERY]}}, "using": "dense"}, "`dense` is not sparse"),
        ("query", {"query": {"nearest": QUERY, "mmr": {}}, "using": "words"}, "maximal marginal relevance of sparse"),
        ("query", {"query": QUERY, "using": "words", "params": {"idf": {"corpus": {"must": []}}}},
         "frequencies among a part of the points"),
        ("query", {"query": QUERY, "using": "words", "with_vector": ["other"]}, "vector name error: other"),
        ("search", {"vector": {"name": "dense", "vector": QUERY}, "limit": 1}, "`dense` is not sparse"),
        ("recommend", {"positive": [1], "using": "words", "limit": 1}, "recommendations by sparse vectors"),
        ("vectors/delete", {"points": [1], "vector": ["other"]}, "Not existing vector name error: other"),
    ],
)  # fmt: skip
def test_what_sparse_vectors_are_not_asked_for(words, path, body, said):
    status, text = words.error("POST", f"{POINTS}/{path}", body)
    assert (status, said in text) == (400, True), text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "explain", {"query": QUERY, "using": "words"}),
        ("POST", "recall", {"using": "words"}),
        ("POST", "tune", {"using": "words", "target": 0.9}),
        ("GET", "map?using=words", None),
    ],
)
def test_own_verbs_say_that_there_is_nothing_to_measure(words, method, path, body):
    status, text = words.error(method, f"/pqdb/v1/collections/{NAME}/{path}", body)
    assert (status, "sparse" in text) == (400, True), text


def test_names_may_hold_anything(http):
    odd = "{0} {words} %s"
    made = {"vectors": {odd: {"size": 2, "distance": "Dot"}}, "sparse_vectors": {f"{odd}!": {}}}
    http.ok("PUT", f"/collections/{NAME}", made)
    columns = {odd: [[1, 0]], f"{odd}!": [QUERY]}
    http.ok("PUT", POINTS, {"batch": {"ids": [1], "vectors": columns}})
    assert http.ok("GET", f"{POINTS}/1")["vector"] == {odd: [1, 0], f"{odd}!": QUERY}
    for wrong in ({odd: ["a", 0]}, {f"{odd}!": {"indices": [1], "values": ["a"]}}):
        assert "expected a number" in http.error("PUT", POINTS, {"points": [{"id": 2, "vector": wrong}]})[1]
        batch = {"ids": [2], "vectors": {name: [each] for name, each in wrong.items()}}
        assert "expected a number" in http.error("PUT", POINTS, {"batch": batch})[1]


def test_a_collection_of_sparse_vectors_alone_is_told_like_others(http):
    http.ok("PUT", f"/collections/{NAME}", {"sparse_vectors": {"words": {"modifier": "idf"}}})
    http.ok("PUT", POINTS, {"points": [{"id": 1, "vector": {"words": QUERY}}]})
    assert http.ok("GET", f"/collections/{NAME}")["points_count"] == 1
    assert http.ok("GET", f"/pqdb/v1/collections/{NAME}/stats")["points"] == 1
    assert http.ok("GET", f"/pqdb/v1/collections/{NAME}/map") == {"points": []}
    assert http.error("POST", f"{POINTS}/query", {"query": [1.0]})[0] == 400
    assert NAME in http.client.get("/metrics").text
    raw = {"content-type": "application/octet-stream"}
    answer = http.client.post(f"/pqdb/v1/collections/{NAME}/query?using=words", content=b"\0" * 8, headers=raw)
    assert "is sparse" in failed(answer.status_code, answer.json())[1]


def test_slow_and_watched_queries_are_told_without_being_measured(words, database, connect, caplog):
    http = connect(database, pqdb_server.Settings(slow_query_ms=0.000001, recall_share=1))
    http.ok("POST", f"{POINTS}/query", {"query": QUERY, "using": "words"})
    for _ in range(600):
        lines = [record for record in caplog.records if record.name == "pqdb.server.slow"]
        if lines:
            break
        http.client._transport._asgi.app.state.aftercare._closing.wait(0.05)
    assert "shares one of 1 dimensions" in lines[0].explanation
    assert not [record for record in caplog.records if record.name == "pqdb.server.aftercare"]


def test_what_was_sent_outlives_the_process(connect, tmp_path):
    made = {"vectors": {"size": 2, "distance": "Dot"}, "sparse_vectors": {"words": {"modifier": "idf", "index": {}}}}
    with pqdb.open(tmp_path / "db") as database:
        http = connect(database)
        http.ok("PUT", f"/collections/{NAME}", made)
        http.ok("PUT", POINTS, {"points": [{"id": 1, "vector": {"": [1, 0], "words": QUERY}}]})
        before = http.ok("GET", f"/collections/{NAME}"), http.ok("GET", f"{POINTS}/1")
    with pqdb.open(tmp_path / "db") as database:
        http = connect(database)
        assert (http.ok("GET", f"/collections/{NAME}"), http.ok("GET", f"{POINTS}/1")) == before
        asked = {"query": QUERY, "using": "words"}
        assert http.ok("POST", f"{POINTS}/query", asked)["points"][0]["score"] == pytest.approx(math.log(4 / 3))
