"""The service inside the caller's process: an httpx transport, so the official client needs no port."""

from __future__ import annotations

import os
import threading

import httpx
from anyio.from_thread import start_blocking_portal

import pqdb

from .app import create_app
from .settings import Settings


class EmbeddedTransport(httpx.BaseTransport):
    """Answers httpx requests by the application, run in an event loop on a thread of its own.

    A database given as a path is opened and closed with the transport; a Database stays its owner's.
    """

    def __init__(
        self, path_or_database: str | os.PathLike[str] | pqdb.Database, settings: Settings | None = None
    ) -> None:
        self._owned: pqdb.Database | None = None
        if not isinstance(path_or_database, pqdb.Database):
            asked = {} if settings is None else settings.opening
            path_or_database = self._owned = pqdb.open(path_or_database, **asked)
        app = create_app(path_or_database, settings, trusted=True)
        self._asgi = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._closing = threading.Lock()
        self._closed = False
        self._portal_manager = start_blocking_portal()
        self._portal = self._portal_manager.__enter__()
        self._life = self._portal.wrap_async_context_manager(app.router.lifespan_context(app))
        self._life.__enter__()
        threading.Thread(target=self._close_at_exit, name="pqdb transport", daemon=True).start()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request. Raises httpx.TransportError after close()."""
        if self._closed:
            raise httpx.TransportError("the embedded service was closed", request=request)
        return self._portal.call(self._answer, request, request.read())

    async def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        inner = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await self._asgi.handle_async_request(inner)
        content = await answer.aread()
        stream = httpx.ByteStream(content)  # read by the client, as from a socket: it measures the time until then
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream, request=request)

    def close(self) -> None:
        """End the event loop, and close the database when it was given as a path. May be called twice."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._life.__exit__(None, None, None)
            self._portal_manager.__exit__(None, None, None)
            if self._owned is not None:
                self._owned.close()

    def _close_at_exit(self) -> None:
        """Close when the main thread ends: the interpreter waits for the portal's threads, so a client that
        nobody closed would keep the process alive for ever."""
        threading.main_thread().join()
        self.close()


def transport(
    path_or_database: str | os.PathLike[str] | pqdb.Database, settings: Settings | None = None
) -> EmbeddedTransport:
    """A transport for `QdrantClient(url="http://embedded", transport=…, check_compatibility=False)`."""
    return EmbeddedTransport(path_or_database, settings)
