"""How to search among the rows a filter lets through: score them one by one, or scan lists, and which.

A search of lists is calibrated without filters: so many lists reach the k nearest of all rows. With a filter the k
nearest that pass are farther out, and may lie in any list. Which lists are worth a scan, the kernel chooses query by
query, by the rows that pass in each and how rows scatter about their centroids (kernels/choose.py); it scans none where
that would take longer than scoring the rows. So all that is planned here is where that lies, and whether it is worth
asking.

The costs are as measured (docs/decisions/033). They need to be right only where they cross.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from pqdb.config import DEFAULT_RECALL
from pqdb.query.select import Selection
from pqdb.search.frame import Among
from pqdb.search.fresh import ROW_BYTE_NS, ROW_NS
from pqdb.search.index import Index
from pqdb.search.lists import Passing, PassingKept
from pqdb.search.plan import Plan, plan_recall
from pqdb.search.scatter import NO_SCATTER
from pqdb.search.snapshot import Snapshot

Kind = Literal["nothing", "rows", "lists", "all rows"]

GROUP_NS, GROUP_BYTE_NS = 60.0, 0.055  # a group scanned, its share of a list's cost too; and a byte of its codes
CENTROID_BYTE_NS = 0.03  # to rank lists: a byte of an int8 centroid
SCAN_NS = 35_000.0  # planning, routing, tables, the last rerank
SURE, MUCH = 0.4, 4.0  # lists are asked for where rows take longer than scanning the groups they lie in; or so much of
# these, where rows take so many times what it costs to ask
MOST_FEW_ROWS = 0.5  # share of all rows up to which exact search scores the rows selected


@dataclass(frozen=True, slots=True)
class Way:
    """What a query does: nothing (no row passes), score the rows, scan lists by a plan, or compare all rows."""

    kind: Kind
    plan: Plan | None = None
    among: Among | None = None
    rows_us: float | None = None  # what scoring the rows is expected to cost, where that was weighed


NOTHING = Way("nothing")


class Planner:
    """Chooses ways for queries of one snapshot and one selection."""

    def __init__(self, snapshot: Snapshot, selection: Selection, kept: PassingKept, k: int) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.kept = kept
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

    def by_hand(self, index: Index, plan: Plan) -> Way:
        """With the effort an expert names."""
        if not len(self.selection):
            return NOTHING
        return Way("lists", plan, Among(self.kept.of(self.snapshot, index, self.selection)))

    def by_recall(self, index: Index, recall: float | None) -> Way:
        """For a recall; None for the default."""
        if not len(self.selection):
            return NOTHING
        limit, rows_us, asking_us = math.inf, None, self.lists_us(index, 0)
        if self.rows_can_be_scored:
            rows_us = self.rows_us
            limit = (rows_us - asking_us) * 1e3 / _group_ns(index)
            if limit <= 0:
                return Way("rows", rows_us=rows_us)
        wanted = DEFAULT_RECALL if recall is None else recall
        plan, passing = self._plan(index, wanted), self.kept.of(self.snapshot, index, self.selection)
        if limit < passing.in_groups * (SURE if self.rows_us > MUCH * asking_us else 1):
            self.selection.kept.pop(Passing, None)  # nobody asks for it again
            return Way("rows", rows_us=rows_us)
        aim = 1.0 if index.calibration.scatter is NO_SCATTER else wanted
        return Way("lists", plan, Among(passing, aim, limit), rows_us)

    def everywhere(self, index: Index) -> Way:
        """In all lists that hold a row selected."""
        plan = index.plan(self.k, None, index.router.n_lists, None)
        return Way("lists", plan, Among(self.kept.of(self.snapshot, index, self.selection)))

    def lists_us(self, index: Index, groups: float) -> float:
        """Expected microseconds for a scan of so many groups, and for the rows that have no code yet."""
        route_ns = index.router.n_lists * index.router.dpad * CENTROID_BYTE_NS
        fresh = (self.snapshot.n_rows - self.snapshot.compared_from) * self.row_ns
        return (SCAN_NS + route_ns + fresh + groups * _group_ns(index)) / 1e3

    def _plan(self, index: Index, recall: float) -> Plan:
        """That of a search without a filter, with room for all lists, and with the full margin: `aim` is for lists."""

        def make() -> Plan:
            full, n_lists = replace(index.calibration, losses=()), index.router.n_lists
            return replace(plan_recall(full, n_lists, self.k, recall), most=n_lists)

        return index.planned(("selected", self.k, recall), make)


def _group_ns(index: Index) -> float:
    return GROUP_NS + index.record_bytes * GROUP_BYTE_NS
