"""The search by sparse vectors: exact, over segments where rows have one, and over the last rows one by one.

Segments on disk are of 4,096 rows. What comes behind them each process turns round for itself, 256 rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pqdb.errors import CorruptError
from pqdb.kernels import sparse as kernels
from pqdb.search.found import Found, answered
from pqdb.sparse import SparseVector
from pqdb.store import segments
from pqdb.store.segments import SEGMENT_ROWS
from pqdb.store.view import PointView

Held = list[tuple[int, memoryview]]  # rows, ascending, and their vectors as they are stored

PART_ROWS = 256
MOST_COUNTS = 1 << 17  # kept of one commit: more words than languages have in use


@dataclass(frozen=True, eq=False)
class Part:
    """A segment of fewer rows than those on disk have, made by a process for itself: its first row, and its bytes."""

    base: int
    array: np.ndarray  # uint8

    @classmethod
    def read(cls, points: PointView, base: int) -> Self:
        """Of PART_ROWS rows; those that are dead have no vector any more."""
        held = _vectors(points, base, base + PART_ROWS)
        return cls(base, np.frombuffer(segments.to_bytes(_pairs(held, base).in_order()), np.uint8))


@dataclass(frozen=True, eq=False)
class Loose:
    """The vectors of rows first … stop − 1, dead ones left out, one behind the other (kernels.sparse.Loose)."""

    first: int
    stop: int
    rows: np.ndarray  # (n,) uint32
    starts: np.ndarray  # (n + 1,) int64
    dims: np.ndarray  # (p,) uint32
    weights: np.ndarray  # (p,) float32

    @classmethod
    def read(cls, points: PointView, first: int) -> Self:
        """From a row to the last."""
        held = _vectors(points, first, points.n_rows)
        counts = np.array([len(vector) // segments.PAIR_BYTES for _, vector in held], np.int64)
        starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
        rows, pairs = np.array([row for row, _ in held], np.uint32), _pairs(held, first)
        return cls(first, points.n_rows, rows, starts, pairs.dims, pairs.weights)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As kernels take them."""
        return self.rows, self.starts, self.dims, self.weights

    def then(self, other: Self) -> Self:
        """These and those behind them."""
        return replace(
            self,
            stop=other.stop,
            rows=np.concatenate((self.rows, other.rows)),
            starts=np.concatenate((self.starts[:-1], self.starts[-1] + other.starts)),
            dims=np.concatenate((self.dims, other.dims)),
            weights=np.concatenate((self.weights, other.weights)),
        )


@dataclass(frozen=True, eq=False)
class Turned:
    """What a process knows of one commit: where its segments lie, parts and loose vectors of the rows behind them, and
    how many points name what was asked for (these counts grow as queries come).
    """

    seq: int
    epoch: int
    addresses: np.ndarray  # (s,) uint64 of segments, and of parts behind them
    bases: np.ndarray  # (s,) int64 their first rows
    sizes: np.ndarray  # (s,) int64 how many rows they are of
    parts: list[Part]
    loose: Loose
    counts: dict[int, int]

    @classmethod
    def of(cls, points: PointView, last: Turned | None) -> Turned:
        """Of a snapshot, made from that of an earlier one."""
        on_disk = points.sparse.addresses(points.n_rows)
        first, stop = len(on_disk) * SEGMENT_ROWS, points.n_rows // PART_ROWS * PART_ROWS
        known = {} if last is None else {part.base: part for part in last.parts}
        parts = [known.get(base) or Part.read(points, base) for base in range(first, stop, PART_ROWS)]
        if last is None or last.loose.first != stop:
            loose = Loose.read(points, stop)
        else:
            loose = last.loose.then(Loose.read(points, last.loose.stop))
        addresses = np.append(on_disk, np.array([part.array.ctypes.data for part in parts], np.uint64))
        bases = np.append(np.arange(len(on_disk)) * SEGMENT_ROWS, np.arange(first, stop, PART_ROWS))
        sizes = np.repeat(np.array([SEGMENT_ROWS, PART_ROWS]), (len(on_disk), len(parts)))
        return cls(points.seq, points.epoch, addresses, bases, sizes, parts, loose, {})

    @property
    def segments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As kernels take them."""
        return self.addresses, self.bases, self.sizes


class SparseSearch:
    """Searches of one slot of sparse vectors. Threads may share it."""

    def __init__(self, idf: bool) -> None:
        self._idf = idf
        self._kept: Turned | None = None

    def find(self, points: PointView, queries: Sequence[SparseVector], allowed: np.ndarray, k: int) -> Found:
        """The k best points of each query, among the rows that a bitmap allows (without bytes: all there are)."""
        known = self._known(points)
        values, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.uint32)
        for i, query in enumerate(queries):
            dims, asked = query.indices.copy(), self._weighed(known, points, query)  # (copied, to be writable)
            of_all = *known.segments, *known.loose.arrays
            kernels.search_sparse(dims, asked, *of_all, allowed, points.n_rows, values[i], rows[i])
        return answered(points, values, rows)

    def _known(self, points: PointView) -> Turned:
        """What is known of a snapshot: kept, where it is of the newest commit."""
        kept = self._kept
        if kept is not None and kept.seq == points.seq and kept.epoch == points.epoch:
            return kept
        if kept is not None and kept.seq > points.seq:  # what it lacks may be there still
            return Turned.of(points, None)
        made = self._kept = Turned.of(points, kept)
        return made

    def _weighed(self, known: Turned, points: PointView, query: SparseVector) -> np.ndarray:
        """(t,) float32: what each dimension of a query counts."""
        if not self._idf:
            return query.values.copy()
        counts = _counted(known, points, query.indices)
        weighed = query.values * np.log1p((points.n_live - counts + 0.5) / (counts + 0.5))
        within: np.ndarray = np.clip(weighed, -kernels.LARGEST, kernels.LARGEST).astype(np.float32)
        return within


def _counted(known: Turned, points: PointView, dims: np.ndarray) -> np.ndarray:
    """(t,) int64: how many points name each dimension."""
    asked = dims.tolist()
    held = {dim: known.counts[dim] for dim in asked if dim in known.counts}
    missing = np.array([dim for dim in asked if dim not in held], np.uint32)
    if len(missing):
        counts = np.empty(len(missing), np.int64)
        kernels.count_rows(
            missing, known.addresses, known.bases, *known.loose.arrays[:3], points.findable, points.n_rows, counts
        )
        counted = dict(zip(missing.tolist(), counts.tolist(), strict=True))
        held |= counted
        if len(known.counts) < MOST_COUNTS:
            known.counts.update(counted)
    return np.array([held[dim] for dim in asked], np.int64)


def _vectors(points: PointView, first: int, stop: int) -> Held:
    """(row, vector) of some rows. Raises CorruptError for one that has no length of a vector: those behind it would be
    read wrongly, too.
    """
    held = list(points.sparse.vectors(first, stop))
    for row, vector in held:
        if len(vector) % segments.PAIR_BYTES:
            raise CorruptError(f"the sparse vector of row {row:,} has {len(vector)} bytes, which are no whole pairs")
    return held


def _pairs(held: Held, first: int) -> segments.Pairs:
    """Those of some vectors, whose rows are counted from the first."""
    return segments.pairs_of([row - first for row, _ in held], [vector for _, vector in held])
