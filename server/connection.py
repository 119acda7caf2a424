"""A connection that is closed when its client takes too long, or too much, to say what it wants."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .body import WHOLE

LONGEST_HEAD = 64 * 1024  # bytes; other servers take a quarter
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


def without_upgrade(data: bytes) -> bytes:
    """What begins a request, without an offer to go on in another protocol: nobody has to take it up, and the parser
    would read no body behind it. Java's client offers HTTP/2 with every first request.
    """
    if b"pgrade" not in data and b"PGRADE" not in data:
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head) + end + rest


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, but a request's head must have come within `patience` seconds.

    uvicorn itself waits for it without end, so that a few hundred slow clients would hold every file
    descriptor. Between two requests its own keep-alive timeout counts.
    """

    def __init__(self, *args: Any, patience: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience = patience
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._held = b""  # of a head that has not come as a whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Most requests come in one piece: then nothing has to be waited for, in the head or in the body."""
        if not self._in_body:
            data = self._held + data
            if b"\r\n\r\n" not in data and b"\n\n" not in data:
                self._hold(data)
                return
            self._held, data = b"", without_upgrade(data)
        super().data_received(data)
        answered = getattr(self.cycle, "response_complete", True)
        if self._in_head or answered:  # what comes after an answer ended uvicorn's own patience between requests
            self._wait()
        elif not self.cycle.more_body:
            cast("dict[str, Any]", self.cycle.scope)[WHOLE] = True

    def _hold(self, data: bytes) -> None:
        """Wait for the rest of a head, unless it is longer already than anybody's. Then it is answered, but where a
        request before it still is, and nothing more is read.
        """
        self._held = data
        self._wait()
        if len(data) > LONGEST_HEAD:
            if getattr(self.cycle, "response_complete", True):
                self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._rest()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._patience, self.transport.close)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
