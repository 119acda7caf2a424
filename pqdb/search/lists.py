"""Which rows lie in which list, as plain arrays: what a planner counts in."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pqdb.kernels.gather import divide_rows, meet_rows
from pqdb.kernels.pack import GROUP
from pqdb.kernels.road import meet_near
from pqdb.search.frame import Among, Frame
from pqdb.search.index import Index
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.store.addresses import BYTES


@dataclass(frozen=True, slots=True)
class Met:
    """What was met on the way through lists: rows passed until as many allowed ones as wanted, and until twice as many;
    allowed rows, and all.
    """

    once: float
    twice: float
    allowed: int
    passed: int


@dataclass(frozen=True)
class ListedRows:
    """The rows of all lists one behind the other; those of list i are starts[i]:starts[i + 1]. Dead ones included."""

    rows: np.ndarray  # (n,) uint32
    starts: np.ndarray  # (n_lists + 1,) int64
    list_bytes: float  # of codes, on average
    probes: dict[Plan, float] = field(default_factory=dict)  # lists that plans probe on average, as planners asked

    @classmethod
    def read(cls, snapshot: Snapshot, index: Index) -> "ListedRows":
        """From the code blocks of a snapshot."""
        counts = snapshot.blocks.counts.astype(np.int64)
        parts = []
        for address, count in zip(snapshot.blocks.codes.tolist(), counts.tolist(), strict=True):
            if count:
                at = address + index.codes_bytes(count)
                parts.append(np.frombuffer(BYTES[at : at + 4 * count], "<u4"))
        rows = np.concatenate(parts) if parts else np.zeros(0, np.uint32)
        list_bytes = float(counts.mean()) * index.record_bytes / GROUP if len(counts) else 0.0
        return cls(rows, np.concatenate([[0], np.cumsum(counts)]), list_bytes)

    @cached_property
    def lists(self) -> np.ndarray:
        """(largest row + 1,) int32: the list of each row; of rows in none, 0."""
        lists = np.zeros(int(self.rows.max(initial=0)) + 1, np.int32)
        lists[self.rows] = np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))
        return lists

    def among(self, rows: np.ndarray, few: int) -> Among:
        """Some rows (m,) uint32, ascending: the lists that hold more than `few` of them, and those that lie in others.
        Rows in no list are left out.
        """
        rows = rows[: np.searchsorted(rows, len(self.lists))]
        counts, others = np.empty(len(self.starts) - 1, np.int32), np.empty(len(rows), np.uint32)
        n = divide_rows(self.lists, rows, few, counts, others)
        return Among(counts > few, others[:n])

    def meet(self, lists: np.ndarray, allowed: np.ndarray, wanted: int, most: float) -> Met:
        """Go through lists (p,) one by one until twice as many rows as wanted that a bitmap allows are met, or `most`
        passed.
        """
        return Met(*meet_rows(self.rows, self.starts, lists, allowed, wanted, 2 * wanted, most))

    def meet_near(
        self, frame: Frame, query: np.ndarray, raw: bool, allowed: np.ndarray, wanted: int, most: float
    ) -> Met:
        """The same in the lists that a frame's plan routes a query (1, d) to, in one kernel; raw: not prepared yet."""
        return Met(*meet_near(frame.record, query, raw, self.rows, self.starts, allowed, wanted, 2 * wanted, most))

    def probed_by(self, plan: Plan) -> float:
        """How many lists a plan probes, on average over the grades of difficulty."""
        known = self.probes.get(plan)
        if known is None:
            known = self.probes[plan] = min(float(plan.widths.mean()), len(self.starts) - 1)
        return known


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
