"""A search whose lists hold fewer rows than were asked for looks further."""

import numpy as np

from pqdb.search.batch import search_batch
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot

FURTHER = 4  # times as many lists, and again, until there are enough


def look_further(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan, allowed: np.ndarray, values: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a plan found for queries (q, d), as pipeline.search gives it, with as many rows as have a place.

    A recall of .80 may be reached by fewer than k rows, where the nearest lie together in one short list; who asked for
    k gets k all the same, if there are so many.
    """
    index, k, most = snapshot.index, values.shape[1], plan.most
    looked = 0  # into so many lists, whatever a query's difficulty
    while index is not None and looked < index.router.n_lists:
        short = np.flatnonzero(values[:, -1] == -np.inf)
        if len(short) == 0:
            break
        looked = min(FURTHER * max(looked, most), index.router.n_lists)
        wider = index.plan(k, None, looked, None)
        values[short], rows[short] = search_batch(snapshot, queries[short], wider, allowed, k)
    return values, rows
