"""From a handler's work to its answer: off the event loop, timed, and never without an envelope."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

import pqdb

from .envelope import failure, now, success
from .errors import UNFORESEEN, Refusal, collection_not_found, refusal_of

log = logging.getLogger("pqdb.server")

Work = Callable[[pqdb.Database], object]


async def answer(request: Request, work: Work, within: int | None = None, late: object = None) -> Response:
    """Run `work` on the database in a thread and answer with what it returns.

    After `within` seconds the answer is `late` (a write goes on and will be kept) or, without it, 408.
    """
    started = now()
    database: pqdb.Database = request.app.state.database

    def run() -> Response:
        try:
            return success(work(database), started)
        except Exception as error:  # noqa: BLE001 (whatever happens, the client gets an envelope)
            refusal = _refusal(error)
            return failure(refusal.status, refusal.text, started)

    limiter: anyio.CapacityLimiter = request.app.state.limiter
    with anyio.move_on_after(within):
        return await anyio.to_thread.run_sync(run, abandon_on_cancel=within is not None, limiter=limiter)
    if late is not None:
        return success(late, started)
    return failure(408, f"Timeout error: the operation took longer than {within} seconds", started)


def find(database: pqdb.Database, name: str) -> pqdb.Collection:
    """The collection of a name. Raises Refusal 404 in Qdrant's words."""
    try:
        return database.get_collection(name)
    except (pqdb.CollectionNotFoundError, pqdb.InputError):  # a name that cannot be is not there either
        raise collection_not_found(name) from None


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, pqdb.PqdbError):
        refusal = refusal_of(error)
        if refusal.status >= 500:
            log.error("%s", refusal.text, exc_info=error)
        return refusal
    log.error("an operation failed in a way nobody foresaw", exc_info=error)
    return Refusal(500, UNFORESEEN)
