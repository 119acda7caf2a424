"""Queries over HTTP: near a vector, near a point, in id order; threshold, offset, effort, batches."""

import numpy as np
import pytest

from pqdb_server.effort import Effort, recall_of_beam
from pqdb_server.fields import Fields

from .conftest import DIM, UUID

QUERY = "/collections/docs/points/query"


def query(http, body: dict, **options) -> list[dict]:
    return http.ok("POST", QUERY, body, **options)["points"]


def ids(points: list[dict]) -> list:
    return [point["id"] for point in points]


@pytest.fixture
def line(http):
    """Points 0..9 on a line, squared distances from the origin 0, 1, 4, …"""
    http.ok("PUT", "/collections/docs", {"vectors": {"size": 2, "distance": "Euclid"}})
    batch = {"ids": list(range(10)), "vectors": [[i, 0] for i in range(10)]}
    http.ok("PUT", "/collections/docs/points", {"batch": batch})
    return http


@pytest.mark.parametrize(
    "nearest",
    [[1, 0, 0, 0], {"nearest": [1.0, 0, 0, 0]}, {"": [1, 0, 0, 0]}, {"nearest": {"": [1, 0, 0, 0]}}],
)
@pytest.mark.parametrize("using", [None, ""])
def test_nearest_points_first(docs, nearest, using):
    found = query(docs, {"query": nearest, "using": using})
    assert ids(found) == [1, 2, UUID]
    assert [point["score"] for point in found] == [1.0, 0.5, 0.05]
    assert all(point.keys() == {"id", "version", "score"} for point in found)


def test_scores_are_printed_as_float32(docs):
    text = docs.client.post(QUERY, json={"query": [1, 0, 0, 0]}).text
    assert '"score":0.05}' in text


def test_payload_and_vector_when_asked_for(docs):
    [point] = query(docs, {"query": [1, 0, 0, 0], "limit": 1, "with_payload": True, "with_vector": True})
    assert point["payload"] == {"lang": "en", "at": {"line": 7, "file": "a.py"}}
    assert point["vector"] == [1.0, 0.0, 0.0, 0.0]
    assert point["version"] >= 1


@pytest.mark.parametrize(
    ("selector", "payload"),
    [
        (["lang"], {"lang": "en"}),
        ({"include": ["at.line"]}, {"at": {"line": 7}}),
        ({"exclude": ["at.line", "lang"]}, {"at": {"file": "a.py"}}),
    ],
)
def test_payload_selectors(docs, selector, payload):
    [point] = query(docs, {"query": [1, 0, 0, 0], "limit": 1, "with_payload": selector})
    assert point["payload"] == payload


def test_limit_and_offset_cut_a_page(line):
    everything = ids(query(line, {"query": [0, 0], "limit": 10}))
    assert everything == list(range(10))
    assert ids(query(line, {"query": [0, 0], "limit": 3, "offset": 4})) == [4, 5, 6]
    assert query(line, {"query": [0, 0], "offset": 10}) == []
    assert query(line, {"query": [0, 0], "offset": 2**63}) == []
    assert len(query(line, {"query": [0, 0]})) == 10
    assert len(query(line, {"query": [0, 0], "limit": 999_999_999})) == 10


def test_deeper_than_the_engine_goes_is_refused(http, database, rng):
    http.ok("PUT", "/collections/docs", {"vectors": {"size": 2, "distance": "Dot"}})
    database["docs"].upsert(list(range(10_002)), rng.normal(size=(10_002, 2)).astype(np.float32))
    status, text = http.error("POST", QUERY, {"query": [1, 0], "limit": 10_001})
    assert (status, "10000 points" in text) == (400, True)
    assert len(query(http, {"query": [1, 0], "limit": 10_000})) == 10_000


def test_threshold_is_strict_and_follows_the_metric(docs):
    assert ids(query(docs, {"query": [1, 0, 0, 0], "score_threshold": 0.05})) == [1, 2]
    assert ids(query(docs, {"query": [1, 0, 0, 0], "score_threshold": 0.5})) == [1]
    assert query(docs, {"query": [1, 0, 0, 0], "score_threshold": 1e300}) == []
    assert len(query(docs, {"query": [1, 0, 0, 0], "score_threshold": -1e300})) == 3


def test_threshold_of_a_distance_is_an_upper_bound(line):
    assert ids(query(line, {"query": [0, 0], "score_threshold": 3.0})) == [0, 1, 2]
    assert ids(query(line, {"query": [0, 0], "score_threshold": 3.0, "offset": 1})) == [1, 2]


def test_by_id_leaves_the_point_itself_out(line):
    found = query(line, {"query": 4, "limit": 4})
    assert set(ids(found)) == {2, 3, 5, 6}
    assert ids(query(line, {"query": {"nearest": 0}, "limit": 2, "offset": 1})) == [2, 3]
    assert len(query(line, {"query": 4, "limit": 100})) == 9


def test_by_id_of_a_point_that_is_not_there(docs):
    assert docs.error("POST", QUERY, {"query": 404}) == (404, "Not found: No point with id 404 found")
    absent = "00000000-0000-0000-0000-000000000009"
    assert docs.error("POST", QUERY, {"query": absent}) == (
        404,
        f"Not found: No point with id {absent} found",
    )


def test_without_a_query_points_come_in_id_order(docs):
    found = query(docs, {"with_payload": ["lang"]})
    assert ids(found) == [1, 2, UUID]
    assert [point["score"] for point in found] == [1.0, 1.0, 1.0]
    assert found[0]["payload"] == {"lang": "en"}
    assert ids(query(docs, {"query": None, "offset": 1, "limit": 1})) == [2]
    assert query(docs, {"offset": 3}) == []
    assert query(docs, {"offset": 2**63}) == []
    assert ids(query(docs, {"limit": 2**63})) == [1, 2, UUID]


def test_empty_collection_finds_nothing(http):
    http.ok("PUT", "/collections/docs", {"vectors": {"size": DIM, "distance": "Cosine"}})
    assert query(http, {"query": [1, 0, 0, 0]}) == []
    assert query(http, {}) == []


def test_cosine_ignores_length_and_returns_unit_vectors(http):
    http.ok("PUT", "/collections/docs", {"vectors": {"size": 2, "distance": "Cosine"}})
    points = [{"id": 1, "vector": [3, 4]}, {"id": 2, "vector": [0, 0]}]
    http.ok("PUT", "/collections/docs/points", {"points": points})
    found = query(http, {"query": [30, 40], "with_vector": True})
    assert ids(found) == [1, 2]
    assert found[0]["score"] == pytest.approx(1.0)
    assert found[0]["vector"] == pytest.approx([0.6, 0.8])
    assert found[1]["score"] == 0.0


def test_batch_answers_in_order(docs):
    searches = [{"query": [0, 1, 0, 0], "limit": 1}, {"query": 1, "limit": 1}, {"limit": 1}]
    results = docs.ok("POST", f"{QUERY}/batch", {"searches": searches})
    assert [ids(result["points"]) for result in results] == [[2], [2], [1]]
    assert docs.ok("POST", f"{QUERY}/batch", {"searches": []}) == []


def test_batch_names_the_search_that_is_wrong(docs):
    status, text = docs.error("POST", f"{QUERY}/batch", {"searches": [{}, {"limit": 0}]})
    expected = "Validation error in JSON body: [searches[1].limit: value 0 invalid, must be 1 or larger]"
    assert (status, text) == (422, expected)


@pytest.mark.parametrize(
    "params",
    [
        {"exact": True},
        {"hnsw_ef": 64},
        {"hnsw_ef": 0},
        {"quantization": {"rescore": True, "oversampling": 2.5}},
        {"quantization": {"rescore": False}},
        {"quantization": {"ignore": True}},
        {"indexed_only": True, "acorn": {"enable": False}},
        {},
    ],
)
def test_search_parameters_are_taken(docs, params):
    assert ids(query(docs, {"query": [1, 0, 0, 0], "params": params})) == [1, 2, UUID]


@pytest.mark.parametrize("recall", ["0.5", "0.999"])
def test_recall_is_asked_for_by_header(docs, recall):
    assert len(query(docs, {"query": [1, 0, 0, 0]}, headers={"x-pqdb-recall": recall})) == 3


@pytest.mark.parametrize("recall", ["0", "1", "nan", "high", "-0.5", ""])
def test_recall_out_of_range_is_refused(docs, recall):
    status, text = docs.error("POST", QUERY, {"query": [1, 0, 0, 0]}, headers={"x-pqdb-recall": recall})
    assert (status, "between 0 and 1" in text) == (400, True)


def effort(params: dict, recall: float | None = None) -> Effort:
    return Effort.parse(Fields(params, "params"), recall)


def test_parameters_become_a_recall_or_the_exact_answer():
    assert effort({}) == Effort(recall=None, exact=False)
    assert effort({"hnsw_ef": 128}).recall == pytest.approx(0.97)
    assert effort({"hnsw_ef": 256}).recall == pytest.approx(0.985)
    assert effort({"quantization": {"oversampling": 3.0}}).recall == pytest.approx(0.99)
    assert effort({"hnsw_ef": 64, "quantization": {"oversampling": 2.0}}).recall == pytest.approx(0.97)
    assert effort({"hnsw_ef": 64}, recall=0.9).recall == 0.9
    assert effort({"exact": True}).exact
    assert effort({"quantization": {"ignore": True}}).exact


def test_more_effort_never_asks_for_less():
    widths = (0, 1, 4, 16, 64, 128, 512, 4096, 2**63)
    recalls = [recall_of_beam(ef, times) for times in (1.0, 1.5, 1e300) for ef in widths]
    assert all(0 < recall < 1 for recall in recalls)
    assert [recall_of_beam(ef) for ef in widths] == sorted(recall_of_beam(ef) for ef in widths)
    assert recall_of_beam(64, 1.5) > recall_of_beam(64)


@pytest.mark.parametrize("distance", ["Cosine", "Dot", "Euclid", "Manhattan"])
def test_points_of_equal_scores_come_in_the_order_of_their_ids(http, distance):
    """Whatever the order they were written in: numbers first, then UUIDs."""
    http.ok("PUT", "/collections/equal", {"vectors": {"size": 2, "distance": distance}})
    uuids = [f"{n:08x}-58cc-4372-a567-0e02b2c3d479" for n in (7, 1, 12)]
    ids = [40, uuids[0], 3, 2**63, uuids[2], 11, uuids[1]]
    points = [{"id": id_, "vector": [1.0, 1.0]} for id_ in ids] + [{"id": 5, "vector": [1.0, 0.0]}]
    http.ok("PUT", "/collections/equal/points", {"points": points})
    equal = [3, 11, 40, 2**63, *sorted(uuids)]
    found = http.ok("POST", "/collections/equal/points/query", {"query": [1.0, 1.0], "limit": 20})["points"]
    assert [point["id"] for point in found] == [*equal, 5]
    body = {"query": [1.0, 1.0], "limit": 3, "offset": 2}
    page = http.ok("POST", "/collections/equal/points/query", body)["points"]
    assert {point["score"] for point in page} == {found[0]["score"]}
    assert [point["id"] for point in page] == [id_ for id_ in equal if id_ in {point["id"] for point in page}]
