"""The OpenAPI page and what is served are one: the page's models accept what docs/http.md sends and shows."""

import json
import re

import pytest
from fastapi.routing import APIRoute

from pqdb_server.app import ROOMS
from pqdb_server.models.envelopes import Failure
from pqdb_server.openapi import BODIES

from .test_http_docs import EXAMPLE, PAGE, request

ROUTES = [route for room in ROOMS for route in room.router.routes]
# Routes whose body or answer is no JSON; the page shows them in Python. And those of the service itself.
OTHERWISE = {"upsert_binary", "query_binary", "import_lines", "export_points", "version"}
OTHERWISE |= {"get_snapshot", "upload_snapshot"}
OTHERWISE |= {"healthz", "livez", "readyz", "metrics"}
COMMANDS = [(*request(command), json.loads(answer)) for command, answer in EXAMPLE.findall(PAGE)]
DESCRIBED = [command for command in COMMANDS if command[1] != "/" and not command[1].endswith("/discover")]


def route_of(method: str, path: str) -> APIRoute:
    plain = path.partition("?")[0]
    return next(route for route in ROUTES if method in route.methods and re.fullmatch(route.path_regex, plain))


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "answer"),
    DESCRIBED,
    ids=[f"{i} {method} {path}" for i, (method, path, *_) in enumerate(DESCRIBED)],
)
def test_bodies_and_answers_of_the_docs_fit_the_page(method, path, headers, body, answer):
    route = route_of(method, path)
    if "result" in answer and "…" not in json.dumps(answer, ensure_ascii=False):
        route.responses[200]["model"].model_validate(answer)
    if body is None:
        assert route.openapi_extra is None
        return
    schema = route.openapi_extra["requestBody"]["content"]["application/json"]["schema"]
    model = BODIES[schema["$ref"].rpartition("/")[2]]
    model.model_validate_json(body)


def test_every_route_is_met():
    met = {route_of(method, path).name for method, path, *_ in DESCRIBED}
    assert met | OTHERWISE == {route.name for route in ROUTES}


def test_errors_fit_the_page(http):
    Failure.model_validate(http("GET", "/collections/x")[1])
