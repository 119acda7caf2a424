"""In which order queries probe lists, and in which lists their nearest are."""

import numpy as np

from pqdb.partition.router import Router
from pqdb.search.batch import search_batch
from pqdb.search.plan import plan_by_hand
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import without_itself
from pqdb.threads import share_rows

RANKED_AT_ONCE, RANKED_KEYS = 256, 1 << 22  # queries for a thread, and keys


def list_places(
    router: Router, moved: np.ndarray, within: float, left_out: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(q, n_lists) int32: when each list is probed; and (q,) float32 how easy each query is. By the int8 centroids that
    a search ranks lists by: where these cannot tell lists apart, more of them have to be probed.

    moved (q, d) queries in index space. The list left_out (q,) of each, −1 for none, comes last and tells nothing.
    """
    place, easy = np.empty((len(moved), router.n_lists), np.int32), np.empty(len(moved), np.float32)

    def rank(part: slice) -> None:
        keys, easy[part] = router.keys_of(moved[part], None if left_out is None else left_out[part], within)
        order = np.argsort(-keys, axis=1, kind="stable")
        np.put_along_axis(place[part], order, np.arange(router.n_lists, dtype=np.int32)[None, :], axis=1)

    share_rows(rank, len(moved), max(1, min(RANKED_AT_ONCE, RANKED_KEYS // router.n_lists)))
    return place, easy


def lists_of_nearest(
    snapshot: Snapshot, queries: np.ndarray, itself: np.ndarray, list_of_row: np.ndarray, allowed: np.ndarray, k: int
) -> np.ndarray:
    """(q, k) int32 list of each true neighbour, nearest first and without the row that a query itself is (q,); −1 where
    there are fewer. By the generation's own scan of all lists, within .002 of exact at a thousandth of the cost.
    """
    assert snapshot.index is not None
    n_lists = snapshot.index.router.n_lists
    plan = plan_by_hand(snapshot.index.calibration, n_lists, k + 1, n_lists, None)
    values, rows = without_itself(search_batch(snapshot, queries, plan, allowed, k + 1), itself)
    lists: np.ndarray = np.where(np.isfinite(values), list_of_row[rows], np.int32(-1))
    return lists


def rows_that_are(rows: np.ndarray, count: int) -> np.ndarray:
    """(count,) int64: the row that each of so many queries is, of which the first are these rows (n,); −1 for none."""
    itself = np.full(count, -1, np.int64)
    itself[: len(rows)] = rows
    return itself
