"""A collection's points into a file that is there when it is whole; an export that was cut off is gone on with."""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.collection import Collection
from pqdb.config import NamedConfig
from pqdb.errors import InputError, PqdbError, StorageError
from pqdb.hits import Page
from pqdb.metric import METRICS
from pqdb.moving import npy
from pqdb.moving.batch import Batch, Columns, Progress, check_counts
from pqdb.moving.formats import form_of, writer
from pqdb.moving.staging import Staging
from pqdb.sparse import SparseVector

BATCH = 1_000


def export_points(
    collection: Collection,
    path: str | os.PathLike[str],
    *,
    id_column: str = "id",
    vector_column: str = "vector",
    payload_column: str = "payload",
    batch: int = BATCH,
    limit: int | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> int:
    """Write a collection's points, in the order of their ids, into a file; returns how many.

    The end of the file's name says what it becomes: .parquet, .npy (ids and payloads beside it as .jsonl), .npz, .hdf5,
    .jsonl, .jsonl.gz. Vectors come as they are kept: of unit length in a cosine collection. Pages of `batch` points are
    first put into a folder beside the file, named like it with .parts; where an export was cut off it goes on from
    there, unless resume=False. The file appears when it is whole. Points that are written meanwhile may be in it or
    not: a backup is of one moment, and so is its export. limit: only the first so many points. Raises InputError where
    the collection keeps no vectors, and StorageError.
    """
    check_counts(batch, limit)
    file = Path(path)
    write, columns = writer(file), Columns(id_column, vector_column, payload_column)
    total = len(collection) if limit is None else min(limit, len(collection))
    named = isinstance(collection.config, NamedConfig)
    if named and form_of(file) != "lines":
        raise InputError(f"the vectors of {collection.name!r} have names: only JSON lines have a place for those")
    if form_of(file) == "npy" and npy.beside(file).exists() and not file.exists():
        raise StorageError(errno.EEXIST, f"{npy.beside(file)} is there, where ids and payloads beside {file.name} go")
    dim, metric = (0, METRICS[0]) if named else (collection.dim, collection.metric)
    staging = Staging(file, dim, metric, {"collection": collection.folder.name, "dim": dim, "limit": limit})
    staging.begin(resume)
    try:
        _gather(collection, staging, batch, limit, lambda done: progress(done, total) if progress else None)
        whole = staging.folder / f"whole{''.join(file.suffixes[-2:])}"
        write(whole, staging, columns)
        _put(whole, file)
    except OSError as error:
        if isinstance(error, PqdbError):
            raise
        raise StorageError(error.errno, f"{file} cannot be written: {error.strerror or error}") from error
    staging.remove()
    return staging.kinds.points


def _gather(
    collection: Collection, staging: Staging, size: int, limit: int | None, report: Callable[[int], None]
) -> None:
    """Page after page of the collection, until there is none or the limit is reached."""
    report(staging.kinds.points)
    while not staging.mark.whole:
        left = size if limit is None else min(size, limit - staging.kinds.points)
        page = collection.scroll(left, staging.mark.following, with_vector=True)
        reached = limit is not None and staging.kinds.points + len(page.points) >= limit
        staging.add(_batch(page, staging.dim), None if reached else page.next_offset)
        report(staging.kinds.points)


def _batch(page: Page, dim: int) -> Batch:
    ids, payloads = [point.id for point in page.points], [point.payload for point in page.points]
    if not dim:
        return Batch(ids, [_as_json(point.vector or {}) for point in page.points], payloads)
    vectors = np.zeros((len(page.points), dim), np.float32)
    for row, point in zip(vectors, page.points, strict=True):
        if point.vector is None:
            raise InputError(f"point {point.id!r} has no vector to write")
        row[:] = point.vector
    return Batch(ids, vectors, payloads)


def _as_json(vectors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each.to_dict() if isinstance(each, SparseVector) else each.tolist() for name, each in vectors.items()}


def _put(whole: Path, file: Path) -> None:
    """Give a written file its name, once it is on disk; a .npy file's lines before the rows, which readers look for."""
    pairs = [(whole, file)]
    if form_of(file) == "npy":
        pairs.insert(0, (npy.beside(whole), npy.beside(file)))
    for source, target in pairs:
        with source.open("rb") as made:
            os.fsync(made.fileno())
        source.replace(target)
