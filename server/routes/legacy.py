"""Qdrant's operations from before `points/query`, which older clients still ask for."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server.answering import answer, find
from pqdb_server.body import parse_body, read_body
from pqdb_server.effort import parse_recall
from pqdb_server.fields import Fields
from pqdb_server.groups import Grouping
from pqdb_server.models.legacy import (
    RecommendBatch,
    RecommendGroups,
    RecommendPoints,
    SearchBatch,
    SearchGroups,
    SearchPoints,
)
from pqdb_server.models.query import GroupsResult, ScoredPoint
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name, Read, ReadParams
from pqdb_server.points import check_number
from pqdb_server.printing import Printed
from pqdb_server.queries import Query

from .query import Recall

router = APIRouter(prefix="/collections/{collection_name}/points", tags=["legacy"])

_KEYS = (
    "filter", "params", "limit", "offset", "with_payload", "with_vector", "with_vectors", "score_threshold",
    "shard_key",
)  # fmt: skip
_GROUPS = ("group_by", "group_size", "with_lookup")
_EXAMPLES = ("positive", "negative", "strategy")

Reading = Callable[[Fields, tuple[str, ...]], Fields]  # a body, and keys it may have besides → that of a query


@router.post("/search", **documented(list[ScoredPoint], SearchPoints))
async def search_points(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """The points nearest to a vector."""
    return await _one(request, collection_name, params, x_pqdb_recall, _nearest)


@router.post("/search/batch", **documented(list[list[ScoredPoint]], SearchBatch))
async def search_batch(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """Several searches, answered in their order."""
    return await _several(request, collection_name, params, x_pqdb_recall, _nearest)


@router.post("/search/groups", **documented(GroupsResult, SearchGroups))
async def search_groups(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """The best points of each value of a payload key."""
    return await _groups(request, collection_name, params, x_pqdb_recall, _nearest)


@router.post("/recommend", **documented(list[ScoredPoint], RecommendPoints))
async def recommend_points(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """Points like some examples and unlike others."""
    return await _one(request, collection_name, params, x_pqdb_recall, _alike)


@router.post("/recommend/batch", **documented(list[list[ScoredPoint]], RecommendBatch))
async def recommend_batch(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """Several recommendations, answered in their order."""
    return await _several(request, collection_name, params, x_pqdb_recall, _alike)


@router.post("/recommend/groups", **documented(GroupsResult, RecommendGroups))
async def recommend_groups(
    request: Request, collection_name: Name, params: Read, x_pqdb_recall: Recall = None
) -> Response:
    """Recommendations in groups."""
    return await _groups(request, collection_name, params, x_pqdb_recall, _alike)


async def _one(request: Request, name: str, params: ReadParams, recall: str | None, read: Reading) -> Response:
    body = await read_body(request)

    def work(database: pqdb.Database) -> list[Printed]:
        collection = find(database, name)
        query = Query.parse(read(parse_body(body), ()), parse_recall(recall))
        return query.answer(collection, request.app.state.watch)

    return await answer(request, work, params.timeout)


async def _several(request: Request, name: str, params: ReadParams, recall: str | None, read: Reading) -> Response:
    body = await read_body(request)

    def work(database: pqdb.Database) -> list[list[Printed]]:
        collection = find(database, name)
        searches = parse_body(body).only(("searches",)).array("searches")
        check_number("searches", len(searches), request.app.state.settings.queries_limit)
        asked = [Fields.of(search, f"searches[{i}]") for i, search in enumerate(searches)]
        queries = [Query.parse(read(each, ()), parse_recall(recall)) for each in asked]
        return [query.answer(collection, request.app.state.watch) for query in queries]

    return await answer(request, work, params.timeout)


async def _groups(request: Request, name: str, params: ReadParams, recall: str | None, read: Reading) -> Response:
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, name)
        grouping = Grouping.parse(read(parse_body(body), _GROUPS), parse_recall(recall))
        return {"groups": grouping.answer(collection, request.app.state.watch)}

    return await answer(request, work, params.timeout)


def _nearest(search: Fields, more: tuple[str, ...]) -> Fields:
    """`{"vector": [...] | {"name", "vector"}, "limit", …}` as the body of a query. Raises Refusal 400."""
    search.only((*_KEYS, "top", "vector", *more))
    vector, using = search.required("vector"), ""
    if isinstance(vector, dict) and "name" in vector:
        named = Fields(vector, search.path("vector")).only(("name", "vector"))
        using, vector = named.text("name"), named.required("vector")
    return _query(search, {"nearest": vector}, using)


def _alike(search: Fields, more: tuple[str, ...]) -> Fields:
    """`{"positive", "negative", "strategy", "limit", …}` as the body of a query. Raises Refusal 400."""
    search.only((*_KEYS, "top", *_EXAMPLES, "using", "lookup_from", *more))
    search.refuse(lookup_from="vectors of other collections")
    return _query(search, {"recommend": {key: search.value[key] for key in _EXAMPLES if key in search.value}}, None)


def _query(search: Fields, query: dict[str, object], using: str | None) -> Fields:
    """The rest stays as it is, but for `top`, as `limit` was called before."""
    gone = (*_EXAMPLES, "vector", "top", "lookup_from")
    rest = {key: value for key, value in search.value.items() if key not in gone}
    if rest.get("limit") is None:
        rest["limit"] = search.required("limit" if search.get("top") is None else "top")
    return Fields({**rest, "query": query, **({} if using is None else {"using": using})}, search.place)
