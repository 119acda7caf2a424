"""The service itself: who it is, and whether it is well."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import PlainTextResponse, Response

import pqdb
from pqdb_server.answering import answer
from pqdb_server.envelope import JSON, dumps
from pqdb_server.models.service import VersionInfo
from pqdb_server.openapi import errors

router = APIRouter(tags=["service"])

_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_READY = {**_TEXT, 503: {**_TEXT[200], "description": "The database is not open yet, or not any more"}}


@router.get("/", responses={200: {"model": VersionInfo}})
async def version(request: Request) -> Response:
    """What answers here: pqdb, and the Qdrant version whose interface it speaks a subset of."""
    body = {
        "title": "pqdb, speaking a subset of the Qdrant REST API",
        "version": request.app.state.settings.compat_version,
        "pqdb_version": pqdb.__version__,
    }
    return Response(dumps(body), media_type=JSON)


@router.get("/healthz", response_class=PlainTextResponse, responses=_TEXT)
async def healthz() -> str:
    """Alive; answered by the event loop, however busy the engine is."""
    return "healthz check passed"


@router.get("/livez", response_class=PlainTextResponse, responses=_TEXT)
async def livez() -> str:
    """Alive."""
    return "livez check passed"


@router.get("/readyz", response_class=PlainTextResponse, responses=_READY)
async def readyz(request: Request) -> Response:
    """Ready: the database is open."""
    if getattr(request.app.state, "database", None) is None:
        return PlainTextResponse("the database is not open", 503)
    return PlainTextResponse("all shards are ready")


@router.get("/metrics", response_class=PlainTextResponse, responses=errors(429, 500, 503) | _TEXT)
async def metrics(request: Request) -> Response:
    """What Prometheus is told."""
    state = request.app.state
    return await answer(request, lambda database: _metrics_page(state.metrics.page(database, state.proof)))


def _metrics_page(text: bytes) -> Response:
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
