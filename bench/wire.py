"""One keep-alive connection of HTTP/1.1, by bytes: what drives a server should cost next to nothing itself."""

import asyncio
from typing import Any

import orjson

_JSON = b"content-type: application/json\r\n"


def request(method: str, path: str, body: Any, headers: bytes = b"") -> bytes:
    """A request of HTTP/1.1, ready to be sent as often as one likes."""
    content = b"" if body is None else orjson.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(content)}\r\n".encode()
    return head + _JSON + headers + b"\r\n" + content


class Wire:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Wire":
        """A new connection."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    async def ask(self, sent: bytes) -> bytes:
        """The body of the answer. Raises AssertionError for a status other than 2xx."""
        self._writer.write(sent)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await (self._reader.readexactly(int(length)) if length else self._chunks())
        assert head[9:10] == b"2", (head, body[:300])
        return body

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back."""
        self._writer.close()
