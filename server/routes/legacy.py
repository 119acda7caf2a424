"""Qdrant's search operations from before `points/query`, which older clients still ask for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server import models
from pqdb_server.answering import answer, find
from pqdb_server.body import parse_body, read_body
from pqdb_server.effort import parse_recall
from pqdb_server.fields import Fields
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name, Read
from pqdb_server.points import check_number
from pqdb_server.printing import Printed
from pqdb_server.queries import Query

from .query import Recall

router = APIRouter(prefix="/collections/{collection_name}/points/search", tags=["legacy"])

_KEYS = (
    "vector", "filter", "params", "limit", "offset", "with_payload", "with_vector", "with_vectors", "score_threshold",
    "shard_key",
)  # fmt: skip


@router.post("", **documented(list[models.ScoredPoint], models.SearchPoints))
async def search_points(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """The points nearest to a vector."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> list[Printed]:
        collection = find(database, collection_name)
        query = _query(parse_body(body), parse_recall(x_pqdb_recall))
        return query.answer(collection, request.app.state.watch)

    return await answer(request, work, params.timeout)


@router.post("/batch", **documented(list[list[models.ScoredPoint]], models.SearchBatch))
async def search_batch(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """Several searches, answered in their order."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> list[list[Printed]]:
        collection = find(database, collection_name)
        recall = parse_recall(x_pqdb_recall)
        searches = parse_body(body).only(("searches",)).array("searches")
        check_number("searches", len(searches), request.app.state.settings.queries_limit)
        queries = [_query(Fields.of(search, f"searches[{i}]"), recall) for i, search in enumerate(searches)]
        return [query.answer(collection, request.app.state.watch) for query in queries]

    return await answer(request, work, params.timeout)


def _query(search: Fields, recall: float | None) -> Query:
    """`{"vector": [...] | {"name", "vector"}, "limit", …}` as a query. Raises Refusal 400 or 422."""
    vector = search.required("vector")
    using = ""
    if isinstance(vector, dict) and "name" in vector:
        named = Fields(vector, search.path("vector")).only(("name", "vector"))
        using, vector = named.text("name"), named.required("vector")
    search.required("limit")
    rest = {key: value for key, value in search.value.items() if key != "vector"}
    search.only(_KEYS)
    return Query.parse(Fields({**rest, "query": {"nearest": vector}, "using": using}, search.place), recall)
