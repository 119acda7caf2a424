"""Qdrant's operations that are not there yet: each says so by name, instead of an unexplained 404."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pqdb_server.envelope import failure
from pqdb_server.errors import not_yet
from pqdb_server.refused import ABSENT

router = APIRouter(include_in_schema=False)


def _add(method: str, path: str, what: str) -> None:
    refusal = not_yet(f"{what} ({method} {path})")

    async def refuse(request: Request) -> Response:  # noqa: ARG001 (a handler is given the request)
        return failure(refusal.status, refusal.text)

    router.add_api_route(path, refuse, methods=[method])


for _method, _path, _what in ABSENT:
    _add(_method, _path, _what)
