"""From a handler's work to its answer: off the event loop, timed, and never without an envelope."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import copy_context

from starlette.requests import Request
from starlette.responses import Response

import pqdb

from .door import ACCESS
from .envelope import failure, now, success
from .errors import UNFORESEEN, Refusal, collection_not_found, refusal_of
from .keys import Access, Need

log = logging.getLogger("pqdb.server")

Work = Callable[[pqdb.Database], object]


async def answer(request: Request, work: Work, within: int | None = None, late: object = None) -> Response:
    """Run `work` on the database in a thread and answer with what it returns, or with it if it is a Response.

    After `within` seconds the answer is `late` (a write goes on and will be kept) or, without it, 408.
    """
    started = now()
    state = request.app.state
    changes = Need.of(request.method, request.scope["path"]).write
    running = asyncio.get_running_loop().run_in_executor(
        state.writers if changes else state.executor, copy_context().run, _run, work, state.database, started
    )
    if within is None:
        return await running
    try:
        return await asyncio.wait_for(asyncio.shield(running), within)
    except TimeoutError:
        if late is not None:
            return success(late, started)
        return failure(408, f"Timeout error: the operation took longer than {within} seconds", started)


def answer_at_once(request: Request, work: Work) -> Response:
    """Run `work` here and now, on the event loop: only for what takes less than handing it over would."""
    return _run(work, request.app.state.database, now())


def _run(work: Work, database: pqdb.Database, started: float) -> Response:
    try:
        result = _done(work, database)
        return result if isinstance(result, Response) else success(result, started)
    except Exception as error:  # noqa: BLE001 (whatever happens, the client gets an envelope)
        refusal = refusal_for(error)
        return failure(refusal.status, refusal.text, started)


def _done(work: Work, database: pqdb.Database) -> object:
    """What it returns. A collection that was dropped under its hands is looked for once more: another may have taken
    its name, as when a snapshot is recovered, or the answer is that there is none.
    """
    try:
        return work(database)
    except pqdb.ClosedError:
        return work(database)


def find(database: pqdb.Database, name: str) -> pqdb.Collection:
    """The collection of a name. Raises Refusal 404 in Qdrant's words."""
    try:
        return database.get_collection(name)
    except (pqdb.CollectionNotFoundError, pqdb.InputError):  # a name that cannot be is not there either
        raise collection_not_found(name) from None


def opened(request: Request) -> Access:
    """What the request's key opens."""
    access: Access = request.scope[ACCESS]
    return access


def refusal_for(error: Exception) -> Refusal:
    """What to answer to an error; what is our fault is logged."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, pqdb.PqdbError):
        refusal = refusal_of(error)
        if refusal.status >= 500:
            log.error("%s", refusal.text, exc_info=error)
        return refusal
    log.error("an operation failed in a way nobody foresaw", exc_info=error)
    return Refusal(500, UNFORESEEN)
