"""The search among the rows a filter lets through. It returns min(k, rows that pass) hits, always."""

from dataclasses import dataclass

import numpy as np

from pqdb.hits import FilterExplanation
from pqdb.kernels import exact, road
from pqdb.kernels.frame import WORDS
from pqdb.metric import limits, prepare
from pqdb.query.select import Selection
from pqdb.search.batch import find, search_batch
from pqdb.search.edge import Edge, edge_of
from pqdb.search.found import Found, answered, joined
from pqdb.search.frame import Among, Frame, frame_of
from pqdb.search.lists import PassingKept
from pqdb.search.pipeline import search, search_again
from pqdb.search.plan import Plan
from pqdb.search.planner import Planner, Way
from pqdb.search.snapshot import Snapshot
from pqdb.search.trace import Trace
from pqdb.store.layout import META_BYTES, META_ROWS
from pqdb.store.snapshot import NO_BITS
from pqdb.threads import share_out

BLOCK = 8  # queries scored against the selected rows on one thread, one after the other

Values = tuple[np.ndarray, np.ndarray]  # values (q, k) float32, −inf where there are fewer, and rows (q, k) uint32
Again = tuple[Frame, Among | None]  # None: of all points, as edge.passing_of takes it


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
    kept: PassingKept
    again: Again | None = None  # for one like the last that was searched, as long as nothing is written

    def search(self, query: np.ndarray, k: int, effort: Effort, trace: Trace | None = None) -> Found:
        """The answer to one query (1, d) float32 that is not prepared yet; k is at most the number of rows selected, or
        1. Raises InputError as metric.prepare does.
        """
        planner, config = Planner(self.snapshot, self.selection, self.kept, k), self.snapshot.config
        way = self._way(planner, effort)
        edge = self._edge(way, effort, k)
        if trace:
            trace.mark("planner")
        found = None if trace else self._at_once(way, edge, query, k)
        if found is not None and found.filled == 0 and planner.rows_can_be_scored:  # lists would take longer
            found, self.again = score_query(self.snapshot, query, self.selection.array, k), None
        if found is not None and found.filled == k and not found.doubtful:
            return found
        prepared = prepare(query, config.dim, config.metric)
        if found is None:
            deeper = edge if edge is None or trace else edge.deeper()
            values, rows = self._go(way, deeper, prepared, k, trace)
        elif found.doubtful:
            assert way.plan is not None
            assert way.among is not None
            kth, allowed = found.values_and_rows()[0][:, -1], self.selection.allowed
            values, rows = search_again(self.snapshot, prepared, way.plan, allowed, kth, k, way.among)
        else:
            values, rows = found.values_and_rows()
        if trace:
            trace.filter = self._explained(planner, way, trace)
        return answered(self.snapshot.points, *self._filled(planner, prepared, values, rows))

    def search_batch(self, queries: np.ndarray, k: int, effort: Effort) -> Found:
        """The answers to queries (q, d) that are prepared."""
        planner = Planner(self.snapshot, self.selection, self.kept, k)
        way = self._way(planner, effort)
        values, rows = self._go(way, self._edge(way, effort, k), queries, k)
        return answered(self.snapshot.points, *self._filled(planner, queries, values, rows))

    def _explained(self, planner: Planner, way: Way, trace: Trace) -> FilterExplanation:
        """What was done for a query."""
        index, kind, lists_us = self.snapshot.index, way.kind, None
        if index is not None and way.kind == "lists":
            lists_us = planner.lists_us(index, trace.groups if trace.wanted is None else trace.wanted)
            kind = "rows" if trace.declined else kind
        selection = self.selection
        return FilterExplanation(len(selection), selection.indexes, selection.scanned, kind, way.rows_us, lists_us)

    def _edge(self, way: Way, effort: Effort, k: int) -> Edge | None:
        """What to look behind, where lists are searched for a recall."""
        if way.kind != "lists" or effort.plan is not None:
            return None
        return edge_of(self.snapshot, self.selection, k, effort.recall)

    def _way(self, planner: Planner, effort: Effort) -> Way:
        index = self.snapshot.index
        if index is None or effort.exact:
            return planner.exact()
        if effort.plan is not None:
            return planner.by_hand(index, effort.plan)
        state, key = self.snapshot.blocks.state, (Way, planner.k, effort.recall)
        made_for, way = self.selection.kept.get(key, (None, None))
        if made_for is not state:
            way = planner.by_recall(index, effort.recall)
            if way.kind == "rows":  # (how lists are searched is known by the terms)
                self.selection.kept[key] = state, way
        assert isinstance(way, Way)
        return way

    def _at_once(self, way: Way, edge: Edge | None, query: np.ndarray, k: int) -> Found | None:
        """The answer to a query that is not prepared yet, in one kernel; None where its way has none, or it is not
        enough.
        """
        if way.kind == "rows":
            return score_query(self.snapshot, query, self.selection.array, k)
        plan, among = (way.plan, way.among) if edge is None else (edge.plan, None)
        if plan is None:
            return None
        if (among or edge) and self.snapshot.index is not None and self.snapshot.config.rerank == "int8":
            self.again = frame_of(self.snapshot, self.snapshot.index, plan), among
        return edge.find(query) if edge else find(self.snapshot, query, plan, self.selection.allowed, k, among)

    def _go(
        self, way: Way, edge: Edge | None, queries: np.ndarray, k: int, trace: Trace | None = None
    ) -> Values:  # fmt: skip
        """The answers to queries (q, d) that are prepared."""
        if edge is not None:
            values, rows, left = edge.search(queries, trace)
            if len(left):
                values[left], rows[left] = self._go(way, None, queries[left], k, trace)
            return values, rows
        allowed = self.selection.allowed
        if way.kind == "nothing":
            return np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.uint32)
        if way.kind == "rows":
            return score_rows(self.snapshot, queries, self.selection.array, k)
        if len(queries) == 1:
            return search(self.snapshot, queries, way.plan, allowed, k, trace, way.among)
        return search_batch(self.snapshot, queries, way.plan, allowed, k, way.among)

    def _filled(self, planner: Planner, queries: np.ndarray, values: np.ndarray, rows: np.ndarray) -> Values:
        """Where a search of lists came back with too few, or found that scoring the rows takes less: look at all there
        is.
        """
        index, k = self.snapshot.index, values.shape[1]
        short = np.flatnonzero(values[:, -1] == -np.inf) if len(self.selection) else np.zeros(0, np.int64)
        if len(short) and (planner.rows_can_be_scored or index is not None):
            way = Way("rows") if planner.rows_can_be_scored or index is None else planner.everywhere(index)
            values[short], rows[short] = self._go(way, None, queries[short], k)
        return values, rows


def score_query(snapshot: Snapshot, query: np.ndarray, rows: np.ndarray, k: int) -> Found:
    """The answer to one query (1, d) float32 that is not prepared yet, among some rows (n,) uint32, in one kernel.
    Raises InputError as metric.prepare does.
    """
    points, words = snapshot.points, np.empty((1, k, WORDS), np.uint64)
    done, filled, every = road.score_selected(
        snapshot.source_kind, snapshot.by, query, *limits(snapshot.config.metric), points.runs, snapshot.rows_per_run,
        snapshot.row_bytes, rows, points.meta, META_ROWS, META_BYTES, META_BYTES - 8, words,
    )  # fmt: skip
    if done == 1:
        return Found(words, filled, every)
    prepared = prepare(query, snapshot.config.dim, snapshot.config.metric)
    return answered(snapshot.points, *score_rows(snapshot, prepared, rows, k))


def score_rows(snapshot: Snapshot, queries: np.ndarray, rows: np.ndarray, k: int) -> Values:
    """The k nearest of some rows (n,) uint32 by their source vectors: values and rows (q, k), nearest first."""
    if len(queries) <= BLOCK:
        return _score_block(snapshot, queries, rows, k)
    runs = snapshot.points.runs  # (looked up here: a transaction belongs to its thread)
    assert len(runs)
    blocks = [queries[first : first + BLOCK] for first in range(0, len(queries), BLOCK)]
    parts = list(share_out(lambda block: _score_block(snapshot, block, rows, k), blocks))
    return joined(parts)


def _score_block(snapshot: Snapshot, queries: np.ndarray, rows: np.ndarray, k: int) -> Values:
    n = len(queries)
    values, found = np.empty((n, k), np.float32), np.empty((n, k), np.uint32)
    exact.finish(
        snapshot.source_kind, snapshot.by, queries, snapshot.points.runs, snapshot.rows_per_run, snapshot.row_bytes,
        rows, values[0], np.zeros(n, np.int64), np.full(n, len(rows), np.int32), True, 1.0, 0, 0, NO_BITS,
        np.empty(exact.SCORED, np.float32), values, found,
    )  # fmt: skip
    return values, found
