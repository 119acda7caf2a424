"""The fast lane answers what the ordinary way answers; queries are answered at once only while they are quick."""

import pytest
from starlette.middleware import Middleware

from pqdb_server.errors import UNFORESEEN
from pqdb_server.pace import QUICK, Pace

from .conftest import DIM

POINTS = "/collections/docs/points"
ONES = [1.0] * DIM
# `consistency` and `ordering` change nothing, but no lane knows them
CASES = [
    ("POST", f"{POINTS}/query", {"query": ONES, "limit": 2, "with_payload": True}, "?consistency=all"),
    ("POST", f"{POINTS}/query", {"query": [1]}, "?consistency=all"),
    ("POST", f"{POINTS}/query", [], "?consistency=all"),
    ("POST", "/collections/none/points/query", {"query": ONES}, "?consistency=all"),
    ("POST", f"{POINTS}/query/batch", {"searches": [{"query": ONES}]}, "?consistency=all"),
    ("POST", f"{POINTS}/count", {}, "?consistency=all"),
    ("POST", f"{POINTS}/scroll", {"limit": 0}, "?consistency=all"),
    ("PUT", f"{POINTS}", {"points": [{"id": 7}]}, "?ordering=weak"),
    ("POST", f"{POINTS}/search", {"vector": ONES, "limit": 1}, "?consistency=all"),
]


@pytest.fixture
def seen(docs, monkeypatch):
    """The service, and the paths its router was asked for."""
    paths = []
    app = docs.client._transport._asgi.app
    routed = app.router.__class__.__call__

    async def noting(self, scope, receive, send):
        paths.append(scope["path"])
        await routed(self, scope, receive, send)

    monkeypatch.setattr(app.router.__class__, "__call__", noting)
    return docs, paths


@pytest.mark.parametrize(("method", "path", "body", "round"), CASES)
def test_both_ways_answer_alike(seen, method, path, body, round):
    docs, paths = seen
    quick = docs(method, path, body)
    assert paths == []
    slow = docs(method, path + round, body)
    assert paths == [path]
    quick[1].pop("time"), slow[1].pop("time")
    assert quick == slow


def test_a_recall_by_header_takes_the_lane_too(seen):
    docs, paths = seen
    status, text = docs.error("POST", f"{POINTS}/query", {"query": ONES}, headers={"x-pqdb-recall": "7"})
    assert (status, "x-pqdb-recall" in text, paths) == (400, True, [])


@pytest.mark.parametrize(
    ("query", "word"), [("?wait=true", "completed"), ("?wait=false", "acknowledged"), ("", "acknowledged")]
)
def test_wait_takes_the_lane(seen, query, word):
    docs, paths = seen
    body = {"points": [{"id": 7, "vector": ONES}]}
    assert docs.ok("PUT", f"{POINTS}{query}", body)["status"] == word
    assert paths == []


def test_a_layer_of_the_callers_closes_the_lanes(docs):
    asked = []

    class Layer:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            asked.append(scope["path"])
            await self.app(scope, receive, send)

    app = docs.client._transport._asgi.app
    docs.ok("POST", f"{POINTS}/count", {})
    app.user_middleware.insert(0, Middleware(Layer))  # as `add_middleware` does before the first request
    app.middleware_stack, app._look_again = None, 0
    expected = {"count": docs.ok("POST", f"{POINTS}/count", {})["count"]}
    assert asked == [f"{POINTS}/count"]
    del app.user_middleware[0]
    app._look_again = 0
    assert docs.ok("POST", f"{POINTS}/count", {}) == expected
    assert len(asked) == 1


@pytest.mark.parametrize("put", ["telemetry", "stack", "handler"])
def test_instruments_and_handlers_of_the_callers_close_them_too(seen, monkeypatch, put):
    docs, paths = seen
    app = docs.client._transport._asgi.app
    if put == "telemetry":
        monkeypatch.setattr(app._native_telemetry, "enabled", lambda: True)
    elif put == "stack":
        monkeypatch.setattr(app, "build_middleware_stack", app.build_middleware_stack)
    else:
        monkeypatch.setitem(app.exception_handlers, Exception, print)
    app._look_again = 0
    docs.ok("POST", f"{POINTS}/count", {})
    assert paths == [f"{POINTS}/count"]


def test_what_nobody_foresaw_gets_an_envelope_there_too(docs, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr("pqdb_server.routes.query.parse_body", broken)
    monkeypatch.setattr("pqdb_server.routes.query.read_body", broken)
    answer = docs.client.post(f"{POINTS}/query", json={"query": ONES})
    assert (answer.status_code, answer.json()["status"]["error"]) == (500, UNFORESEEN)
    monkeypatch.setattr("pqdb_server.door.Door._refusal", broken)
    answer = docs.client.post(f"{POINTS}/count", json={})
    assert (answer.status_code, answer.json()["status"]["error"]) == (500, UNFORESEEN)


def test_metrics_know_the_route(docs):
    docs.ok("POST", f"{POINTS}/count", {})
    assert 'route="/collections/{collection_name}/points/count"' in docs.client.get("/metrics").text


def test_pace_trusts_nothing_it_has_not_seen():
    pace = Pace()
    body = b'{"query": [1.0]}'
    assert not pace.answers_at_once("docs", body)
    for _ in range(3):
        pace.took("docs", QUICK / 10)
    assert pace.answers_at_once("docs", body)
    for asks_more in (
        b'{"filter": {}}', b'{"params": {"exact": true}}', b'{"prefetch": []}', b" " * 300_000,
        b'{"exact": 1, "query": [1.0]}', b'{"query": [1.0], "params": {"exact": true}}',
        b'{"query": [1.0], "filter": {"must": []}}', b'{"query": [1.0], "limit": 100}', b'{"limit": 7}',
        b'{"query": {"nearest": [1.0], "mmr": {}}}', b'{"query": {"sample": "random"}}',
        b'{"offset": 9, "query": [1.0]}', b'{"query": {"recommend": {"positive": [7]}}}',
    ):  # fmt: skip
        assert not pace.answers_at_once("docs", asks_more)
    assert pace.answers_at_once("docs", b'{"query": [1.0, 2.0], "limit": 99}')
    assert pace.answers_at_once("docs", b'{"query":[1.0],"limit":3,"offset":0,"with_vector":false,"with_payload":true}')
    assert pace.answers_at_once("docs", b'{"query":[1.0],"with_vectors": null, "offset": null}')
    assert not pace.answers_at_once("docs", b'{"query":[1.0],"with_vector":true}')
    assert pace.answers_at_once("docs", b'{"limit":5,"query": [1.0, 2.0]}')
    pace.took("docs", 1.0)
    assert not pace.answers_at_once("docs", body)
    for _ in range(100):
        pace.took("docs", QUICK / 10)
    assert pace.answers_at_once("docs", body)


def test_quick_queries_are_answered_on_the_loop_and_right(docs, monkeypatch):
    http = docs
    body = {"query": ONES, "limit": 3, "with_payload": True}
    expected = http.ok("POST", f"{POINTS}/query", body)
    app = docs.client._transport._asgi.app
    app.state.pace._seconds["docs"] = 0.0
    monkeypatch.setattr(app.state.executor, "submit", None)  # no thread may be asked
    assert http.ok("POST", f"{POINTS}/query", body) == expected
    assert http.error("POST", f"{POINTS}/query", {"query": [1]})[0] == 400
