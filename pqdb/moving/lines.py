"""JSON lines, plain or gzipped: {"id": 7, "vector": [0.1, 0.2], "payload": {"year": 2024}}, one point a line.

Where vectors have names the line has {"title": [0.1, 0.2], "body": [0.3]} of them, as far as the point has any; a
sparse one is {"indices": [7, 9], "values": [0.5, 0.25]} there.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.errors import InputError
from pqdb.moving.batch import Batch, Columns, Points
from pqdb.sparse import SparseVector

LONGEST_LINE = 64 << 20  # bytes
GZIP_LEVEL = 3  # 9 is five times slower for a twentieth of the bytes


class LinesReader:
    """Points of JSON lines; without vectors where they lie in another file."""

    metric: str | None = None

    def __init__(self, path: Path, columns: Columns, with_vectors: bool = True) -> None:
        self._path, self._columns, self._with_vectors = path, columns, with_vectors

    def count(self) -> int | None:
        """Lines that are not blank; None for a gzipped file, which would have to be unpacked for it."""
        return None if is_gzip(self._path) else sum(1 for _ in self._lines(0))

    def batches(self, size: int, skip: int) -> Iterator[Batch]:
        """As Reader."""
        ids, vectors, payloads = list[Any](), list[Any](), list[Any]()
        for number, line in self._lines(skip):
            id_, vector, payload = self._point(number, line, skip + len(ids))
            ids.append(id_)
            vectors.append(vector)
            payloads.append(payload)
            self._refuse_other(vector, vectors[0], number)
            if len(ids) == size:
                yield Batch(ids, _together(vectors), payloads)
                skip += size
                ids, vectors, payloads = [], [], []
        if ids:
            yield Batch(ids, _together(vectors), payloads)

    def _refuse_other(self, vector: Any, first: Any, number: int) -> None:
        where = f"{self._path.name}, line {number}"
        if isinstance(vector, dict) != isinstance(first, dict):
            raise InputError(f"{where}: some vectors before have names, and some have none")
        if isinstance(vector, np.ndarray) and len(vector) != len(first):
            raise InputError(f"{where}: expected {len(first)} dimensions, not {len(vector)}")

    def _lines(self, skip: int) -> Iterator[tuple[int, bytes]]:
        """Numbered lines that are not blank, without the first `skip` of them."""
        number = 0
        try:
            with gzip.open(self._path) if is_gzip(self._path) else self._path.open("rb") as file:
                while line := file.readline(LONGEST_LINE + 1):
                    number += 1
                    if len(line) > LONGEST_LINE:
                        raise InputError(f"{self._path.name}, line {number}, is longer than {LONGEST_LINE:,} bytes")
                    if not line.strip():
                        continue
                    if skip:
                        skip -= 1
                    else:
                        yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{self._path.name} cannot be unpacked after line {number}: {error}") from None

    def _point(self, number: int, line: bytes, count: int) -> tuple[Any, Any, Any]:
        where, columns = f"{self._path.name}, line {number}", self._columns
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}, is not JSON: {error}") from None
        wanted = [name for name in (columns.id, columns.vector if self._with_vectors else None) if name is not None]
        if not isinstance(record, dict) or any(name not in record for name in wanted):
            raise InputError(f"{where}, must be an object with {' and '.join(wanted)}")
        vector = _vector(record[columns.vector], where) if self._with_vectors else np.zeros(0)
        return count if columns.id is None else record[columns.id], vector, columns.payload_of(record, where)


def write(path: Path, points: Points, columns: Columns) -> None:
    """Points as lines; a float32 is written with the digits that bring it back exactly."""
    name = columns.id or "id"
    with _writing(path) as file:
        for batch in points.batches():
            vectors = batch.vectors.tolist() if isinstance(batch.vectors, np.ndarray) else batch.vectors
            for id_, vector, payload in zip(batch.ids, vectors, batch.payloads, strict=True):
                record = {name: id_, columns.vector: vector, columns.payload: payload}
                file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _writing(path: Path) -> Any:
    return gzip.open(path, "wb", compresslevel=GZIP_LEVEL) if is_gzip(path) else path.open("wb")


def is_gzip(path: Path) -> bool:
    """Whether a file is gzipped, by its name."""
    return path.suffix.lower() == ".gz"


def _together(vectors: list[Any]) -> Any:
    return np.array(vectors) if isinstance(vectors[0], np.ndarray) else vectors


def _vector(given: object, where: str) -> np.ndarray | dict[str, np.ndarray | SparseVector]:
    if isinstance(given, dict):
        return {name: _named(each, where) for name, each in given.items() if each is not None}
    return _row(given, where)


def _named(vector: object, where: str) -> np.ndarray | SparseVector:
    if not isinstance(vector, dict):
        return _row(vector, where)
    try:
        return SparseVector.of(vector)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _row(vector: object, where: str) -> np.ndarray:
    try:
        row = np.asarray(vector)
    except ValueError:
        row = np.zeros(())
    if row.ndim != 1 or row.dtype.kind not in "fiu" or not len(row):
        raise InputError(f"{where}: the vector must be a list of numbers")
    return row
