"""Copies of the whole database, made while it is read and written."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

import pqdb
from pqdb_server import backups
from pqdb_server.answering import answer
from pqdb_server.body import parse_body, read_body
from pqdb_server.models.snapshots import Backups, NewBackup
from pqdb_server.models.upkeep import JobStarted
from pqdb_server.openapi import documented
from pqdb_server.printing import Printed

router = APIRouter(prefix="/pqdb/v1", tags=["pqdb"])


@router.post("/backup", **documented(JobStarted, NewBackup))
async def back_up(request: Request) -> Response:
    """Copy all collections, as they are at one moment, into a new folder, as a job; reads and writes go on."""
    body = await read_body(request)
    state = request.app.state

    def work(database: pqdb.Database) -> Printed:
        path = backups.new_backup(state.settings, parse_body(body))
        job = state.jobs.start("backup", "", lambda progress: database.backup(path, progress=progress))
        return {"job": job.id}

    return await answer(request, work)


@router.get("/backups", **documented(Backups))
async def list_backups(request: Request) -> Response:
    """The backups there are."""
    return await answer(request, lambda _: {"backups": backups.names(request.app.state.settings)})
