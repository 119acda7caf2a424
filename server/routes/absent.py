"""Qdrant's operations that are not there yet: each says so by name, instead of an unexplained 404."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pqdb_server.envelope import failure
from pqdb_server.errors import not_yet

_C = "/collections/{collection_name}"
_P = f"{_C}/points"

ABSENT: tuple[tuple[str, str, str], ...] = (
    ("PATCH", _C, "changing a collection's configuration"),
    ("PUT", f"{_C}/index", "payload indexes"),
    ("DELETE", f"{_C}/index/{{field_name}}", "payload indexes"),
    ("GET", f"{_C}/aliases", "aliases"),
    ("GET", "/aliases", "aliases"),
    ("POST", "/collections/aliases", "aliases"),
    ("GET", f"{_C}/cluster", "cluster operations"),
    ("POST", f"{_C}/cluster", "cluster operations"),
    ("GET", "/cluster", "cluster operations"),
    ("GET", f"{_C}/snapshots", "snapshots"),
    ("POST", f"{_C}/snapshots", "snapshots"),
    ("PUT", f"{_C}/snapshots/recover", "snapshots"),
    ("POST", f"{_C}/snapshots/upload", "snapshots"),
    ("GET", f"{_C}/snapshots/{{snapshot_name}}", "snapshots"),
    ("DELETE", f"{_C}/snapshots/{{snapshot_name}}", "snapshots"),
    ("GET", "/snapshots", "snapshots"),
    ("POST", "/snapshots", "snapshots"),
    ("POST", f"{_P}/batch", "batches of mixed operations"),
    ("POST", f"{_P}/payload", "setting payloads"),
    ("PUT", f"{_P}/payload", "overwriting payloads"),
    ("POST", f"{_P}/payload/delete", "deleting payload keys"),
    ("POST", f"{_P}/payload/clear", "clearing payloads"),
    ("PUT", f"{_P}/vectors", "updating vectors alone"),
    ("POST", f"{_P}/vectors/delete", "deleting vectors alone"),
    ("POST", f"{_P}/query/groups", "groups"),
    ("POST", f"{_C}/facet", "facets"),
    ("POST", f"{_P}/search", "the old search operation (points/query takes its place)"),
    ("POST", f"{_P}/search/batch", "the old search operation (points/query/batch takes its place)"),
    ("POST", f"{_P}/search/groups", "groups"),
    ("POST", f"{_P}/search/matrix/pairs", "distance matrices"),
    ("POST", f"{_P}/search/matrix/offsets", "distance matrices"),
    ("POST", f"{_P}/recommend", "recommendations"),
    ("POST", f"{_P}/recommend/batch", "recommendations"),
    ("POST", f"{_P}/recommend/groups", "recommendations"),
    ("POST", f"{_P}/discover", "discovery"),
    ("POST", f"{_P}/discover/batch", "discovery"),
    ("GET", "/telemetry", "telemetry"),
)

router = APIRouter(include_in_schema=False)


def _add(method: str, path: str, what: str) -> None:
    refusal = not_yet(f"{what} ({method} {path})")

    async def refuse(request: Request) -> Response:  # noqa: ARG001 (a handler is given the request)
        return failure(refusal.status, refusal.text)

    router.add_api_route(path, refuse, methods=[method])


for _method, _path, _what in ABSENT:
    _add(_method, _path, _what)
