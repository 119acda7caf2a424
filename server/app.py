"""The application: a database opened and closed around it, routes, and an envelope for every failure."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

import pqdb

from . import openapi
from .activity import Activity
from .aftercare import Aftercare
from .door import Door, TrailingSlash
from .envelope import failure, now
from .errors import UNFORESEEN, Refusal, format_error, refusal_of, validation_error
from .jobs import Jobs
from .keys import Keys
from .lane import FastLanes, lanes
from .metrics import Metrics
from .pace import Pace
from .proof import Proof
from .routes import (
    absent,
    aliases,
    backups,
    cluster,
    collections,
    dashboard,
    indexes,
    legacy,
    native,
    points,
    query,
    service,
    snapshots,
)
from .settings import Settings
from .watch import Watch

log = logging.getLogger("pqdb.server")

ROOMS = (service, collections, points, query, legacy, indexes, aliases, snapshots, cluster, native, backups)

_ABOUT = (
    "A strict, declared subset of Qdrant's REST interface in front of pqdb. "
    "What is not there yet is refused with a sentence, never ignored."
)


def create_app(
    path_or_database: str | os.PathLike[str] | pqdb.Database | None = None,
    settings: Settings | None = None,
    *,
    trusted: bool = False,
    shared: Path | None = None,
) -> FastAPI:
    """The service as an ASGI application.

    A path is opened when the application starts and closed when it ends; a Database stays its owner's.
    Without either, the path of the settings is opened. `trusted`: callers need no key, whatever the settings
    say. `shared`: a folder by which worker processes of one service tell each other what they measured.
    """
    settings = settings or Settings()
    source = settings.path if path_or_database is None else path_or_database
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = app.state
        state.executor = ThreadPoolExecutor(settings.threads, "pqdb operation")
        state.writers = ThreadPoolExecutor(settings.threads, "pqdb change")  # who wait for one another; no read does
        state.aftercare = Aftercare(state.activity)
        state.watch = Watch(settings, metrics, state.proof, state.aftercare)
        in_thread = asyncio.get_running_loop().run_in_executor
        try:
            if isinstance(source, pqdb.Database):
                state.database = source
            else:
                state.database = await in_thread(None, lambda: pqdb.open(source, **settings.opening))
                if settings.warm_up:
                    state.aftercare.offer(_warm_up)
            yield
        finally:
            database, state.database = getattr(state, "database", None), None
            await in_thread(None, state.writers.shutdown)
            await in_thread(None, state.executor.shutdown)  # writes that nobody waits for any more are finished too
            await in_thread(None, state.aftercare.close)
            await in_thread(None, state.jobs.close)
            if database is not None and database is not source:
                await in_thread(None, database.close)

    version = pqdb.__version__
    app = FastLanes(title="pqdb", version=version, description=_ABOUT, lifespan=lifespan, redirect_slashes=False)
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.activity = Activity()
    app.state.pace = Pace()
    app.state.proof = Proof(shared)
    app.state.jobs = Jobs(shared)
    for room in (*ROOMS, dashboard, absent):
        app.include_router(room.router)
    busy = [route for room in (points, query, legacy) for route in room.router.routes]
    keys = Keys(None if trusted else settings)
    app.add_middleware(Door, settings=settings, keys=keys, metrics=metrics)
    app.add_middleware(TrailingSlash)
    openapi.install(app)
    _install_errors(app)
    app.open_lanes(lanes(busy), lambda inner: Door(inner, settings, keys, metrics), (TrailingSlash, Door))
    return app


def _warm_up() -> None:
    began = now()
    pqdb.warm_up()
    log.info("kernels are ready", extra={"seconds": round(now() - began, 3)})


def _install_errors(app: FastAPI) -> None:
    """Put every failure that a handler does not answer itself into the envelope."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return failure(error.status, error.text)

    @app.exception_handler(pqdb.PqdbError)
    async def failed(_: Request, error: pqdb.PqdbError) -> Response:
        refusal = refusal_of(error)
        return failure(refusal.status, refusal.text)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        refusal = _parameter_refusal(error)
        return failure(refusal.status, refusal.text)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        text = f"{request.method} {request.url.path}: {error.detail}"
        answer = failure(error.status_code, text if error.status_code != 404 else f"Not found: {text}")
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, __: Exception) -> Response:
        return failure(500, UNFORESEEN)


def _parameter_refusal(error: RequestValidationError) -> Refusal:
    """A query parameter out of range (422) or not readable (400), in Qdrant's words."""
    first = error.errors()[0]
    place = "path parameters" if first["loc"][0] == "path" else "query parameters"
    field, value = str(first["loc"][1]), first["input"]
    if first["type"] == "greater_than_equal":
        least = first["ctx"]["ge"]
        return validation_error(field, f"value {value} invalid, must be {least} or larger", place)
    return format_error(f"{field}: {first['msg']}, not {str(value)[:64]!r}", place)
