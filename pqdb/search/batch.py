"""Many queries at once: blocks of them on a pool of threads of our own. Kernels release the GIL."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np

from pqdb.search.frame import Among
from pqdb.search.pipeline import search
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot

BLOCK = 32
_alone = threading.local()


@cache
def pool() -> ThreadPoolExecutor:
    """The process's search threads, one a core."""
    return ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="pqdb-search")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)  # a forked child has none of its parent's threads


@contextmanager
def on_this_thread() -> Iterator[None]:
    """Batches of this thread are searched by it alone: background work leaves the other cores to those who wait."""
    _alone.on = True
    try:
        yield
    finally:
        _alone.on = False


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
    if getattr(_alone, "on", False):
        parts = list(map(search_one, blocks))
    else:
        _ = snapshot.points.runs, snapshot.points.meta  # looked up here: a transaction belongs to one thread
        parts = list(pool().map(search_one, blocks))
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])
