"""Where neighbours get lost: their list was not probed, the scan passed them over, or others were put before them."""

from collections.abc import Iterator

import numpy as np

from pqdb.search.index import Index
from pqdb.search.lists import ListedRows
from pqdb.search.pipeline import build_tables, route_queries, scan_lists
from pqdb.search.plan import Plan
from pqdb.search.scratch import give_back
from pqdb.search.snapshot import Snapshot

CAUSES = ("partition", "codes", "rerank")


def losses_of(
    snapshot: Snapshot, plan: Plan | None, queries: np.ndarray, shares: np.ndarray, missing: list[np.ndarray]
) -> np.ndarray:
    """(3,) mean share of neighbours lost by CAUSES; with the mean of the recalls they add up to 1.

    queries (q, d) prepared, their recalls (q,), and the true neighbours (each (n,) rows) that a search by the plan does
    not find. A loss is divided among the causes as the missing rows are: of rows as near as one another any may be
    missing, and only values count as lost.
    """
    lost, index = np.zeros(len(CAUSES)), snapshot.index
    if index is None or plan is None:
        return lost
    list_of_row = _list_of_row(snapshot, index)
    for i in np.flatnonzero((shares < 1) & np.array([len(rows) > 0 for rows in missing])).tolist():
        causes = np.array(list(_causes(snapshot, index, plan, queries[i : i + 1], missing[i], list_of_row)))
        lost += (1 - shares[i]) * np.bincount(causes, minlength=len(CAUSES)) / len(causes)
    lost /= max(1, len(queries))
    return lost


def _list_of_row(snapshot: Snapshot, index: Index) -> np.ndarray:
    """(rows,) int32 the list of each row up to the last that is in one, or on its way to one with a code."""
    lists, coded = ListedRows.read(snapshot, index).lists, snapshot.coded
    return lists if coded is None else np.concatenate([lists, coded.lists[snapshot.fresh_from - coded.first :]])


def _causes(
    snapshot: Snapshot, index: Index, plan: Plan, query: np.ndarray, missing: np.ndarray, list_of_row: np.ndarray
) -> Iterator[int]:
    """The cause of each row's loss, as its place in CAUSES."""
    moved = index.router.to_index_space(query)
    routed = route_queries(index, moved, plan)
    probed = routed.lists[0, : routed.probed[0]]
    candidates = scan_lists(snapshot, index, routed, *build_tables(index, moved), plan, snapshot.points.live)
    survivors = candidates.scratch.rows[: candidates.starts[1]].copy()
    give_back(candidates.scratch)
    for row in missing.tolist():
        if row < len(list_of_row) and list_of_row[row] not in probed:
            yield 0
        else:
            yield 2 if row in survivors else 1
