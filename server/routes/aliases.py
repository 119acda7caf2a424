"""Aliases: second names of collections, moved in one step."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server.aliases import parse_changes
from pqdb_server.answering import answer, find, opened
from pqdb_server.body import parse_body, read_body
from pqdb_server.models.aliases import AliasList, ChangeAliases
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name, Timeout

router = APIRouter(tags=["aliases"])
Wanted = Callable[[str, str], bool]


@router.post("/collections/aliases", **documented(bool, ChangeAliases))
async def change_aliases(request: Request, params: Timeout) -> Response:
    """Create, delete and rename aliases: all of the actions or, if one cannot be, none."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> bool:
        database.change_aliases(parse_changes(parse_body(body), database))
        return True

    return await answer(request, work, params.timeout)


@router.get("/aliases", **documented(AliasList))
async def list_aliases(request: Request) -> Response:
    """All aliases that the caller's key opens."""
    access = opened(request)
    return await answer(
        request, lambda database: _printed(database, lambda alias, name: access.knows(alias) or access.knows(name))
    )


@router.get("/collections/{collection_name}/aliases", **documented(AliasList))
async def list_collection_aliases(request: Request, collection_name: Name) -> Response:
    """The aliases of one collection."""

    def work(database: pqdb.Database) -> object:
        held = find(database, collection_name).name
        return _printed(database, lambda _, name: name == held)

    return await answer(request, work)


def _printed(database: pqdb.Database, wanted: Wanted) -> dict[str, list[dict[str, str]]]:
    pairs = sorted(database.aliases().items())
    return {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in pairs if wanted(alias, name)]}
