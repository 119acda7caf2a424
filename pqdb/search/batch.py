"""Many queries at once: blocks of them on a pool of threads of our own. Kernels release the GIL."""

import numpy as np

from pqdb.search.frame import Among
from pqdb.search.pipeline import search
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.threads import cores, is_alone, share_out

BLOCK = 64  # queries of one thread that share each look at a list


def search_batch(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan | None, allowed: np.ndarray, k: int,
    among: Among | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """As pipeline.search, for any number of queries, on all cores."""
    size = min(BLOCK, -(-len(queries) // cores()))
    blocks = [queries[i : i + size] for i in range(0, len(queries), size)]

    def search_one(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return search(snapshot, block, plan, allowed, k, among=among)

    if len(blocks) == 1:
        return search_one(queries)
    if not is_alone():
        _ = snapshot.points.runs, snapshot.points.meta  # looked up here: a transaction belongs to one thread
    parts = list(share_out(search_one, blocks))
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])
