"""A request's body: read under a limit and a deadline, and parsed once by orjson."""

from __future__ import annotations

import asyncio

import orjson
from starlette.requests import ClientDisconnect, Request

from .errors import Refusal, format_error
from .fields import Fields

# A refused body is still read (and thrown away) up to this many times the limit: a client that is
# cut off while it sends sees a broken connection instead of the sentence that explains it.
_DRAIN = 4
WHOLE = "pqdb.whole"  # the key of a request's scope that says that all of its body is here


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises Refusal 400 when it is not announced as JSON or is longer than the limit, 408 when it takes too long;
    what lies past the limit is never held in memory.
    """
    _check_content_type(_header(request, b"content-type"))
    return await read_bytes(request)


async def read_bytes(request: Request) -> bytes:
    """The whole body, whatever it is announced as. Raises Refusal 400 or 408."""
    settings = request.app.state.settings
    if WHOLE in request.scope:
        return await _within_limit(request, settings.body_limit)
    try:
        async with asyncio.timeout(settings.body_timeout):
            return await _within_limit(request, settings.body_limit)
    except TimeoutError:
        raise Refusal(408, f"Timeout error: the body took longer than {settings.body_timeout:g} seconds") from None


async def _within_limit(request: Request, limit: int) -> bytes:
    announced = announced_bytes(request)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if max(size, announced) <= limit:
            chunks.append(chunk)
        elif size > _DRAIN * limit:
            break
        else:
            chunks.clear()
    if max(size, announced) > limit:
        raise Refusal(
            400,
            f"Payload error: JSON payload ({max(size, announced)} bytes) is larger than allowed "
            f"(limit: {limit} bytes).",
        )
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def announced_bytes(request: Request) -> int:
    """How long the body is to be by its header; 0 where there is none that can be read."""
    length = _header(request, b"content-length")
    return int(length) if length.isdecimal() else 0


def parse_body(body: bytes) -> Fields:
    """The JSON object a body holds. Raises Refusal 400 for anything else, NaN and infinity included."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise format_error(str(error)) from None
    return Fields.of(value, "")


def _header(request: Request, name: bytes) -> str:
    """What a header says, "" without it; read by hand, since building a mapping for each of them takes longer."""
    return next((value.decode("latin-1") for key, value in request.scope["headers"] if key == name), "")


def _check_content_type(announced: str) -> None:
    """Take JSON only: other types can be sent by any web page without the browser asking us first."""
    if announced == "application/json":
        return
    kind = announced.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(400, f"Content type error: expected application/json, not {kind or 'none'}")
