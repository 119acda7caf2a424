"""While the engine works: health answers, timeouts answer, failures answer, the body limit holds."""

import json
import threading

import httpx
import pytest

import pqdb
import pqdb_server

from .conftest import DIM, Http, failed, serving

POINTS = "/collections/docs/points"
ONE = {"points": [{"id": 5, "vector": [1, 1, 1, 1]}]}


class Gate:
    """Holds a verb of the engine until it is opened."""

    def __init__(self, monkeypatch, verb: str) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        held = getattr(pqdb.Collection, verb)

        def wait_then_run(collection, *args, **kwargs):
            self.entered.set()
            assert self.opened.wait(60)
            return held(collection, *args, **kwargs)

        monkeypatch.setattr(pqdb.Collection, verb, wait_then_run)


@pytest.fixture
def gate(monkeypatch):
    gates = []

    def hold(verb: str) -> Gate:
        gates.append(Gate(monkeypatch, verb))
        return gates[-1]

    yield hold
    for gate in gates:
        gate.opened.set()


def test_health_answers_while_an_upsert_runs(docs, database, gate):
    held = gate("upsert")
    with serving(pqdb_server.create_app(database)) as url, httpx.Client(base_url=url, timeout=60) as client:
        answers = []
        writer = threading.Thread(target=lambda: answers.append(httpx.put(url + POINTS, json=ONE, timeout=60)))
        writer.start()
        assert held.entered.wait(60)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.post(f"{POINTS}/count", json={}).json()["result"] == {"count": 3}
        assert not answers
        held.opened.set()
        writer.join(60)
        assert answers[0].status_code == 200


def test_health_answers_when_every_thread_is_busy(docs, database, gate, connect):
    held = gate("upsert")
    http = connect(database, pqdb_server.Settings(threads=1))
    writer = threading.Thread(target=http, args=("PUT", POINTS, ONE))
    writer.start()
    assert held.entered.wait(60)
    assert http.client.get("/healthz").status_code == 200
    held.opened.set()
    writer.join(60)
    assert http.ok("POST", f"{POINTS}/count", {}) == {"count": 4}


@pytest.mark.parametrize("named", [False, True])
def test_health_answers_while_a_query_waits_for_a_file_to_be_mapped_anew(database, named):
    vectors = {"a": pqdb.VectorConfig(dim=DIM)} if named else None
    made = database.create_collection("held", **({"vectors": vectors} if named else {"dim": DIM}))
    made.upsert([1], {"a": [[1.0] * DIM]} if named else [[1.0] * DIM])
    app = pqdb_server.create_app(database)
    body = {"query": [1.0] * DIM, **({"using": "a"} if named else {})}
    path = "/collections/held/points/query"
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(3):
            app.state.pace.took("held", 0.0)
        assert not made.is_held_up
        store = made._points
        answers = []
        with store.env.gate.emptied("mapped anew"):
            assert made.is_held_up
            waiting = threading.Thread(target=lambda: answers.append(httpx.post(url + path, json=body, timeout=60)))
            waiting.start()
            waiting.join(0.3)
            assert client.get("/healthz", timeout=10).status_code == 200
            assert not answers
        waiting.join(60)
        assert [point["id"] for point in answers[0].json()["result"]["points"]] == [1]
        assert not made.is_held_up


def test_writers_who_wait_for_one_another_take_no_thread_from_reads(docs, database, gate, connect):
    held, also = gate("upsert"), gate("replace")
    http = connect(database, pqdb_server.Settings(threads=2))
    replace = ("POST", "/pqdb/v1/collections/docs/replace", {"where": {"must": []}, **ONE})
    writers = [threading.Thread(target=http, args=args) for args in [("PUT", POINTS, ONE), replace] * 4]
    for writer in writers:
        writer.start()
    assert held.entered.wait(60)
    assert http.ok("POST", f"{POINTS}/count", {}) == {"count": 3}
    held.opened.set()
    also.opened.set()
    for writer in writers:
        writer.join(60)


def test_a_collection_that_was_replaced_meanwhile_answers(docs, database, monkeypatch, caplog):
    """As a read does that began before a snapshot was recovered; where the name stands for nothing it is 404."""
    count, replaced = pqdb.Collection.count, []

    def late(collection, *args, **kwargs):
        if not replaced:
            replaced.append(True)
            database.drop_collection("docs")
            database.create_collection("docs", dim=DIM).upsert([7], [[1.0] * DIM])
        return count(collection, *args, **kwargs)

    monkeypatch.setattr(pqdb.Collection, "count", late)
    assert docs.ok("POST", f"{POINTS}/count", {}) == {"count": 1}

    def gone(collection, *args, **kwargs):
        database.drop_collection("docs")
        return count(collection, *args, **kwargs)

    monkeypatch.setattr(pqdb.Collection, "count", gone)
    assert docs.error("POST", f"{POINTS}/count", {}) == (404, "Not found: Collection `docs` doesn't exist!")
    assert "ERROR" not in caplog.text


def test_a_late_read_times_out_with_408(docs, gate):
    gate("count")
    status, text = docs.error("POST", f"{POINTS}/count?timeout=1", {})
    assert (status, text) == (408, "Timeout error: the operation took longer than 1 seconds")


def test_a_late_write_says_so_and_is_kept(docs, database, gate):
    held = gate("upsert")
    assert docs.ok("PUT", f"{POINTS}?timeout=1&wait=true", ONE)["status"] == "wait_timeout"
    held.opened.set()
    docs.ok("PUT", f"{POINTS}?wait=true", {"points": [{"id": 6, "vector": [1, 1, 1, 1]}]})
    for _ in range(600):
        if 5 in database["docs"]:
            break
        threading.Event().wait(0.1)
    assert 5 in database["docs"]


def test_unforeseen_failures_tell_no_secrets(docs, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("a path or a key in here")

    monkeypatch.setattr(pqdb.Collection, "count", broken)
    status, text = docs.error("POST", f"{POINTS}/count", {})
    assert status == 500
    assert text.startswith("Service internal error: ")
    assert "key" not in text
    assert "a path or a key in here" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "prefix"),
    [
        (pqdb.DiskFullError("no space left: 0 bytes"), 507, "Insufficient storage: no space left"),
        (pqdb.StorageError("the disk refused"), 500, "Service internal error: the disk refused"),
        (pqdb.CorruptError("list 7 is damaged"), 500, "Service internal error: list 7 is damaged"),
        (pqdb.LockedError("held by 42"), 503, "Service unavailable: held by 42"),
        (pqdb.ClosedError("closed"), 503, "Service unavailable: closed"),
        (pqdb.NotYetError("groups are not there yet"), 400, "Wrong input: groups are not there yet"),
        (pqdb.PointNotFoundError("no point 7"), 404, "Not found: no point 7"),
    ],
)
def test_errors_of_the_engine_have_their_codes(docs, monkeypatch, error, status, prefix):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(pqdb.Collection, "upsert", broken)
    got, text = docs.error("PUT", POINTS, ONE)
    assert (got, text.startswith(prefix)) == (status, True), text


@pytest.fixture
def narrow(docs, database):
    """The service on a real socket, with a body limit of 1 MiB."""
    app = pqdb_server.create_app(database, pqdb_server.Settings(body_limit_mb=1))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield Http(client)


def padded(size: int) -> bytes:
    body = json.dumps(ONE).encode()
    return body + b" " * (size - len(body))


def test_body_at_the_limit_is_taken(narrow):
    assert narrow.raw("PUT", POINTS, padded(2**20))[0] == 200


def test_body_over_the_limit_is_refused(narrow):
    text = "Payload error: JSON payload (1048577 bytes) is larger than allowed (limit: 1048576 bytes)."
    assert failed(*narrow.raw("PUT", POINTS, padded(2**20 + 1))) == (400, text)
    assert narrow.ok("POST", f"{POINTS}/count", {}) == {"count": 3}


def test_body_over_the_limit_in_chunks_of_unknown_number_is_refused(narrow):
    chunks = (padded(2**16) for _ in range(20))
    answer = narrow.client.put(POINTS, content=chunks, headers={"content-type": "application/json"})
    assert failed(answer.status_code, answer.json())[0] == 400


def test_default_limit_is_32_megabytes():
    assert pqdb_server.Settings().body_limit == 32 * 1024 * 1024


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PQDB_PORT", "7000")
    monkeypatch.setenv("PQDB_PATH", str(tmp_path))
    settings = pqdb_server.Settings()
    assert (settings.port, settings.path) == (7000, tmp_path)
    assert pqdb_server.Settings(port=7001).port == 7001


def test_app_opens_and_closes_the_database_of_a_path(tmp_path):
    with serving(pqdb_server.create_app(tmp_path / "db")) as url:
        body = {"vectors": {"size": DIM, "distance": "Dot"}}
        assert httpx.put(f"{url}/collections/docs", json=body, timeout=60).status_code == 200
    with pqdb.open(tmp_path / "db") as database:
        assert database.collections() == ["docs"]
