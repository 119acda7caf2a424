"""Points over HTTP: upsert in both forms, delete, retrieve, scroll, count; wait; float printing."""

import numpy as np
import pytest

from .conftest import DIM, UUID

POINTS = "/collections/docs/points"
HEX = UUID.replace("-", "")


def ids_of(points: list[dict]) -> list:
    return [point["id"] for point in points]


@pytest.mark.parametrize(
    "body",
    [
        {"points": [{"id": 9, "vector": [0, 1, 2, 3], "payload": {"a": 1}}]},
        {"points": [{"id": 9, "vector": {"": [0, 1, 2, 3]}, "payload": {"a": 1}}]},
        {"batch": {"ids": [9], "vectors": [[0, 1, 2, 3]], "payloads": [{"a": 1}]}},
        {"batch": {"ids": [9], "vectors": {"": [[0, 1, 2, 3]]}, "payloads": [{"a": 1}]}},
    ],
)
def test_every_spelling_of_the_unnamed_vector_is_one_vector(docs, body):
    docs.ok("PUT", POINTS, body)
    assert docs.ok("GET", f"{POINTS}/9") == {"id": 9, "payload": {"a": 1}, "vector": [0.0, 1.0, 2.0, 3.0]}


def test_upsert_replaces_vector_and_payload(docs):
    docs.ok("PUT", POINTS, {"points": [{"id": 1, "vector": [9, 9, 9, 9]}]})
    assert docs.ok("GET", f"{POINTS}/1") == {"id": 1, "payload": {}, "vector": [9.0, 9.0, 9.0, 9.0]}
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


def test_last_of_duplicate_ids_wins(docs):
    vectors = [[1, 1, 1, 1], [2, 2, 2, 2]]
    docs.ok("PUT", POINTS, {"batch": {"ids": [HEX, UUID.upper()], "vectors": vectors}})
    assert docs.ok("GET", f"{POINTS}/{UUID}")["vector"] == [2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(("wait", "word"), [("true", "completed"), ("false", "acknowledged"), (None, "acknowledged")])
def test_wait_chooses_the_word_not_the_work(docs, wait, word):
    params = {} if wait is None else {"wait": wait}
    first = docs.ok("PUT", POINTS, {"points": [{"id": 5, "vector": [1, 1, 1, 1]}]}, params=params)
    assert first["status"] == word
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 4}
    second = docs.ok("POST", f"{POINTS}/delete", {"points": [5]}, params=params)
    assert second["status"] == word
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


def test_operation_ids_grow(docs):
    body = {"points": [{"id": 5, "vector": [1, 1, 1, 1]}]}
    first, second = (docs.ok("PUT", POINTS, body)["operation_id"] for _ in range(2))
    assert first < second


def test_dimension_errors_are_reported_without_waiting_too(docs):
    body = {"points": [{"id": 5, "vector": [1, 1, 1]}]}
    text = "Wrong input: Vector dimension error: expected dim: 4, got 3"
    assert docs.error("PUT", f"{POINTS}?wait=false", body) == (400, text)


@pytest.mark.parametrize("ordering", ["weak", "medium", "strong"])
def test_ordering_is_taken(docs, ordering):
    docs.ok("POST", f"{POINTS}/delete?ordering={ordering}&timeout=5", {"points": [1]})
    assert docs.ok("POST", f"{POINTS}/count?consistency=quorum", {"exact": False}) == {"count": 2}


def test_delete_ignores_ids_that_are_not_there(docs):
    docs.ok("POST", f"{POINTS}/delete", {"points": [1, 404, HEX]})
    assert ids_of(docs.ok("POST", f"{POINTS}/scroll", {})["points"]) == [2]


def test_retrieve_leaves_absent_ids_out(docs):
    found = docs.ok("POST", POINTS, {"ids": [2, 404, f"urn:uuid:{HEX}"]})
    assert found == [{"id": 2, "payload": {"lang": "de"}}, {"id": UUID, "payload": {}}]
    assert docs.ok("POST", POINTS, {"ids": []}) == []


def test_retrieve_gives_what_was_asked_for(docs):
    assert docs.ok("POST", POINTS, {"ids": [2], "with_payload": False}) == [{"id": 2}]
    [point] = docs.ok("POST", POINTS, {"ids": [2], "with_vector": True, "with_payload": ["none"]})
    assert point == {"id": 2, "payload": {}, "vector": [0.5, 0.5, 0.0, 0.0]}
    assert "vector" in docs.ok("POST", POINTS, {"ids": [2], "with_vectors": [""]})[0]
    assert "vector" not in docs.ok("POST", POINTS, {"ids": [2], "with_vector": []})[0]


def test_get_point_reads_numbers_and_uuids(docs):
    assert docs.ok("GET", f"{POINTS}/1")["id"] == 1
    assert docs.ok("GET", f"{POINTS}/{HEX}")["id"] == UUID
    assert docs.error("GET", f"{POINTS}/404") == (404, "Not found: Point with id 404 does not exists!")
    assert docs.error("GET", f"{POINTS}/abc") == (400, 'Wrong input: Can not recognize "abc" as point id')
    assert docs.error("GET", f"{POINTS}/{2**64}")[0] == 400


def test_scroll_pages_through_everything_in_id_order(docs):
    others = [10, 2**64 - 1, "00000000-0000-0000-0000-000000000001"]
    docs.ok("PUT", POINTS, {"batch": {"ids": others, "vectors": [[1, 1, 1, 1]] * 3}})
    seen, offset = [], None
    while True:
        page = docs.ok("POST", f"{POINTS}/scroll", {"limit": 2, "offset": offset, "with_payload": False})
        assert len(page["points"]) == 2
        seen += ids_of(page["points"])
        offset = page["next_page_offset"]
        if offset is None:
            break
    assert seen == [1, 2, 10, 2**64 - 1, "00000000-0000-0000-0000-000000000001", UUID]


def test_scroll_limit_may_be_huge(docs):
    page = docs.ok("POST", f"{POINTS}/scroll", {"limit": 2**63})
    assert (len(page["points"]), page["next_page_offset"]) == (3, None)


def test_scroll_of_an_empty_collection(http):
    http.ok("PUT", "/collections/c", {"vectors": {"size": DIM, "distance": "Dot"}})
    assert http.ok("POST", "/collections/c/points/scroll", {}) == {"points": [], "next_page_offset": None}
    assert http.ok("POST", "/collections/c/points/count", {}) == {"count": 0}


def test_vectors_are_printed_with_float32_shortest_digits(docs):
    docs.ok("PUT", POINTS, {"points": [{"id": 5, "vector": [0.05, 0.1, 1e-7, 16777216]}]})
    text = docs.client.get(f"{POINTS}/5").text
    assert '"vector":[0.05,0.1,1e-7,16777216.0]' in text


def test_float32_survives_the_wire_to_the_bit(docs, rng):
    sent = rng.normal(size=(100, DIM)).astype(np.float32) * np.float32(10.0) ** rng.integers(-20, 15, (100, 1))
    sent = sent.astype(np.float32)
    docs.ok("PUT", POINTS, {"batch": {"ids": list(range(100, 200)), "vectors": sent.astype(float).tolist()}})
    found = docs.ok("POST", POINTS, {"ids": list(range(100, 200)), "with_vector": True})
    assert np.array_equal(np.array([point["vector"] for point in found], np.float32), sent)


def test_payload_comes_back_as_it_was(docs):
    numbers = [1, 2.5, -0.0, 1e300, 2**63, -(2**63)]
    payload = {"null": None, "deep": [[{"a": numbers}]], "": "", "ü\n": "\U0001f600", "t": True}
    docs.ok("PUT", POINTS, {"points": [{"id": 5, "vector": [1, 1, 1, 1], "payload": payload}]})
    assert docs.ok("GET", f"{POINTS}/5")["payload"] == payload


def test_payload_may_be_as_deep_as_qdrant_parses(docs):
    def nested(levels: int) -> dict:
        value: dict = {}
        for _ in range(levels - 1):
            value = {"a": value}
        return value

    body = {"points": [{"id": 5, "vector": [1, 1, 1, 1], "payload": nested(128)}]}
    docs.ok("PUT", POINTS, body)
    assert docs.ok("GET", f"{POINTS}/5")["payload"] == nested(128)
    body["points"][0]["payload"] = nested(129)
    status, text = docs.error("PUT", POINTS, body)
    assert (status, "128 levels" in text) == (400, True)
