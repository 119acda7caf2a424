"""Slots: the vectors a points store has, and where each keeps its source.

Slot 0 is the points themselves and, where a collection has one, their vector without a name, which every point has.
Vectors with names have slots from 1 on; a point may lack any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


Sources = Mapping[int, Given]  # slot → what it is given


def geometry(row_bytes: int | Sequence[int]) -> dict[int, Runs]:
    """The runs of every slot: of the vector without a name, or of those that have one. Raises InputError."""
    if isinstance(row_bytes, int):
        return {UNNAMED_SLOT: Runs.of(row_bytes)}
    if len(row_bytes) > MAX_SLOTS:
        raise InputError(f"a collection has at most {MAX_SLOTS} vectors with names, not {len(row_bytes)}")
    return {UNNAMED_SLOT: NO_SOURCE, **{slot: Runs.of(size) for slot, size in enumerate(row_bytes, 1)}}


def indexed(slots: Mapping[int, Runs]) -> list[int]:
    """The slots that have vectors, each with an index of its own."""
    return [slot for slot, runs in slots.items() if runs.row_bytes]


def index_folder(slot: int) -> str:
    """The name of the folder of a slot's index."""
    return f"index-{slot}" if slot else "index"


def to_record(slots: Mapping[int, Runs]) -> dict[str, Any]:
    """The geometry as the manifest has it."""
    if len(slots) == 1:
        return dict(slots[UNNAMED_SLOT].to_dict())
    return {"slots": [slots[slot].to_dict() for slot in range(1, len(slots))]}


def from_record(record: Mapping[str, Any]) -> dict[int, Runs]:
    """From the manifest."""
    if "slots" not in record:
        return {UNNAMED_SLOT: Runs.from_dict(record)}
    return {UNNAMED_SLOT: NO_SOURCE, **{slot: Runs.from_dict(each) for slot, each in enumerate(record["slots"], 1)}}
