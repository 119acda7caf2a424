"""Many queries at once: blocks of them on a pool of threads of our own. Kernels release the GIL."""

from collections.abc import Callable

import numpy as np

from pqdb.search.frame import Among
from pqdb.search.pipeline import search
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.threads import cores, is_alone, share_out

BLOCK = 64  # queries of one thread that share each look at a list

Allowed = np.ndarray | Callable[[int], np.ndarray]  # a bitmap of rows for all queries, or what tells that of each


def search_batch(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan | None, allowed: Allowed, k: int, among: Among | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """As pipeline.search, for any number of queries, on all cores."""
    size = 1 if callable(allowed) else min(BLOCK, -(-len(queries) // cores()))

    def search_one(first: int) -> tuple[np.ndarray, np.ndarray]:
        bits = allowed(first) if callable(allowed) else allowed
        return search(snapshot, queries[first : first + size], plan, bits, k, among=among)

    blocks = range(0, len(queries), size)
    if len(blocks) == 1:
        return search_one(0)
    if not is_alone():
        _ = snapshot.points.runs, snapshot.points.meta  # looked up here: a transaction belongs to one thread
    parts = list(share_out(search_one, blocks))
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])
