"""Points: upsert, delete, retrieve, scroll, count."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server import models
from pqdb_server.answering import answer, find
from pqdb_server.body import parse_body, read_body
from pqdb_server.errors import not_found
from pqdb_server.ids import path_id
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name, Read, Write
from pqdb_server.points import Batch, Retrieval, Scrolling, check_count, parse_deletion
from pqdb_server.printing import LATE, Printed, page, record, update_result
from pqdb_server.selectors import PayloadSelector

router = APIRouter(prefix="/collections/{collection_name}/points", tags=["points"])


@router.put("", **documented(models.UpdateResult, models.UpsertPoints))
async def upsert_points(request: Request, collection_name: Name, params: Write) -> Response:
    """Write points: new ids are added, known ones replaced. One request is one durable commit."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        batch = Batch.parse(parse_body(body), collection.dim, request.app.state.settings.batch_limit)
        return update_result(collection.upsert(batch.ids, batch.vectors, batch.payloads), params.wait)

    return await answer(request, work, params.timeout, LATE)


@router.post("/delete", **documented(models.UpdateResult, models.DeletePoints))
async def delete_points(request: Request, collection_name: Name, params: Write) -> Response:
    """Delete points by id; ids that are not there are no error."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        collection.delete(parse_deletion(parse_body(body)))
        return update_result(None, params.wait)

    return await answer(request, work, params.timeout, LATE)


@router.post("", **documented(list[models.Record], models.RetrievePoints))
async def retrieve_points(request: Request, collection_name: Name, params: Read) -> Response:
    """Points by id; ids that are not there are left out."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> list[Printed]:
        collection = find(database, collection_name)
        asked = Retrieval.parse(parse_body(body), request.app.state.settings.batch_limit)
        points = collection.get(asked.ids, with_payload=asked.payload.wanted, with_vector=asked.with_vector)
        return [record(point, asked.payload, asked.with_vector) for point in points]

    return await answer(request, work, params.timeout)


@router.get("/{point_id}", **documented(models.Record))
async def get_point(request: Request, collection_name: Name, point_id: str, params: Read) -> Response:
    """One point with payload and vector, or 404."""

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        id_ = path_id(point_id)
        points = collection.get([id_], with_payload=True, with_vector=True)
        if not points:
            raise not_found(f"Point with id {id_} does not exists!")
        return record(points[0], PayloadSelector(wanted=True), with_vector=True)

    return await answer(request, work, params.timeout)


@router.post("/scroll", **documented(models.ScrollResult, models.ScrollPoints))
async def scroll_points(request: Request, collection_name: Name, params: Read) -> Response:
    """All points page by page: numbers ascending, then UUIDs."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        asked = Scrolling.parse(parse_body(body))
        limit = min(asked.limit, max(len(collection), 1))  # a huge limit asks for no more than there is
        found = collection.scroll(limit, asked.offset, with_payload=asked.payload.wanted, with_vector=asked.with_vector)
        return page([record(point, asked.payload, asked.with_vector) for point in found.points], found.next_offset)

    return await answer(request, work, params.timeout)


@router.post("/count", **documented(models.CountResult, models.CountPoints))
async def count_points(request: Request, collection_name: Name, params: Read) -> Response:
    """The number of points; always exact."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        check_count(parse_body(body))
        return {"count": collection.count()}

    return await answer(request, work, params.timeout)
