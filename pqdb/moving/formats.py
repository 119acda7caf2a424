"""Which form a file has, by the end of its name, and who reads and writes it."""

from collections.abc import Callable
from pathlib import Path

from pqdb.errors import InputError
from pqdb.moving import hdf5, lines, npy, npz, parquet
from pqdb.moving.batch import Columns, Points, Reader

Write = Callable[[Path, Points, Columns], None]
ENDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npy": "npy",
    ".npz": "npz",
    ".hdf5": "hdf5",
    ".h5": "hdf5",
    ".jsonl": "lines",
    ".jsonl.gz": "lines",
    ".ndjson": "lines",
    ".ndjson.gz": "lines",
}
_WRITERS: dict[str, Write] = {
    "parquet": parquet.write,
    "npy": npy.write,
    "npz": npz.write,
    "hdf5": hdf5.write,
    "lines": lines.write,
}


def form_of(path: Path) -> str:
    """The form of a file. Raises InputError naming the ends that are known."""
    name = path.name.lower()
    for end, form in ENDS.items():
        if name.endswith(end):
            return form
    raise InputError(f"{path.name} ends with none of {', '.join(ENDS)}")


def reader(path: Path, columns: Columns, points: Path | None = None) -> Reader:
    """What reads a file, which is looked at here. Raises InputError for one that cannot be taken."""
    form = form_of(path)
    if points is not None and form != "npy":
        raise InputError(f"{path.name} carries ids and payloads itself, so {points.name} has no place beside it")
    if form == "parquet":
        return parquet.ParquetReader(path, columns)
    if form == "hdf5":
        return hdf5.TrainReader(path)
    if form == "npz":
        return npz.ArraysReader(path)
    return npy.RowsReader(path, columns, points) if form == "npy" else lines.LinesReader(path, columns)


def writer(path: Path) -> Write:
    """What writes a file."""
    return _WRITERS[form_of(path)]
