"""Rows that are asked for, as they are or without the list they lie in, and the lists of what is nearest to them.

The truth is the generation's own exhaustive scan, and for many neighbours a sample of the rows.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from pqdb.panels import half_squares, inner_products
from pqdb.partition.router import Router
from pqdb.search.snapshot import Snapshot
from pqdb.threads import share_rows
from pqdb.upkeep.order import list_places, lists_of_nearest
from pqdb.upkeep.sample import Sample

ROWS = 1_000  # that are asked for
FAR, FAR_ROWS = 100, 500  # up to this k their nearest are searched for; beyond 10 some of them tell enough
NEAR = 10
DEEP_QUERIES, DEEP_PAIRS = 64, 4_096  # for larger k: at least, and of these with their nearest in a sample
DEEP_ROWS, DEEP_AT_ONCE = 1 << 17, 64  # of the sample; queries at a time …
DEEP_PART, RANKED_TOGETHER = 4_096, 8  # … and rows, then queries, for a thread


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """How lists are probed for queries."""

    left_out: np.ndarray  # (q,) int32 the list that is not there for each, −1 for none
    place: np.ndarray  # (q, n_lists) int32: when each list is probed
    ease: np.ndarray  # (q,) float32, the larger the fewer lists it takes: see kernels.route.ease

    @classmethod
    def of(cls, router: Router, queries: np.ndarray, within: float, left_out: np.ndarray | None = None) -> Self:
        """Of queries (q, d), as metric.prepare leaves them."""
        none = np.full(len(queries), -1, np.int32) if left_out is None else left_out
        return cls(none, *list_places(router, router.to_index_space(queries), within, none))

    def take(self, which: np.ndarray | slice) -> Self:
        """For some of them."""
        return replace(self, left_out=self.left_out[which], place=self.place[which], ease=self.ease[which])

    def ranks(self, lists: np.ndarray, k: int) -> np.ndarray:
        """(q, k) int32: when the list of each of the k nearest is probed, of which lists (q, n ≥ k) int32 are those of
        the nearest of all rows, −1 for none; −1 where there are fewer.
        """
        gone = (lists < 0) | (lists == self.left_out[:, None])
        order = np.argsort(gone, axis=1, kind="stable")[:, :k]
        ranks = np.take_along_axis(self.place, np.take_along_axis(lists, order, axis=1), axis=1)
        return np.where(np.take_along_axis(gone, order, axis=1), np.int32(-1), ranks)


@dataclass(frozen=True, eq=False, slots=True)
class Nearest:
    """The lists of what is nearest to queries, nearest first and without the rows they are; −1 for none."""

    near: np.ndarray  # (q, n) int32 of all rows there are
    deep: np.ndarray  # (the first of them, m) int32 of a sample
    share: float  # of all rows, that this sample is

    @classmethod
    def of(
        cls, snapshot: Snapshot, sample: Sample, queries: np.ndarray, itself: np.ndarray, allowed: np.ndarray,
        ks: list[int], behind: int,
    ) -> Self:  # fmt: skip
        """For queries (q, d), of which each is the row itself (q,), −1 for none: as many as the largest of ks, and
        `behind` more, for those of a list that is left out are in the way.
        """
        assert snapshot.index is not None
        near = lists_of_nearest(snapshot, queries, itself, sample.list_of_row, allowed, min(ks[-1], FAR) + behind)
        share, deep = sample.share(DEEP_ROWS), [k for k in ks if k > FAR]
        if not deep:
            return cls(near, np.empty((0, 1), np.int32), share)
        some = slice(0, max(DEEP_QUERIES, DEEP_PAIRS // max(1, round(deep[0] * share))))
        n = round((deep[-1] + behind) * share)
        return cls(near, _lists_in_sample(snapshot.index.router, sample, queries[some], itself[some], n), share)

    def first(self, count: int) -> Self:
        """For so many of the queries."""
        return replace(self, near=self.near[:count], deep=self.deep[:count])

    def ranks(self, asked: Asked, k: int) -> np.ndarray:
        """(the first of the queries, k or what k is in the sample) int32 as Asked.ranks. The larger k, the more
        neighbours a query has, and the fewer queries tell as much.
        """
        if k > FAR:
            return asked.take(slice(0, len(self.deep))).ranks(self.deep, max(1, round(k * self.share)))
        some = slice(0, FAR_ROWS if k > NEAR else len(self.near))
        return asked.take(some).ranks(self.near[some], k)


def _lists_in_sample(
    router: Router, sample: Sample, queries: np.ndarray, itself: np.ndarray, n: int
) -> np.ndarray:
    """(q, ≤ n) int32 the list of the n rows of a sample that are nearest to queries (q, d), nearest first and without
    the row that a query itself is (q,); −1 for none.
    """
    lists, rows = sample.lists(DEEP_ROWS), sample.rows[:DEEP_ROWS]
    found = np.empty((len(queries), int(np.clip(n, 1, max(1, len(lists) - 1)))), np.int32)
    for start in range(0, len(queries), DEEP_AT_ONCE):
        part = slice(start, start + DEEP_AT_ONCE)
        values = _values_in_sample(router, queries[part], sample)
        values[:, lists < 0] = -np.inf
        values[rows == itself[part, None]] = -np.inf
        share_rows(partial(_lists_of_best, values, lists, found[part]), len(values), RANKED_TOGETHER)
    return found


def _lists_of_best(values: np.ndarray, lists: np.ndarray, found: np.ndarray, part: slice) -> None:
    """found (q, n) int32 out: the list of each of the n rows of largest value (q, rows), in order; −1 for rows of no
    value.
    """
    n = found.shape[1]
    best = np.argpartition(-values[part], n - 1, axis=1)[:, :n]
    largest = np.take_along_axis(values[part], best, axis=1)
    order = np.argsort(-largest, axis=1)
    there = ~np.isneginf(np.take_along_axis(largest, order, axis=1))
    found[part] = np.where(there, lists[np.take_along_axis(best, order, axis=1)], np.int32(-1))


def _values_in_sample(router: Router, queries: np.ndarray, sample: Sample) -> np.ndarray:
    """(q, n) float32, the larger the nearer: of queries (q, d) to rows of the sample, in index space, where products
    keep their digits.
    """
    moved, count = router.to_index_space(queries), min(len(sample.rows), DEEP_ROWS)
    values = np.empty((len(queries), count), np.float32)

    def compare(part: slice) -> None:
        vectors = router.to_index_space(sample.vectors[part])
        values[:, part] = inner_products(vectors, moved).T - (half_squares(vectors) if router.l2 else np.float32(0))

    share_rows(compare, count, DEEP_PART)
    return values
