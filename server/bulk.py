"""Points by the many: binary bodies in, lines of JSON in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

import pqdb

from .arrays import NPZ, Array, Matrix, checked, read_npz, read_vectors
from .envelope import dumps
from .errors import Refusal, format_error, wrong_input
from .fields import Fields
from .ids import PointId, point_id
from .points import Batch, check_depth, check_number
from .printing import record
from .selectors import PayloadSelector
from .shape import Shape

CHUNK = 1_000  # lines of JSON in one commit, points in one page of an export
LONGEST_LINE = 32 * 1024 * 1024

_EVERYTHING = PayloadSelector(wanted=True)


@dataclass(frozen=True)
class BinaryPoints:
    """Points of a binary body."""

    ids: list[PointId] | Array
    vectors: Matrix  # (n, dim) float32
    payloads: list[dict[str, Any] | None] | None

    @classmethod
    def parse(cls, data: bytes, kind: str, dim: int, first: int | None, most: tuple[int, int]) -> BinaryPoints:
        """Read an npz of `ids`, `vectors` and perhaps `payloads`, or vectors alone with ids from `first` on.

        `most`: points, and bytes unpacked. Raises Refusal 400 or 422.
        """
        if kind != NPZ:
            if first is None:
                raise wrong_input("vectors alone need the query parameter `first_id`, the id of the first")
            vectors = read_vectors(data, kind, dim)
            check_number("vectors", len(vectors), most[0])
            return cls(np.arange(first, first + len(vectors), dtype=np.uint64), vectors, None)
        arrays = read_npz(data, ("ids", "vectors", "payloads"), most[1])
        for name in ("ids", "vectors"):
            if name not in arrays:
                raise format_error(f"missing array `{name}`", "binary body")
        vectors = checked(arrays["vectors"], dim)
        check_number("vectors", len(vectors), most[0])
        ids = _ids(arrays["ids"])
        payloads = _payloads(arrays["payloads"]) if "payloads" in arrays else None
        for name, values in (("ids", ids), ("payloads", payloads)):
            if values is not None and len(values) != len(vectors):
                raise wrong_input(f"{len(values)} {name} for {len(vectors)} vectors")
        return cls(ids, vectors, payloads)


def _ids(array: Array) -> list[PointId] | Array:
    """Unsigned integers as they are; strings must be UUIDs."""
    if array.ndim != 1:
        raise format_error(f"ids: expected one dimension, not shape {array.shape}", "binary body")
    if array.dtype.kind == "u" or (array.dtype.kind == "i" and not (array < 0).any()):
        return array
    if array.dtype.kind not in "US":
        raise format_error(f"ids: expected unsigned integers or UUIDs, not {array.dtype}", "binary body")
    return [point_id(text.decode("ascii", "replace") if isinstance(text, bytes) else text) for text in array.tolist()]


def _payloads(array: Array) -> list[dict[str, Any] | None]:
    """A JSON array of objects and nulls, as bytes: `np.frombuffer(json_bytes, np.uint8)`."""
    try:
        values = orjson.loads(array.tobytes())
    except orjson.JSONDecodeError as error:
        raise format_error(f"payloads: {error}", "binary body") from None
    if not isinstance(values, list) or not all(value is None or isinstance(value, dict) for value in values):
        raise format_error("payloads: expected an array of objects and nulls", "binary body")
    check_depth(values)
    return values


def export_lines(collection: pqdb.Collection, with_vector: bool) -> Iterator[bytes]:
    """All points as lines of JSON, some of them at a time; no transaction is held between two pieces."""
    offset: PointId | None = None
    while True:
        page = collection.scroll(CHUNK, offset, with_vector=with_vector)
        yield b"".join(dumps(record(point, _EVERYTHING, with_vector)) + b"\n" for point in page.points)
        if page.next_offset is None:
            return
        offset = page.next_offset


async def line_chunks(stream: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The lines of a body as they come in, CHUNK at a time. Raises Refusal 400 for a line without an end."""
    begun = bytearray()  # a line whose end has not come yet
    lines: list[bytes] = []
    async for piece in stream:
        head, end, others = piece.partition(b"\n")
        begun += head
        if len(begun) > LONGEST_LINE:
            raise Refusal(400, f"Payload error: a line is longer than {LONGEST_LINE} bytes")
        if not end:
            continue
        *whole, last = others.split(b"\n")
        lines += [line for line in (bytes(begun), *whole) if line.strip()]
        begun = bytearray(last)
        while len(lines) >= CHUNK:
            yield lines[:CHUNK]
            lines = lines[CHUNK:]
    if begun.strip():
        lines.append(bytes(begun))
    if lines:
        yield lines


def batch_of_lines(lines: list[bytes], first: int, shape: Shape) -> Batch:
    """Points of lines of JSON, numbered from `first` in errors. Raises Refusal 400."""
    points = []
    for number, line in enumerate(lines, first):
        try:
            points.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise format_error(f"line {number}: {error}") from None
    try:
        return Batch.parse(Fields({"points": points}, ""), shape, CHUNK)
    except Refusal as refusal:
        text = f"{refusal.text} (points[0] is line {first})"
        raise Refusal(refusal.status, text) from None
