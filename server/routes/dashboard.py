"""The dashboard: one page of the service's own files, which asks the service for everything it shows."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from pqdb_server.envelope import failure

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parents[1] / "dashboard"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
_FILES = {path.name: path for path in sorted(_FOLDER.iterdir()) if path.suffix in _KINDS}
_HEADERS = {
    # nothing from elsewhere, nothing written into the page, in nobody's frame
    "content-security-policy": "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@router.get("/dashboard")
async def page() -> Response:
    """The page."""
    return _file("index.html")


@router.get("/dashboard/{name}")
async def part(name: str) -> Response:
    """One of its files."""
    return _file(name) if name in _FILES else failure(404, f"Not found: the dashboard has no file {name[:64]!r}")


def _file(name: str) -> Response:
    path = _FILES[name]
    return FileResponse(path, media_type=_KINDS[path.suffix], headers=_HEADERS)
