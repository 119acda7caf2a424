"""One data set of the benches: an ann-benchmarks HDF5 file, or a clustered one of our own making."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import numpy.typing as npt

from bench.carry import carrier

Metric = Literal["cosine", "l2"]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_DISTANCE_OF: dict[Metric, str] = {"cosine": "angular", "l2": "euclidean"}
_METRIC_OF: dict[str, Metric] = {"angular": "cosine", "euclidean": "l2"}
_CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Dataset:
    """Rows, queries and the true neighbours of the queries. Cosine sets are handed out at unit length."""

    name: str
    path: Path
    metric: Metric
    train: Floats  # (n, d) C-contiguous
    test: Floats  # (q, d) C-contiguous
    neighbors: Ints  # (q, t) row numbers of the true nearest, nearest first
    distances: npt.NDArray[np.float64]  # (q, t) ascending: 1 - cosine, or the Euclidean distance

    @property
    def n(self) -> int:
        return int(self.train.shape[0])

    @property
    def dim(self) -> int:
        return int(self.train.shape[1])


def load(path: Path, *, queries: int | None = None) -> Dataset:
    """Read an ann-benchmarks HDF5 file; ValueError for a metric that nobody here measures."""
    with h5py.File(path) as file:
        distance = str(file.attrs["distance"])
        if distance not in _METRIC_OF:
            raise ValueError(f"{path.name} says distance={distance!r}; the benches know {sorted(_METRIC_OF)}")
        metric = _METRIC_OF[distance]
        train = np.ascontiguousarray(file["train"][:], dtype=np.float32)
        test = np.ascontiguousarray(file["test"][:queries], dtype=np.float32)
        neighbors = file["neighbors"][:queries].astype(np.int64)
    if metric == "cosine":
        train, test = _unit(train), _unit(test)
    # The file's distances are of its own rounding: taken anew, so that answers and truth are measured alike.
    return Dataset(path.stem, path, metric, train, test, neighbors, distances_of(train, test, neighbors, metric))


def distances_of(train: Floats, test: Floats, rows: Ints, metric: Metric) -> npt.NDArray[np.float64]:
    """True distances (q, k) of chosen rows; +inf where a row is -1 (an answer that was too short)."""
    out = np.full(rows.shape, np.inf)
    for i, chosen in enumerate(rows):
        there = chosen >= 0
        near = train[chosen[there]].astype(np.float64)
        query = test[i].astype(np.float64)
        if metric == "cosine":
            out[i, there] = 1.0 - near @ query
        else:
            out[i, there] = np.sqrt(((near - query) ** 2).sum(axis=1))
    return out


def exact_neighbors(train: Floats, test: Floats, metric: Metric, count: int) -> Ints:
    """Row numbers (q, count) of the nearest rows, by a full scan in chunks."""
    best = np.empty((len(test), 0), dtype=np.float64)
    rows = np.empty((len(test), 0), dtype=np.int64)
    for start in range(0, len(train), _CHUNK_ROWS):
        chunk = train[start : start + _CHUNK_ROWS].astype(np.float64)
        near = -(test @ chunk.T)
        if metric == "l2":
            near = 2.0 * near + (chunk**2).sum(axis=1)
        best = np.concatenate([best, near], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(np.arange(start, start + len(chunk)), near.shape)], axis=1)
        order = np.argsort(best, axis=1, kind="stable")[:, :count]
        best, rows = np.take_along_axis(best, order, axis=1), np.take_along_axis(rows, order, axis=1)
    return rows


def synthetic(
    folder: Path,
    *,
    n: int = 50_000,
    dim: int = 128,
    queries: int = 1_000,
    metric: Metric = "cosine",
    seed: int = 1,
) -> Path:
    """Make (once) a clustered set with a falling spectrum and queries off the rows' distribution; its path.

    Uniform random vectors would make every quantizer look worse than it is on anything real.
    """
    path = folder / f"synthetic-{n}-{dim}-{_DISTANCE_OF[metric]}-{seed}.hdf5"
    if path.exists():
        return path
    rng = np.random.default_rng(seed)
    spectrum = np.asarray((1.0 + np.arange(dim)) ** -0.5, dtype=np.float64)
    centres = rng.standard_normal((max(8, int(np.sqrt(n))), dim)) * spectrum
    weights: npt.NDArray[np.float64] = rng.dirichlet(np.full(len(centres), 2.0))
    train = _around(rng, centres, weights, n, 0.5 * spectrum)
    test = _around(rng, centres, weights, queries, 0.8 * spectrum)
    if metric == "cosine":
        train, test = _unit(train), _unit(test)
    _write(path, train, test, metric, "bench.data.synthetic")
    return path


def carried(source: Path, dim: int, folder: Path) -> Path:
    """Another data set's rows and queries carried (once) to more dimensions, of cosine sets with a common part;
    its path. ValueError where it has more dimensions already.
    """
    data = load(source)
    path = folder / f"{data.name}-carried-{dim}.hdf5"
    if path.exists():
        return path
    if dim < data.dim:
        raise ValueError(f"{source.name} has {data.dim} dimensions, which are not carried to {dim}")
    carry = carrier(data.train, dim, common=data.metric == "cosine")
    train, test = carry(data.train), carry(data.test)
    if data.metric == "cosine":
        train, test = _unit(train), _unit(test)
    _write(path, train, test, data.metric, f"bench.data.carried of {data.name}")
    return path


def _write(path: Path, train: Floats, test: Floats, metric: Metric, source: str) -> None:
    rows = exact_neighbors(train, test, metric, min(100, len(train)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("train", data=train)
        file.create_dataset("test", data=test)
        file.create_dataset("neighbors", data=rows.astype(np.int32))
        file.create_dataset("distances", data=distances_of(train, test, rows, metric).astype(np.float32))
        file.attrs.update(distance=_DISTANCE_OF[metric], dimension=train.shape[1], source=source)


def _around(
    rng: np.random.Generator,
    centres: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    count: int,
    spread: npt.NDArray[np.float64],
) -> Floats:
    chosen = rng.choice(len(centres), size=count, p=weights)
    return (centres[chosen] + rng.standard_normal((count, len(spread))) * spread).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)
