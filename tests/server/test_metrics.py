"""/metrics: read back by Prometheus's own parser; what it says is what happened."""

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import pqdb
import pqdb_server
from pqdb_server.watch import Asked

QUERY = "/collections/docs/points/query"


def samples(http) -> dict[tuple, float]:
    """(name, sorted labels…) → value."""
    answer = http.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(docs):
    for _ in range(3):
        docs.ok("POST", QUERY, {"query": [1, 0, 0, 0]})
    docs("POST", "/collections/nothing/points/query", {"query": [1, 0, 0, 0]})
    docs("GET", "/no/such/path")
    docs.client.request("FOO", "/collections")
    told = samples(docs)
    route = "route=/collections/{collection_name}/points/query"
    assert told["pqdb_requests_total", "method=POST", route, "status=200"] == 3
    assert told["pqdb_requests_total", "method=POST", route, "status=404"] == 1
    assert told["pqdb_requests_total", "method=GET", "route=(none)", "status=404"] == 1
    assert told["pqdb_request_seconds_count", "method=POST", route] == 4
    assert told["pqdb_request_seconds_sum", "method=POST", route] > 0
    assert not any("FOO" in label for key in told for label in key)


def test_collections_tell_their_points_and_bytes(docs, database, clusters):
    vectors = clusters(6_000, 16)
    big = database.create_collection("big", dim=16)
    big.upsert(np.arange(6_000), vectors)
    big.optimize()
    big.delete([1, 2, 3])
    told = samples(docs)
    assert told["pqdb_collection_points", "collection=docs"] == 3
    assert told["pqdb_collection_points", "collection=big"] == 5_997
    assert told["pqdb_collection_generation", "collection=big"] == 1
    assert told["pqdb_collection_dead_rows", "collection=big"] == 3
    info = big.info()
    for component, size in info["bytes"].items():
        assert told["pqdb_collection_bytes", "collection=big", f"component={component}"] == size > 0
    assert told["pqdb_upkeep_failing", "collection=big"] == 0
    assert told["process_resident_memory_bytes",] > 1e6


@pytest.fixture
def proving(database, connect):
    """A service that answers every query again."""
    return connect(database, pqdb_server.Settings(recall_share=1.0))


def proved(http, n: int) -> dict[tuple, float]:
    app = http.client._transport._asgi.app
    for _ in range(600):
        report = app.state.proof.report("big")
        if report and report["queries"] >= n:
            return samples(http)
        app.state.aftercare._closing.wait(0.05)
    raise AssertionError("the queries were not answered again")


def test_recall_of_real_queries_is_measured(proving, database, clusters):
    vectors = clusters(6_000, 16)
    big = database.create_collection("big", dim=16)
    big.upsert(np.arange(6_000), vectors)
    big.optimize()
    queries = clusters(40, 16, seed=5)
    for query in queries:
        proving.ok("POST", "/collections/big/points/query", {"query": query.tolist(), "limit": 10})
    told = proved(proving, 40)
    measured = told["pqdb_measured_recall", "bound=mean", "collection=big"]
    assert measured == pytest.approx(big.measure_recall(10, queries).recall, abs=1e-9)
    low, high = (told["pqdb_measured_recall", f"bound={bound}", "collection=big"] for bound in ("low", "high"))
    assert low <= measured <= high
    assert low < high
    assert told["pqdb_measured_recall_queries", "collection=big"] == 40


def test_a_share_of_none_measures_nothing(docs, database, connect):
    http = connect(database, pqdb_server.Settings(recall_share=0))
    http.ok("POST", QUERY, {"query": [1, 0, 0, 0]})
    assert http.client._transport._asgi.app.state.aftercare._works.maxlen
    assert not http.client._transport._asgi.app.state.aftercare._works


def test_slow_queries_are_explained(docs, database, connect, caplog):
    http = connect(database, pqdb_server.Settings(slow_query_ms=0.000001, recall_share=0))
    http.ok("POST", QUERY, {"query": [1, 0, 0, 0], "limit": 2}, headers={"x-request-id": "slowly"})
    for _ in range(600):
        lines = [record for record in caplog.records if record.name == "pqdb.server.slow"]
        if lines:
            break
        http.client._transport._asgi.app.state.aftercare._closing.wait(0.05)
    [line] = lines
    assert (line.request_id, line.collection, line.k) == ("slowly", "docs", 2)
    assert line.explanation.startswith("exact: ")
    assert samples(http)["pqdb_slow_queries_total",] == 1


def test_a_slow_query_of_a_collection_dropped_since_is_told_all_the_same(tmp_path):
    with pqdb.open(tmp_path / "db") as database:
        docs = database.create_collection("docs", dim=4)
        asked = Asked(docs, np.ones(4, np.float32), 2, {"exact": False})
        assert asked.explained().startswith("exact: ")
        database.drop_collection("docs")
        assert asked.explained() == "collection 'docs' was dropped"
