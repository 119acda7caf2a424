"""Points of a file into a collection, a batch a commit, going on where an import that was cut off had come to."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.collection import Collection
from pqdb.config import Quantization, SparseConfig, VectorConfig
from pqdb.database import Database
from pqdb.errors import InputError
from pqdb.metric import check_metric
from pqdb.moving import records
from pqdb.moving.batch import Batch, Columns, Progress, Reader, check_counts
from pqdb.moving.formats import reader
from pqdb.sparse import SparseVector

BATCH = 5_000


def import_points(
    database: Database,
    name: str,
    path: str | os.PathLike[str],
    *,
    points: str | os.PathLike[str] | None = None,
    metric: str | None = None,
    quantization: Quantization | None = None,
    id_column: str | None = "id",
    vector_column: str = "vector",
    payload_column: str = "payload",
    fields: tuple[str, ...] | None = None,
    batch: int = BATCH,
    limit: int | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> int:
    """Put the points of a file into a collection, which is made if it is not there; returns how many are in it now that
    were in the file.

    The end of the file's name says what it is: .parquet, .npy, .npz, .hdf5, .jsonl, .jsonl.gz. Every `batch` points are
    one commit. Where an import of the same, unchanged file was cut off, it goes on behind its last commit, unless
    resume=False. points: JSON lines with ids and payloads of a .npy file. metric, quantization: of a new collection
    (metric: what the file says, else cosine). id_column=None: ids count from 0. fields: columns of Parquet and keys of
    JSON lines that become fields of the payload, all there are if nothing is said. limit: only the first so many
    points. Raises InputError and kin for a file, or points, that cannot be taken; the sentence says how many points
    before them are in the collection. A collection that would be new, and of which nothing could be taken, is not made.
    """
    check_counts(batch, limit)
    file = Path(path)
    beside = None if points is None else Path(points)
    columns = Columns(id_column, vector_column, payload_column, fields)
    source = reader(file, columns, beside)
    total = _least(source.count(), limit)
    target = _Target(database, name, metric or source.metric or "cosine", quantization)
    if metric is not None and target.collection is not None:
        _refuse_other_metric(target.collection, check_metric(metric))
    mark = _Mark(file, beside, columns, target.collection)
    done = mark.read() if resume else 0
    if limit is not None:
        done = min(done, limit)
    if progress:
        progress(done, total)
    parts = _parts(source, batch, done, limit)
    while (part := target.taken(parts, done)) is not None:
        target.write(part, file.name, done)
        done += len(part)
        mark.write(target.collection, done)
        if progress:
            progress(done, total)
    if not done:
        raise InputError(f"{file.name} holds no points")
    mark.forget()
    return done


def _parts(source: Reader, size: int, done: int, limit: int | None) -> Iterator[Batch]:
    if limit is None:
        yield from source.batches(size, done)
        return
    for part in source.batches(size, done) if done < limit else ():
        yield part.head(limit - done)
        done += len(part)
        if done >= limit:
            return


@dataclass
class _Target:
    """The collection that points go to, made when the first batch is at hand and its dimension known."""

    database: Database
    name: str
    metric: str
    quantization: Quantization | None
    made: bool = False

    @property
    def collection(self) -> Collection | None:
        return self.database.get_collection(self.name) if self.name in self.database else None

    def taken(self, parts: Iterator[Batch], done: int) -> Batch | None:
        """The next batch, None at the end. Raises InputError, saying what is in the collection."""
        try:
            return next(parts, None)
        except InputError as error:
            raise type(error)(f"{error}{self._kept(done)}") from None

    def write(self, part: Batch, file: str, done: int) -> None:
        """One commit. Raises InputError and kin, saying where in the file it was and what is in the collection."""
        collection = self.collection
        if collection is None:
            collection = self._create(part)
            self.made = True
        try:
            collection.upsert(part.ids, _given(part.vectors), part.payloads)
        except InputError as error:
            if self.made and not done:
                self.database.drop_collection(self.name)
            where = f"{file}, points {done:,} to {done + len(part) - 1:,}"
            raise type(error)(f"{where}: {error}{self._kept(done)}") from None

    def _create(self, part: Batch) -> Collection:
        """A collection for what the first batch of a file holds."""
        if isinstance(part.vectors, np.ndarray):
            dim = part.vectors.shape[1]
            return self.database.create_collection(self.name, dim, self.metric, quantization=self.quantization)
        metric = check_metric(self.metric)
        first = {name: vector for each in part.vectors for name, vector in each.items()}
        vectors = {
            name: SparseConfig()
            if isinstance(vector, SparseVector)
            else VectorConfig(len(vector), metric, quantization=self.quantization)
            for name, vector in first.items()
        }
        return self.database.create_collection(self.name, vectors=vectors)

    def _kept(self, done: int) -> str:
        return f"; the {done:,} points before are in {self.name!r}" if done else ""


def _refuse_other_metric(collection: Collection, metric: str) -> None:
    held = {config.metric for config in collection.vectors.values()}
    if held != {metric}:
        there = ", ".join(sorted(held))
        raise InputError(f"collection {collection.name!r} is there already, with metric {there}, not {metric}")


def _given(vectors: Any) -> Any:
    """Vectors as `upsert` takes them: with names, a vector or None of every point by name."""
    if isinstance(vectors, np.ndarray):
        return vectors
    names = dict.fromkeys(name for each in vectors for name in each)
    return {name: [each.get(name) for each in vectors] for name in names}


class _Mark:
    """How far the import of a file has come, kept in the collection's own folder: it goes when the collection goes.

    It is written after a commit is on disk, so a kill between the two has one batch written twice, the same.
    """

    def __init__(self, file: Path, beside: Path | None, columns: Columns, collection: Collection | None) -> None:
        place, fields = file.resolve(), columns.fields
        read = [columns.id, columns.vector, columns.payload, fields if fields is None else list(fields)]
        self._about = {"files": [_seen(each) for each in (file, beside) if each], "columns": read}  # as JSON has them
        self._name = f"import-{hashlib.sha256(str(place).encode()).hexdigest()[:16]}.json"
        self._folder = None if collection is None else collection.folder

    def read(self) -> int:
        """Points that are known to be in the collection: 0 where a file has changed since, or is read otherwise."""
        record: dict[str, Any] | None = records.load(self._folder / self._name) if self._folder else None
        if record is None or {key: record.get(key) for key in self._about} != self._about:
            return 0
        done = record.get("done")
        return done if isinstance(done, int) and done > 0 else 0

    def write(self, collection: Collection | None, done: int) -> None:
        """Note that so many points are in the collection."""
        if self._folder is None and collection is not None:
            self._folder = collection.folder
        if self._folder is not None:
            records.save(self._folder / self._name, {**self._about, "done": done})

    def forget(self) -> None:
        """All of the file is in the collection."""
        if self._folder is not None:
            records.forget(self._folder / self._name)


def _seen(file: Path) -> list[Any]:
    seen = file.stat()
    return [str(file.resolve()), seen.st_size, seen.st_mtime_ns]


def _least(count: int | None, limit: int | None) -> int | None:
    if count is None or limit is None:
        return count if limit is None else None
    return min(count, limit)
