"""The search among the rows a filter lets through. It returns min(k, rows that pass) hits, always."""

import math
from dataclasses import dataclass

import numpy as np

from pqdb.config import MAX_K
from pqdb.hits import FilterExplanation
from pqdb.kernels import exact, road
from pqdb.kernels.frame import WORDS
from pqdb.metric import limits, prepare
from pqdb.query.select import Selection
from pqdb.search.batch import find, joined, search_batch
from pqdb.search.found import Found, answered
from pqdb.search.frame import Among, Frame, frame_of
from pqdb.search.lists import PassingKept
from pqdb.search.pipeline import search
from pqdb.search.plan import Plan
from pqdb.search.planner import Planner, Way
from pqdb.search.snapshot import Snapshot
from pqdb.search.trace import Trace
from pqdb.store.layout import META_BYTES, META_ROWS, bits_at
from pqdb.store.snapshot import NO_BITS
from pqdb.threads import share_out

MOST = 0.75  # of the points pass: what does not is left out of what is found among all
AMPLE, DEEPER = 3.0, 4  # times as many as are expected to be needed are looked at, and so many times more after that
BEHIND = 0.5  # of those that are expected to pass lie behind the k-th: the last of what is found are the least sure
FEWER = 8  # one in so many points at most; else all are compared
BLOCK = 8  # queries scored against the selected rows on one thread, one after the other

Again = tuple[Frame, Among | None]  # None: of all points
Values = tuple[np.ndarray, np.ndarray]  # values (q, k) float32, −inf where there are fewer, and rows (q, k) uint32


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
        if trace:
            trace.mark("planner")
        if self._leaves_few_out(way, effort, k):
            return self._search_all(planner, way, query, k, effort.recall, trace)
        found = None if trace else self._at_once(way, query, k)
        if found is not None and found.filled == 0 and planner.rows_can_be_scored:  # lists would take longer
            found, self.again = score_query(self.snapshot, query, self.selection.array, k), None
        if found is not None and found.filled == k:
            return found
        prepared = prepare(query, config.dim, config.metric)
        if found is None:
            values, rows = self._go(way, prepared, k, trace)
        else:
            values, rows = found.values_and_rows()
        if trace:
            trace.filter = self._explained(planner, way, trace)
        return answered(self.snapshot.points, *self._filled(planner, prepared, values, rows))

    def search_batch(self, queries: np.ndarray, k: int, effort: Effort) -> Found:
        """The answers to queries (q, d) that are prepared."""
        planner = Planner(self.snapshot, self.selection, self.kept, k)
        way = self._way(planner, effort)
        if self._leaves_few_out(way, effort, k):
            values, rows = self._through_all(planner, queries, k, effort.recall, self._ample(k))
        else:
            values, rows = self._go(way, queries, k)
        return answered(self.snapshot.points, *self._filled(planner, queries, values, rows))

    def _explained(self, planner: Planner, way: Way, trace: Trace) -> FilterExplanation:
        """What was done for a query."""
        index, kind, lists_us = self.snapshot.index, way.kind, None
        if index is not None and way.kind == "lists":
            lists_us = planner.lists_us(index, trace.groups if trace.wanted is None else trace.wanted)
            kind = "rows" if trace.declined else kind
        selection = self.selection
        return FilterExplanation(len(selection), selection.indexes, selection.scanned, kind, way.rows_us, lists_us)

    def _leaves_few_out(self, way: Way, effort: Effort, k: int) -> bool:
        """Whether lists are searched for a recall, most points pass, and k is no large share of them."""
        by_recall = way.kind == "lists" and effort.plan is None and self.snapshot.config.source is not None
        return by_recall and self._share >= MOST and self._ample(k) <= self._deepest

    def _ample(self, k: int) -> int:
        """How many of all points to look at for k that pass, where which do has nothing to do with what is asked."""
        return math.ceil(AMPLE * k / self._share)

    @property
    def _deepest(self) -> int:
        """More than so many of all points are not looked at one after the other."""
        return min(MAX_K, self.snapshot.points.n_live // FEWER)

    @property
    def _share(self) -> float:
        """Of all points, those that pass."""
        return len(self.selection) / self.snapshot.points.n_live

    def _search_all(
        self, planner: Planner, way: Way, query: np.ndarray, k: int, recall: float | None, trace: Trace | None
    ) -> Found:
        """As `search`, by _through_all: the first step at once, as searches without a filter are."""
        snapshot, index, depth = self.snapshot, self.snapshot.index, self._ample(k)
        assert index is not None
        if not trace:
            plan = index.plan(depth, recall, None, None)
            if snapshot.config.rerank == "int8":
                self.again = frame_of(snapshot, index, plan), None
            nearest = find(snapshot, query, plan, snapshot.points.findable, depth)
            found = passing_of(nearest, self.selection, k, self._share)
            if found is not None:
                return found
            depth *= DEEPER
        prepared = prepare(query, snapshot.config.dim, snapshot.config.metric)
        values, rows = self._through_all(planner, prepared, k, recall, depth, trace)
        if trace:
            trace.filter = self._explained(planner, way, trace)
        return answered(snapshot.points, *self._filled(planner, prepared, values, rows))

    def _through_all(
        self, planner: Planner, queries: np.ndarray, k: int, recall: float | None, depth: int,
        trace: Trace | None = None,
    ) -> Values:  # fmt: skip
        """What passes of the nearest of all points, `depth` of them and then more, so that those which do not pass may
        be the nearest. Where they are more than that, every point is compared.

        Lists cannot be searched for what lies just behind them: thousands of rows are as near as the k-th there, the k
        best estimates are those with the luckiest errors, and what is cut by them is right (docs/decisions/053).
        """
        snapshot, index, allowed = self.snapshot, self.snapshot.index, self.selection.allowed
        assert index is not None
        values, rows = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.uint32)
        left = np.arange(len(queries))
        while len(left) and depth <= self._deepest:
            plan, some = index.plan(depth, recall, None, None), queries[left]
            if len(left) == 1:
                found, nearest = search(snapshot, some, plan, snapshot.points.findable, depth, trace)
            else:
                found, nearest = search_batch(snapshot, some, plan, snapshot.points.findable, depth)
            passing = bits_at(allowed, nearest) & (found > -np.inf)
            done = passing.sum(axis=1) >= enough(k, depth, self._share)
            first = np.argsort(~passing[done], axis=1, kind="stable")[:, :k]
            values[left[done]] = np.take_along_axis(found[done], first, axis=1)
            rows[left[done]] = np.take_along_axis(nearest[done], first, axis=1)
            left, depth = left[~done], DEEPER * depth
        if len(left):
            values[left], rows[left] = self._go(planner.exact(), queries[left], k, trace)
        return values, rows

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

    def _at_once(self, way: Way, query: np.ndarray, k: int) -> Found | None:
        """The answer to a query that is not prepared yet, in one kernel; None where its way has none."""
        if way.kind == "rows":
            return score_query(self.snapshot, query, self.selection.array, k)
        if way.plan is None:
            return None
        if way.among is not None and self.snapshot.index is not None and self.snapshot.config.rerank == "int8":
            self.again = frame_of(self.snapshot, self.snapshot.index, way.plan), way.among
        return find(self.snapshot, query, way.plan, self.selection.allowed, k, way.among)

    def _go(self, way: Way, queries: np.ndarray, k: int, trace: Trace | None = None) -> Values:
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
            values[short], rows[short] = self._go(way, queries[short], k)
        return values, rows


def enough(k: int, depth: int, share: float) -> float:
    """How many must pass of the `depth` nearest of all points, of which such a share passes, to be sure of k."""
    return k + BEHIND * depth * share


def passing_of(found: Found, selection: Selection, k: int, share: float) -> Found | None:
    """The k nearest that pass of what one query found among all points, of which so large a share passes; None where
    too few do to be sure of them.
    """
    rows = found.answers["row"][0, : found.filled]
    passing = np.flatnonzero(bits_at(selection.allowed, rows))
    if len(passing) < enough(k, found.words.shape[1], share):
        return None
    return Found(np.ascontiguousarray(found.words[:, passing[:k]]), k, found.every)


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
