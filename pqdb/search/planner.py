"""How to search among the rows a filter lets through: score them one by one, or scan lists, and which.

A search of lists is calibrated without filters: so many lists reach the k nearest of all rows. With a filter the k
nearest that pass are farther out. How far, the planner counts: going from the nearest list outwards it looks how many
rows must be passed to meet k that are allowed, and asks the calibration for that many neighbours. A filter that has
nothing to do with the vectors lets k / share of them pass by; one that keeps only far clusters lets most of them.

In the latter case the rows allowed grow denser outwards, and what a search misses lies farther out than what it finds:
the calibration is asked for a higher recall, or, past what it can tell, all lists that hold an allowed row are scanned,
but for those that hold so few that these are scored sooner.

The costs are as measured (docs/decisions/032). They need to be right only where they cross.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pqdb.config import DEFAULT_RECALL
from pqdb.metric import prepare
from pqdb.query.select import Selection
from pqdb.search.frame import frame_of
from pqdb.search.fresh import ROW_BYTE_NS, ROW_NS
from pqdb.search.index import Index
from pqdb.search.lists import ListedRows, Met
from pqdb.search.pipeline import route_queries
from pqdb.search.plan import TARGETS, Plan, keep_for
from pqdb.search.snapshot import Snapshot

Kind = Literal["nothing", "rows", "lists", "lists with rows", "all rows"]

LIST_NS, CODE_BYTE_NS = 150.0, 0.055  # a list scanned, and a byte of its codes, candidates included
MEASURE_US = 20.0  # to count how many rows a filter lets through near a query, its routing aside
CENTROID_BYTE_NS = 0.03  # to rank lists: a byte of an int8 centroid
SCAN_NS = 35_000.0  # planning, routing, tables, the last rerank
EVEN = 1.5  # contrasts up to this are chance
STEEP = 4.0  # past this the calibration says nothing: measured, .89 of a recall of .97 where it was 9
FEW_LISTS = 0.25  # share of rows allowed up to which it is worth a look which lists hold one
MOST_FEW_ROWS = 0.5  # share of all rows up to which exact search scores the rows selected


@dataclass(frozen=True, slots=True)
class Way:
    """What one query does: nothing (no row passes), score the rows, scan lists by a plan, or compare all rows."""

    kind: Kind
    plan: Plan | None = None
    neighbours: float | None = None  # of all rows, that are about as near as the k nearest allowed
    rows_us: float | None = None  # what scoring the rows is expected to cost
    lists_us: float | None = None  # what scanning lists is


NOTHING = Way("nothing")


class Planner:
    """Chooses ways for queries of one snapshot and one selection."""

    def __init__(self, snapshot: Snapshot, selection: Selection, k: int) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.k = k
        self.row_ns = ROW_NS + ROW_BYTE_NS * snapshot.row_bytes  # to score a row selected
        self.rows_us = len(selection) * self.row_ns / 1e3

    @property
    def rows_can_be_scored(self) -> bool:
        """Whether all rows selected still have their source."""
        forgotten = self.snapshot.points.forgotten_rows
        return forgotten == 0 or int(self.selection.rows.min()) >= forgotten

    def exact(self) -> Way:
        """For the exact answer."""
        if not len(self.selection):
            return NOTHING
        few = len(self.selection) <= MOST_FEW_ROWS * self.snapshot.n_rows
        return Way("rows" if few and self.rows_can_be_scored else "all rows")

    def by_hand(self, plan: Plan) -> Way:
        """With the effort an expert names."""
        return Way("lists", plan) if len(self.selection) else NOTHING

    def by_recall(self, index: Index, listed: ListedRows, query: np.ndarray, raw: bool, recall: float | None) -> Way:
        """For one query (1, d); raw: not prepared yet."""
        if not len(self.selection):
            return NOTHING
        rows_us = self.rows_us if self.rows_can_be_scored else math.inf
        least = self._lists_us(index, listed, self._plan(index, self.k, recall))
        if rows_us <= least + MEASURE_US + _route_us(index):
            return Way("rows", None, None, rows_us, least)
        neighbours, contrast = self._measure(index, listed, query, raw)
        everywhere = contrast > STEEP
        if everywhere:
            plan = index.plan(self.k, None, index.router.n_lists, None)
        else:
            plan = self._plan(index, neighbours, recall, max(0, math.ceil(2 * math.log2(max(contrast, 1) / EVEN))))
        lists_us = self._lists_us(index, listed, plan)
        if rows_us <= lists_us:
            return Way("rows", None, neighbours, rows_us, lists_us)
        few = everywhere and len(self.selection) <= FEW_LISTS * self.snapshot.points.n_live
        return Way("lists with rows" if few else "lists", plan, neighbours, rows_us, lists_us)

    def few_rows(self, listed: ListedRows) -> int:
        """So many rows of a list are scored from their source sooner than the list is scanned."""
        if not self.rows_can_be_scored or self.snapshot.config.source is None:
            return 0
        return int(_list_ns(listed) / self.row_ns)

    def _lists_us(self, index: Index, listed: ListedRows, plan: Plan) -> float:
        """Expected microseconds for a scan, and for the rows that are in no list yet."""
        fresh = (self.snapshot.n_rows - self.snapshot.compared_from) * self.row_ns
        return _route_us(index) + (SCAN_NS + listed.probed_by(plan) * _list_ns(listed) + fresh) / 1e3

    def _measure(self, index: Index, listed: ListedRows, query: np.ndarray, raw: bool) -> tuple[float, float]:
        """How many rows of all there are lie about as near as the k nearest allowed; and how much denser the rows
        allowed lie in general than there (as a factor).
        """
        n_lists, share = index.router.n_lists, len(self.selection) / max(1, self.snapshot.points.n_live)
        wanted = 2 * self.k
        most = STEEP * wanted / share  # rows passed: past so many nothing more can be learned
        look_at = 2 + int(most * n_lists / max(1, len(listed.rows)))
        while True:
            look_at = min(1 << (look_at - 1).bit_length(), n_lists)  # few numbers, since each has a plan of its own
            met = self._meet(index, listed, query, raw, look_at, most)
            if met.allowed >= wanted or met.passed > most or look_at == n_lists:
                break
            look_at *= 2
        return max(self.k, met.once, met.twice / 2), share * met.twice / wanted

    def _meet(self, index: Index, listed: ListedRows, query: np.ndarray, raw: bool, look_at: int, most: float) -> Met:
        """What is met in so many of the nearest lists. Raises InputError as metric.prepare does."""
        plan, allowed = _first(index, look_at), self.selection.allowed
        config = self.snapshot.config
        if config.rerank == "int8":
            frame = frame_of(self.snapshot, index, plan)
            met = listed.meet_near(frame, query, raw, allowed, self.k, most)
            if met.passed >= 0:
                return met
            return listed.meet_near(frame, prepare(query, config.dim, config.metric), False, allowed, self.k, most)
        lists = route_queries(index, index.router.to_index_space(query), plan).lists[0]  # (its length does not matter)
        return listed.meet(lists, allowed, self.k, most)

    def _plan(self, index: Index, neighbours: float, recall: float | None, halvings: int = 0) -> Plan:
        """The effort that finds so many neighbours, spent on k; the share missed is halved so many times."""
        step = math.ceil(2 * math.log2(max(neighbours, 1)))  # a few plans serve all: each keeps a record of its own
        key = ("selected", self.k, step, recall, halvings)
        plan = index.plans.get(key)
        if plan is None:
            asked = recall or DEFAULT_RECALL
            strict = recall if not halvings else max(asked, min(1 - (1 - asked) / 2**halvings, TARGETS[-1]))
            wide = index.plan(max(self.k, round(2 ** (step / 2))), strict, None, None)
            keep = keep_for(self.k, index.calibration.spare)
            plan = index.plans[key] = replace(wide, k=self.k, depth=self.k, keep=keep)
        return plan


def _route_us(index: Index) -> float:
    """To rank all lists."""
    return index.router.n_lists * index.router.dpad * CENTROID_BYTE_NS / 1e3


def _list_ns(listed: ListedRows) -> float:
    """To scan a list of average size."""
    return LIST_NS + listed.list_bytes * CODE_BYTE_NS


def _first(index: Index, n: int) -> Plan:
    """A plan that routes a query to its n nearest lists."""
    return index.plan(1, None, n, None)
