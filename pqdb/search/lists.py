"""Which rows lie in which list, as plain arrays: what a planner counts in."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pqdb.kernels.pack import GROUP
from pqdb.search.index import Index
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.store.addresses import BYTES


class Met:
    """Rows passed list by list, and those of them that were allowed."""

    def __init__(self) -> None:
        self.allowed = 0
        self.passed = 0
        self._steps: list[tuple[int, int]] = []  # of every list: allowed, passed

    def add(self, allowed: int, passed: int) -> None:
        """One list more."""
        self.allowed += allowed
        self.passed += passed
        self._steps.append((allowed, passed))

    def rows_until(self, wanted: int) -> float:
        """How many rows were passed until so many allowed ones were met; all where there were fewer."""
        met, passed = 0, 0.0
        for allowed, rows in self._steps:
            if met + allowed >= wanted:
                return passed + rows * (wanted - met) / allowed
            met, passed = met + allowed, passed + rows
        return passed


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

    def with_any(self, rows: np.ndarray) -> np.ndarray:
        """(n_lists,) bool: the lists that hold one at least of some rows (m,)."""
        there = np.zeros(len(self.starts) - 1, np.bool_)
        there[self.lists[rows[rows < len(self.lists)]]] = True
        return there

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int64 byte and (n,) uint8 bit of every row in a bitmap, in the order of `rows`."""
        return (self.rows >> 3).astype(np.int64), np.uint8(1) << (self.rows & 7).astype(np.uint8)

    def meet(self, lists: np.ndarray, allowed: np.ndarray, wanted: int, most: float) -> "Met":
        """Go through lists (p,) one by one until so many rows that a bitmap allows are met, or `most` passed."""
        met, (places, bits), starts = Met(), self.places, self.starts
        for number in lists.tolist():
            first, stop = starts[number], starts[number + 1]
            if first < stop:
                met.add(int(np.count_nonzero(allowed[places[first:stop]] & bits[first:stop])), int(stop - first))
                if met.allowed >= wanted or met.passed > most:
                    break
        return met

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
