"""Any number of queries: blocks of them on a pool of threads of our own. Kernels release the GIL."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pqdb.kernels.frame import WORDS
from pqdb.metric import prepare
from pqdb.search.found import Found, answered, joined
from pqdb.search.frame import Among, frame_of
from pqdb.search.index import Index
from pqdb.search.once import doubts, search_framed
from pqdb.search.pipeline import search
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.threads import cores, is_alone, share_out

BLOCK = 64  # queries of one thread, at most, that share each look at a list;
LARGE_BLOCK, MANY_LISTS = 128, 512  # so many, or hardly two of them would look at the same of so many lists

Allowed = np.ndarray | Callable[[int], np.ndarray]  # a bitmap of rows for all queries, or what tells that of each
_R = TypeVar("_R")


def find(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan | None, allowed: np.ndarray, k: int, among: Among | None = None
) -> Found:
    """The answers to queries (q, dim) float32 that are not prepared yet; the rest is as pipeline.search has it. Raises
    InputError as metric.prepare does.
    """
    config, index = snapshot.config, snapshot.index
    if index is None or plan is None or config.rerank != "int8":
        prepared = prepare(queries, config.dim, config.metric)
        return answered(snapshot.points, *search_batch(snapshot, prepared, plan, allowed, k, among))
    frame, queries = frame_of(snapshot, index, plan), _for_kernels(queries)
    words, doubtful = np.empty((len(queries), k, WORDS), np.uint64), doubts(len(queries), among)

    def find_some(some: slice) -> Found:
        return search_framed(frame, queries[some], allowed, words[some], among, doubtful[some], some.start)

    filled, every, n_doubtful = 0, 0, 0
    for part in _in_blocks(find_some, len(queries), _most(index)):
        filled, every, n_doubtful = filled + part.filled, every | part.every, n_doubtful + part.doubtful
    return Found(words, filled, every, n_doubtful)


def search_batch(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan | None, allowed: Allowed, k: int, among: Among | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """As pipeline.search, for any number of queries, on all cores."""
    queries = _for_kernels(queries)

    def search_some(some: slice) -> tuple[np.ndarray, np.ndarray]:
        if not callable(allowed):
            return search(snapshot, queries[some], plan, allowed, k, among=among)
        one_by_one = range(some.start, some.stop)
        return joined([search(snapshot, queries[i : i + 1], plan, allowed(i), k, among=among) for i in one_by_one])

    if not is_alone():
        _ = snapshot.points.runs, snapshot.points.meta  # looked up here: a transaction belongs to one thread
    return joined(_in_blocks(search_some, len(queries), _most(snapshot.index)))


def _for_kernels(queries: np.ndarray) -> np.ndarray:
    """Queries as kernels were compiled for: for others, such as a read-only array, they would be anew."""
    return queries if queries.flags.carray else queries.copy()


def _most(index: Index | None) -> int:
    """Queries of a block: more where lists are many, and no more than that, for their candidates are to stay in a near
    cache.
    """
    return LARGE_BLOCK if index is not None and index.router.n_lists > MANY_LISTS else BLOCK


def _in_blocks(work: Callable[[slice], _R], n: int, most: int) -> list[_R]:
    """What `work` makes of n queries, at most so many at a time and the same number of blocks on each core."""
    threads = cores()
    each = max(1, -(-n // (threads * max(1, -(-n // (threads * most))))))
    return list(share_out(work, [slice(first, min(n, first + each)) for first in range(0, n, each)]))
