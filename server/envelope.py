"""The envelope every answer travels in, and the one place that prints JSON."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any

import numpy as np
import orjson
from starlette.responses import Response

JSON = "application/json"


class Raw:
    """JSON that is printed as it is, without being parsed."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def parsed(self) -> Any:
        """What it says."""
        return json.loads(self.text)


def now() -> float:
    """A moment to count an answer's `time` from, in seconds."""
    return perf_counter()


def success(result: object, started: float) -> Response:
    """Answer 200 with `result`; arrays and float32 numbers in it are printed with their shortest digits."""
    body = {"result": result, "status": "ok", "time": perf_counter() - started}
    return Response(dumps(body), media_type=JSON)


def accepted() -> Response:
    """Answer 202: it has begun, and nobody waits for it."""
    return Response(dumps({"status": "accepted", "time": 0.0}), 202, media_type=JSON)


def failure(status: int, text: str, started: float | None = None) -> Response:
    """Answer `status` with an error text and no result."""
    time = 0.0 if started is None else perf_counter() - started
    return Response(dumps({"status": {"error": text}, "time": time}), status, media_type=JSON)


def dumps(value: object) -> bytes:
    """Print as JSON. A payload written by the library may hold what orjson cannot print: integers past
    64 bits and deep nesting. Those take the standard library's slower road."""
    try:
        return orjson.dumps(value, default=_as_it_is, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def _as_it_is(value: object) -> orjson.Fragment:
    if isinstance(value, Raw):
        return orjson.Fragment(value.text)
    raise TypeError(f"cannot print a {type(value).__name__} as JSON")


def _plain(value: object) -> Any:
    """The JSON form of a numpy value for the standard library, float32 digits kept short."""
    if isinstance(value, Raw):
        return value.parsed()
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return [_plain(item) if isinstance(item, np.generic) else item for item in value]
    raise TypeError(f"cannot print a {type(value).__name__} as JSON")
