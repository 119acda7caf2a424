"""Our own verbs: jobs, recall, tuning, explanations, binary bodies, lines in and out."""

import io
import json

import numpy as np
import pytest

import pqdb
from pqdb_server import Settings
from pqdb_server.arrays import NPY, NPZ, RAW

from .conftest import DIM, UUID, failed

V1 = "/pqdb/v1"
DOCS = f"{V1}/collections/docs"
BIG = f"{V1}/collections/big"
LINES = "application/x-ndjson"
N, D = 6_000, 16


@pytest.fixture
def big(http, database, clusters):
    """A service with a collection "big" that has codes."""
    collection = database.create_collection("big", dim=D)
    collection.upsert(np.arange(N), clusters(N, D))
    collection.optimize()
    return http


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def sent(http, method: str, path: str, body: bytes, kind: str, **headers: str) -> tuple[int, dict]:
    answer = http.client.request(method, path, content=body, headers={"content-type": kind, **headers})
    return answer.status_code, answer.json()


def finished(http, path: str) -> dict:
    job = http.ok("POST", path)["job"]
    for _ in range(1200):
        told = http.ok("GET", f"{V1}/jobs/{job}")
        if told["status"] != "running":
            return told
        http.client._transport._asgi.app.state.aftercare._closing.wait(0.05)
    raise AssertionError(told)


def test_capabilities_are_what_is_routed(http):
    told = http.ok("GET", f"{V1}/capabilities")
    assert "POST /collections/{collection_name}/points/query" in told["operations"]
    assert f"GET {V1}/capabilities" in told["operations"]
    assert not set(told["operations"]) & set(told["refused_operations"])
    assert told["limits"]["points"] == Settings().batch_limit


def test_train_is_a_job(big, database):
    told = finished(big, f"{BIG}/train")
    assert (told["status"], told["kind"], told["collection"], told["error"]) == ("done", "train", "big", None)
    assert told["finished"] >= told["started"]
    assert database["big"].info()["generation"] == 2


def test_optimize_indexes_what_is_fresh(big, database, clusters):
    database["big"].upsert(np.arange(N, N + 50), clusters(50, D, seed=3))
    assert database["big"].info()["fresh"] == 50
    assert finished(big, f"{BIG}/optimize")["status"] == "done"
    assert database["big"].info()["fresh"] == 0


def test_verify_tells_problems(big, monkeypatch):
    assert finished(big, f"{BIG}/verify")["result"] == {"problems": []}


def test_compact_gives_room_back_and_rollback_goes_back(big, database):
    big.ok("POST", "/collections/big/points/delete", {"filter": {"must": [{"has_id": list(range(3_000))}]}})
    assert finished(big, f"{BIG}/compact")["error"] is None
    assert database["big"].info()["dead_rows"] == 0
    finished(big, f"{BIG}/train")
    assert big.ok("POST", f"{BIG}/rollback") == {"generation": 1}
    assert big.error("POST", f"{DOCS}/rollback")[0] == 404


def test_a_document_is_replaced_whole(docs):
    english = {"must": [{"key": "lang", "match": {"value": "en"}}]}
    body = {"filter": english, "points": [{"id": 7, "vector": [1, 1, 1, 1], "payload": {"lang": "en"}}]}
    docs.ok("POST", f"{DOCS}/replace", {**body, "if_version": 1})
    found = docs.ok("POST", "/collections/docs/points/scroll", {"filter": english})["points"]
    assert [point["id"] for point in found] == [7]
    status, text = docs.error("POST", f"{DOCS}/replace", {**body, "if_version": 1})
    assert (status, text.startswith("Conflict: ")) == (409, True)


def test_a_job_that_fails_says_why(docs, database, monkeypatch):
    def broken(*_, **__):
        raise pqdb_error

    pqdb_error = pqdb.StorageError("the disk refused")
    monkeypatch.setattr(pqdb.Collection, "train", broken)
    told = finished(docs, f"{DOCS}/train")
    assert (told["status"], told["error"]) == ("failed", "Service internal error: the disk refused")


def test_no_such_job(http):
    assert http.error("GET", f"{V1}/jobs/{'0' * 32}")[0] == 404
    assert http.error("GET", f"{V1}/jobs/..%2fproof")[0] == 404


def test_stats(big):
    told = big.ok("GET", f"{BIG}/stats")
    assert (told["points"], told["indexed"], told["generation"]) == (N, N, 1)
    assert told["bytes"]["codes"] > 0
    assert told["measured_recall"] is None


def test_recall_is_that_of_the_library(big, database, clusters):
    told = big.ok("POST", f"{BIG}/recall", {"k": 5, "sample": 50, "seed": 3, "recall": 0.9})
    report = database["big"].measure_recall(5, sample=50, seed=3, recall=0.9)
    assert told == {
        "recall": report.recall, "low": report.low, "high": report.high, "k": 5, "queries": 50,
        "population": "stored rows",
        "lost": {"partition": report.lost_partition, "codes": report.lost_codes, "rerank": report.lost_rerank},
    }  # fmt: skip
    assert told["recall"] + sum(told["lost"].values()) == pytest.approx(1)
    told = big.ok("POST", f"{BIG}/recall", {"queries": clusters(7, D, seed=9).tolist()})
    assert (told["queries"], told["population"]) == (7, "given queries")


def test_recall_of_the_queries_asked_lately(big, clusters):
    asked = clusters(3, D, seed=9).tolist()
    for query in asked:
        big.ok("POST", "/collections/big/points/query", {"query": query})
    told = big.ok("POST", f"{BIG}/recall", {"queries": "logged"})
    assert told["queries"] >= 3
    assert told["population"] == "logged queries"
    assert big.error("POST", f"{BIG}/recall", {"queries": "guessed"})[0] == 400


def test_tune_reaches_its_target(big):
    told = big.ok("POST", f"{BIG}/tune", {"target": 0.9, "sample": 100})
    assert told["reached"]
    assert told["measured"]["recall"] >= 0.9
    assert all(tried["measured"]["recall"] < 0.9 for tried in told["tried"][:-1])
    assert told["tried"][-1]["recall"] == told["recall"]


def test_explain(big, clusters):
    query = {"query": clusters(1, D, seed=4)[0].tolist(), "limit": 3}
    told = big.ok("POST", f"{BIG}/explain", query, headers={"x-pqdb-recall": "0.9"})
    assert (told["kind"], told["recall"], len(told["hits"])) == ("codes", 0.9, 3)
    assert 0 < told["lists"] <= told["n_lists"]
    assert sum(told["microseconds"].values()) > 0
    assert big.ok("POST", f"{BIG}/explain", {"query": 7})["hits"][0]["id"] == 7
    assert big.error("POST", f"{BIG}/explain", {})[0] == 400


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("recall", {"k": 0}, 422, "k: value 0 invalid"),
        ("recall", {"recall": 1.0}, 422, "must lie between 0 and 1"),
        ("recall", {"queries": []}, 422, "queries: length 0"),
        ("recall", {"queries": [[1, 2]]}, 400, "expected dim: 4, got 2"),
        ("recall", {"queries": [7]}, 400, "expected an array"),
        ("recall", {"sample": 10**9}, 422, "sample: value"),
        ("recall", {"typo": 1}, 400, "unknown field"),
        ("tune", {}, 400, "missing field `target`"),
        ("tune", {"target": 0}, 422, "target: value"),
    ],
)
def test_measuring_refuses(unchanged, path, body, status, words):
    got, text = unchanged.error("POST", f"{DOCS}/{path}", body)
    assert (got, words in text) == (status, True), text


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_vectors_as_npy(http, database, clusters, dtype, order):
    http.ok("PUT", "/collections/docs", {"vectors": {"size": D, "distance": "Euclid"}})
    vectors = np.asarray(clusters(20, D) * 10, dtype, order=order)
    status, told = sent(http, "PUT", f"{DOCS}/points?first_id=100", npy(vectors), NPY)
    assert (status, told["result"]["status"]) == (200, "completed")
    [point] = database["docs"].get([107], with_vector=True)
    assert np.array_equal(point.vector, vectors[7].astype(np.float32))
    assert len(database["docs"]) == 20


def test_points_as_npz(http, database, clusters):
    http.ok("PUT", "/collections/docs", {"vectors": {"size": D, "distance": "Dot"}})
    vectors = clusters(2, D)
    payloads = np.frombuffer(json.dumps([{"é": 1}, None]).encode(), np.uint8)
    for ids in (np.array([3, 2**64 - 1], np.uint64), np.array([UUID, f"urn:uuid:{'0' * 8}{UUID[8:]}"])):
        assert sent(http, "PUT", f"{DOCS}/points", npz(ids=ids, vectors=vectors, payloads=payloads), NPZ)[0] == 200
    found = database["docs"].get([3, 2**64 - 1, UUID])
    assert [point.payload for point in found] == [{"é": 1}, None, {"é": 1}]


def test_queries_as_bytes(big, database, clusters):
    queries = clusters(3, D, seed=2)
    expected = database["big"].search(queries, 4)
    for kind, body in ((RAW, queries.tobytes()), (NPY, npy(queries))):
        status, told = sent(big, "POST", f"{BIG}/query?k=4", body, kind)
        assert status == 200
        assert told["result"]["ids"] == [hits.ids for hits in expected]
        assert np.array_equal(np.array(told["result"]["scores"], np.float32), expected.scores)
    answer = big.client.post(f"{BIG}/query?k=4", content=npy(queries[0]), headers={"content-type": NPY, "accept": NPZ})
    packed = np.load(io.BytesIO(answer.content))
    assert packed["ids"].tolist() == [expected[0].ids]
    assert packed["scores"].dtype == np.float32


ONES = np.ones((2, DIM), np.float32)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("application/json", b"{}", "Content type error"),
        (RAW, b"", "0 bytes are no float32 vectors"),
        (RAW, b"x" * 17, "17 bytes are no float32 vectors"),
        (RAW, np.full(DIM, np.nan, np.float32).tobytes(), "vector 0: a number is NaN"),
        (NPY, b"", "binary body"),
        (NPY, npy(ONES)[:-1], "needs 32 bytes, there are 31"),
        (NPY, npy(ONES[:, :2]), "expected dim: 4, got an array of shape (2, 2)"),
        (NPY, npy(np.array([[1, "a"]], object)), "neither of numbers nor of strings"),
        (NPY, npy(ONES * np.float64(1e300)), "beyond float32"),
        (NPY, npy(np.array(["a"])), "expected numbers"),
        (NPZ, b"PK", "binary body"),
        (NPZ, npz(vectors=ONES), "missing array `ids`"),
        (NPZ, npz(ids=np.arange(3), vectors=ONES), "3 ids for 2 vectors"),
        (NPZ, npz(ids=np.array([-1, 2]), vectors=ONES), "expected unsigned integers or UUIDs"),
        (NPZ, npz(ids=np.array(["1", "2"]), vectors=ONES), "is not a valid point ID"),
        (NPZ, npz(ids=np.arange(2), vectors=ONES, more=ONES), "`more` is not one of"),
        (NPZ, npz(ids=np.arange(2), vectors=ONES, payloads=ONES), "payloads"),
    ],
)  # fmt: skip
def test_bad_bytes(unchanged, kind, body, words):
    status, answer = sent(unchanged, "PUT", f"{DOCS}/points?first_id=0", body, kind)
    text = failed(status, answer)[1]
    assert (status, words in text) == (400, True), text
    assert unchanged.ok("POST", "/collections/docs/points/count", {}) == {"count": 3}


def test_an_archive_that_swells_is_refused(docs, database, connect):
    http = connect(database, Settings(body_limit_mb=1))
    out = io.BytesIO()
    np.savez_compressed(out, ids=np.zeros(10**6), vectors=ONES)
    status, answer = sent(http, "PUT", f"{DOCS}/points", out.getvalue(), NPZ)
    assert "unpack to more than 1048576 bytes" in failed(status, answer)[1]


def test_export_and_import_are_inverse(docs, http):
    exported = docs.client.get(f"{DOCS}/export")
    assert exported.headers["content-type"].startswith(LINES)
    assert len(exported.content.splitlines()) == 3
    http.ok("PUT", "/collections/copy", {"vectors": {"size": DIM, "distance": "Dot"}})
    status, told = sent(http, "POST", f"{V1}/collections/copy/import", exported.content, LINES)
    assert (status, told["result"]) == (200, {"points": 3})
    assert http.client.get(f"{V1}/collections/copy/export").content == exported.content


def test_points_without_a_vector_stay_without_one(http, database):
    http.ok("PUT", "/collections/bare", {"vectors": {"size": 2, "distance": "Dot"}})
    lines = b'{"id": 1, "vector": [1, 0], "payload": {"a": 1}}\n{"id": 2, "vector": {}, "payload": {"a": 2}}\n'
    status, told = sent(http, "POST", f"{V1}/collections/bare/import", lines, LINES)
    assert (status, told["result"]) == (200, {"points": 2})
    found = http.ok("POST", "/collections/bare/points/query", {"query": [0.0, 1.0], "with_payload": True})["points"]
    assert [(point["id"], point["payload"]) for point in found] == [(1, {"a": 1})]
    status, told = sent(http, "POST", f"{V1}/collections/bare/query", np.zeros((1, 2), np.float32).tobytes(), RAW)
    assert told["result"]["ids"] == [[1]]
    exported = http.client.get(f"{V1}/collections/bare/export").content
    assert [json.loads(line) for line in exported.splitlines()] == [json.loads(line) for line in lines.splitlines()]


def test_import_of_many_lines_in_pieces_of_any_size(docs):
    lines = b"".join(b'{"id": %d, "vector": [1, 2, 3, 4]}\n' % i for i in range(2_500))
    pieces = (lines[i : i + 7_919] for i in range(0, len(lines), 7_919))
    answer = docs.client.post(f"{DOCS}/import", content=pieces, headers={"content-type": LINES})
    assert answer.json()["result"] == {"points": 2_500}
    assert docs.ok("POST", "/collections/docs/points/count", {}) == {"count": 2_501}


def test_a_bad_line_tells_what_was_kept(docs):
    lines = [b'{"id": %d, "vector": [1, 2, 3, 4]}' % i for i in range(1_200)]
    lines[1_100] = b"{"
    status, answer = sent(docs, "POST", f"{DOCS}/import", b"\n".join(lines), LINES)
    text = failed(status, answer)[1]
    assert "line 1101" in text
    assert "1000 points before it were written" in text
    assert docs.ok("POST", "/collections/docs/points/count", {}) == {"count": 1_001}


def test_a_line_without_an_end_is_refused(docs, monkeypatch):
    monkeypatch.setattr("pqdb_server.bulk.LONGEST_LINE", 1_000)
    pieces = (b"x" * 100 for _ in range(100))
    answer = docs.client.post(f"{DOCS}/import", content=pieces, headers={"content-type": LINES})
    assert failed(answer.status_code, answer.json()) == (400, "Payload error: a line is longer than 1000 bytes")


def test_lines_over_http_and_those_of_the_engine_are_the_same(docs, database, tmp_path):
    (tmp_path / "served.jsonl").write_bytes(docs.client.get(f"{DOCS}/export").content)
    assert pqdb.import_points(database, "copy", tmp_path / "served.jsonl", metric=database["docs"].metric) == 3
    before, after = (database[name].scroll(with_vector=True).points for name in ("docs", "copy"))
    told = [[(point.id, point.payload or {}) for point in points] for points in (before, after)]
    assert told[0] == told[1]  # (over HTTP a point without a payload has an empty one)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one.vector, other.vector, atol=1e-6)
    pqdb.export_points(database["docs"], tmp_path / "written.jsonl")
    database["copy"].delete([point.id for point in after])
    lines = (tmp_path / "written.jsonl").read_bytes()
    assert sent(docs, "POST", f"{V1}/collections/copy/import", lines, LINES)[0] == 200
    assert len(database["copy"]) == 3


def test_an_npz_that_the_engine_writes_is_a_body(docs, database, tmp_path):
    things = database.create_collection("arrays", dim=2, metric="l2")
    things.upsert([1, 2], [[1, 2], [3, 4]], [{"a": 1}, None])
    pqdb.export_points(things, tmp_path / "out.npz")
    things.delete([1, 2])
    status, _ = sent(docs, "PUT", f"{V1}/collections/arrays/points", (tmp_path / "out.npz").read_bytes(), NPZ)
    assert status == 200
    assert [(point.id, point.payload) for point in things.scroll().points] == [(1, {"a": 1}), (2, None)]
