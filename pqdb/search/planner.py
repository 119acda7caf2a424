"""How to search among the rows a filter lets through: score them one by one, or scan lists, and how many.

A search of lists is calibrated without filters: so many lists reach the k nearest of all rows. With a filter the k
nearest that pass are farther out. How far, the planner counts: going from the nearest list outwards it looks how many
rows must be passed to meet k that are allowed, and asks the calibration for that many neighbours. A filter that has
nothing to do with the vectors lets k / share of them pass by; one that keeps only far clusters lets most of them.

The costs are microseconds as measured (docs/decisions/012-filters.md). They need to be right only where they cross.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pqdb.query.select import Selection
from pqdb.search.index import Index
from pqdb.search.lists import ListedRows
from pqdb.search.pipeline import route_queries
from pqdb.search.plan import Plan, keep_for
from pqdb.search.snapshot import Snapshot

Kind = Literal["nothing", "rows", "lists", "all rows"]

LOOK_AT = 24  # lists whose allowed rows are counted at first; then ever more
ROW_NS, ROW_BYTE_NS = 15.0, 0.06  # a source row scored somewhere in memory
LIST_NS, CODE_BYTE_NS = 300.0, 0.1  # a list scanned, and a byte of its codes, candidates included
SCAN_NS = 30_000.0  # routing, tables, the last rerank
MOST_FEW_ROWS = 0.5  # share of all rows up to which exact search scores the rows selected


@dataclass(frozen=True, slots=True)
class Way:
    """What one query does: nothing (no row passes), score the rows, scan lists by a plan, or compare all rows."""

    kind: Kind
    plan: Plan | None = None
    neighbours: float | None = None  # of all rows, that are about as near as the k nearest allowed
    rows_us: float | None = None  # what scoring the rows is expected to cost
    lists_us: float | None = None  # what scanning lists is


@dataclass(frozen=True)
class Planner:
    """Chooses ways for queries of one snapshot and one selection."""

    snapshot: Snapshot
    selection: Selection
    k: int

    @property
    def rows_can_be_scored(self) -> bool:
        """Whether all rows selected still have their source."""
        forgotten = self.snapshot.points.forgotten_rows
        return forgotten == 0 or int(self.selection.rows.min()) >= forgotten

    def rows_us(self) -> float:
        """Expected microseconds for scoring every row selected."""
        return len(self.selection) * (ROW_NS + ROW_BYTE_NS * self.snapshot.row_bytes) / 1e3

    def lists_us(self, index: Index, plan: Plan) -> float:
        """Expected microseconds for a scan, and for the rows that are in no list yet."""
        counts, snapshot = self.snapshot.blocks.counts, self.snapshot
        probed = min(float(plan.widths.mean()), len(counts))
        list_bytes = float(counts.mean()) * index.record_bytes / 32 if len(counts) else 0.0
        fresh = (snapshot.n_rows - snapshot.fresh_from) * ROW_NS
        return (SCAN_NS + probed * (LIST_NS + list_bytes * CODE_BYTE_NS) + fresh) / 1e3

    def exact(self) -> Way:
        """For the exact answer."""
        if not len(self.selection):
            return Way("nothing")
        few = len(self.selection) <= MOST_FEW_ROWS * self.snapshot.n_rows
        return Way("rows" if few and self.rows_can_be_scored else "all rows")

    def by_hand(self, plan: Plan) -> Way:
        """With the effort an expert names."""
        return Way("lists", plan) if len(self.selection) else Way("nothing")

    def by_recall(self, index: Index, listed: ListedRows, query: np.ndarray, recall: float | None) -> Way:
        """For one query (1, d) as the index compares them."""
        if not len(self.selection):
            return Way("nothing")
        rows_us = self.rows_us()
        least = self.lists_us(index, self._plan(index, self.k, recall))
        if self.rows_can_be_scored and rows_us <= least:
            return Way("rows", rows_us=rows_us, lists_us=least)
        neighbours = self._neighbours(index, listed, query)
        plan = self._plan(index, neighbours, recall)
        lists_us = self.lists_us(index, plan)
        if self.rows_can_be_scored and rows_us <= lists_us:
            return Way("rows", None, neighbours, rows_us, lists_us)
        return Way("lists", plan, neighbours, rows_us, lists_us)

    def _neighbours(self, index: Index, listed: ListedRows, query: np.ndarray) -> float:
        """How many rows of all there are lie about as near as the k nearest allowed."""
        n_lists, look_at = index.router.n_lists, LOOK_AT
        while True:
            look_at = min(look_at, n_lists)
            lists = route_queries(index, query, _first(index, look_at)).lists[0]
            hits, counts = listed.allowed_in(lists, self.selection.allowed)
            met = np.cumsum(hits)
            if met[-1] >= self.k or look_at == n_lists:
                break
            look_at *= 4
        if met[-1] < self.k:
            return float(max(self.k, self.snapshot.n_rows))
        at = int(np.searchsorted(met, self.k))
        before = int(counts[:at].sum())
        return max(self.k, before + (self.k - int(met[at] - hits[at])) * int(counts[at]) / int(hits[at]))

    def _plan(self, index: Index, neighbours: float, recall: float | None) -> Plan:
        """The effort that finds so many neighbours, spent on k."""
        step = math.ceil(2 * math.log2(max(neighbours, 1)))  # a few plans serve all: each keeps a record of its own
        key = ("selected", self.k, step, recall)
        plan = index.plans.get(key)
        if plan is None:
            wide = index.plan(max(self.k, round(2 ** (step / 2))), recall, None, None)
            keep = keep_for(self.k, index.calibration.spare)
            plan = index.plans[key] = replace(wide, k=self.k, depth=self.k, keep=keep)
        return plan


def _first(index: Index, n: int) -> Plan:
    """A plan that routes a query to its n nearest lists."""
    return index.plan(1, None, n, None)
