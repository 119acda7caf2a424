"""Slots: the vectors a points store has, and where each keeps its source.

Slot 0 is the points themselves and, where a collection has one, their vector without a name, which every point has.
Vectors with names have slots from 1 on; a point may lack any of them. Behind those that have source rows of one length
come sparse ones (sparse.py), whose runs are NO_SOURCE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import InputError
from pqdb.store.layout import META_ROWS, UNNAMED_SLOT, Runs

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

NO_SOURCE = Runs(0, META_ROWS, 0)  # of slot 0 where all vectors have names
MAX_SLOTS = 64  # an environment for the index of each, and a file lock


@dataclass(frozen=True)
class Given:
    """Source rows of one slot for some points, those of points that lack the vector zero."""

    rows: Bytes  # (n, row_bytes) uint8, C-contiguous
    has: Bools  # (n,) which of them have the vector

    def take(self, which: Sequence[int]) -> Given:
        """Those of the points at these positions."""
        return Given(self.rows[which], self.has[which])

    def over(self, held: Given) -> Given:
        """These, and what points held that are given none."""
        return Given(np.where(self.has[:, None], self.rows, held.rows), self.has | held.has)


@dataclass(frozen=True)
class SparseGiven:
    """Sparse vectors of one slot for some points, as bytes (sparse.py); None of points that lack the vector."""

    values: Sequence[bytes | None]

    @cached_property
    def has(self) -> Bools:
        """(n,) which of them have the vector."""
        return np.array([value is not None for value in self.values], bool)

    def take(self, which: Sequence[int]) -> SparseGiven:
        """Those of the points at these positions."""
        return SparseGiven([self.values[at] for at in which])

    def over(self, held: SparseGiven) -> SparseGiven:
        """These, and what points held that are given none."""
        pairs = zip(self.values, held.values, strict=True)
        return SparseGiven([before if value is None else value for value, before in pairs])


Sources = Mapping[int, Given | SparseGiven]  # slot → what it is given


def geometry(row_bytes: int | Sequence[int], n_sparse: int = 0) -> dict[int, Runs]:
    """The runs of every slot: of the vector without a name, or of those that have one, and of sparse ones. Raises
    InputError.
    """
    if isinstance(row_bytes, int):
        return {UNNAMED_SLOT: Runs.of(row_bytes)}
    for n, kind in ((len(row_bytes), "vectors"), (n_sparse, "sparse vectors")):
        if n > MAX_SLOTS:
            raise InputError(f"a collection has at most {MAX_SLOTS} {kind} with names, not {n}")
    return _with_names([Runs.of(size) for size in row_bytes], n_sparse)


def _with_names(runs: Sequence[Runs], n_sparse: int) -> dict[int, Runs]:
    return dict(enumerate((NO_SOURCE, *runs, *[NO_SOURCE] * n_sparse)))


def indexed(slots: Mapping[int, Runs]) -> list[int]:
    """The slots that have source rows, each with an index of its own."""
    return [slot for slot, runs in slots.items() if runs.row_bytes]


def sparse(slots: Mapping[int, Runs]) -> list[int]:
    """The slots of sparse vectors."""
    return [slot for slot, runs in slots.items() if slot != UNNAMED_SLOT and not runs.row_bytes]


def index_folder(slot: int) -> str:
    """The name of the folder of a slot's index."""
    return f"index-{slot}" if slot else "index"


def with_vectors(slots: Mapping[int, Runs]) -> list[int]:
    """The slots that points are given vectors of, ascending."""
    return [*indexed(slots), *sparse(slots)]


def to_record(slots: Mapping[int, Runs]) -> dict[str, Any]:
    """The geometry as the manifest has it."""
    if len(slots) == 1:
        return dict(slots[UNNAMED_SLOT].to_dict())
    n_sparse = len(sparse(slots))
    return {"slots": [slots[slot].to_dict() for slot in indexed(slots)], **({"sparse": n_sparse} if n_sparse else {})}


def from_record(record: Mapping[str, Any]) -> dict[int, Runs]:
    """From the manifest."""
    if "slots" not in record:
        return {UNNAMED_SLOT: Runs.from_dict(record)}
    return _with_names([Runs.from_dict(each) for each in record["slots"]], record.get("sparse", 0))
