"""Which rows lie in which list, as plain arrays: what a planner counts in."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pqdb.search.index import Index
from pqdb.search.snapshot import Snapshot
from pqdb.store.addresses import BYTES

GROUP = 32


@dataclass(frozen=True)
class ListedRows:
    """The rows of all lists one behind the other; those of list i are starts[i]:starts[i + 1]. Dead ones included."""

    rows: np.ndarray  # (n,) uint32
    starts: np.ndarray  # (n_lists + 1,) int64

    @classmethod
    def read(cls, snapshot: Snapshot, index: Index) -> "ListedRows":
        """From the code blocks of a snapshot."""
        counts = snapshot.blocks.counts.astype(np.int64)
        parts = []
        for address, count in zip(snapshot.blocks.codes.tolist(), counts.tolist(), strict=True):
            if count:
                at = address + -(-count // GROUP) * index.record_bytes
                parts.append(np.frombuffer(BYTES[at : at + 4 * count], "<u4"))
        rows = np.concatenate(parts) if parts else np.zeros(0, np.uint32)
        return cls(rows, np.concatenate([[0], np.cumsum(counts)]))

    def allowed_in(self, lists: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each list (p,): how many of its rows are allowed (a bitmap), and how many there are. int64."""
        starts, counts = self.starts[lists], self.starts[lists + 1] - self.starts[lists]
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
        rows = self.rows[places]
        hits = np.concatenate([[0], np.cumsum(allowed[rows >> 3] >> (rows & 7).astype(np.uint8) & 1, dtype=np.int64)])
        return hits[ends] - hits[ends - counts], counts


class ListedRowsKept:
    """The ListedRows of the newest index commit. Threads may share it."""

    def __init__(self) -> None:
        self._kept: tuple[Any, ListedRows] | None = None

    def of(self, snapshot: Snapshot, index: Index) -> ListedRows:
        """As of a snapshot."""
        kept = self._kept
        if kept is None or kept[0] is not snapshot.blocks.state:
            kept = self._kept = (snapshot.blocks.state, ListedRows.read(snapshot, index))
        return kept[1]
