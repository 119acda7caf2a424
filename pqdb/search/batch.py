"""Many queries at once: blocks of them on a pool of threads of our own. Kernels release the GIL."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from pqdb.search.pipeline import search
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot

BLOCK = 32


@cache
def pool() -> ThreadPoolExecutor:
    """The process's search threads, one a core."""
    return ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="pqdb-search")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)  # a forked child has none of its parent's threads


def search_batch(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan | None, allowed: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """As pipeline.search, for any number of queries, on all cores."""
    size = min(BLOCK, -(-len(queries) // cores()))
    blocks = [queries[i : i + size] for i in range(0, len(queries), size)]
    if len(blocks) == 1:
        return search(snapshot, queries, plan, allowed, k)
    _ = snapshot.points.runs, snapshot.points.meta  # looked up here: a transaction belongs to one thread
    parts = list(pool().map(lambda block: search(snapshot, block, plan, allowed, k), blocks))
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])
