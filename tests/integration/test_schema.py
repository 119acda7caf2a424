"""schemathesis on our own OpenAPI page: whatever the page allows or forbids is answered, and as the page says.

20,000 requests: `PQDB_SCHEMA_EXAMPLES=400 make test-integration ARGS=tests/integration/test_schema.py`.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import pqdb
import pqdb_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]  # PQDB_SCHEMA_EXAMPLES may be many
EXAMPLES = int(os.environ.get("PQDB_SCHEMA_EXAMPLES", "10"))  # for each operation
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PAGE = pqdb_server.create_app(settings=pqdb_server.Settings()).openapi()
OPERATIONS = [(method, path) for path, item in PAGE["paths"].items() for method in item]


answered: Counter[int] = Counter()  # how often each status


@schemathesis.serializer("application/x-ndjson")
def lines_of(_: schemathesis.SerializationContext, value: object) -> bytes:
    """What schemathesis makes up for a body of JSON lines."""
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[tuple[pqdb.Database, httpx.Client]]:
    """A service with a collection "docs" of 200 points."""
    with (
        pqdb.open(tmp_path_factory.mktemp("schema") / "db", upkeep="manual") as database,
        pqdb_server.transport(database, pqdb_server.Settings(recall_share=0)) as transport,
        httpx.Client(transport=transport, base_url="http://embedded") as client,
    ):
        yield database, client


def fill(database: pqdb.Database) -> None:
    """The collection, made anew where an example has dropped it."""
    if "docs" not in database:
        docs = database.create_collection("docs", dim=4, metric="dot")
        docs.upsert(range(200), [[i, 1, 2, 3] for i in range(200)], [{"lang": "en", "page": i} for i in range(200)])


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path}" for method, path in OPERATIONS])
def test_every_operation_keeps_to_the_page(service, method, path):
    database, client = service
    operation = schemathesis.openapi.from_dict(PAGE)[path][method.upper()]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy())
    def ask(case) -> None:
        fill(database)
        if "collection_name" in (case.path_parameters or {}):
            case.path_parameters["collection_name"] = "docs"
        request = case.as_transport_kwargs(base_url="http://embedded")
        request.pop("cookies", None)
        if (data := request.pop("data", None)) is not None:  # requests' word for it
            request["content"] = data if isinstance(data, bytes) else str(data).encode("utf-8", "replace")
        if (files := request.get("files")) is not None:  # httpx takes no other content than bytes
            request["files"] = [(name, given if isinstance(given, bytes) else str(given).encode("utf-8", "replace"))
                                for name, given in dict(files).items()]  # fmt: skip
        answer = client.request(**request)
        answered[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    ask()


def test_how_many_were_sent(figure):
    figure("requests", f"{sum(answered.values()):,} to {len(OPERATIONS)} operations, {dict(sorted(answered.items()))}")
    assert max(answered, default=0) < 500
