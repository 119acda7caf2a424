"""Points: upsert, delete, change, retrieve, scroll, count."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server import bare
from pqdb_server.answering import answer, find
from pqdb_server.body import parse_body, read_body
from pqdb_server.errors import not_found
from pqdb_server.fields import Fields
from pqdb_server.ids import path_id
from pqdb_server.indexes import check_ordered
from pqdb_server.models.reading import CountPoints, CountResult, Record, RetrievePoints, ScrollPoints, ScrollResult
from pqdb_server.models.writing import (
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    SetPayload,
    UpdateBatch,
    UpdateResult,
    UpdateVectors,
    UpsertPoints,
)
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name, Read, Write, WriteParams
from pqdb_server.points import Retrieval, Scrolling, parse_count
from pqdb_server.printing import LATE, Printed, page, record, update_result
from pqdb_server.selectors import PayloadSelector
from pqdb_server.shape import Shape
from pqdb_server.updates import Change, Reader

router = APIRouter(prefix="/collections/{collection_name}/points", tags=["points"])


def needs_payload(collection: pqdb.Collection, asked: Retrieval | Scrolling) -> bool:
    """Whether payloads must be read: when they are asked for, or may say that there is no vector."""
    return asked.payload.wanted or (bool(asked.with_vector) and bare.may_be_in(collection))


async def _change(
    request: Request, name: str, params: WriteParams, read: Callable[[Reader, Fields], Change]
) -> Response:
    """Answer a request that changes points in one commit."""
    body = await read_body(request)
    most = request.app.state.settings.batch_limit

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, name)
        change = read(Reader(database, Shape.of(collection), most), parse_body(body))
        return update_result(change(collection), params.wait)

    return await answer(request, work, params.timeout, LATE)


@router.put("", **documented(UpdateResult, UpsertPoints))
async def upsert_points(request: Request, collection_name: Name, params: Write) -> Response:
    """Write points: new ids are added, known ones replaced. One request is one durable commit."""
    return await _change(request, collection_name, params, Reader.upsert)


@router.post("/delete", **documented(UpdateResult, DeletePoints))
async def delete_points(request: Request, collection_name: Name, params: Write) -> Response:
    """Delete points by id, or those that pass a filter; ids that are not there are no error."""
    return await _change(request, collection_name, params, Reader.delete)


@router.post("/payload", **documented(UpdateResult, SetPayload))
async def set_payload(request: Request, collection_name: Name, params: Write) -> Response:
    """Merge keys into payloads, at their top or into the objects at a key."""
    return await _change(request, collection_name, params, Reader.set_payload)


@router.put("/payload", **documented(UpdateResult, SetPayload))
async def overwrite_payload(request: Request, collection_name: Name, params: Write) -> Response:
    """Give points this payload in place of theirs."""
    return await _change(request, collection_name, params, Reader.overwrite_payload)


@router.post("/payload/delete", **documented(UpdateResult, DeletePayload))
async def delete_payload(request: Request, collection_name: Name, params: Write) -> Response:
    """Take keys out of payloads."""
    return await _change(request, collection_name, params, Reader.delete_payload)


@router.post("/payload/clear", **documented(UpdateResult, DeletePoints))
async def clear_payload(request: Request, collection_name: Name, params: Write) -> Response:
    """Take payloads away."""
    return await _change(request, collection_name, params, Reader.clear_payload)


@router.put("/vectors", **documented(UpdateResult, UpdateVectors))
async def update_vectors(request: Request, collection_name: Name, params: Write) -> Response:
    """Give points other vectors; their payloads stay. 404 when one is not there, and then none is changed."""
    return await _change(request, collection_name, params, Reader.update_vectors)


@router.post("/vectors/delete", **documented(UpdateResult, DeleteVectors))
async def delete_vectors(request: Request, collection_name: Name, params: Write) -> Response:
    """Take the vectors of points away; the points stay, and no query by a vector finds them."""
    return await _change(request, collection_name, params, Reader.delete_vectors)


@router.post("/batch", **documented(list[UpdateResult], UpdateBatch))
async def update_batch(request: Request, collection_name: Name, params: Write) -> Response:
    """Several changes, checked all together, then done in their order, each a commit of its own."""
    body = await read_body(request)
    most = request.app.state.settings.batch_limit

    def work(database: pqdb.Database) -> list[Printed]:
        collection = find(database, collection_name)
        changes = Reader(database, Shape.of(collection), most).batch(parse_body(body))
        return [update_result(change(collection), params.wait) for change in changes]

    return await answer(request, work, params.timeout, [LATE])


@router.post("", **documented(list[Record], RetrievePoints))
async def retrieve_points(request: Request, collection_name: Name, params: Read) -> Response:
    """Points by id; ids that are not there are left out."""
    body = await read_body(request)
    most = request.app.state.settings.batch_limit

    def work(database: pqdb.Database) -> list[Printed]:
        collection = find(database, collection_name)
        asked = Retrieval.parse(parse_body(body), most)
        vectors = Shape.of(collection).wanted(asked.with_vector)
        points = collection.get(asked.ids, needs_payload(collection, asked), vectors)
        return [record(point, asked.payload, vectors) for point in points]

    return await answer(request, work, params.timeout)


@router.get("/{point_id}", **documented(Record))
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


@router.post("/scroll", **documented(ScrollResult, ScrollPoints))
async def scroll_points(request: Request, collection_name: Name, params: Read) -> Response:
    """Points page by page, all or those that pass a filter, by id or in the order of a payload key."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        asked = Scrolling.parse(parse_body(body))
        vectors = Shape.of(collection).wanted(asked.with_vector)
        limit = min(asked.limit, max(len(collection), 1))  # a huge limit asks for no more than there is
        if asked.order_by is not None:
            check_ordered(collection, asked.order_by)
        found = collection.scroll(
            limit,
            asked.offset,
            with_payload=needs_payload(collection, asked),
            with_vector=vectors,
            filter=asked.filter,
            order_by=asked.order_by,
        )
        records = [record(point, asked.payload, vectors) for point in found.points]
        return page(records, found.next_offset, found.order_values)

    return await answer(request, work, params.timeout)


@router.post("/count", **documented(CountResult, CountPoints))
async def count_points(request: Request, collection_name: Name, params: Read) -> Response:
    """The number of points, or of those that pass a filter; always exact."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        return {"count": collection.count(parse_count(parse_body(body)))}

    return await answer(request, work, params.timeout)
