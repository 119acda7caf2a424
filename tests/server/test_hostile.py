"""Whatever JSON is sent: an envelope, never an internal error, and a service that goes on."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import DIM, UUID

POINTS = "/collections/docs/points"
KEYS = (
    "points", "batch", "ids", "vectors", "payloads", "id", "vector", "payload", "limit", "offset", "query",
    "nearest", "using", "filter", "must", "params", "exact", "hnsw_ef", "quantization", "rescore",
    "oversampling", "with_payload", "with_vector", "include", "exclude", "score_threshold", "searches",
    "prefetch", "size", "distance", "sparse_vectors", "quantization_config", "product", "compression",
    "metadata", "pqdb", "pq", "m", "nbits", "hnsw_config", "indices", "values", "model", "",
)  # fmt: skip
PATHS = [
    ("PUT", POINTS),
    ("POST", POINTS),
    ("POST", f"{POINTS}/delete"),
    ("POST", f"{POINTS}/scroll"),
    ("POST", f"{POINTS}/count"),
    ("POST", f"{POINTS}/query"),
    ("POST", f"{POINTS}/query/batch"),
    ("PUT", "/collections/fuzz"),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "1", UUID, "Cosine", "Dot", "x4", "x64", "flat", "int8", "a.b[].c", "a..", "\U0001f600"])
    | st.text(max_size=5)
)
vectors = st.lists(st.floats(-1e40, 1e40) | st.integers(0, 3), min_size=DIM, max_size=DIM)
values = st.recursive(
    scalars | vectors,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(KEYS), values, max_size=5) | values
EVERYTHING = settings(max_examples=60, deadline=None)

ONES = [1.0] * DIM
QUERY = {
    "query": {"nearest": ONES},
    "using": "",
    "params": {"exact": False, "hnsw_ef": 64, "quantization": {"rescore": True, "oversampling": 2.0}},
    "limit": 3,
    "offset": 1,
    "with_payload": {"include": ["a.b[].c"]},
    "with_vector": [""],
    "score_threshold": 0.5,
    "filter": {"must": []},
}
CREATION = {
    "vectors": {"size": DIM, "distance": "Dot", "hnsw_config": {"m": 4}, "on_disk": True},
    "quantization_config": {"product": {"compression": "x4"}},
    "optimizers_config": {"deleted_threshold": 0.2},
    "metadata": {"pqdb": {"quantization": {"pq": {"m": 2, "nbits": 8}}, "rerank": "int8"}},
}
GOOD = {
    ("PUT", POINTS, "points"): {"points": [{"id": 7, "vector": {"": ONES}, "payload": {"a": [{"b": 1}]}}]},
    ("PUT", POINTS, "batch"): {"batch": {"ids": [7, UUID], "vectors": [ONES, ONES], "payloads": [None, {}]}},
    ("POST", POINTS, ""): {"ids": [1, UUID], "with_payload": {"exclude": ["at"]}, "with_vector": True},
    ("POST", f"{POINTS}/delete", ""): {"points": [1, UUID]},
    ("POST", f"{POINTS}/scroll", ""): {"limit": 2, "offset": 1, "with_payload": ["a"], "filter": {}},
    ("POST", f"{POINTS}/query", ""): QUERY,
    ("POST", f"{POINTS}/query/batch", ""): {"searches": [QUERY, {"query": 1}]},
    ("PUT", "/collections/fuzz", ""): CREATION,
}


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Where something can be put in a body: the paths of all its values."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, child in children for place in places(child, (*path, key))]


def replaced(body: object, path: tuple, new: object) -> object:
    """A copy of a body with another value in one place."""
    copy = json.loads(json.dumps(body))
    *parents, last = path
    holder = copy
    for key in parents:
        holder = holder[key]
    holder[last] = new
    return copy


@pytest.mark.parametrize(("method", "path"), PATHS)
@EVERYTHING
@given(body=bodies)
def test_any_json_is_answered(hostile, method, path, body):
    status, answer = hostile.raw(method, path, json.dumps(body).encode())
    assert status in (200, 400, 404, 409, 422), answer
    assert ("result" in answer) == (status == 200)
    if path.endswith("fuzz"):
        hostile.ok("DELETE", path)


@pytest.mark.parametrize(("method", "path", "form"), GOOD)
@EVERYTHING
@given(data=st.data())
def test_a_good_body_with_one_value_replaced_is_answered(hostile, method, path, form, data):
    good = GOOD[method, path, form]
    body = replaced(good, data.draw(st.sampled_from(places(good))), data.draw(values))
    status, answer = hostile.raw(method, path, json.dumps(body).encode())
    assert status in (200, 400, 404, 409, 422), answer
    if path.endswith("fuzz"):
        hostile.ok("DELETE", path)


@pytest.mark.parametrize("key", GOOD)
def test_the_good_bodies_are_good(hostile, key):
    method, path, _ = key
    hostile.ok("PUT", POINTS, {"points": [{"id": 1, "vector": ONES}]})
    hostile.ok(method, path, GOOD[key])
    if path.endswith("fuzz"):
        hostile.ok("DELETE", path)


@pytest.mark.parametrize(("method", "path"), PATHS[:6:5])
@EVERYTHING
@given(body=st.binary(max_size=64))
def test_any_bytes_are_answered(hostile, method, path, body):
    status, answer = hostile.raw(method, path, body)
    assert status in (200, 400, 404, 422), answer


@EVERYTHING
@given(text=st.text(min_size=1, max_size=20))
def test_any_point_id_in_a_path_is_answered(hostile, text):
    segment = quote(text.encode("utf-8", "replace"), safe="")
    assert hostile("GET", f"{POINTS}/{segment}")[0] in (200, 400, 404, 405)


def test_the_collection_is_sound_after_all_that(hostile):
    count = hostile.ok("POST", f"{POINTS}/count", {})["count"]
    page = hostile.ok("POST", f"{POINTS}/scroll", {"limit": 2**62, "with_vector": True})
    assert len(page["points"]) == count
    assert all(len(point["vector"]) == DIM for point in page["points"])
