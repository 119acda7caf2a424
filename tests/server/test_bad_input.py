"""Bad input: each with its status and its sentence, and nothing on disk changed."""

import pytest

import pqdb_server

from .conftest import DIM, UUID, failed

POINTS = "/collections/docs/points"
ONES = [1, 1, 1, 1]
NESTED = {"points": [{"id": 5, "vector": ONES, "payload": {}}]}


def upsert(**point):
    return {"points": [{"id": 5, "vector": ONES} | point]}


NO_ID = "is not a valid point ID"
TOO_SMALL = "value 0 invalid, must be 1 or larger"

UPSERTS = [
    ({}, 400, "missing field `points`"),
    ([], 400, "invalid type: an array, expected an object"),
    ({"points": {}}, 400, "points: invalid type: an object, expected an array"),
    ({"points": []}, 400, "Wrong input: Empty update request"),
    ({"points": [7]}, 400, "points[0]: invalid type: integer `7`, expected an object"),
    ({"points": [{"vector": ONES}]}, 400, "points[0]: missing field `id`"),
    ({"points": [{"id": 1}]}, 400, "points[0]: missing field `vector`"),
    (upsert(id="1"), 400, f"value 1 {NO_ID}, valid values are either an unsigned integer or a UUID"),
    (upsert(id="foo"), 400, "value foo is not a valid point ID"),
    (upsert(id=-1), 400, "value -1 is not a valid point ID"),
    (upsert(id=2**64), 400, "is not a valid point ID"),
    (upsert(id=1.0), 400, "value 1.0 is not a valid point ID"),
    (upsert(id=True), 400, "value True is not a valid point ID"),
    (upsert(id=UUID[:-1]), 400, "is not a valid point ID"),
    (upsert(vector=[1, 1, 1]), 400, "Wrong input: Vector dimension error: expected dim: 4, got 3"),
    (upsert(vector=[]), 400, "Wrong input: Vector dimension error: expected dim: 4, got 0"),
    (upsert(vector=[1, 1, 1, "1"]), 400, 'points[0].vector[3]: invalid type: string "1", expected a number'),
    (upsert(vector=[1, 1, 1, None]), 400, "points[0].vector[3]: invalid type: null, expected a number"),
    (upsert(vector=[1, 1, 1, True]), 400, "points[0].vector[3]: invalid type: boolean `true`"),
    (upsert(vector=[1, 1, 1, 1e39]), 400, "points[0].vector: a number is beyond float32"),
    (upsert(vector=[ONES] * DIM), 400, "multivectors"),
    (upsert(vector=[ONES]), 400, "multivectors"),
    (upsert(vector="text"), 400, 'points[0].vector: invalid type: string "text", expected a vector'),
    (upsert(vector={"": {}}), 400, "points[0].vector: invalid type: an object, expected a vector"),
    (upsert(vector={"title": ONES}), 400, "Not existing vector name error: title"),
    (upsert(vector={"": ONES, "title": ONES}), 400, "Not existing vector name error: title"),
    (upsert(vector={"indices": [1], "values": [0.5]}), 400, "sparse vectors"),
    (upsert(vector={"text": "hello", "model": "m"}), 400, "embedding on the server"),
    (upsert(payload=[]), 400, "points[0].payload: invalid type: an array, expected an object"),
    (upsert(typo=1), 400, "points[0]: unknown field `typo`"),
    (NESTED | {"update_filter": {"mast": []}}, 400, "mast"),
    (NESTED | {"update_filter": 7}, 400, "update_filter: invalid type: integer `7`"),
    (NESTED | {"update_filter": {"must": {"key": "a"}}}, 400, "filter.must"),
    (NESTED | {"update_mode": "insert"}, 400, "update_mode: unknown variant `insert`, expected one of `upsert`"),
    (NESTED | {"shard_key": "a"}, 400, "shard keys"),
    ({"batch": {"ids": [1, 2], "vectors": [ONES]}}, 422, "[batch: number of ids and vectors must be equal"),
    ({"batch": {"ids": [1], "vectors": [ONES], "payloads": []}}, 422, "ids and payloads must be equal"),
    ({"batch": {"ids": [], "vectors": []}}, 400, "Empty update request"),
    ({"batch": {"ids": ["1"], "vectors": [ONES]}}, 400, "is not a valid point ID"),
    ({"batch": {"ids": [1], "vectors": [7]}}, 400, "batch.vectors[0]: invalid type: integer `7`"),
    ({"batch": {"ids": [1], "vectors": {"title": [ONES]}}}, 400, "Not existing vector name error: title"),
    ({"batch": {"ids": [1, 2], "vectors": [ONES, [1]]}}, 400, "expected dim: 4, got 1"),
    ({"batch": {"ids": [1], "vectors": [ONES], "payloads": [7]}}, 400, "batch.payloads[0]: invalid type"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "text"), UPSERTS)
def test_bad_upsert(unchanged, body, status, text):
    before = unchanged.ok("POST", f"{POINTS}/scroll", {"with_vector": True})
    got, said = unchanged.error("PUT", POINTS, body)
    assert (got, text in said) == (status, True), said
    assert unchanged.ok("POST", f"{POINTS}/scroll", {"with_vector": True}) == before


def test_one_bad_point_spoils_the_whole_batch(unchanged):
    points = [{"id": 100 + i, "vector": ONES} for i in range(50)]
    points[49]["vector"] = [1, 2]
    assert unchanged.error("PUT", POINTS, {"points": points})[0] == 400
    assert unchanged.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


OTHERS = [
    ("/delete", {}, 400, "expected either `points` or `filter`"),
    ("/delete", {"points": ["1"]}, 400, "is not a valid point ID"),
    ("/delete", {"filter": {}, "points": [1]}, 400, "expected either `points` or `filter`"),
    ("/delete", {"filter": {"must": [{"key": "a"}]}}, 400, "Wrong input: filter.must[0]"),
    ("/delete", {"filter": 7}, 400, "filter: invalid type"),
    ("", {}, 400, "missing field `ids`"),
    ("", {"ids": [None]}, 400, "value None is not a valid point ID"),
    ("", {"ids": [1], "with_payload": 7}, 400, "with_payload: expected true, false"),
    ("", {"ids": [1], "with_payload": {"include": ["a"], "exclude": ["b"]}}, 400, "with_payload: expected"),
    ("", {"ids": [1], "with_payload": [7]}, 400, "expected a payload key"),
    ("", {"ids": [1], "with_payload": ["a..b"]}, 400, "`a..b` is not a payload path"),
    ("", {"ids": [1], "with_vector": ["title"]}, 400, "Not existing vector name error: title"),
    ("", {"ids": [1], "with_vector": 1}, 400, "with_vector: expected"),
    ("/scroll", {"limit": 0}, 422, f"Validation error in JSON body: [limit: {TOO_SMALL}]"),
    ("/scroll", {"limit": -1}, 400, "limit: invalid type or value: integer `-1`"),
    ("/scroll", {"limit": 2**64}, 400, "limit: invalid type or value"),
    ("/scroll", {"limit": 1.5}, 400, "limit: invalid type or value: floating point `1.5`"),
    ("/scroll", {"offset": "5"}, 400, "is not a valid point ID"),
    ("/scroll", {"order_by": "year"}, 400, "No range index for `order_by` on key `year`"),
    ("/scroll", {"order_by": 7}, 400, "order_by: expected a payload key"),
    ("/scroll", {"order_by": "year", "offset": 1}, 400, "Cannot use an offset together with order_by"),
    ("/scroll", {"filter": {"must": [{"key": "a", "match": {"value": 1.5}}]}}, 400, "filter.must[0].match"),
    ("/scroll", {"filter": {"wrong": []}}, 400, "wrong"),
    ("/scroll", {"filter": 7}, 400, "filter: invalid type"),
    ("/count", {"filter": {"should": {"is_empty": {"key": "a", "b": 1}}}}, 400, "filter.should.is_empty"),
    ("/count", {"exact": 1}, 400, "exact: invalid type: integer `1`, expected a boolean"),
    ("/query", {"query": ONES, "limit": 0}, 422, f"[limit: {TOO_SMALL}]"),
    ("/query", {"query": ONES, "offset": -1}, 400, "offset: invalid type or value"),
    ("/query", {"query": [1]}, 400, "Vector dimension error: expected dim: 4, got 1"),
    ("/query", {"query": [1, 1, 1, "x"]}, 400, 'query[3]: invalid type: string "x"'),
    ("/query", {"query": [1, 1, 1, 1e300]}, 400, "beyond float32"),
    ("/query", {"query": "foo"}, 400, "value foo is not a valid point ID"),
    ("/query", {"query": True}, 400, "query: invalid type: boolean `true`"),
    ("/query", {"query": {}}, 400, "points without a vector"),
    ("/query", {"query": [ONES, ONES]}, 400, "multivectors"),
    ("/query", {"query": ONES, "using": "title"}, 400, "Not existing vector name error: title"),
    ("/query", {"query": {"indices": [1], "values": [1.0]}}, 400, "regular vectors failed: the vector without"),
    ("/query", {"query": ONES, "params": {"idf": "local"}}, 400, "params.idf: unknown variant `local`"),
    ("/query", {"query": ONES, "params": {"idf": {"corpus": {}}}}, 400, "frequencies among a part of the points"),
    ("/query", {"query": {"text": "hello", "model": "m"}}, 400, "embedding on the server"),
    ("/query", {"query": {"discover": {}}}, 400, "discovery"),
    ("/query", {"query": {"context": []}}, 400, "context search"),
    ("/query", {"query": {"order_by": "a"}}, 400, "No range index for `order_by` on key `a`"),
    ("/query", {"query": {"sample": "first"}}, 400, "unknown variant `first`"),
    ("/query", {"query": {"formula": {}}}, 400, "formulas"),
    ("/query", {"query": ONES, "filter": {"must_not": [{"has_id": 1}]}}, 400, "has_id"),
    ("/query", {"query": ONES, "lookup_from": {"collection": "a"}}, 400, "vectors of other collections"),
    ("/query", {"query": ONES, "score_threshold": "1"}, 400, "score_threshold: invalid type"),
    ("/query", {"query": ONES, "params": {"exact": "yes"}}, 400, "params.exact: invalid type"),
    ("/query", {"query": ONES, "params": {"hnsw_ef": -1}}, 400, "params.hnsw_ef"),
    ("/query", {"query": ONES, "params": {"typo": 1}}, 400, "params: unknown field `typo`"),
    ("/query", {"params": {"quantization": {"oversampling": 0.5}}}, 422, "value 0.5 invalid, must be 1.0"),
    ("/query", {"querry": ONES}, 400, "unknown field `querry`"),
    ("/query/batch", {}, 400, "missing field `searches`"),
    ("/query/batch", {"searches": [7]}, 400, "searches[0]: invalid type: integer `7`"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "text"), OTHERS)
def test_bad_request(unchanged, path, body, status, text):
    got, said = unchanged.error("POST", POINTS + path, body)
    assert (got, text in said) == (status, True), said
    assert unchanged.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


@pytest.mark.parametrize("empty", [{}, {"must": []}, {"must": [], "should": [], "must_not": None}])
def test_an_empty_filter_asks_for_nothing(unchanged, empty):
    assert unchanged.ok("POST", f"{POINTS}/count", {"filter": empty}) == {"count": 3}
    found = unchanged.ok("POST", f"{POINTS}/query", {"query": ONES, "filter": empty, "prefetch": []})
    assert len(found["points"]) == 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", "/points"),
        ("POST", "/points"),
        ("POST", "/points/delete"),
        ("POST", "/points/scroll"),
        ("POST", "/points/count"),
        ("POST", "/points/query"),
        ("POST", "/points/query/batch"),
        ("GET", "/points/1"),
    ],
)
def test_collection_that_is_not_there(unchanged, method, path):
    body = None if method == "GET" else {}
    text = "Not found: Collection `x` doesn't exist!"
    assert unchanged.error(method, f"/collections/x{path}", body) == (404, text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (b"{", "line 1"),
        (b'{"query": [NaN, 1, 1, 1]}', "line 1 column 12"),
        (b'{"query": [Infinity]}', "line 1"),
        (b'{"query": [1e999, 1, 1, 1]}', "infinity"),
        (b"{'query': 1}", "line 1"),
        (b"[" * 2000 + b"]" * 2000, "depth"),
        (b'{"query": "\xff"}', "str"),
        (b'"text"', 'invalid type: string "text", expected an object'),
        (b"null", "invalid type: null, expected an object"),
    ],
)
def test_malformed_json(unchanged, content, text):
    status, said = failed(*unchanged.raw("POST", f"{POINTS}/query", content))
    assert status == 400
    assert said.startswith("Format error in JSON body: ")
    assert text in said


def test_content_type_must_be_json(unchanged):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        status, said = failed(*unchanged.raw("POST", f"{POINTS}/count", b"{}", kind))
        assert (status, "expected application/json" in said) == (400, True)
    assert unchanged.raw("POST", f"{POINTS}/count", b"{}", "application/json; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("timeout=0", 422, f"Validation error in query parameters: [timeout: {TOO_SMALL}]"),
        ("timeout=soon", 400, "Format error in query parameters: timeout"),
        ("consistency=most", 400, "Format error in query parameters: consistency"),
        ("consistency=0", 422, "consistency: value 0 invalid"),
    ],
)
def test_bad_query_parameters_of_reads(unchanged, query, status, text):
    got, said = unchanged.error("POST", f"{POINTS}/count?{query}", {})
    assert (got, text in said) == (status, True), said


@pytest.mark.parametrize(("query", "text"), [("wait=maybe", "wait"), ("ordering=odd", "ordering")])
def test_bad_query_parameters_of_writes(unchanged, query, text):
    status, said = unchanged.error("PUT", f"{POINTS}?{query}", upsert())
    assert (status, said.startswith(f"Format error in query parameters: {text}")) == (400, True), said
    assert unchanged.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


def test_read_only_database_searches_and_refuses_writes(docs, database, connect, tmp_path):
    import pqdb

    with pqdb.open(tmp_path / "db", read_only=True) as reader:
        http = connect(reader)
        assert len(http.ok("POST", f"{POINTS}/query", {"query": ONES})["points"]) == 3
        for method, path, body in [
            ("PUT", POINTS, upsert()),
            ("POST", f"{POINTS}/delete", {"points": [1]}),
            ("DELETE", "/collections/docs", None),
            ("PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Dot"}}),
        ]:
            status, said = http.error(method, path, body)
            assert (status, said.startswith("Forbidden: ")) == (403, True), said
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


def test_lists_longer_than_the_limits(docs, database, connect):
    http = connect(database, pqdb_server.Settings(batch_limit=2, queries_limit=1))
    points = [{"id": i, "vector": ONES} for i in range(3)]
    text = "Validation error in JSON body: [points: length 3 invalid, must be at most 2]"
    assert http.error("PUT", POINTS, {"points": points}) == (422, text)
    assert http.error("POST", POINTS, {"ids": [1, 2, 3]})[0] == 422
    assert http.error("POST", f"{POINTS}/query/batch", {"searches": [{}, {}]})[0] == 422
    http.ok("PUT", POINTS, {"points": points[:2]})
    http.ok("POST", f"{POINTS}/query/batch", {"searches": [{}]})
