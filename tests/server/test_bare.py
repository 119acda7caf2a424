"""Points without a vector: there for everything but queries by a vector."""

import pytest
from qdrant_client import QdrantClient, models

import pqdb

from .conftest import UUID

POINTS = "/collections/docs/points"
ONES = [1.0, 1.0, 1.0, 1.0]


@pytest.fixture
def mixed(docs):
    """The collection "docs" and points 10 and 11 without vectors."""
    points = [{"id": 10, "vector": {}, "payload": {"lang": "en"}}, {"id": 11, "vector": {}}]
    docs.ok("PUT", f"{POINTS}?wait=true", {"points": points})
    return docs


def found(http, **query) -> list:
    return [hit["id"] for hit in http.ok("POST", f"{POINTS}/query", {"query": ONES, "limit": 9, **query})["points"]]


def scrolled(http, **body) -> dict:
    return {point["id"]: point for point in http.ok("POST", f"{POINTS}/scroll", {"limit": 99, **body})["points"]}


def test_they_are_counted_scrolled_and_given_back_but_not_found(mixed):
    assert mixed.ok("POST", f"{POINTS}/count", {}) == {"count": 5}
    told = scrolled(mixed, with_vector=True)
    assert (told[10]["payload"], told[10]["vector"]) == ({"lang": "en"}, {})
    assert (told[11]["payload"], told[11]["vector"]) == ({}, {})
    assert told[1]["vector"] == [1.0, 0.0, 0.0, 0.0]
    assert scrolled(mixed, with_payload=False, with_vector=True)[10] == {"id": 10, "vector": {}}
    assert mixed.ok("GET", f"{POINTS}/10") == {"id": 10, "payload": {"lang": "en"}, "vector": {}}
    assert len(found(mixed)) == 3
    assert not {10, 11} & set(found(mixed))
    assert mixed.ok("POST", f"{POINTS}/query", {"limit": 9})["points"][2]["id"] == 10


def test_filters_pass_them(mixed):
    english = {"must": [{"key": "lang", "match": {"value": "en"}}]}
    assert scrolled(mixed, filter=english).keys() == {1, 10}
    assert found(mixed, filter=english) == [1]
    assert mixed.ok("POST", f"{POINTS}/count", {"filter": english}) == {"count": 2}


def test_has_vector_tells_them_from_others(mixed):
    """As one looks for points that are still to be embedded."""
    has = {"has_vector": ""}
    for filter_, ids in (
        ({"must": [has]}, {1, 2, UUID}),
        ({"must_not": has}, {10, 11}),
        ({"min_should": {"conditions": [has, {"has_id": [11]}], "min_count": 1}}, {1, 2, UUID, 11}),
        ({"should": [{"must_not": [has]}, {"has_id": [1]}]}, {1, 10, 11}),
    ):
        assert scrolled(mixed, filter=filter_).keys() == ids
        assert mixed.ok("POST", f"{POINTS}/count", {"filter": filter_}) == {"count": len(ids)}
    mixed.ok("POST", f"{POINTS}/delete", {"filter": {"must_not": [has]}})
    assert scrolled(mixed).keys() == {1, 2, UUID}


def test_a_vector_that_is_given_meanwhile_stays(mixed, database, monkeypatch):
    """Between the mark and the zeros another writer is at work: one point gets a vector anew, another goes."""
    set_payload = pqdb.Collection.set_payload

    def overtaken(collection, *arguments, **how):
        changed = set_payload(collection, *arguments, **how)
        monkeypatch.setattr(pqdb.Collection, "set_payload", set_payload)
        collection.upsert([1], [ONES])
        collection.delete([UUID])
        return changed

    monkeypatch.setattr(pqdb.Collection, "set_payload", overtaken)
    mixed.ok("POST", f"{POINTS}/vectors/delete", {"points": [1, 2, UUID], "vector": [""]})
    told = scrolled(mixed, with_vector=True)
    assert told.keys() == {1, 2, 10, 11}
    assert [told[id_]["vector"] for id_ in (1, 2, 10, 11)] == [ONES, {}, {}, {}]
    assert not database["docs"].get([2], with_vector=True)[0].vector.any()


def test_changes_of_payloads_do_not_make_them_found(mixed):
    everything = {"filter": {}}
    mixed.ok("POST", f"{POINTS}/payload", {"payload": {"a": 1}, **everything})
    assert scrolled(mixed)[10]["payload"] == {"lang": "en", "a": 1}
    mixed.ok("PUT", f"{POINTS}/payload", {"payload": {"b": 2}, "points": [1, 10]})
    told = scrolled(mixed)
    assert told[1]["payload"] == told[10]["payload"] == {"b": 2}
    mixed.ok("POST", f"{POINTS}/payload/delete", {"keys": ["b"], **everything})
    mixed.ok("POST", f"{POINTS}/payload/clear", everything)
    assert all(point["payload"] == {} for point in scrolled(mixed).values())
    assert len(found(mixed)) == 3


def test_a_vector_makes_them_found_and_its_loss_unfound(mixed):
    mixed.ok("PUT", f"{POINTS}/vectors", {"points": [{"id": 10, "vector": [9, 9, 9, 9]}]})
    assert found(mixed)[0] == 10
    assert scrolled(mixed)[10]["payload"] == {"lang": "en"}
    mixed.ok("POST", f"{POINTS}/vectors/delete", {"points": [10, 1, 999], "vector": [""]})
    assert {10, 1}.isdisjoint(found(mixed))
    assert scrolled(mixed, with_vector=True)[1]["vector"] == {}
    mixed.ok("POST", f"{POINTS}/vectors/delete", {"filter": {}, "vector": [""]})
    assert found(mixed) == []
    mixed.ok("PUT", POINTS, {"points": [{"id": 10, "vector": ONES}]})
    assert found(mixed) == [10]


def test_nothing_of_how_it_is_done_can_be_seen_or_used(mixed):
    collection = mixed.ok("GET", "/collections/docs")
    assert collection["payload_schema"] == {}
    own = {"pqdb_server": 1}
    for path, body in (
        ("", {"points": [{"id": 1, "vector": ONES, "payload": own}]}),
        ("/payload", {"payload": own, "points": [1]}),
        ("/payload/delete", {"keys": ["pqdb_server"], "points": [1]}),
    ):
        status, text = mixed.error("PUT" if not path else "POST", f"{POINTS}{path}", body)
        assert (status, "kept for the service itself" in text) == (400, True)


def test_by_the_official_client(http, mixed):
    client = QdrantClient(url="http://embedded", transport=http.client._transport, check_compatibility=False)
    client.upsert("docs", [models.PointStruct(id=12, vector={}, payload={"a": 1})])
    [record] = client.retrieve("docs", [12], with_vectors=True)
    assert (record.vector, record.payload) == ({}, {"a": 1})
    client.delete_vectors("docs", vectors=[""], points=[2])
    assert client.retrieve("docs", [2], with_vectors=True)[0].vector == {}


def test_export_and_import_keep_them(mixed):
    lines = mixed.client.get("/pqdb/v1/collections/docs/export").content
    mixed.ok("PUT", "/collections/copy", {"vectors": {"size": 4, "distance": "Dot"}})
    answer = mixed.client.post(
        "/pqdb/v1/collections/copy/import", content=lines, headers={"content-type": "application/x-ndjson"}
    )
    assert answer.json()["result"] == {"points": 5}
    assert mixed.client.get("/pqdb/v1/collections/copy/export").content == lines
