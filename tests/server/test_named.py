"""Vectors with names over HTTP: the official client, unmodified, over a real socket."""

import uuid

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

NAME = "docs"
N = 40
TITLE = models.VectorParams(size=6, distance=models.Distance.COSINE)
BODY = models.VectorParams(
    size=8,
    distance=models.Distance.EUCLID,
    quantization_config=models.ProductQuantization(product=models.ProductQuantizationConfig(compression="x8")),
    hnsw_config=models.HnswConfigDiff(m=8),
)
FAR = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.fixture
def titles(rng) -> np.ndarray:
    return rng.normal(size=(N, 6)).astype(np.float32)


@pytest.fixture
def bodies(rng, titles) -> np.ndarray:
    return rng.normal(size=(N, 8)).astype(np.float32)


@pytest.fixture
def filled(client, titles, bodies) -> QdrantClient:
    """N points with a title; every fourth lacks a body."""
    client.create_collection(NAME, {"title": TITLE, "body": BODY})
    points = []
    for i in range(N):
        vector = {"title": titles[i].tolist()} | ({"body": bodies[i].tolist()} if i % 4 else {})
        points.append(models.PointStruct(id=i, vector=vector, payload={"n": i, "tag": f"t{i % 5}"}))
    assert client.upsert(NAME, points).status == models.UpdateStatus.COMPLETED
    return client


def nearest(bodies: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    far = np.linalg.norm(bodies - query, axis=1)
    far[::4] = np.inf
    return np.argsort(far)[:k].tolist()


def ids(answer: models.QueryResponse) -> list[int]:
    return [point.id for point in answer.points]


# -- collections


def truth(url: str) -> list[dict]:
    """What pqdb says of the vectors."""
    return httpx.get(f"{url}/collections/{NAME}").json()["result"]["config"]["pqdb"]["vectors"]


def test_a_collection_is_described_as_it_was_made(filled, url):
    info = filled.get_collection(NAME)
    assert info.config.params.vectors == {"title": TITLE, "body": BODY}
    assert info.config.quantization_config is None
    assert (info.points_count, info.status) == (N, models.CollectionStatus.GREEN)
    assert [each["name"] for each in truth(url)] == ["title", "body"]
    assert truth(url)[1]["quantization"] == {"kind": "pq", "m": 4, "nbits": 8, "bits_per_dim": None}


def test_a_quantization_for_all_is_that_of_each(client, url):
    product = models.ProductQuantization(product=models.ProductQuantizationConfig(compression="x4"))
    client.create_collection(NAME, {"title": TITLE, "body": BODY}, quantization_config=product)
    info = client.get_collection(NAME)
    assert info.config.quantization_config == product
    made = {each["name"]: each["quantization"]["m"] for each in truth(url)}
    assert made == {"title": 6, "body": 4}


def test_one_name_is_enough_and_the_empty_one_may_stand_beside_others(client, titles):
    client.create_collection("one", {"dense": TITLE})
    client.upsert("one", [models.PointStruct(id=1, vector={"dense": titles[0].tolist()})])
    assert ids(client.query_points("one", titles[0].tolist(), using="dense")) == [1]
    client.create_collection("both", {"": TITLE, "body": BODY})
    client.upsert("both", [models.PointStruct(id=1, vector=titles[0].tolist())])
    assert ids(client.query_points("both", titles[0].tolist())) == [1]
    assert client.retrieve("both", [1], with_vectors=True)[0].vector == pytest.approx(
        (titles[0] / np.linalg.norm(titles[0])).tolist(), abs=1e-6
    )
    assert client.get_collection("both").config.params.vectors == {"": TITLE, "body": BODY}


def test_knobs_of_one_vector_change(filled):
    filled.update_collection(NAME, vectors_config={"body": models.VectorParamsDiff(on_disk=True)})
    vectors = filled.get_collection(NAME).config.params.vectors
    assert vectors["title"] == TITLE
    assert vectors["body"] == BODY.model_copy(update={"on_disk": True})
    with pytest.raises(UnexpectedResponse, match="Not existing vector name error: head"):
        filled.update_collection(NAME, vectors_config={"head": models.VectorParamsDiff(on_disk=True)})


def test_a_collection_made_by_the_library_is_described_too(client, database):
    import pqdb

    database.create_collection(NAME, vectors={"a": pqdb.VectorConfig(3, "l2"), "b": pqdb.VectorConfig(4)})
    assert client.get_collection(NAME).config.params.vectors == {
        "a": models.VectorParams(size=3, distance=models.Distance.EUCLID),
        "b": models.VectorParams(size=4, distance=models.Distance.COSINE),
    }


# -- points


def test_points_come_back_with_the_vectors_asked_for(filled, bodies):
    with_all, lacks = filled.retrieve(NAME, [1, 4], with_vectors=True)
    assert sorted(with_all.vector) == ["body", "title"]
    assert with_all.vector["body"] == pytest.approx(bodies[1].tolist())
    assert list(lacks.vector) == ["title"]
    assert [list(p.vector) for p in filled.retrieve(NAME, [1, 4], with_vectors=["body"])] == [["body"], []]
    assert filled.retrieve(NAME, [1])[0].vector is None
    found, _ = filled.scroll(NAME, limit=2, with_vectors=["title"])
    assert [list(point.vector) for point in found] == [["title"], ["title"]]
    hit = filled.query_points(NAME, bodies[1].tolist(), using="body", limit=1, with_vectors=["title"]).points[0]
    assert (hit.id, list(hit.vector)) == (1, ["title"])
    with pytest.raises(UnexpectedResponse, match="Not existing vector name error: head"):
        filled.retrieve(NAME, [1], with_vectors=["head"])


def test_a_batch_has_a_column_for_each_name(filled, titles, bodies):
    columns = {"title": titles[:2].tolist(), "body": bodies[:2].tolist()}
    filled.upsert(NAME, models.Batch(ids=[100, FAR], vectors=columns, payloads=[{"n": 1}, {}]))
    assert filled.count(NAME).count == N + 2
    assert filled.retrieve(NAME, [FAR], with_vectors=True)[0].vector["body"] == pytest.approx(bodies[1].tolist())
    filled.upsert(NAME, models.Batch(ids=[101], vectors={"body": bodies[:1].tolist()}))
    assert list(filled.retrieve(NAME, [101], with_vectors=True)[0].vector) == ["body"]


def test_points_without_any_vector_are_kept(filled):
    filled.upsert(NAME, [models.PointStruct(id=200, vector={}, payload={"n": 200})])
    point = filled.retrieve(NAME, [200], with_vectors=True)[0]
    assert (point.vector, point.payload) == ({}, {"n": 200})
    assert filled.count(NAME).count == N + 1


def test_vectors_of_one_name_are_updated_and_deleted(filled, bodies, titles):
    before = filled.retrieve(NAME, [4], with_vectors=True)[0].vector["title"]
    filled.update_vectors(NAME, [models.PointVectors(id=4, vector={"body": bodies[4].tolist()})])
    point = filled.retrieve(NAME, [4], with_vectors=True)[0]
    assert point.vector == {"title": before, "body": pytest.approx(bodies[4].tolist())}
    assert point.payload == {"n": 4, "tag": "t4"}
    assert ids(filled.query_points(NAME, bodies[4].tolist(), using="body", limit=1)) == [4]
    filled.delete_vectors(NAME, ["body"], [4, 5])
    having = models.Filter(must=[models.HasVectorCondition(has_vector="body")])
    assert filled.count(NAME, having).count == N - N // 4 - 1
    tagged = models.Filter(must=[models.FieldCondition(key="tag", match=models.MatchValue(value="t1"))])
    filled.delete_vectors(NAME, ["body", "title"], models.FilterSelector(filter=tagged))
    assert filled.retrieve(NAME, [1], with_vectors=True)[0].vector == {}
    with pytest.raises(UnexpectedResponse) as refused:
        filled.update_vectors(NAME, [models.PointVectors(id=9_999, vector={"body": bodies[4].tolist()})])
    assert refused.value.status_code == 404


def test_operations_of_a_batch_know_names(filled, bodies):
    operations = [
        models.UpsertOperation(
            upsert=models.PointsList(points=[models.PointStruct(id=300, vector={"body": bodies[0].tolist()})])
        ),
        models.UpdateVectorsOperation(
            update_vectors=models.UpdateVectors(
                points=[models.PointVectors(id=300, vector={"title": [1, 0, 0, 0, 0, 0]})]
            )
        ),
        models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[300], vector=["body"])),
    ]
    filled.batch_update_points(NAME, operations)
    assert filled.retrieve(NAME, [300], with_vectors=True)[0].vector == {"title": [1, 0, 0, 0, 0, 0]}


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([0.5] * 6, "Not existing vector name error: "),
        ({"head": [0.5] * 6}, "Not existing vector name error: head"),
        ({"title": [0.5] * 5}, "expected dim: 6, got 5"),
        ({"title": [0.5] * 6, "body": ["a"] * 8}, "expected a number"),
        ({"title": [[0.5] * 6]}, "multivectors"),
        ({"title": {"indices": [1], "values": [1.0]}}, "failed: vector `title` is not sparse"),
        ({"indices": [1], "values": [1.0]}, "sparse vectors have names"),
        ({"title": "abc"}, "expected a vector"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(filled, url, vector, said):
    for method, path, body in (
        ("PUT", "points", {"points": [{"id": 1, "vector": vector}]}),
        ("PUT", "points/vectors", {"points": [{"id": 1, "vector": vector}]}),
    ):
        answer = httpx.request(method, f"{url}/collections/{NAME}/{path}?wait=true", json=body)
        assert answer.status_code == 400
        assert said in answer.json()["status"]["error"]
    assert filled.retrieve(NAME, [1])[0].payload == {"n": 1, "tag": "t1"}


# -- queries


def test_a_query_is_by_the_vector_it_names(filled, bodies, rng):
    for query in rng.normal(size=(5, 8)).astype(np.float32):
        found = filled.query_points(NAME, query.tolist(), using="body", limit=5)
        wanted = nearest(bodies, query, 5)
        assert ids(found) == wanted
        distances = np.linalg.norm(bodies[wanted] - query, axis=1)
        assert [p.score for p in found.points] == pytest.approx(distances, rel=1e-5)
    exact = models.SearchParams(exact=True)
    assert ids(filled.query_points(NAME, bodies[1].tolist(), using="body", limit=3, search_params=exact))[0] == 1
    close = filled.query_points(NAME, bodies[1].tolist(), using="body", score_threshold=0.5)
    assert ids(close) == [1]
    for using, said in (("", "Not existing vector name error: "), ("head", "Not existing vector name error: head")):
        with pytest.raises(UnexpectedResponse, match=said):
            filled.query_points(NAME, bodies[1].tolist(), using=using)
    with pytest.raises(UnexpectedResponse, match="expected dim: 6, got 8"):
        filled.query_points(NAME, bodies[1].tolist(), using="title")


def test_a_query_by_id_takes_the_vector_of_that_name(filled, bodies):
    assert ids(filled.query_points(NAME, 1, using="body", limit=3)) == nearest(bodies, bodies[1], 4)[1:]
    with pytest.raises(UnexpectedResponse, match="point 4 has no vector `body` to search by"):
        filled.query_points(NAME, 4, using="body")
    liked = models.RecommendQuery(recommend=models.RecommendInput(positive=[1, 2], negative=[3]))
    target = bodies[[1, 2]].mean(axis=0) * 2 - bodies[3]
    wanted = [i for i in nearest(bodies, target, 8) if i not in (1, 2, 3)][:5]
    assert ids(filled.query_points(NAME, liked, using="body", limit=5)) == wanted


def test_points_are_filtered_by_the_vectors_they_have(filled, titles):
    lacks = models.Filter(must_not=[models.HasVectorCondition(has_vector="body")])
    assert sorted(ids(filled.query_points(NAME, titles[1].tolist(), using="title", query_filter=lacks, limit=N))) == [
        *range(0, N, 4)
    ]
    assert filled.count(NAME, models.Filter(must=[models.HasVectorCondition(has_vector="other")])).count == 0
    assert filled.count(NAME, lacks).count == N // 4


@pytest.mark.parametrize("fusion", [models.Fusion.RRF, models.Fusion.DBSF])
def test_prefetches_of_several_vectors_are_fused(filled, titles, bodies, fusion):
    asked = [
        models.Prefetch(query=titles[1].tolist(), using="title", limit=5),
        models.Prefetch(query=bodies[2].tolist(), using="body", limit=5),
    ]
    fused = models.FusionQuery(fusion=fusion)
    found = filled.query_points(NAME, prefetch=asked, query=fused, limit=3, with_vectors=True)
    of_titles = ids(filled.query_points(NAME, titles[1].tolist(), using="title", limit=5))
    of_bodies = ids(filled.query_points(NAME, bodies[2].tolist(), using="body", limit=5))
    assert set(ids(found)) <= set(of_titles) | set(of_bodies)
    assert {1, 2} <= set(ids(filled.query_points(NAME, prefetch=asked, query=fused)))
    assert all("title" in point.vector for point in found.points)


def test_what_one_vector_finds_another_ranks(filled, titles, bodies):
    prefetch = models.Prefetch(query=titles[1].tolist(), using="title", limit=12)
    found = ids(filled.query_points(NAME, prefetch=prefetch, query=bodies[1].tolist(), using="body", limit=4))
    among = ids(filled.query_points(NAME, titles[1].tolist(), using="title", limit=12))
    assert found == [i for i in nearest(bodies, bodies[1], N) if i in among and i % 4][:4]


def test_groups_diversity_and_batches_know_names(filled, bodies):
    asked = {"query": bodies[1].tolist(), "using": "body", "limit": 3, "group_size": 2}
    groups = filled.query_points_groups(NAME, "tag", **asked).groups
    assert [len(group.hits) for group in groups] == [2, 2, 2]
    assert groups[0].hits[0].id == 1
    diverse = models.NearestQuery(nearest=bodies[1].tolist(), mmr=models.Mmr(diversity=0.5, candidates_limit=20))
    found = filled.query_points(NAME, diverse, using="body", limit=4)
    assert ids(found)[0] == 1
    assert found.points[0].vector is None
    hit = filled.query_points(NAME, diverse, using="body", limit=1, with_vectors=["title"]).points[0]
    assert list(hit.vector) == ["title"]
    answers = filled.query_batch_points(
        NAME,
        [
            models.QueryRequest(query=bodies[1].tolist(), using="body", limit=1),
            models.QueryRequest(query=2, using="title", limit=1),
            models.QueryRequest(limit=1),
        ],
    )
    assert [len(answer.points) for answer in answers] == [1, 1, 1]
    assert ids(answers[0]) == [1]


# -- our own verbs, and the older search


def test_the_older_search_names_its_vector(filled, url, bodies):
    body = {"vector": {"name": "body", "vector": bodies[1].tolist()}, "limit": 1}
    answer = httpx.post(f"{url}/collections/{NAME}/points/search", json=body)
    assert [point["id"] for point in answer.json()["result"]] == [1]


def test_our_own_verbs_take_a_name(filled, url, bodies):
    ours, http = f"{url}/pqdb/v1/collections/{NAME}", httpx.Client(timeout=60)
    measured = http.post(f"{ours}/recall", json={"using": "body", "k": 3}).json()["result"]
    assert measured["recall"] == 1.0
    asked = {"query": bodies[1].tolist(), "using": "body", "limit": 2}
    explained = http.post(f"{ours}/explain", json=asked).json()["result"]
    assert explained["kind"] == "exact"
    assert explained["hits"][0]["id"] == 1
    raw = {"content-type": "application/octet-stream"}
    found = http.post(f"{ours}/query?k=1&using=body", content=bodies[1].tobytes(), headers=raw).json()["result"]
    assert found["ids"] == [[1]]
    refused = http.put(f"{ours}/points?first_id=1", content=bodies[:1].tobytes(), headers=raw)
    assert refused.status_code == 400
    assert "whose vectors have names in a binary body" in refused.json()["status"]["error"]
    lines = http.get(f"{ours}/export").text
    written = http.post(f"{ours}/import", content=lines, headers={"content-type": "application/x-ndjson"})
    assert written.status_code == 200, written.text
    assert filled.count(NAME).count == N
    assert list(filled.retrieve(NAME, [4], with_vectors=True)[0].vector) == ["title"]
    replaced = {"filter": {"must": [{"key": "tag", "match": {"value": "t2"}}]}, "points": [{"id": 2, "vector": {}}]}
    assert http.post(f"{ours}/replace", json=replaced).status_code == 200
    assert filled.count(NAME).count == N - 7
    stats = http.get(f"{ours}/stats").json()["result"]
    assert list(stats["vectors"]) == ["title", "body"]
    for verb in ("train?using=body", "optimize", "compact", "verify"):
        assert http.post(f"{ours}/{verb}").status_code == 200
    assert http.post(f"{ours}/rollback?using=head").status_code == 400
    assert "pqdb_collection_points" in http.get(f"{url}/metrics").text
    http.close()


def test_uuid_ids_and_names_go_together(filled, bodies):
    id_ = str(uuid.uuid4())
    filled.upsert(NAME, [models.PointStruct(id=id_, vector={"body": bodies[0].tolist()})])
    assert ids(filled.query_points(NAME, bodies[0].tolist(), using="body", limit=1)) == [id_]
