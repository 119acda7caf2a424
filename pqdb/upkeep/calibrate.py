"""Calibrate: what recall costs in this generation, learned from its own rows.

A row that is asked for finds its nearest too easily: most of them lie in the list that was made around it, where it
stands at the centre of what is near. A question has no such list. So each row is asked for twice: as it is, and as if
the list it lies in, and all rows of it, were not there (docs/decisions/046). What the nearest lists left then take is
what questions take that are as far from all lists; and of both words the one that asks for more counts.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from pqdb.config import MAX_K
from pqdb.panels import half_squares, inner_products
from pqdb.partition.router import Router
from pqdb.search.lists import ListedRows
from pqdb.search.plan import TARGETS, Calibration
from pqdb.search.scatter import Scatter
from pqdb.search.snapshot import Snapshot
from pqdb.threads import share_rows
from pqdb.upkeep.order import list_places, lists_of_nearest, rows_that_are
from pqdb.upkeep.queries import made_queries, strangers
from pqdb.upkeep.sample import Sample

ROWS = 1_000  # that are asked for
FAR, FAR_ROWS = 100, 500  # up to this k their nearest are searched for; beyond 10 some of them tell enough
NEAR = 10
DEEP_QUERIES, DEEP_PAIRS = 64, 4_096  # for larger k: at least, and of these with their nearest in a sample
DEEP_ROWS, DEEP_AT_ONCE = 1 << 17, 64  # of the sample; queries at a time …
DEEP_PART, RANKED_TOGETHER = 4_096, 8  # … and rows, then queries, for a thread
BINS = 6
STRANGERS, BEYOND_BINS, FEWEST_BEYOND = 200, 3, 60  # queries unlike any row, and those beyond all bins of rows
FEWEST_OF_BIN = 5
SCATTER_ROWS, SCATTER_QUERIES, SCATTER_MADE = 2_048, 256, 52
CAUTION, CAUTION_POWER = 0.7, 0.3  # see aim
KS = (1, 10, 100, 1_000, MAX_K)


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Rows that are asked for."""

    queries: np.ndarray  # (q, d) float32, as metric.prepare leaves them
    itself: np.ndarray  # (q,) int64 the row each is, −1 for none
    left_out: np.ndarray  # (q,) int32 the list that is not there for each, −1 for none
    place: np.ndarray  # (q, n_lists) int32: when each list is probed
    ease: np.ndarray  # (q,) float32: how near the nearest centroid is

    @classmethod
    def of(cls, router: Router, queries: np.ndarray, itself: np.ndarray, left_out: np.ndarray) -> Self:
        """These, in the order that a router ranks lists in."""
        return cls(queries, itself, left_out, *list_places(router, router.to_index_space(queries), left_out))

    def take(self, which: np.ndarray | slice) -> Self:
        """Some of them."""
        return replace(
            self, queries=self.queries[which].copy(), itself=self.itself[which], left_out=self.left_out[which],
            place=self.place[which], ease=self.ease[which],
        )  # fmt: skip

    def ranks(self, lists: np.ndarray, k: int) -> np.ndarray:
        """(q, k) int32: when the list of each of the k nearest is probed, of which lists (q, n ≥ k) int32 are those of
        the nearest of all rows, −1 for none; −1 where there are fewer.
        """
        gone = (lists < 0) | (lists == self.left_out[:, None])
        order = np.argsort(gone, axis=1, kind="stable")[:, :k]
        ranks = np.take_along_axis(self.place, np.take_along_axis(lists, order, axis=1), axis=1)
        return np.where(np.take_along_axis(gone, order, axis=1), np.int32(-1), ranks)


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """Lists that a recall takes, by how easy queries are."""

    knots: np.ndarray  # (b,) float32 ascending
    widths: np.ndarray  # (len(ks), targets, b) float32

    def then(self, other: Self) -> Self:
        """This one for queries that are harder than any the other knows of."""
        widths = np.concatenate([self.widths, other.widths], axis=2)
        return replace(self, knots=np.concatenate([self.knots, other.knots]), widths=widths)

    def at(self, knots: np.ndarray) -> np.ndarray:
        """(len(ks), targets, knots) float32, as a search looks it up."""
        return np.apply_along_axis(partial(np.interp, knots, self.knots), 2, self.widths).astype(np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class Nearest:
    """The lists of what is nearest to what is asked for, nearest first and without itself; −1 for none."""

    near: np.ndarray  # (q, n) int32 of all rows there are
    deep: np.ndarray  # (the first of them, m) int32 of a sample
    share: float  # of all rows, that this sample is

    @classmethod
    def of(
        cls, snapshot: Snapshot, sample: Sample, queries: np.ndarray, itself: np.ndarray, allowed: np.ndarray,
        ks: list[int], behind: int,
    ) -> Self:  # fmt: skip
        """Of queries (q, d), of which each is the row itself (q,), −1 for none: as many as the largest k, and as are
        behind so many rows.
        """
        assert snapshot.index is not None
        near = lists_of_nearest(snapshot, queries, itself, sample.list_of_row, allowed, min(ks[-1], FAR) + behind)
        share, deep = sample.share(DEEP_ROWS), [k for k in ks if k > FAR]
        if not deep:
            return cls(near, np.empty((0, 1), np.int32), share)
        some = slice(0, max(DEEP_QUERIES, DEEP_PAIRS // max(1, round(deep[0] * share))))
        n = round((deep[-1] + behind) * share)
        return cls(near, _lists_in_sample(snapshot.index.router, sample, queries[some], itself[some], n), share)

    def take(self, which: np.ndarray) -> Self:
        """Of some of the rows, in ascending order."""
        return replace(self, near=self.near[which], deep=self.deep[which[: np.searchsorted(which, len(self.deep))]])

    def ranks(self, asked: Asked, k: int) -> np.ndarray:
        """(some of the rows, k or what k is in a sample) as Asked.ranks. The larger k, the more neighbours a row has,
        and the fewer rows tell as much.
        """
        if k > FAR:
            return asked.take(slice(0, len(self.deep))).ranks(self.deep, max(1, round(k * self.share)))
        some = slice(0, FAR_ROWS if k > NEAR else ROWS)
        return asked.take(some).ranks(self.near[some], k)


def calibrate(snapshot: Snapshot, sample: Sample, allowed: np.ndarray, seed: int) -> Calibration:
    """The table of list counts, for a snapshot whose index holds everything else of a calibration."""
    assert snapshot.index is not None
    index, router = snapshot.index, snapshot.index.router
    metric, own, lengths = snapshot.config.metric, sample.lists(ROWS), snapshot.blocks.counts
    queries, rows = sample.vectors[: len(own)], sample.rows[: len(own)].astype(np.int64)
    hidden = sample.with_lists_to_leave(ROWS, lengths)
    behind = int(lengths[own[hidden]].max(initial=0))
    ks = [k for k in KS if k == 1 or 2 * k <= len(sample.list_of_row)]
    nearest = Nearest.of(snapshot, sample, queries, rows, allowed, ks, behind)
    told = partial(_told, ks=ks, aims=[aim(target, metric) for target in TARGETS])
    table = told(Asked.of(router, queries, rows, np.full(len(own), -1, np.int32)), nearest)
    if len(table.knots) < BINS:  # rows that are all alike tell nothing of queries that are not
        first = np.full_like(table.widths[:, :, :1], router.n_lists)
        knots = np.concatenate([[min(0, 2 * table.knots[0])], table.knots]).astype(np.float32)
        table = Table(knots, np.concatenate([first, table.widths], axis=2))
    if len(hidden):
        asked = Asked.of(router, queries[hidden], rows[hidden], own[hidden])
        table = _larger(table, told(asked, nearest.take(hidden)))
    if metric == "dot":
        others, nobody = strangers(sample.vectors, metric, seed, STRANGERS), np.full(STRANGERS, -1, np.int64)
        asked = Asked.of(router, others, nobody, nobody.astype(np.int32))
        beyond = np.flatnonzero(asked.ease < table.knots[0])
        if len(beyond) >= FEWEST_BEYOND:
            nearest = Nearest.of(snapshot, sample, others[beyond], nobody[beyond], allowed, ks, 0)
            table = told(asked.take(beyond), nearest, n_bins=BEYOND_BINS).then(table)
    scatter = measure_scatter(router, sample, metric, ListedRows.read(snapshot, index).lengths, seed)
    return replace(index.calibration, ks=tuple(ks), knots=table.knots, widths=table.widths, scatter=scatter)


def aim(target: float, metric: str) -> float:
    """The recall to reach on rows so that questions reach `target`, until some are seen.

    Where rows' lengths count, the longest are near to every query, whatever list is left out: asked .90, .95 and .99,
    questions to rows whose lengths differ by half found .86, .91 and .97 (docs/decisions/046).
    """
    loss = 1 - target
    return 1 - CAUTION * loss * float((loss / 0.1) ** CAUTION_POWER) if metric == "dot" else target


def _told(asked: Asked, nearest: Nearest, ks: list[int], aims: list[float], n_bins: int = BINS) -> Table:
    """The table that these queries tell."""
    bins = _bins(asked.ease, n_bins)
    knots = np.array([np.median(asked.ease[bins == b]) for b in range(bins.max() + 1)], np.float32)
    every = [nearest.ranks(asked, k) for k in ks]
    widths = [_widths(ranks, bins[: len(ranks)], len(knots), asked.place.shape[1], aims) for ranks in every]
    if len(ks) > 1:  # one neighbour a row tells little: half of the word is the ten nearest's
        widths[0] = np.sqrt(widths[0] * widths[1])
    return Table(knots, np.stack(widths))


def _larger(one: Table, other: Table) -> Table:
    """The table that asks for as many lists as the one of two that asks for more."""
    knots = np.union1d(one.knots, other.knots)
    return Table(knots, np.maximum(one.at(knots), other.at(knots)))


def _bins(ease: np.ndarray, count: int) -> np.ndarray:
    """(q,) int64: which of so many bins each belongs to, by how easy it is (q,), ascending. They share them evenly;
    where many are equally easy there are fewer.
    """
    edges = np.quantile(ease, np.linspace(0, 1, count + 1)[1:-1])
    numbered: np.ndarray = np.unique(np.searchsorted(edges, ease), return_inverse=True)[1]
    return numbered


def _widths(ranks: np.ndarray, bins: np.ndarray, n_bins: int, n_lists: int, aims: list[float]) -> np.ndarray:
    """(targets, bins) float32: the fewest lists that find the share of the neighbours aimed at, bin by bin, of ranks
    (q, k) int32, −1 for none. A bin with too few queries to tell is taken for the one above it.
    """
    widths = np.full((len(aims), n_bins), n_lists, np.float32)
    for b in range(n_bins)[::-1]:
        mine = ranks[bins == b]
        told = mine[mine >= 0]
        if len(mine) < FEWEST_OF_BIN or not len(told):
            widths[:, b] = widths[:, min(b + 1, n_bins - 1)]
            continue
        reached = np.cumsum(np.bincount(told, minlength=n_lists)) / len(told)
        widths[:, b] = [np.searchsorted(reached, aimed) + 1 for aimed in aims]
    return np.minimum(widths, n_lists)


def measure_scatter(router: Router, sample: Sample, metric: str, lengths: np.ndarray, seed: int) -> Scatter:
    """How rows of a sample scatter, as queries see it: for l2 rows, for inner products harder ones made of them, too.
    lengths (n_lists,) of the residuals in each list.
    """
    n_rows, made = (SCATTER_QUERIES, 0) if router.l2 else (2 * SCATTER_MADE, SCATTER_MADE)
    queries, n_rows = made_queries(sample.vectors, metric, seed, n_rows, made)
    itself = rows_that_are(sample.rows[:n_rows], len(queries))
    moved = router.to_index_space(queries)
    listed = np.flatnonzero(sample.lists(SCATTER_ROWS) >= 0)
    lists, others = sample.lists(SCATTER_ROWS)[listed], itself[:, None] != sample.rows[listed]
    residuals = router.to_index_space(sample.vectors[listed]) - router.centroids[lists]
    place, _ = list_places(router, moved)
    return Scatter.measured(moved, place, others, residuals, lists, router.centroids, lengths, router.l2)


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
