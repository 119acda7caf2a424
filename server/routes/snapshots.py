"""Snapshots of a collection: made, listed, fetched, deleted, and put in a collection's place. Not Qdrant's files."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

import pqdb
from pqdb_server.answering import answer
from pqdb_server.body import parse_body, read_body
from pqdb_server.envelope import accepted
from pqdb_server.models.snapshots import RecoverSnapshot, Snapshot, SnapshotPriority
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name
from pqdb_server.snapshots import Snapshots, check_there, checked_sum, parse_recover, recover
from pqdb_server.upload import receive_file

router = APIRouter(prefix="/collections/{collection_name}/snapshots", tags=["snapshots"])

_FILE = "application/octet-stream"
Wait = Annotated[bool, Query(description="Answer when it is done (true), or 202 when it has begun (false).")]
Checksum = Annotated[str | None, Query(description="The file's SHA256; another one is refused.")]
Priority = Annotated[SnapshotPriority | None, Query(description="One node: it changes nothing.")]
Done = Callable[[pqdb.Database, Callable[[str, float], None] | None], object]


def _snapshots(request: Request, database: pqdb.Database) -> Snapshots:
    folder = request.app.state.settings.snapshots
    return Snapshots(database.path / "snapshots" if folder is None else folder)


async def _done(request: Request, kind: str, name: str, wait: bool, work: Done) -> Response:
    """Answer with what a work returns or, without waiting, that it has begun."""
    if wait:
        return await answer(request, lambda database: work(database, None))

    def begin(database: pqdb.Database) -> Response:
        request.app.state.jobs.start(kind, name, lambda progress: work(database, progress))
        return accepted()

    return await answer(request, begin)


@router.post("", **documented(Snapshot, accepts=True))
async def create_snapshot(request: Request, collection_name: Name, wait: Wait = True) -> Response:
    """Copy the collection as it is now into a file, while reads and writes go on."""

    def work(database: pqdb.Database, progress: Callable[[str, float], None] | None) -> object:
        return _snapshots(request, database).make(database, check_there(database, collection_name), progress)

    return await _done(request, "snapshot", collection_name, wait, work)


@router.get("", **documented(list[Snapshot]))
async def list_snapshots(request: Request, collection_name: Name) -> Response:
    """The snapshots of a collection, the oldest first."""
    return await answer(
        request,
        lambda database: _snapshots(request, database).listed(check_there(database, collection_name)),
    )


@router.put("/recover", **documented(bool, RecoverSnapshot, accepts=True))
async def recover_snapshot(request: Request, collection_name: Name, wait: Wait = True) -> Response:
    """Let a snapshot of this service's take the collection's place in one commit, or make the collection."""
    location, checksum = parse_recover(parse_body(await read_body(request)))

    def work(database: pqdb.Database, _: object) -> object:
        name = database.aliases().get(collection_name, collection_name)
        return recover(database, name, _snapshots(request, database).located(name, location), checksum)

    return await _done(request, "recover", collection_name, wait, work)


@router.post("/upload", **documented(bool, form="snapshot", accepts=True))
async def upload_snapshot(
    request: Request,
    collection_name: Name,
    wait: Wait = True,
    checksum: Checksum = None,
    priority: Priority = None,  # noqa: ARG001 (one node: there is no replica to prefer)
) -> Response:
    """Let a snapshot sent as the file `snapshot` of a form take the collection's place, or make the collection."""
    state = request.app.state
    expected = checked_sum(checksum, "checksum")
    file = _snapshots(request, state.database).folder / f".pqdb-upload-{uuid.uuid4().hex}"  # (as parcels are put aside)

    def work(database: pqdb.Database, _: object) -> object:
        try:
            return recover(database, collection_name, file, expected)
        finally:
            file.unlink(missing_ok=True)

    try:
        await receive_file(request, "snapshot", file, state.settings.snapshot_limit)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    done = await _done(request, "recover", collection_name, wait, work)
    if done.status_code >= 400:  # also where the work did not begin
        file.unlink(missing_ok=True)
    return done


_PARTS: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part of the file that `range` asks for", "content": {_FILE: {}}},
    416: {"description": "The file has no such part", "content": {"text/plain": {}}},
}
_WHOLE = documented(None, answers=_FILE)


@router.get("/{snapshot_name}", responses=_WHOLE["responses"] | _PARTS)
async def get_snapshot(request: Request, collection_name: Name, snapshot_name: str) -> Response:
    """A snapshot's file: a tar of a pqdb database that holds the one collection."""

    def work(database: pqdb.Database) -> Response:
        file = _snapshots(request, database).file(check_there(database, collection_name), snapshot_name)
        return FileResponse(file, media_type=_FILE, filename=file.name)

    return await answer(request, work)


@router.delete("/{snapshot_name}", **documented(bool, accepts=True))
async def delete_snapshot(request: Request, collection_name: Name, snapshot_name: str, wait: Wait = True) -> Response:
    """Delete a snapshot; the collection stays."""

    def work(database: pqdb.Database, _: object) -> object:
        return _snapshots(request, database).remove(check_there(database, collection_name), snapshot_name)

    return await _done(request, "delete snapshot", collection_name, wait, work)
