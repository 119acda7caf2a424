"""The whole service inside the caller's process: an httpx transport, and so the official client without a port."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING

import httpx
import pqdb
from anyio.from_thread import start_blocking_portal

from .app import create_app
from .settings import Settings

if TYPE_CHECKING:
    from typing import Self


class EmbeddedTransport(httpx.BaseTransport):
    """Answers httpx requests by the application, run in an event loop on a thread of its own."""

    def __init__(
        self, path_or_database: str | os.PathLike[str] | pqdb.Database, settings: Settings | None = None
    ) -> None:
        app = create_app(path_or_database, settings)
        self._asgi = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._portal_manager = start_blocking_portal()
        self._portal = self._portal_manager.__enter__()
        self._life = self._portal.wrap_async_context_manager(app.router.lifespan_context(app))
        try:
            self._life.__enter__()
        except BaseException:
            self._portal_manager.__exit__(None, None, None)
            raise
        self._closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request. Raises httpx.TransportError after close()."""
        if self._closed:
            raise httpx.TransportError("the embedded service was closed", request=request)
        return self._portal.call(self._answer, request, request.read())

    async def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        inner = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await self._asgi.handle_async_request(inner)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)

    def close(self) -> None:
        """Close the database (when it was given as a path) and end the thread."""
        if self._closed:
            return
        self._closed = True
        try:
            self._life.__exit__(None, None, None)
        finally:
            self._portal_manager.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


def transport(
    path_or_database: str | os.PathLike[str] | pqdb.Database, settings: Settings | None = None
) -> EmbeddedTransport:
    """A transport for `QdrantClient(url="http://embedded", transport=…, check_compatibility=False)`."""
    return EmbeddedTransport(path_or_database, settings)
