"""The search among the rows a filter lets through. It returns min(k, rows that pass) hits, always."""

from dataclasses import dataclass, field

import numpy as np

from pqdb.hits import FilterExplanation
from pqdb.kernels import exact
from pqdb.query.select import Selection
from pqdb.search.batch import pool, search_batch
from pqdb.search.lists import ListedRowsKept
from pqdb.search.pipeline import Trace, search
from pqdb.search.plan import Plan
from pqdb.search.planner import Planner, Way
from pqdb.search.snapshot import Snapshot

BLOCK = 8  # queries scored against the selected rows on one thread, one after the other


@dataclass(frozen=True)
class Effort:
    """What was asked: a recall, or lists by hand, or the exact answer."""

    recall: float | None = None
    plan: Plan | None = None  # by hand
    exact: bool = False


@dataclass
class Selected:
    """A search among the rows of one selection."""

    snapshot: Snapshot
    selection: Selection
    listed: ListedRowsKept
    ways: list[Way] = field(default_factory=list)  # of the queries, for explain

    def search(
        self, queries: np.ndarray, k: int, effort: Effort, trace: Trace | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As pipeline.search, for queries (q, d) that are prepared; k is at most the number of rows selected, or 1."""
        values, rows = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.uint32)
        planner = Planner(self.snapshot, self.selection, k)
        self.ways = self._ways(planner, queries, effort)
        if trace:
            trace.mark("planner")
        by_way: dict[tuple[str, Plan | None], list[int]] = {}
        for number, way in enumerate(self.ways):
            by_way.setdefault((way.kind, way.plan), []).append(number)
        for (kind, plan), numbers in by_way.items():
            values[numbers], rows[numbers] = self._go(Way(kind, plan), queries[numbers], k, trace)  # type: ignore[arg-type]
        self._fill(planner, queries, values, rows)
        return values, rows

    def explained(self) -> FilterExplanation:
        """What was done for the first query."""
        selection, way = self.selection, self.ways[0]
        return FilterExplanation(
            len(selection), selection.indexes, selection.scanned, way.kind, way.neighbours, way.rows_us, way.lists_us
        )

    def _ways(self, planner: Planner, queries: np.ndarray, effort: Effort) -> list[Way]:
        index = self.snapshot.index
        if index is None or effort.exact:
            return [planner.exact()] * len(queries)
        if effort.plan is not None:
            return [planner.by_hand(effort.plan)] * len(queries)
        moved, listed = index.router.to_index_space(queries), self.listed.of(self.snapshot, index)
        return [planner.by_recall(index, listed, moved[i : i + 1], effort.recall) for i in range(len(queries))]

    def _go(self, way: Way, queries: np.ndarray, k: int, trace: Trace | None) -> tuple[np.ndarray, np.ndarray]:
        if way.kind == "nothing":
            return np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.uint32)
        if way.kind == "rows":
            found = score_rows(self.snapshot, queries, self.selection.array, k)
            if trace:
                trace.mark("rows")
            return found
        if len(queries) == 1:
            return search(self.snapshot, queries, way.plan, self.selection.allowed, k, trace)
        return search_batch(self.snapshot, queries, way.plan, self.selection.allowed, k)

    def _fill(self, planner: Planner, queries: np.ndarray, values: np.ndarray, rows: np.ndarray) -> None:
        """Where a search of lists came back with too few, look at all there is."""
        index = self.snapshot.index
        for number in np.flatnonzero(values[:, -1] == -np.inf).tolist() if len(self.selection) else ():
            k = values.shape[1]
            if planner.rows_can_be_scored:
                way = Way("rows")
            elif index is not None:
                way = Way("lists", index.plan(k, None, index.router.n_lists, None))
            else:
                continue
            found = self._go(way, queries[number : number + 1], k, None)
            values[number], rows[number] = found[0][0], found[1][0]


def score_rows(snapshot: Snapshot, queries: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of some rows (n,) uint32 by their source vectors: values and rows (q, k), nearest first."""
    if len(queries) <= BLOCK:
        return _score_block(snapshot, queries, rows, k)
    blocks = [queries[first : first + BLOCK] for first in range(0, len(queries), BLOCK)]
    parts = list(pool().map(lambda block: _score_block(snapshot, block, rows, k), blocks))
    return np.concatenate([values for values, _ in parts]), np.concatenate([found for _, found in parts])


def _score_block(snapshot: Snapshot, queries: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    points = snapshot.points
    values, found = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.uint32)
    for number in range(len(queries)):
        exact.score_rows(
            snapshot.source_kind, snapshot.l2, queries[number].ctypes.data, queries.shape[1], points.runs,
            snapshot.rows_per_run, snapshot.row_bytes, rows, 0, len(rows), values[number], found[number],
        )  # fmt: skip
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(found, order, axis=1)
