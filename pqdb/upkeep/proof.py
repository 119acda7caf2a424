"""Prove that a generation built aside is better than the current one, before it takes its place."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pqdb.search.batch import search_batch
from pqdb.search.found import joined
from pqdb.search.index import Index
from pqdb.search.pipeline import search
from pqdb.search.trace import Trace
from pqdb.search.truth import recall_of, without_itself
from pqdb.upkeep.drift import ASKED, K, some_rows
from pqdb.upkeep.stores import Stores

BROKEN = 0.01  # below what was asked: a generation that does not keep its promise
RERANKED = 8.0  # what looking at a candidate costs, in codes scanned
CHEAPER, NO_DEARER = 0.98, 1.2  # times the cost before: better, and as good but for chance


@dataclass(frozen=True)
class Worth:
    """What a generation is worth to its queries."""

    recall: float
    cost: float  # codes scanned, and candidates looked at in units of them, a query


def proof_of(
    stores: Stores, queries: np.ndarray, seed: int, strictly: bool
) -> Callable[[Index, int], bool]:
    """Whether a generation built aside is better than the current one (or, unless `strictly`, as good), on held-out
    rows and the live `queries` (n, d) there are.
    """

    def proof(new: Index, watermark: int) -> bool:
        with stores.blocks.read() as blocks:
            old = Index.load(blocks)
        before = _worth(stores, old, None, queries, seed)
        after = _worth(stores, new, watermark, queries, seed)
        return is_better(before, after, strictly)

    return proof


def is_better(before: Worth, after: Worth, strictly: bool) -> bool:
    """Whether a generation is worth more than the one before: it keeps the promise where that one does not, or keeps it
    at less cost.
    """
    kept_before, kept_after = (each.recall >= ASKED - BROKEN for each in (before, after))
    if kept_before and kept_after:
        return after.cost < CHEAPER * before.cost if strictly else after.cost <= NO_DEARER * before.cost
    return kept_after or after.recall > before.recall + (BROKEN if kept_before or strictly else 0)


def _worth(stores: Stores, index: Index, watermark: int | None, queries: np.ndarray, seed: int) -> Worth:
    with stores.blocks.read() as blocks, stores.points.read() as points:
        if watermark is not None:
            blocks.look_at(index.generation, watermark)
        snapshot = stores.snapshot(blocks, points, index)
        rows, stored = some_rows(stores, points, seed)
        asked = np.concatenate([stored, queries[: len(stored)]])
        itself = np.concatenate([rows.astype(np.int64), np.full(len(asked) - len(stored), -1)])
        plan, cost = index.plan(K + 1, ASKED, None, None), 0.0
        found = []
        for query in asked:
            trace = Trace()
            found.append(search(snapshot, query[None], plan, points.live, K + 1, trace))
            cost += trace.codes + RERANKED * trace.reranked
        values, rows_found = joined(found)
        truth, _ = without_itself(search_batch(snapshot, asked, None, points.live, K + 1), itself)
        others, _ = without_itself((values, rows_found), itself)
        return Worth(float(recall_of(others, truth).mean()), cost / len(asked))
