"""Queries: the points nearest to a vector or to a point, one query or several a request."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

import pqdb
from pqdb_server.answering import answer, answer_at_once, find
from pqdb_server.body import parse_body, read_body
from pqdb_server.effort import parse_recall
from pqdb_server.errors import Refusal
from pqdb_server.fields import Fields
from pqdb_server.groups import Grouping
from pqdb_server.models.query import GroupsResult, QueryBatch, QueryGroups, QueryPoints, QueryResult
from pqdb_server.openapi import documented
from pqdb_server.pace import Pace
from pqdb_server.parameters import Name, Read
from pqdb_server.points import check_number
from pqdb_server.printing import Printed
from pqdb_server.queries import Query

router = APIRouter(prefix="/collections/{collection_name}/points/query", tags=["query"])

Recall = Annotated[
    str | None, Header(alias="x-pqdb-recall", description="The recall to keep, between 0 and 1; pqdb's own.")
]


def _is_held_up(request: Request, name: str) -> bool:
    """Whether a query would have to wait where all connections would wait with it."""
    try:
        return find(request.app.state.database, name).is_held_up
    except Refusal:  # which takes no time
        return False


@router.post("", **documented(QueryResult, QueryPoints))
async def query_points(request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None) -> Response:
    """The points nearest to a vector or a point; without a query, points by id."""
    body = await read_body(request)

    pace: Pace = request.app.state.pace

    def work(database: pqdb.Database) -> Printed:
        started = perf_counter()
        collection = find(database, collection_name)
        query = Query.parse(parse_body(body), parse_recall(x_pqdb_recall))
        found = {"points": query.answer(collection, request.app.state.watch)}
        pace.took(collection_name, perf_counter() - started)
        return found

    if (
        params.timeout is None
        and pace.answers_at_once(collection_name, body)
        and not _is_held_up(request, collection_name)
    ):
        return answer_at_once(request, work)
    return await answer(request, work, params.timeout)


@router.post("/groups", **documented(GroupsResult, QueryGroups))
async def query_groups(request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None) -> Response:
    """The best points of each value of a payload key; each group is filled as far as there are points for it."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        grouping = Grouping.parse(parse_body(body), parse_recall(x_pqdb_recall))
        return {"groups": grouping.answer(collection, request.app.state.watch)}

    return await answer(request, work, params.timeout)


@router.post("/batch", **documented(list[QueryResult], QueryBatch))
async def query_batch(request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None) -> Response:
    """Several queries, answered in their order; all are checked before the first is run."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> list[Printed]:
        collection = find(database, collection_name)
        recall = parse_recall(x_pqdb_recall)
        searches = parse_body(body).only(("searches",)).array("searches")
        check_number("searches", len(searches), request.app.state.settings.queries_limit)
        queries = [Query.parse(Fields.of(search, f"searches[{i}]"), recall) for i, search in enumerate(searches)]
        return [{"points": query.answer(collection, request.app.state.watch)} for query in queries]

    return await answer(request, work, params.timeout)
