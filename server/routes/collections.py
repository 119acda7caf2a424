"""Collections: create, get, list, exists, change, delete."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server.answering import answer, find, opened
from pqdb_server.body import parse_body, read_body
from pqdb_server.changes import changed_metadata
from pqdb_server.creation import Creation
from pqdb_server.description import describe
from pqdb_server.errors import Refusal
from pqdb_server.models.collections import CollectionInfo, CollectionList, CreateCollection, Existence, UpdateCollection
from pqdb_server.names import check_name
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name, Timeout

router = APIRouter(prefix="/collections", tags=["collections"])


@router.get("", **documented(CollectionList))
async def list_collections(request: Request) -> Response:
    """The names of all collections that the caller's key opens."""
    access = opened(request)
    return await answer(
        request,
        lambda database: {"collections": [{"name": name} for name in database.collections() if access.knows(name)]},
    )


@router.get("/{collection_name}/exists", **documented(Existence))
async def collection_exists(request: Request, collection_name: Name) -> Response:
    """Whether a collection is there."""
    return await answer(request, lambda database: {"exists": collection_name in database})


@router.get("/{collection_name}", **documented(CollectionInfo))
async def get_collection(request: Request, collection_name: Name) -> Response:
    """A collection's configuration and state; `config.pqdb` says what pqdb really does."""
    return await answer(request, lambda database: describe(find(database, collection_name)))


@router.put("/{collection_name}", **documented(bool, CreateCollection))
async def create_collection(request: Request, collection_name: Name, params: Timeout) -> Response:
    """Make a collection, of one vector a point or of several with names."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> bool:
        check_name(collection_name)
        creation = Creation.parse(parse_body(body))
        try:
            database.create_collection(collection_name, metadata=creation.metadata, **creation.arguments)
        except pqdb.CollectionExistsError:
            raise Refusal(409, f"Wrong input: Collection `{collection_name}` already exists!") from None
        return True

    return await answer(request, work, params.timeout)


@router.patch("/{collection_name}", **documented(bool, UpdateCollection))
async def update_collection(request: Request, collection_name: Name, params: Timeout) -> Response:
    """Change what is kept about a collection: its metadata (null removes a key) and Qdrant's knobs."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> bool:
        collection = find(database, collection_name)
        asked = parse_body(body)
        database.change_metadata(collection.name, lambda held: changed_metadata(asked, collection, held))
        return True

    return await answer(request, work, params.timeout)


@router.delete("/{collection_name}", **documented(bool))
async def delete_collection(request: Request, collection_name: Name, params: Timeout) -> Response:
    """Drop a collection; false when there was none."""
    return await answer(request, lambda database: database.drop_collection(collection_name), params.timeout)
