"""The log: one id a request, from its first line to its answer; lines for people and lines for machines."""

import json
import logging

import pytest

import pqdb
import pqdb_server
from pqdb_server.logs import AddRequestId, JsonLines, TextLines, request_id

from .conftest import failed

REQUESTS = "pqdb.server.requests"


def test_a_request_keeps_the_id_it_brings(docs):
    answer = docs.client.get("/collections", headers={"x-request-id": "trace-7.a:b"})
    assert answer.headers["x-request-id"] == "trace-7.a:b"


@pytest.mark.parametrize("brought", [None, "two words", "x" * 65, "é"])
def test_others_get_one(docs, brought):
    headers = {} if brought is None else {"x-request-id": brought.encode()}
    first, second = (docs.client.get("/collections", headers=headers).headers["x-request-id"] for _ in range(2))
    assert first != second
    assert first.isalnum()


@pytest.mark.parametrize(("level", "told"), [("all", {200, 404}), ("failures", {404}), ("none", set())])
def test_which_requests_get_a_line(docs, database, connect, caplog, level, told):
    caplog.set_level("INFO")
    http = connect(database, pqdb_server.Settings(log_requests=level))
    http("GET", "/collections/docs")
    http("GET", "/collections/nothing")
    lines = [record for record in caplog.records if record.name == REQUESTS]
    assert {line.status for line in lines} == told
    assert all(line.route == "/collections/{collection_name}" and line.milliseconds > 0 for line in lines)


def test_what_goes_wrong_in_a_thread_is_logged_under_its_request(docs, monkeypatch):
    class Kept(logging.Handler):
        def emit(self, record):
            AddRequestId().filter(record)
            kept.append(record)

    def broken(*_, **__):
        raise RuntimeError("no")

    kept: list[logging.LogRecord] = []
    handler = Kept()
    logging.getLogger("pqdb.server").addHandler(handler)
    monkeypatch.setattr(pqdb.Collection, "count", broken)
    try:
        headers = {"x-request-id": "seven"}
        assert failed(*docs("POST", "/collections/docs/points/count", {}, headers=headers))[0] == 500
    finally:
        logging.getLogger("pqdb.server").removeHandler(handler)
    assert [record.request_id for record in kept if record.levelname == "ERROR"] == ["seven"]


def record(**extra) -> logging.LogRecord:
    made = logging.getLogger("pqdb.server").makeRecord(
        "pqdb.server", logging.INFO, "file.py", 1, "one %s", ("message",), None, extra=extra
    )
    AddRequestId().filter(made)
    return made


def test_json_lines_are_json_objects_of_one_line():
    token = request_id.set("seven")
    line = JsonLines().format(record(route="/a\nb", settings={"path": "data"}))
    request_id.reset(token)
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "info",
        "logger": "pqdb.server",
        "message": "one message",
        "request_id": "seven",
        "route": "/a\nb",
        "settings": {"path": "data"},
    }


def test_text_lines_name_the_request_and_the_details():
    line = TextLines().format(record(status=404))
    assert line.endswith('INFO pqdb.server one message {"status": 404}')
