"""Payload indexes and facets."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server import indexes
from pqdb_server.answering import answer, find
from pqdb_server.body import parse_body, read_body
from pqdb_server.models.indexes import CreateIndex, FacetQuery, FacetResult
from pqdb_server.models.writing import UpdateResult
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name, Read, Write
from pqdb_server.points import DEFAULT_LIMIT, SHARDS, parse_filter
from pqdb_server.printing import LATE, Printed, update_result

router = APIRouter(prefix="/collections/{collection_name}", tags=["indexes"])


@router.put("/index", **documented(UpdateResult, CreateIndex))
async def create_index(request: Request, collection_name: Name, params: Write) -> Response:
    """Index what lies at a key of every payload. What a filter lets through stays the same; it is found sooner."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        indexes.create(database, collection, *indexes.parse_index(parse_body(body)))
        return update_result(None, params.wait)

    return await answer(request, work, params.timeout, LATE)


@router.delete("/index/{field_name}", **documented(UpdateResult))
async def delete_index(request: Request, collection_name: Name, field_name: str, params: Write) -> Response:
    """Drop the index on a key; none is no error."""

    def work(database: pqdb.Database) -> Printed:
        indexes.drop(database, find(database, collection_name), field_name)
        return update_result(None, params.wait)

    return await answer(request, work, params.timeout, LATE)


@router.post("/facet", **documented(FacetResult, FacetQuery))
async def facet(request: Request, collection_name: Name, params: Read) -> Response:
    """The most frequent values at a key, and how many points have each; always exact."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        asked = parse_body(body).only(("key", "filter", "limit", "exact", "shard_key")).refuse(shard_key=SHARDS)
        asked.required("key")
        asked.boolean("exact")
        key, limit = asked.text("key"), asked.unsigned("limit", DEFAULT_LIMIT, least=1)
        filter_ = parse_filter(asked)
        indexes.check_counted(collection, key)
        found = collection.facet(key, filter_, min(limit, 2**31))
        return {"hits": [{"value": value, "count": count} for value, count in found]}

    return await answer(request, work, params.timeout)
