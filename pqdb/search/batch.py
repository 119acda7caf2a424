"""Any number of queries: blocks of them on a pool of threads of our own. Kernels release the GIL."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pqdb.metric import prepare
from pqdb.search.frame import Among, Frame, frame_of
from pqdb.search.index import Index
from pqdb.search.pipeline import Found, answered, search, search_framed
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
    """The answers to queries (q, dim) float32, C-contiguous, that are not prepared yet; the rest is as pipeline.search
    has it. Raises InputError as metric.prepare does.
    """
    config, index = snapshot.config, snapshot.index
    if index is not None and plan is not None and config.rerank == "int8":
        frame = frame_of(snapshot, index, plan)
        blocks = _in_blocks(lambda some: _find_framed(frame, queries[some], allowed, among), len(queries), _most(index))
        found = [block for block in blocks if block is not None]
        if len(found) == len(blocks):
            return Found.joined(found)
    prepared = prepare(queries, config.dim, config.metric)
    return answered(snapshot, *search_batch(snapshot, prepared, plan, allowed, k, among))


def search_batch(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan | None, allowed: Allowed, k: int, among: Among | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """As pipeline.search, for any number of queries, on all cores."""

    def search_some(some: slice) -> tuple[np.ndarray, np.ndarray]:
        bits = allowed(some.start) if callable(allowed) else allowed
        return search(snapshot, queries[some], plan, bits, k, among=among)

    if not is_alone():
        _ = snapshot.points.runs, snapshot.points.meta  # looked up here: a transaction belongs to one thread
    parts = _in_blocks(search_some, len(queries), 1 if callable(allowed) else _most(snapshot.index))
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])


def _find_framed(frame: Frame, queries: np.ndarray, allowed: np.ndarray, among: Among | None) -> Found | None:
    """The answers to all queries of a block, whatever room their candidates take; None as search_framed has it."""
    found: list[Found] = []
    while len(queries):
        part = search_framed(frame, queries, allowed, among)
        if part is None:
            return None
        found.append(part)
        queries = queries[len(part.words) :]
    return Found.joined(found)


def _most(index: Index | None) -> int:
    """Queries of a block: more where lists are many, and no more than that, for their candidates are to stay in a near
    cache.
    """
    return LARGE_BLOCK if index is not None and index.router.n_lists > MANY_LISTS else BLOCK


def _in_blocks(work: Callable[[slice], _R], n: int, most: int) -> list[_R]:
    """What `work` makes of n queries, at most so many at a time and the same number of blocks on each core."""
    threads = cores()
    each = -(-n // (threads * -(-n // (threads * most))))
    return list(share_out(work, [slice(first, min(n, first + each)) for first in range(0, n, each)]))
