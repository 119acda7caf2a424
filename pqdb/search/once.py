"""The search of search/pipeline.py in one kernel, as all but explained ones go: a third faster for one query."""

import numpy as np

from pqdb.kernels import road
from pqdb.kernels.frame import WORDS
from pqdb.metric import prepare
from pqdb.search.found import Found
from pqdb.search.frame import Among, Frame, frame_of
from pqdb.search.index import Index
from pqdb.search.plan import Plan
from pqdb.search.scratch import borrow, give_back
from pqdb.search.snapshot import Snapshot

_NO_DOUBTS = np.zeros(0, np.uint8)


def search_at_once(
    snapshot: Snapshot, index: Index, queries: np.ndarray, plan: Plan, allowed: np.ndarray, k: int,
    among: Among | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """As pipeline.search: values and rows (q, k), and the places of the queries whose answers are doubtful."""
    words, doubtful = np.empty((len(queries), k, WORDS), np.uint64), doubts(len(queries), among)
    frame = frame_of(snapshot, index, plan)
    found = search_framed(frame, queries, allowed, words, among, doubtful, prepared=True)
    values, rows = found.values_and_rows()
    return values, rows, np.flatnonzero(doubtful)


def doubts(n: int, among: Among | None) -> np.ndarray:
    """Room for what is doubtful of the answers to n queries: those among the rows of a filter."""
    return np.zeros(0 if among is None else n, np.uint8)


def search_framed(
    frame: Frame, queries: np.ndarray, allowed: np.ndarray, words: np.ndarray, among: Among | None = None,
    doubtful: np.ndarray = _NO_DOUBTS, first: int = 0, prepared: bool = False,
) -> Found:  # fmt: skip
    """The answers to queries (q, dim) float32, of which the first has the number `first` in sentences, into words
    (q, k, WORDS) uint64, where a k of less than the plan's will do; which of them are doubtful into `doubtful`, if it
    has room. Raises InputError as metric.prepare does.
    """
    n, mine = len(queries), borrow(frame.capacity)
    record = frame.record if among is None else frame.record_of(among)
    done, filled, every, n_doubtful = road.search_block(
        record.at, mine.room(frame.layout_of(n)), queries, not prepared, allowed, mine.table(frame.index, n), words,
        doubtful,
    )  # fmt: skip
    give_back(mine)
    if done == n:
        return Found(words, filled, every, n_doubtful)
    if done < 0:  # one has a length that kernels do not trust
        queries = prepare(queries, frame.config.dim, frame.config.metric, first)
        return search_framed(frame, queries, allowed, words, among, doubtful, first, prepared=True)
    rest = search_framed(
        frame, queries[done:], allowed, words[done:], among, doubtful[done:], first + done, prepared
    )  # no room for all
    return Found(words, filled + rest.filled, every | rest.every, n_doubtful + rest.doubtful)
