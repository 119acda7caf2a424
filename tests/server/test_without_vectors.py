"""`vectors: {}`: points with payloads only, over the wire and by the official client."""

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse


def test_over_the_wire(http):
    assert http.ok("PUT", "/collections/notes", {"vectors": {}}) is True
    told = http.ok("GET", "/collections/notes")
    assert told["config"]["params"]["vectors"] == {}
    assert told["points_count"] == 0
    points = [{"id": 1, "vector": {}, "payload": {"n": 1}}, {"id": 2, "vector": {}, "payload": {"n": 2}}]
    http.ok("PUT", "/collections/notes/points?wait=true", {"points": points})
    found = http.ok("POST", "/collections/notes/points/scroll", {"with_vector": True, "limit": 1})
    assert found["points"] == [{"id": 1, "payload": {"n": 1}, "vector": {}}]
    second = {"filter": {"must": [{"key": "n", "match": {"value": 2}}]}}
    assert http.ok("POST", "/collections/notes/points/count", second) == {"count": 1}
    assert len(http.ok("POST", "/collections/notes/points/query", {"limit": 5})["points"]) == 2
    assert http.error("POST", "/collections/notes/points/query", {"query": [1.0]})[0] == 400
    assert "notes" in http.client.get("/metrics").text


def test_by_the_client(client: QdrantClient):
    assert client.create_collection("notes", vectors_config={})
    client.upsert("notes", [models.PointStruct(id=n, vector={}, payload={"n": n}) for n in range(5)])
    assert client.count("notes").count == 5
    assert client.retrieve("notes", [3])[0].payload == {"n": 3}
    with pytest.raises(UnexpectedResponse) as refused:
        client.query_points("notes", query=[1.0, 2.0])
    assert refused.value.status_code == 400
    client.delete("notes", models.PointIdsList(points=[3]))
    assert client.count("notes").count == 4
    assert client.delete_collection("notes")
