"""HDF5 as ann-benchmarks has it: `train` (n, dim) are the points, the attribute `distance` is their metric.

Ids count from 0 there. An export adds what that form has no room for: `ids` (n,) unsigned integers or text, `id_texts`
(n,) where there are both kinds, and `payloads` (n,) JSON as text; an import reads them where they are. `test` and
`neighbors`, a benchmark's questions and answers, are no points and left alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.errors import InputError
from pqdb.moving.batch import Batch, Columns, Points
from pqdb.moving.extras import needed
from pqdb.moving.texts import ids_joined, ids_parted

DISTANCES = {"cosine": "angular", "l2": "euclidean", "dot": "dot", "l1": "manhattan"}
METRICS = {name: metric for metric, name in DISTANCES.items()} | {name: name for name in DISTANCES} | {"ip": "dot"}
VECTORS, PAYLOADS = "train", "payloads"


class TrainReader:
    """The points of a benchmark's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._h5py = needed("h5py")
        with self._opened() as file:
            if VECTORS not in file:
                raise InputError(f"{path.name} has no data set {VECTORS!r}; it has {', '.join(file) or 'nothing'}")
            rows = file[VECTORS]
            if rows.ndim != 2 or rows.dtype.kind not in "fiu":
                raise InputError(
                    f"{path.name}: {VECTORS!r} has shape {rows.shape} and type {rows.dtype}; expected one vector of "
                    "numbers a row, (n, dim)"
                )
            self._n = len(rows)
            for name in ("ids", "id_texts", PAYLOADS):
                if name in file and file[name].shape != (self._n,):
                    raise InputError(f"{path.name}: {self._n:,} vectors, but {name!r} has shape {file[name].shape}")
            self.metric = self._metric(file.attrs.get("distance"))

    def count(self) -> int:
        """Rows of `train`."""
        return self._n

    def batches(self, size: int, skip: int) -> Iterator[Batch]:
        """As Reader."""
        with self._opened() as file:
            for start in range(skip, self._n, size):
                stop = min(start + size, self._n)
                try:
                    ids, texts, payloads = (_read(file, name, start, stop) for name in ("ids", "id_texts", PAYLOADS))
                    vectors = file[VECTORS][start:stop]
                except OSError as error:
                    raise InputError(f"{self._path.name} is damaged behind point {start:,}: {error}") from None
                payload = [None] * (stop - start) if payloads is None else self._payloads(payloads, start)
                yield Batch(ids_joined(ids, texts, start, stop - start), vectors, payload)

    def _opened(self) -> Any:
        try:
            return self._h5py.File(self._path, "r")
        except OSError as error:
            raise InputError(f"{self._path.name} is not an HDF5 file, or was cut off: {error}") from None

    def _metric(self, distance: Any) -> str | None:
        if distance is None:
            return None
        name = distance.decode() if isinstance(distance, bytes) else str(distance)
        if name.lower() not in METRICS:
            raise InputError(f"{self._path.name} asks for the distance {name!r}, which is none of {', '.join(METRICS)}")
        return METRICS[name.lower()]

    def _payloads(self, texts: np.ndarray, start: int) -> list[Any]:
        try:
            payloads = [json.loads(text) if text else None for text in texts]
        except (ValueError, RecursionError, TypeError) as error:
            raise InputError(f"{self._path.name}: a payload from point {start:,} on is not JSON: {error}") from None
        return payloads


def _read(file: Any, name: str, start: int, stop: int) -> np.ndarray | None:
    if name not in file:
        return None
    rows: np.ndarray = file[name][start:stop]
    return rows


def write(path: Path, points: Points, _columns: Columns) -> None:
    """The data sets, filled side by side."""
    h5py, kinds = needed("h5py"), points.kinds
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = DISTANCES[points.metric]
        rows = file.create_dataset(VECTORS, (kinds.points, kinds.dim), np.float32)
        text = h5py.string_dtype()
        ids = file.create_dataset("ids", (kinds.points,), np.uint64 if kinds.integers or not kinds.texts else text)
        texts = file.create_dataset("id_texts", (kinds.points,), text) if kinds.integers and kinds.texts else None
        payloads = file.create_dataset(PAYLOADS, (kinds.points,), text) if kinds.payloads else None
        start = 0
        for batch in points.batches():
            part = slice(start, start + len(batch))
            rows[part] = batch.vectors
            numbers, names = ids_parted(batch.ids)
            _refuse_zeros(names)
            ids[part] = numbers if kinds.integers or not kinds.texts else names
            if texts is not None:
                texts[part] = names
            if payloads is not None:
                payloads[part] = ["" if each is None else json.dumps(each) for each in batch.payloads]
            start = part.stop


def _refuse_zeros(names: list[str]) -> None:
    for name in names:
        if "\0" in name:
            raise InputError(f"the id {name!r} holds a zero character, which HDF5 does not keep")
