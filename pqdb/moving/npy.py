"""Vectors alone as .npy, one a row; ids and payloads, where there are any, are JSON lines of another file."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pqdb.errors import InputError
from pqdb.moving.batch import Batch, Columns, Points
from pqdb.moving.lines import LinesReader


class RowsReader:
    """The rows of a .npy file, and the lines beside it, if there are any."""

    metric: str | None = None

    def __init__(self, path: Path, columns: Columns, points: Path | None) -> None:
        self._path = path
        self._rows = _mapped(path)
        self._lines = None if points is None else LinesReader(points, columns, with_vectors=False)
        if points is not None and self._lines is not None:
            n_lines = self._lines.count()
            if n_lines is not None and n_lines != len(self._rows):
                raise InputError(f"{len(self._rows):,} vectors, but {n_lines:,} lines of ids in {points.name}")

    def count(self) -> int:
        """Rows."""
        return len(self._rows)

    def batches(self, size: int, skip: int) -> Iterator[Batch]:
        """As Reader."""
        if self._lines is not None:
            done = skip
            for part in self._lines.batches(size, skip):
                rows = self._rows[done : done + len(part)]
                if len(rows) < len(part):
                    raise InputError(f"{self._path.name} has {len(self._rows):,} vectors, fewer than lines of ids")
                yield Batch(part.ids, rows, part.payloads)
                done += len(part)
            if done < len(self._rows):
                raise InputError(f"{self._path.name} has {len(self._rows):,} vectors, but {done:,} lines of ids")
            return
        for start in range(skip, len(self._rows), size):
            rows = self._rows[start : start + size]
            yield Batch(list(range(start, start + len(rows))), rows, [None] * len(rows))


def write(path: Path, points: Points, columns: Columns) -> None:
    """Vectors as .npy, ids and payloads as JSON lines beside it under the same name."""
    with path.open("wb") as rows, beside(path).open("wb") as lines:
        shape = (points.kinds.points, points.kinds.dim)
        np.lib.format.write_array_header_1_0(rows, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for batch in points.batches():
            rows.write(np.ascontiguousarray(batch.vectors, "<f4").tobytes())
            for id_, payload in zip(batch.ids, batch.payloads, strict=True):
                record = {columns.id or "id": id_, columns.payload: payload}
                lines.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def beside(path: Path) -> Path:
    """The file of ids and payloads that is written beside a .npy file."""
    return path.with_suffix(".jsonl")


def _mapped(path: Path) -> np.ndarray:
    try:
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path.name} is not a .npy file of numbers: {error}") from error
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise InputError(
            f"{path.name} holds an array of shape {rows.shape} and type {rows.dtype}; expected one vector of numbers a "
            "row, (n, dim)"
        )
    return rows
