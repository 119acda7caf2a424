"""What other clients and applications do that is easily missed; what has no home in another file of these."""

import re
from pathlib import Path

import pytest

import pqdb
import pqdb_server

C = "/collections/docs"
POINTS = f"{C}/points"
ROOT = Path(__file__).parents[2]


def test_texts_that_clients_look_for(docs):
    """Open WebUI: 404, "Collection" and "doesn't exist"; LlamaIndex: "already exists" in the first 200 bytes."""
    status, text = docs.error("GET", "/collections/x")
    assert (status, text) == (404, "Not found: Collection `x` doesn't exist!")
    answer = docs.client.put(C, json={"vectors": {"size": 4, "distance": "Dot"}})
    assert (answer.status_code, b"already exists" in answer.content[:200]) == (409, True)


@pytest.mark.parametrize("consistency", ["majority", "quorum", "all", "2"])
def test_a_consistency_is_taken(unchanged, consistency):
    assert unchanged.ok("POST", f"{POINTS}/count?consistency={consistency}", {}) == {"count": 3}


def test_null_is_like_a_key_that_is_not_there(docs):
    point = {"id": 9, "vector": [1, 1, 1, 1], "payload": {"kept": None, "list": []}}
    docs.ok("PUT", POINTS, {"points": [point], "update_filter": None, "update_mode": None, "shard_key": None})
    keys = ("filter", "params", "score_threshold", "using", "offset", "limit", "with_payload", "prefetch")
    body = {"query": [1, 1, 1, 1], **dict.fromkeys(keys), "lookup_from": None}
    assert docs.ok("POST", f"{POINTS}/query", body)["points"][0]["id"] == 9
    assert docs.ok("GET", f"{POINTS}/9")["payload"] == {"kept": None, "list": []}  # nulls inside payloads stay


@pytest.mark.parametrize("clause", ["must", "should", "must_not"])
def test_an_empty_clause_asks_for_nothing(unchanged, clause):
    english = {"key": "lang", "match": {"value": "en"}}
    assert unchanged.ok("POST", f"{POINTS}/count", {"filter": {clause: []}}) == {"count": 3}
    other = "must_not" if clause == "must" else "must"
    expected = 2 if other == "must_not" else 1
    assert unchanged.ok("POST", f"{POINTS}/count", {"filter": {clause: [], other: english}}) == {"count": expected}


def test_defaults_of_limits_payloads_and_vectors(http):
    http.ok("PUT", C, {"vectors": {"size": 1, "distance": "Dot"}})
    points = [{"id": i, "vector": [float(i)], "payload": {"g": f"{i % 20}", "n": i}} for i in range(1, 101)]
    http.ok("PUT", POINTS, {"points": points})
    http.ok("PUT", f"{C}/index", {"field_name": "g", "field_schema": "keyword"})
    found = http.ok("POST", f"{POINTS}/query", {"query": [1.0]})["points"]
    assert [point.keys() for point in found] == [{"id", "version", "score"}] * 10
    page = http.ok("POST", f"{POINTS}/scroll", {})["points"]
    assert [point.keys() for point in page] == [{"id", "payload"}] * 10
    assert http.ok("POST", POINTS, {"ids": [1]})[0].keys() == {"id", "payload"}
    assert http.ok("POST", POINTS, {"ids": [1], "with_vectors": True})[0].keys() == {"id", "payload", "vector"}
    groups = http.ok("POST", f"{POINTS}/query/groups", {"query": [1.0], "group_by": "g"})["groups"]
    assert [len(group["hits"]) for group in groups] == [3] * 10
    assert len(http.ok("POST", f"{C}/facet", {"key": "g"})["hits"]) == 10
    fused = {"prefetch": [{"query": [1.0]}, {"query": [-1.0]}], "query": {"fusion": "rrf"}, "limit": 100}
    assert len(http.ok("POST", f"{POINTS}/query", fused)["points"]) == 20  # ten of each prefetch


def test_reciprocal_rank_fusion_counts_from_nought_with_k_2(docs):
    fused = {"prefetch": [{"query": [1, 0, 0, 0]}], "query": {"fusion": "rrf"}}
    scores = [point["score"] for point in docs.ok("POST", f"{POINTS}/query", fused)["points"]]
    assert scores == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    fused["query"] = {"rrf": {"k": 5, "weights": [3.0]}}
    scores = [point["score"] for point in docs.ok("POST", f"{POINTS}/query", fused)["points"]]
    assert scores == pytest.approx([1 / ((place + 1) / 3 + 4) for place in range(3)])


def test_a_zero_vector_scores_nought_by_cosine(http):
    http.ok("PUT", C, {"vectors": {"size": 2, "distance": "Cosine"}})
    http.ok("PUT", POINTS, {"points": [{"id": 1, "vector": [0, 0]}, {"id": 2, "vector": [3, 4]}]})
    found = http.ok("POST", f"{POINTS}/query", {"query": [3.0, 4.0], "with_vector": True})["points"]
    assert [(point["id"], point["score"], point["vector"]) for point in found] == [
        (2, pytest.approx(1), pytest.approx([0.6, 0.8])), (1, 0.0, [0.0, 0.0]),
    ]  # fmt: skip


def test_an_index_that_is_there_may_be_made_again_and_one_that_is_not_dropped(docs):
    for schema in ("keyword", {"type": "keyword"}, "keyword"):
        body = {"field_name": "lang", "field_schema": schema}
        assert docs.ok("PUT", f"{C}/index?wait=true", body)["status"] == "completed"
    for _ in range(2):
        assert docs.ok("DELETE", f"{C}/index/lang?wait=true")["status"] == "completed"


def test_ten_thousand_points_in_one_page(http):
    """Haystack scrolls by ten thousand, LlamaIndex by 9,999."""
    http.ok("PUT", C, {"vectors": {"size": 1, "distance": "Dot"}})
    body = {"batch": {"ids": list(range(10_000)), "vectors": [[1.0]] * 10_000}}
    http.ok("PUT", POINTS, body)
    page = http.ok("POST", f"{POINTS}/scroll", {"limit": 10_000})
    assert ([point["id"] for point in page["points"]], page["next_page_offset"]) == (list(range(10_000)), None)
    assert http.ok("POST", f"{POINTS}/scroll", {"limit": 9_999})["next_page_offset"] == 9_999


# -- applications, by what their sources send


def test_open_webui(http):
    """Makes a tenant index and a graph of payloads only, deletes by filters with an empty `should`."""
    body = {"vectors": {"size": 2, "distance": "Cosine", "on_disk": False}, "hnsw_config": {"m": 0, "payload_m": 16}}
    http.ok("PUT", C, body)
    schema = {"type": "keyword", "is_tenant": True, "on_disk": False}
    http.ok("PUT", f"{C}/index?wait=true", {"field_name": "tenant_id", "field_schema": schema})
    points = [{"id": f"{i:032x}", "vector": [1, i], "payload": {"tenant_id": f"t{i % 2}"}} for i in range(6)]
    http.ok("PUT", f"{POINTS}?wait=true", {"points": points})
    mine = {"must": [{"key": "tenant_id", "match": {"value": "t0"}}]}
    found = http.ok("POST", f"{POINTS}/query", {"prefetch": {"filter": mine, "limit": 999_999_999}, "query": [1, 1]})
    assert len(found["points"]) == 3
    assert len(http.ok("POST", f"{POINTS}/query", {"filter": mine, "limit": 999_999_999})["points"]) == 3
    http.ok("POST", f"{POINTS}/delete?wait=true", {"filter": {**mine, "should": []}})
    assert http.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


def test_anything_llm(docs):
    """Asks for a cluster as its heartbeat, writes batches, searches the older way, counts exactly."""
    assert docs.ok("GET", "/cluster") == {"status": "disabled"}
    batch = {"batch": {"ids": [7], "vectors": [[1, 1, 1, 1]], "payloads": [{"text": "x"}]}}
    assert docs.ok("PUT", f"{POINTS}?wait=true", batch)["status"] == "completed"
    found = docs.ok("POST", f"{POINTS}/search", {"vector": [1, 1, 1, 1], "limit": 1, "with_payload": True})
    assert [(point["id"], point["payload"]) for point in found] == [(7, {"text": "x"})]
    assert docs.ok("POST", f"{POINTS}/count", {"exact": True}) == {"count": 4}


def test_roo_code(docs):
    """Chooses parts of payloads, and filters by keys that are digits."""
    payload = {"filePath": "a/b.py", "pathSegments": {"0": "a", "1": "b.py"}, "codeChunk": "x", "secret": 1}
    docs.ok("PUT", POINTS, {"points": [{"id": 8, "vector": [1, 1, 1, 1], "payload": payload}]})
    body = {
        "query": [1, 1, 1, 1], "score_threshold": 0.4, "limit": 5, "params": {"hnsw_ef": 128, "exact": False},
        "filter": {"must": [{"key": "pathSegments.0", "match": {"value": "a"}}]},
        "with_payload": {"include": ["filePath", "pathSegments.0"]},
    }  # fmt: skip
    [point] = docs.ok("POST", f"{POINTS}/query", body)["points"]
    assert point["payload"] == {"filePath": "a/b.py", "pathSegments": {"0": "a"}}


def test_the_product_knows_no_client_of_qdrants():
    """Tests do."""
    for package in (pqdb, pqdb_server):
        for file in Path(package.__file__).resolve().parent.rglob("*.py"):
            assert not re.search(r"^\s*(import|from) (qdrant_client|qdrant_edge)", file.read_text(), re.MULTILINE), file
