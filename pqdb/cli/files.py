"""Points in files that every tool reads, a batch at a time: JSON lines, or .npy with JSON lines beside it.

A line carries a whole point: {"id": 7, "vector": [0.1, 0.2], "payload": {"year": 2024}}; where vectors have names it
has {"title": [0.1, 0.2], "body": [0.3]} of them, as far as the point has any. A .npy file carries
vectors alone, row by row; lines beside it have ids and payloads in the same order, {"id": 7, "payload": {}}.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pqdb import Collection, NamedConfig, Point
from pqdb.errors import InputError

Record = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Some points in the form `upsert` takes."""

    ids: list[int | str]
    vectors: Any  # (n, dim), or a mapping of names to a vector or None a point
    payloads: list[dict[str, Any] | None]


def count_points(vectors: Path) -> int:
    """How many points a file of vectors or points holds."""
    return len(_map_vectors(vectors)) if vectors.suffix == ".npy" else _count_lines(vectors)


def read_points(vectors: Path, points: Path | None, size: int) -> Iterator[Batch]:
    """The points of JSON lines or a .npy file (ids and payloads from `points`, else 0, 1, …), in batches.

    Raises InputError naming the file and line that cannot be taken.
    """
    if vectors.suffix == ".npy":
        yield from _read_rows(_map_vectors(vectors), points, size)
    elif points is not None:
        raise InputError(
            f"{vectors.name} carries ids and payloads itself, so {points.name} has no place beside it"
        )
    else:
        for records in _batches(_read_lines(vectors, ("id", "vector")), size):
            vectors_ = _vectors([r["vector"] for r in records], vectors.name)
            yield Batch([r["id"] for r in records], vectors_, [r.get("payload") for r in records])


def _vectors(given: list[Any], file: str) -> Any:
    """Vectors of a batch in the form `upsert` takes. Raises InputError where some have names and others none."""
    names = dict.fromkeys(name for each in given if isinstance(each, dict) for name in each)
    if not any(isinstance(each, dict) for each in given):
        return given
    if not all(isinstance(each, dict) for each in given):
        raise InputError(f"{file} has points whose vectors have names and points whose vector has none")
    return {name: [each.get(name) for each in given] for name in names}


def _read_rows(rows: np.ndarray, points: Path | None, size: int) -> Iterator[Batch]:
    if points is not None and _count_lines(points) != len(rows):
        raise InputError(f"{len(rows):,} vectors, but {_count_lines(points):,} lines of ids in {points.name}")
    records = _read_lines(points, ("id",)) if points else ({"id": row} for row in range(len(rows)))
    start = 0
    for batch in _batches(records, size):
        stop = start + len(batch)
        yield Batch([r["id"] for r in batch], rows[start:stop], [r.get("payload") for r in batch])
        start = stop


def _map_vectors(path: Path) -> np.ndarray:
    try:
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path.name} is not a .npy file of numbers: {error}") from error
    if rows.ndim != 2:
        raise InputError(
            f"{path.name} holds an array of shape {rows.shape}; expected one vector a row, (n, dim)"
        )
    return rows


def _read_lines(path: Path, wanted: tuple[str, ...]) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path.name}, line {number}, is not JSON: {error}") from error
            if not isinstance(record, dict) or any(key not in record for key in wanted):
                raise InputError(f"{path.name}, line {number}, must be an object with {' and '.join(wanted)}")
            yield record


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _batches(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class PointsWriter(Protocol):
    """Takes pages of points, in the order they are to stand in the file."""

    def write(self, points: list[Point]) -> None:
        """Append points."""

    def close(self) -> None:
        """Nothing more comes: the file is whole from here on."""


def writer(path: Path, source: Collection) -> PointsWriter:
    """What writes this file: a .npy gets vectors and lines beside it, others whole points as lines. Raises InputError
    where vectors have names, which a .npy has no place for.
    """
    if path.suffix != ".npy":
        return LinesWriter(path)
    if isinstance(source.config, NamedConfig):
        raise InputError(f"the vectors of {source.name!r} have names: export JSON lines, a .npy has no place for those")
    return RowsWriter(path, source.dim)


class LinesWriter:
    """Whole points, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, points: list[Point]) -> None:
        """Append points; a float32 is written with the digits that bring it back exactly."""
        for point in points:
            record = {"id": point.id, "vector": _numbers(point), "payload": point.payload}
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


class RowsWriter:
    """Vectors as .npy, ids and payloads as JSON lines beside it under the same name."""

    def __init__(self, path: Path, dim: int) -> None:
        self._dim = dim
        self._rows = 0
        self._file = path.open("wb")
        self._lines = path.with_suffix(".jsonl").open("w", encoding="utf-8")
        self._write_header()

    def write(self, points: list[Point]) -> None:
        """Append points."""
        for point in points:
            self._file.write(np.ascontiguousarray(_vector(point), dtype="<f4").tobytes())
            record = {"id": point.id, "payload": point.payload}
            self._lines.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._rows += len(points)

    def close(self) -> None:
        """Write the number of rows into the header, then close both files."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        self._lines.close()

    def _write_header(self) -> None:
        # numpy pads the header so that a growing first axis never changes its length
        shape = (self._rows, self._dim)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )


def _numbers(point: Point) -> list[float] | dict[str, list[float]]:
    if isinstance(point.vector, dict):
        return {name: vector.tolist() for name, vector in point.vector.items()}
    numbers: list[float] = _vector(point).tolist()
    return numbers


def _vector(point: Point) -> np.ndarray:
    vector: np.ndarray | None = point.vector
    if vector is None:
        raise InputError(
            f"point {point.id!r} has no vector to write: the collection keeps none (source=None)"
        )
    return vector
