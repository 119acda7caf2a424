"""A file sent as a form: written to disk as it comes in, under a limit of its own, never held in memory."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from .body import announced_bytes
from .errors import Refusal, format_error

FORM = "multipart/form-data"


async def receive_file(request: Request, field: str, target: Path, most: int) -> None:
    """Write the file of a form's field. Raises Refusal 400, 408, 507."""
    boundary = _boundary(request)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as file:
            part = _Part(field, file)
            parser = MultipartParser(boundary, part.callbacks())  # type: ignore[arg-type]
            async for chunk in _chunks(request, most):
                await run_in_threadpool(parser.write, chunk)
            parser.finalize()
    except FormParserError as error:
        raise format_error(f"{error}", "form") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Refusal(507, "Insufficient storage: there is no room for the file") from None
        raise
    if not part.is_whole:
        raise format_error(f"missing field `{field}`, a file", "form")


class _Part:
    """The field that is written; others are passed over."""

    def __init__(self, field: str, file: BinaryIO) -> None:
        self._field, self._file = field, file
        self._name, self._value = b"", b""
        self._wanted = self.is_whole = False

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._name, self._value, self._wanted = b"", b"", False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition" and not self.is_whole:
            _, options = parse_options_header(self._value)
            self._wanted = options.get(b"name") == self._field.encode()
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self.is_whole = self.is_whole or self._wanted


async def _chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body piece by piece; each may take as long as a whole body elsewhere. Raises Refusal 400 or 408."""
    wait, size, pieces = request.app.state.settings.body_timeout, 0, request.stream()
    announced = announced_bytes(request)
    while True:
        try:
            async with asyncio.timeout(wait):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise Refusal(408, f"Timeout error: nothing of the body came in {wait:g} seconds") from None
        if piece is None:
            return
        size += len(piece)
        if max(size, announced) > most:
            raise Refusal(400, f"Payload error: the file is larger than allowed (limit: {most} bytes).")
        yield piece


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != FORM.encode() or not boundary:
        raise Refusal(400, f"Content type error: expected {FORM} with a boundary")
    return boundary
