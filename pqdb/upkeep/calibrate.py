"""Calibrate: what recall costs in this generation, learned from its own rows.

A row that is asked for finds its nearest too easily: most of them lie in the list that was made around it, where it
stands at the centre of what is near. A question has no such list. So each row is asked for twice: as it is, and as if
the list it lies in, and all rows of it, were not there (docs/decisions/046). What is near then takes as many lists as
it takes questions that are as far from all lists; and of both words the one that asks for more counts.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from pqdb.config import MAX_K
from pqdb.kernels.route import RIVALS
from pqdb.partition.router import Router
from pqdb.search.lists import ListedRows
from pqdb.search.plan import TARGETS, Calibration
from pqdb.search.scatter import Scatter
from pqdb.search.snapshot import Snapshot
from pqdb.upkeep.asked import ROWS, Asked, Nearest
from pqdb.upkeep.order import list_places, rows_that_are
from pqdb.upkeep.queries import made_queries, profiles, strangers
from pqdb.upkeep.sample import Sample

BINS, FEWEST_OF_BIN, FEWEST_HIDDEN, FEWEST_ALIKE = 6, 5, 100, 20
STRANGERS, STRANGERS_BINS, FEWEST_BEYOND = 200, 3, 60
FARTHER, TELLING_ROWS = 4, 256  # knots for harder queries than any that told; rows that tell whether rivals tell
SCATTER_ROWS, SCATTER_QUERIES, SCATTER_MADE = 2_048, 256, 52
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


def calibrate(snapshot: Snapshot, sample: Sample, allowed: np.ndarray, seed: int) -> Calibration:
    """The table of list counts, for a snapshot whose index holds everything else of a calibration."""
    assert snapshot.index is not None
    index, metric = snapshot.index, snapshot.config.metric
    router, within = index.router, _within(index.router, sample)
    ks = [k for k in KS if k == 1 or 2 * k <= len(sample.list_of_row)]
    table = _told_by_rows(snapshot, sample, allowed, ks, within)
    table = _told_by_strangers(snapshot, sample, allowed, ks, within, table, seed)
    scatter = measure_scatter(router, sample, metric, ListedRows.read(snapshot, index).lengths, seed)
    known = replace(index.calibration, knots=table.knots, widths=table.widths, within=within)
    return replace(known, ks=tuple(ks), scatter=scatter)


def _within(router: Router, sample: Sample) -> float:
    """How near to the best list others are that make a query harder; 0 where rows do not differ in that, being alike:
    nothing follows from it for queries that are not.
    """
    within = RIVALS * router.row_sigma
    _, ease = router.keys_of(router.to_index_space(sample.vectors[:TELLING_ROWS]), within=within)
    return within if _bins(ease, BINS).max() >= BINS - 1 else 0.0


def _told_by_rows(snapshot: Snapshot, sample: Sample, allowed: np.ndarray, ks: list[int], within: float) -> Table:
    """What rows of a sample tell, as they are and without their lists."""
    assert snapshot.index is not None
    router, lengths = snapshot.index.router, snapshot.blocks.counts
    own, hidden = sample.lists(ROWS), sample.with_lists_to_leave(ROWS, lengths)
    order = np.concatenate([hidden, np.setdiff1d(np.arange(len(own)), hidden)])  # the first tell of more neighbours
    queries, rows, lists = sample.vectors[order], sample.rows[order].astype(np.int64), own[order[: len(hidden)]]
    nearest = Nearest.of(snapshot, sample, queries, rows, allowed, ks, behind=int(lengths[lists].max(initial=0)))
    table = _told(Asked.of(router, queries, within), nearest, ks, BINS)
    if len(table.knots) < BINS:  # rows that are all alike tell nothing of queries that are not
        first, everywhere = table.knots[:1], np.full_like(table.widths[:, :, :1], router.n_lists)
        beyond = np.minimum(np.minimum(2 * first, np.nextafter(first, -np.inf)), np.float32(0))
        table = Table(beyond, everywhere).then(table)
    if len(hidden) < FEWEST_HIDDEN:
        return table
    without = Asked.of(router, queries[: len(hidden)], within, lists)
    return _larger(table, _told(without, nearest.first(len(hidden)), ks, BINS))


def _told_by_strangers(
    snapshot: Snapshot, sample: Sample, allowed: np.ndarray, ks: list[int], within: float, table: Table, seed: int
) -> Table:
    """A table, what harder queries take before it, and what queries tell that are unlike any row. Where lengths count,
    the longest rows are near to every query, whatever list is left out, and their word is as good as that of rows. Else
    it is that on queries which are harder than all the table knows of.
    """
    assert snapshot.index is not None
    router, metric = snapshot.index.router, snapshot.config.metric
    harder = _harder(table, router.n_lists, within)
    known = harder.then(table) if metric == "dot" else harder
    for made in (strangers, profiles):
        queries = made(sample.vectors, metric, seed, STRANGERS)
        asked = Asked.of(router, queries, within)
        if metric != "dot":
            beyond = asked.ease < table.knots[0]
            queries, asked = queries[beyond], asked.take(beyond)
        if len(queries) < FEWEST_BEYOND:
            continue
        nearest = Nearest.of(snapshot, sample, queries, np.full(len(queries), -1), allowed, ks, behind=0)
        told = _told(asked, nearest, ks, STRANGERS_BINS)
        if metric != "dot":
            told = replace(told, widths=np.maximum(told.widths, table.widths[:, :, :1]))
        known = _larger(known, told) if len(known.knots) else told
    return known if metric == "dot" else known.then(table)


def _harder(table: Table, n_lists: int, within: float) -> Table:
    """What queries take that more lists rival than any the table knows of: as many more lists. Of no knots where rivals
    are not looked at, or all lists are.
    """
    hardest = max(1.0, -float(table.knots[0]))
    count = FARTHER if within and hardest < n_lists else 0
    rivals = np.geomspace(n_lists, hardest, FARTHER + 1)[:count].astype(np.float32)
    wider = np.minimum(table.widths[:, :, :1] * (rivals / np.float32(hardest)), np.float32(n_lists))
    return Table(-rivals, wider)


def _told(asked: Asked, nearest: Nearest, ks: list[int], n_bins: int) -> Table:
    """The table that these queries tell."""
    bins = _bins(asked.ease, n_bins)
    knots = np.array([np.median(asked.ease[bins == b]) for b in range(bins.max() + 1)], np.float32)
    every = [nearest.ranks(asked, k) for k in ks]
    widths = [_widths(ranks, bins[: len(ranks)], len(knots), asked.place.shape[1]) for ranks in every]
    if len(ks) > 1:  # one neighbour a query tells little: half of the word is the ten nearest's
        widths[0] = np.sqrt(widths[0] * widths[1])
    return Table(knots, np.stack(widths))


def _larger(one: Table, other: Table) -> Table:
    """The table that asks for as many lists as the one of two that asks for more."""
    knots = np.union1d(one.knots, other.knots)
    return Table(knots, np.maximum(one.at(knots), other.at(knots)))


def _bins(ease: np.ndarray, count: int) -> np.ndarray:
    """(q,) int64: which of so many bins each belongs to, by how easy it is (q,), ascending. They share them evenly;
    where many are equally easy there are fewer. Rows that are as easy as many others to the bit, since they are
    copies, have a bin of their own: what they take says nothing of rows that are almost as easy.
    """
    edges = np.quantile(ease, np.linspace(0, 1, count + 1)[1:-1])
    values, times = np.unique(ease, return_counts=True)
    apart = values[times >= FEWEST_ALIKE]
    edges = np.unique(np.concatenate([edges, apart, np.nextafter(apart, -np.inf)]))
    numbered: np.ndarray = np.unique(np.searchsorted(edges, ease), return_inverse=True)[1]
    return numbered


def _widths(ranks: np.ndarray, bins: np.ndarray, n_bins: int, n_lists: int) -> np.ndarray:
    """(targets, bins) float32: the fewest lists that find the share of the neighbours aimed at, bin by bin, of ranks
    (q, k) int32, −1 for none. For a bin with too few queries to tell, all of them tell; all lists where none does.
    """
    widths = np.full((len(TARGETS), n_bins), n_lists, np.float32)
    for b in range(n_bins):
        mine = ranks[bins == b] if np.count_nonzero(bins == b) >= FEWEST_OF_BIN else ranks
        told = mine[mine >= 0]
        if len(told):
            reached = np.cumsum(np.bincount(told, minlength=n_lists)) / len(told)
            widths[:, b] = np.searchsorted(reached, TARGETS) + 1
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
    place, _ = list_places(router, moved, within=0.0)
    return Scatter.measured(moved, place, others, residuals, lists, router.centroids, lengths, router.l2)
