"""The service itself: version, health, unknown routes, the OpenAPI page, what is not there yet."""

import pytest

import pqdb
import pqdb_server
from pqdb_server.app import ROOMS
from pqdb_server.refused import ABSENT

from .conftest import failed


def test_version_is_what_clients_check(http):
    status, body = http("GET", "/")
    assert status == 200
    assert body["version"] == "1.19.0"
    assert body["pqdb_version"] == pqdb.__version__
    assert body["title"].startswith("pqdb")


def test_compat_version_is_a_setting(database, connect):
    http = connect(database, pqdb_server.Settings(compat_version="1.20.0"))
    assert http("GET", "/")[1]["version"] == "1.20.0"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/healthz/"])
def test_health_is_plain_text(http, path):
    answer = http.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text


def test_not_ready_before_the_database_is_open(http):
    app = http.client._transport._asgi.app
    app.state.database = None
    assert http.client.get("/readyz").status_code == 503
    assert http.client.get("/healthz").status_code == 200


def test_unknown_route_and_wrong_method_are_enveloped(http):
    assert failed(*http("GET", "/no/such")) == (404, "Not found: GET /no/such: Not Found")
    assert failed(*http("DELETE", "/collections"))[0] == 405


def test_trailing_slash_is_trimmed(docs):
    assert docs.ok("GET", "/collections/docs/")["points_count"] == 3
    assert docs.ok("POST", "/collections/docs/points/count/", {})["count"] == 3


@pytest.mark.parametrize(("method", "path", "what"), ABSENT)
def test_what_is_not_there_yet_says_so(unchanged, method, path, what):
    path = path.format(collection_name="docs", peer_id=1, shard_id=0, vector_name="v")
    status, text = unchanged.error(method, path, {})
    assert status == 400
    assert what in text
    assert f"pqdb {pqdb.__version__}" in text


def test_openapi_page_describes_every_route(http):
    page = http("GET", "/openapi.json")[1]
    served = {
        (method.lower(), route.path)
        for room in ROOMS
        for route in room.router.routes
        for method in route.methods
    }
    described = {(method, path) for path, item in page["paths"].items() for method in item}
    assert described == served
    assert len(described) >= 17
    for item in page["paths"].values():
        for operation in item.values():
            assert operation["description"]


def test_openapi_references_resolve(http):
    page = http("GET", "/openapi.json")[1]
    schemas = page["components"]["schemas"]

    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                assert value["$ref"].rpartition("/")[2] in schemas
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(page)
    body = page["paths"]["/collections/{collection_name}/points"]["put"]["requestBody"]
    assert body["content"]["application/json"]["schema"]["$ref"].endswith("UpsertPoints")
    assert http.client.get("/docs").status_code == 200
