"""Calibrate: what recall costs in this generation, learned from its own rows.

A row that is asked for finds its nearest too easily: most of them lie in the list that was made around it, where it
stands at the centre of what is near. A question has no such list. So each row is asked for twice: as it is, and as if
the list it lies in, and all rows of it, were not there (docs/decisions/046). What the nearest lists left then take is
what questions take that are as far from all lists; and of both words the one that asks for more counts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from pqdb.config import MAX_K
from pqdb.partition.router import Router
from pqdb.search.lists import ListedRows
from pqdb.search.plan import TARGETS, Calibration
from pqdb.search.scatter import Scatter
from pqdb.search.snapshot import Snapshot
from pqdb.upkeep.asked import ROWS, Asked, Nearest
from pqdb.upkeep.order import list_places, rows_that_are
from pqdb.upkeep.queries import made_queries, strangers
from pqdb.upkeep.sample import Sample

BINS, FEWEST_OF_BIN = 6, 5
STRANGERS, BEYOND_BINS, FEWEST_BEYOND = 200, 3, 60  # queries unlike any row, and those beyond all bins of rows
SCATTER_ROWS, SCATTER_QUERIES, SCATTER_MADE = 2_048, 256, 52
CAUTION, CAUTION_POWER = 0.7, 0.3  # see aim
KS = (1, 10, 100, 1_000, MAX_K)


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


Told = Callable[..., Table]  # _told, for some k and targets


def calibrate(snapshot: Snapshot, sample: Sample, allowed: np.ndarray, seed: int) -> Calibration:
    """The table of list counts, for a snapshot whose index holds everything else of a calibration."""
    assert snapshot.index is not None
    index, metric = snapshot.index, snapshot.config.metric
    ks = [k for k in KS if k == 1 or 2 * k <= len(sample.list_of_row)]
    told = partial(_told, ks=ks, aims=[aim(target, metric) for target in TARGETS])
    table = _told_by_rows(snapshot, sample, allowed, ks, told)
    if metric == "dot":
        table = _told_by_strangers(snapshot, sample, allowed, ks, told, table, seed)
    scatter = measure_scatter(index.router, sample, metric, ListedRows.read(snapshot, index).lengths, seed)
    return replace(index.calibration, ks=tuple(ks), knots=table.knots, widths=table.widths, scatter=scatter)


def aim(target: float, metric: str) -> float:
    """The recall to reach on rows so that questions reach `target`, until some are seen.

    Where rows' lengths count, the longest are near to every query, whatever list is left out: asked .90, .95 and .99,
    questions to rows whose lengths differ by half found .86, .91 and .97 (docs/decisions/046).
    """
    loss = 1 - target
    return 1 - CAUTION * loss * float((loss / 0.1) ** CAUTION_POWER) if metric == "dot" else target


def _told_by_rows(snapshot: Snapshot, sample: Sample, allowed: np.ndarray, ks: list[int], told: Told) -> Table:
    """What rows of a sample tell, as they are and without their lists."""
    assert snapshot.index is not None
    router, own, lengths = snapshot.index.router, sample.lists(ROWS), snapshot.blocks.counts
    queries, rows = sample.vectors[: len(own)], sample.rows[: len(own)].astype(np.int64)
    hidden = sample.with_lists_to_leave(ROWS, lengths)
    behind = int(lengths[own[hidden]].max(initial=0))
    nearest = Nearest.of(snapshot, sample, queries, rows, allowed, ks, behind)
    table = told(Asked.of(router, queries, rows, np.full(len(own), -1, np.int32)), nearest)
    if len(table.knots) < BINS:  # rows that are all alike tell nothing of queries that are not
        everywhere = np.full_like(table.widths[:, :, :1], router.n_lists)
        table = Table(np.minimum(2 * table.knots[:1], 0), everywhere).then(table)
    if not len(hidden):
        return table
    without = Asked.of(router, queries[hidden], rows[hidden], own[hidden])
    return _larger(table, told(without, nearest.take(hidden)))


def _told_by_strangers(
    snapshot: Snapshot, sample: Sample, allowed: np.ndarray, ks: list[int], told: Told, table: Table, seed: int
) -> Table:
    """A table, and before it what strangers tell that are harder than all it knows of."""
    assert snapshot.index is not None
    queries, none = strangers(sample.vectors, snapshot.config.metric, seed, STRANGERS), np.full(STRANGERS, -1)
    asked = Asked.of(snapshot.index.router, queries, none, none.astype(np.int32))
    beyond = np.flatnonzero(asked.ease < table.knots[0])
    if len(beyond) < FEWEST_BEYOND:
        return table
    nearest = Nearest.of(snapshot, sample, queries[beyond], none[beyond], allowed, ks, behind=0)
    return told(asked.take(beyond), nearest, n_bins=BEYOND_BINS).then(table)


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
