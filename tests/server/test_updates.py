"""Vectors alone, batches of changes, the older search operations, and the cluster there is not."""

import pytest
from qdrant_client import QdrantClient, models

POINTS = "/collections/docs/points"
ONES = [1.0, 1.0, 1.0, 1.0]


def vector_of(http, id_) -> list[float]:
    return http.ok("GET", f"{POINTS}/{id_}")["vector"]


def test_vectors_change_and_payloads_stay(docs):
    body = {"points": [{"id": 1, "vector": ONES}, {"id": 2, "vector": {"": [2, 2, 2, 2]}}]}
    assert docs.ok("PUT", f"{POINTS}/vectors?wait=true", body)["status"] == "completed"
    assert vector_of(docs, 1) == ONES
    assert docs.ok("GET", f"{POINTS}/1")["payload"]["lang"] == "en"
    assert docs.ok("POST", f"{POINTS}/query", {"query": ONES, "limit": 1})["points"][0]["id"] == 2


def test_a_point_that_is_not_there_changes_none(docs):
    body = {"points": [{"id": 1, "vector": ONES}, {"id": 77, "vector": ONES}]}
    assert docs.error("PUT", f"{POINTS}/vectors", body) == (404, "Not found: there is no point 77")
    assert vector_of(docs, 1) == [1.0, 0.0, 0.0, 0.0]


def test_vectors_of_a_point_named_twice_are_all_set(http):
    params = {"size": 2, "distance": "Dot"}
    http.ok("PUT", "/collections/two", {"vectors": {"title": params, "body": params}})
    points = "/collections/two/points"
    http.ok("PUT", points, {"points": [{"id": 1, "vector": {"title": [0, 1], "body": [0, 1]}}]})
    given = [{"id": 1, "vector": {"title": [1, 0]}}, {"id": 1, "vector": {"body": [2, 0]}}]
    http.ok("PUT", f"{points}/vectors", {"points": given})
    assert http.ok("GET", f"{points}/1")["vector"] == {"title": [1.0, 0.0], "body": [2.0, 0.0]}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "payload", {"payload": {"seen": True}}),
        ("PUT", "payload", {"payload": {"seen": True}}),
        ("POST", "payload/delete", {"keys": ["lang"]}),
        ("POST", "payload/clear", {}),
    ],
)
def test_payloads_of_points_that_are_not_there(docs, method, path, body):
    """The others are changed, and who updates, else inserts, is told."""
    before = docs.ok("GET", f"{POINTS}/1")["payload"]
    refused = docs.error(method, f"{POINTS}/{path}", {**body, "points": [1, 1, 999, 998]})
    assert refused == (404, "Not found: No point with id 999 found")
    assert docs.ok("GET", f"{POINTS}/1")["payload"] != before
    docs.ok(method, f"{POINTS}/{path}", {**body, "points": [1, 1]})
    docs.ok(method, f"{POINTS}/{path}", {**body, "points": []})
    docs.ok(method, f"{POINTS}/{path}", {**body, "filter": {"must": [{"has_id": [1, 999]}]}})


def test_null_takes_a_key_out_of_a_payload(docs):
    docs.ok("POST", f"{POINTS}/payload", {"payload": {"lang": None, "deep": {"a": 1, "b": None}}, "points": [2]})
    assert docs.ok("GET", f"{POINTS}/2")["payload"] == {"deep": {"a": 1, "b": None}}
    docs.ok("POST", f"{POINTS}/payload", {"payload": {"a": None}, "key": "deep", "points": [2]})
    assert docs.ok("GET", f"{POINTS}/2")["payload"] == {"deep": {"b": None}}


def test_a_batch_is_done_in_its_order(docs):
    operations = [
        {"upsert": {"points": [{"id": 5, "vector": ONES, "payload": {"a": 1}}]}},
        {"update_vectors": {"points": [{"id": 5, "vector": [5, 5, 5, 5]}]}},
        {"delete": {"points": [1, 2]}},
        {"upsert": {"batch": {"ids": [1], "vectors": [ONES]}}},
    ]
    done = docs.ok("POST", f"{POINTS}/batch?wait=true", {"operations": operations})
    assert [result["status"] for result in done] == ["completed"] * 4
    assert (vector_of(docs, 5), vector_of(docs, 1)) == ([5.0] * 4, ONES)
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ({"upsert": {"points": [{"id": 5, "vector": [1]}]}}, "expected dim: 4, got 1"),
        ({"delete": {"points": ["x"]}}, "is not a valid point ID"),
        ({"delete_vectors": {"points": [1], "vector": ["title"]}}, "Not existing vector name error: title"),
        ({"insert": {}}, "operations[1]: unknown field `insert`"),
        ({}, "operations[1]: expected one of"),
        ({"delete": {"points": [1]}, "upsert": {"points": []}}, "operations[1]: expected one of"),
    ],
)
def test_a_batch_is_checked_before_it_begins(docs, operation, words):
    good = {"delete": {"points": [1]}}
    status, text = docs.error("POST", f"{POINTS}/batch", {"operations": [good, operation]})
    assert (status, words in text) == (400, True), text
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


@pytest.mark.parametrize("vector", [[1, 0, 0, 0], {"": [1, 0, 0, 0]}, {"name": "", "vector": [1, 0, 0, 0]}])
def test_the_older_search_answers_as_query_does(unchanged, vector):
    rest = {"limit": 2, "with_payload": True, "offset": 0, "score_threshold": 0.2}
    found = unchanged.ok("POST", f"{POINTS}/search", {"vector": vector, **rest})
    assert found == unchanged.ok("POST", f"{POINTS}/query", {"query": [1, 0, 0, 0], **rest})["points"]


def test_the_older_batch(unchanged):
    searches = [{"vector": [1, 0, 0, 0], "limit": 1}, {"vector": [0, 0, 0, 1], "limit": 3}]
    one, three = unchanged.ok("POST", f"{POINTS}/search/batch", {"searches": searches})
    assert [hit["id"] for hit in one] == [1]
    assert len(three) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"limit": 1}, "missing field `vector`"),
        ({"vector": ONES}, "missing field `limit`"),
        ({"vector": ONES, "limit": 1, "query": ONES}, "unknown field `query`"),
        ({"vector": {"name": "title", "vector": ONES}, "limit": 1}, "Not existing vector name error: title"),
    ],
)
def test_the_older_search_refuses(unchanged, body, words):
    status, text = unchanged.error("POST", f"{POINTS}/search", body)
    assert (status, words in text) == (400, True), text


def test_there_is_no_cluster(unchanged):
    assert unchanged.ok("GET", "/cluster") == {"status": "disabled"}
    shards = unchanged.ok("GET", "/collections/docs/cluster")
    assert (shards["shard_count"], shards["local_shards"][0]["points_count"]) == (1, 3)


def test_by_the_official_client(url, docs):
    client = QdrantClient(url=url, timeout=60)
    client.update_vectors("docs", [models.PointVectors(id=1, vector=ONES)])
    client.batch_update_points(
        "docs",
        [
            models.UpsertOperation(upsert=models.PointsList(points=[models.PointStruct(id=9, vector=ONES)])),
            models.DeleteOperation(delete=models.PointIdsList(points=[2])),
        ],
    )
    assert {record.id for record in client.scroll("docs")[0]} >= {1, 9}
    if hasattr(client, "cluster_status"):  # newer clients
        assert client.cluster_status().status == "disabled"
        assert client.collection_cluster_info("docs").local_shards[0].points_count == 3
    client.close()
