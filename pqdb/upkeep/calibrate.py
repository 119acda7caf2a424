"""Calibrate: what recall costs in this generation, learned from rows held against themselves and harder queries made
of them.

Held-out rows alone break the promise: real questions are not distributed like rows (asked .95, they got .85 to .90).
So three in five of the calibration queries are made: rows with half or four fifths of their dimensions set to the
mean, and rows with noise of the data's own covariance. For l2, where these would flatter nobody, they tell only of
queries that are farther from every list than rows are; for inner products, where these are about as far, strangers do.
The truth is the generation's own exhaustive scan, within .002 of exact at a thousandth of the cost.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from pqdb.config import MAX_K
from pqdb.kernels.route import list_keys
from pqdb.panels import half_squares, inner_products
from pqdb.partition.router import Router
from pqdb.search.batch import search_batch
from pqdb.search.lists import ListedRows
from pqdb.search.plan import TARGETS, Calibration, plan_by_hand
from pqdb.search.scatter import Scatter
from pqdb.search.snapshot import Snapshot
from pqdb.threads import share_rows

ROWS = 1_000  # queries that are rows
MADE, MADE_L2 = 500, 150  # of each made kind
STRANGERS = 200  # for inner products
COVARIANCE_ROWS = 2_048  # that the data's covariance is taken from
NEAR = 10  # up to this k every query is asked …
FAR, FAR_QUERIES = 100, 500  # … up to this some, and beyond a few, whose neighbours are dense enough in a sample
DEEP_QUERIES, DEEP_PAIRS = 64, 4_096  # at least, of queries, and of these with the nearest of the sample
DEEP_ROWS, DEEP_AT_ONCE = 1 << 17, 64  # of the sample; queries at a time …
DEEP_PART, RANKED_TOGETHER = 4_096, 8  # … and rows, then queries, for a thread
FEWEST_USUAL = 300  # rows, or made queries are as usual
BINS = 6
FEWEST_OF_BIN = 5
BEYOND, BEYOND_BINS, FEWEST_BEYOND = 0.01, 3, 60  # see _bins
RANKED_AT_ONCE, RANKED_KEYS = 256, 1 << 22  # queries for a thread, and keys
SCATTER_QUERIES, SCATTER_ROWS = 256, 2_048
CAUTION, CAUTION_POWER = 0.7, 0.3  # see aim
KS = (1, 10, 100, 1_000, MAX_K)


def calibration_queries(
    sample: np.ndarray, metric: str, seed: int, rows: int = ROWS, made: int = MADE
) -> tuple[np.ndarray, int]:
    """So many rows of a sample (n, d), then `made` queries of each kind, in the form metric.prepare leaves; and how
    many of them are rows.

    But for l2 a made query is as far from the mean as the row it is made of. What hides from a row four fifths of its
    dimensions takes half of that, and where rows have much in common, the mean is then all that is left: such queries
    have other keys than questions that are as hard.
    """
    rng = np.random.default_rng(seed)
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    noise = _noise_like(sample[:COVARIANCE_ROWS] - mean, made, rng)

    def veiled(share: float, moved: np.ndarray) -> np.ndarray:
        left: np.ndarray = np.where(rng.random(moved.shape) < share, np.float32(0), moved)
        return left

    def blurred(moved: np.ndarray) -> np.ndarray:
        noisy: np.ndarray = moved + rng.uniform(0, 4, (made, 1)).astype(np.float32) * noise
        return noisy

    kinds = [sample[:rows]]
    changes: tuple[Callable[[np.ndarray], np.ndarray], ...] = partial(veiled, 0.5), partial(veiled, 0.8), blurred
    for change in changes:
        moved = sample[rng.integers(0, len(sample), made)] - mean
        changed = change(moved)
        kinds.append(mean + (changed if metric == "l2" else changed * (_lengths(moved) / _lengths(changed))))
    if metric == "l2":
        kinds.append((sample[rng.integers(0, len(sample), (2, made))].sum(axis=0) / 2).astype(np.float32))
    return _as_prepared(np.concatenate(kinds), metric), len(kinds[0])


def strangers(sample: np.ndarray, metric: str, seed: int, count: int) -> np.ndarray:
    """(count, d) queries unlike any row of a sample (n, d), in the form metric.prepare leaves: noise of the data's own
    covariance, as far out as rows, about any share of the mean. Who recommends, or asks across languages, asks so.
    """
    rng = np.random.default_rng(seed)
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    noise = _noise_like(sample[:COVARIANCE_ROWS] - mean, count, rng)
    far = _lengths(sample[rng.integers(0, len(sample), count)] - mean)
    return _as_prepared(rng.uniform(0, 1, (count, 1)) * mean + noise * (far / _lengths(noise)), metric)


def _as_prepared(queries: np.ndarray, metric: str) -> np.ndarray:
    """Made queries (n, d) in the form that metric.prepare leaves, which would refuse those that are very long."""
    if metric == "cosine":
        queries = queries / _lengths(queries)
    return np.ascontiguousarray(queries, dtype=np.float32)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """(n, 1) of vectors (n, d); 1 for one of nothing, which may then be divided by it."""
    lengths: np.ndarray = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    return lengths


def _noise_like(centred: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, d) float32 Gaussian noise of the covariance of centred rows (n, d): sums of them, weighted at random."""
    weights = rng.standard_normal((count, len(centred)), np.float32) / np.float32(np.sqrt(len(centred)))
    return inner_products(weights, centred.T)


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Calibration queries."""

    queries: np.ndarray  # (q, d) float32, as metric.prepare leaves them
    itself: np.ndarray  # (q,) int64 the row each is, −1 for none
    place: np.ndarray  # (q, n_lists) int32: when each list is probed
    bins: np.ndarray  # (q,) by how near the nearest centroid is: the column of widths
    n_bins: int

    def take(self, which: np.ndarray | slice) -> Self:
        """Some of them."""
        return replace(
            self, queries=self.queries[which].copy(), itself=self.itself[which], place=self.place[which],
            bins=self.bins[which],
        )  # fmt: skip

    def spread(self, count: int) -> Self:
        """About so many of them, evenly."""
        return self.take(slice(0, None, max(1, len(self.queries) // count)))


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """Living rows of the collection in random order, and the list of every row."""

    vectors: np.ndarray  # (n, d) float32, as metric.prepare leaves them
    rows: np.ndarray  # (n,) their numbers
    stands_for: int  # the rows it is drawn from
    list_of_row: np.ndarray  # (n_rows,) int32, −1 for a row that is in none

    def lists(self, most: int) -> np.ndarray:
        """(n,) int32 list of each row, of so many at most."""
        lists: np.ndarray = self.list_of_row[self.rows[:most]]
        return lists

    def share(self, most: int) -> float:
        """So many of them at most, in units of the rows they stand for."""
        return min(len(self.rows), most) / self.stands_for


def rows_that_are(rows: np.ndarray, count: int) -> np.ndarray:
    """(count,) int64: the row that each of so many queries is, of which the first are these rows (n,); −1 for none."""
    itself = np.full(count, -1, np.int64)
    itself[: len(rows)] = rows
    return itself


def calibrate(snapshot: Snapshot, sample: Sample, copied: np.ndarray, allowed: np.ndarray, seed: int) -> Calibration:
    """The table of list counts, for a snapshot whose index holds everything else of a calibration. copied (≤ ROWS,)
    bool: which of the first rows of the sample have copies.
    """
    assert snapshot.index is not None
    index, router = snapshot.index, snapshot.index.router
    l2, made = router.l2, MADE_L2 if router.l2 else MADE
    metric = snapshot.config.metric
    queries, n_rows = calibration_queries(sample.vectors, metric, seed, made=made)
    rows = sample.rows[:n_rows]
    assert len(copied) == n_rows
    if copied.any():  # such rows would say that one list is enough
        queries, rows = np.concatenate([queries[:n_rows][~copied], queries[n_rows:]]), rows[~copied]
        n_rows = len(rows)
    usual = n_rows if l2 and n_rows >= FEWEST_USUAL else len(queries)
    if not l2:
        queries = np.concatenate([queries, strangers(sample.vectors, metric, seed, STRANGERS)])
    itself = rows_that_are(rows, len(queries))
    place, best = list_places(router, router.to_index_space(queries))
    bins = _bins(best, usual, made if l2 else 0)
    knots = np.array([np.median(best[bins == b]) for b in range(bins.max() + 1)], np.float32)
    every = Asked(queries, itself, place, bins, len(knots)).take(bins >= 0)
    ks = [k for k in KS if k == 1 or 2 * k <= len(sample.list_of_row)]
    widths = np.stack(_widths_of(snapshot, every, sample, allowed, ks))
    if len(knots) < BINS:  # rows that are all alike tell nothing of queries that are not
        knots = np.concatenate([[min(0, 2 * knots[0])], knots]).astype(np.float32)
        widths = np.concatenate([np.full_like(widths[:, :, :1], router.n_lists), widths], axis=2)
    lengths = ListedRows.read(snapshot, index).lengths
    scatter = measure_scatter(router, every.take(slice(0, usual)).spread(SCATTER_QUERIES), sample, lengths)
    return replace(index.calibration, ks=tuple(ks), knots=knots, widths=widths, scatter=scatter)


def _bins(best: np.ndarray, usual: int, between: int = 0) -> np.ndarray:
    """(q,) int64 which of the knots each query belongs to, by how easy it is (q,), ascending.

    BINS of them share the usual queries, the first so many, evenly. Those of the others that lie beyond all but a
    hundredth of the usual ones have BEYOND_BINS of their own, below. The rest, −1, tell nothing, but for the last
    `between`: of the usual ones' lowest bin they are, too, if they lie there.
    """
    edges = np.quantile(best[:usual], np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.searchsorted(edges, best)
    order, end = np.arange(len(best)), np.quantile(best[:usual], BEYOND)
    others = order >= usual
    beyond = others & (best < end)
    bins[others & ((bins > 0) | (order < len(best) - between))] = -1
    if beyond.sum() >= FEWEST_BEYOND:
        bins[bins >= 0] += BEYOND_BINS
        parts = np.quantile(best[beyond], np.linspace(0, 1, BEYOND_BINS + 1)[1:-1])
        bins[beyond] = np.searchsorted(parts, best[beyond])
    numbered: np.ndarray = np.unique(bins, return_inverse=True)[1] - (bins.min() < 0)
    return numbered


def _widths_of(
    snapshot: Snapshot, every: Asked, sample: Sample, allowed: np.ndarray, ks: list[int]
) -> list[np.ndarray]:
    """For each k (targets, bins) lists to probe. The larger k, the more neighbours a query has, and the fewer queries
    tell as much.
    """
    assert snapshot.index is not None
    router, alike = snapshot.index.router, snapshot.index.calibration.alike
    near, far, deep = ([k for k in ks if low < k <= high] for low, high in ((0, NEAR), (NEAR, FAR), (FAR, MAX_K)))
    found = []
    for wanted, asked in ((near, every), (far, every.spread(FAR_QUERIES))):
        if wanted:
            ranks = _ranks(snapshot, asked, sample.list_of_row, allowed, wanted[-1])
            found += [_widths(ranks[:, :k], asked, router.n_lists) for k in wanted]
    if deep:
        fewest = max(1, round(deep[0] * sample.share(DEEP_ROWS)))
        asked = every.spread(max(DEEP_QUERIES, DEEP_PAIRS // fewest))
        ranks = _ranks_in_sample(router, asked, sample, deep[-1])
        counts = [max(1, round(k / deep[-1] * ranks.shape[1])) for k in deep]
        found += [_widths(ranks[:, :count], asked, router.n_lists) for count in counts]
    # What the queries are made of is nearer to them than any row is to a question. Half of the word is the tenth's.
    enough = next((i for i, k in enumerate(ks) if k >= NEAR * alike), len(ks) - 1)
    return [np.sqrt(widths * found[enough]) if i < enough else widths for i, widths in enumerate(found)]


def measure_scatter(router: Router, asked: Asked, sample: Sample, lengths: np.ndarray) -> Scatter:
    """How rows of a sample scatter, as the queries see it. lengths (n_lists,) rows of each list."""
    listed = np.flatnonzero(sample.lists(SCATTER_ROWS) >= 0)
    lists, others = sample.lists(SCATTER_ROWS)[listed], asked.itself[:, None] != sample.rows[listed]
    residuals = router.to_index_space(sample.vectors[listed]) - router.centroids[lists]
    moved = router.to_index_space(asked.queries)
    return Scatter.measured(moved, asked.place, others, residuals, lists, router.centroids, lengths, router.l2)


def aim(target: float) -> float:
    """The recall to reach on calibration queries so that real ones reach `target`, until real ones are seen.

    Made queries still flatter: aimed at itself, .90/.95/.99 came out as .878/.920/.976 on real questions (docs-
    minilm-51k), the more so the more is asked. Rows flatter the questions of an l2 collection as much: .875/.923/.973.
    """
    loss = 1 - target
    return 1 - CAUTION * loss * float((loss / 0.1) ** CAUTION_POWER)


def list_places(router: Router, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(q, n_lists) int32: when each list is probed; and (q,) float32 how easy each is. By the int8 centroids that a
    search ranks lists by: where these cannot tell lists apart, more of them have to be probed.
    """
    place, best = np.empty((len(moved), router.n_lists), np.int32), np.empty(len(moved), np.float32)

    def rank(part: slice) -> None:
        keys, best[part] = list_keys_of(router, moved[part])
        order = np.argsort(-keys, axis=1, kind="stable")
        np.put_along_axis(place[part], order, np.arange(router.n_lists, dtype=np.int32)[None, :], axis=1)

    share_rows(rank, len(moved), max(1, min(RANKED_AT_ONCE, RANKED_KEYS // router.n_lists)))
    return place, best


def list_keys_of(router: Router, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(q, n_lists) float32: what lists are ranked by for queries (q, d), in index space; and (q,) how easy each is.
    """
    queries = np.ascontiguousarray(moved, np.float32)
    keys, best = np.empty((len(queries), router.n_lists), np.float32), np.empty(len(queries), np.float32)
    list_keys(
        queries, router.l2, router.center, router.banks, router.scales, router.weights, router.leads, router.offsets,
        keys, best,
    )  # fmt: skip
    return keys, best


def lists_of_nearest(
    snapshot: Snapshot, queries: np.ndarray, itself: np.ndarray, list_of_row: np.ndarray, allowed: np.ndarray, k: int
) -> np.ndarray:
    """(q, k) int32 list of each true neighbour, nearest first and without the query itself; −1 where there are fewer.
    """
    assert snapshot.index is not None
    n_lists = snapshot.index.router.n_lists
    plan = plan_by_hand(snapshot.index.calibration, n_lists, k + 1, n_lists, None)
    values, rows = search_batch(snapshot, queries, plan, allowed, k + 1)
    missing = ~np.isfinite(values)
    keep = (rows != itself[:, None]) | missing
    keep[keep.all(axis=1), -1] = False  # one too many was asked for, in case the query finds itself
    lists = np.where(missing, np.int32(-1), list_of_row[rows])
    others: np.ndarray = lists[keep].reshape(len(lists), -1)
    return others


def _ranks(snapshot: Snapshot, asked: Asked, list_of_row: np.ndarray, allowed: np.ndarray, k: int) -> np.ndarray:
    """(q, k) int32: when the list of each true neighbour, nearest first and without the query itself, is probed; 0
    where there are fewer.
    """
    lists = lists_of_nearest(snapshot, asked.queries, asked.itself, list_of_row, allowed, k)
    return np.where(lists < 0, np.int32(0), np.take_along_axis(asked.place, lists, axis=1))


def _ranks_in_sample(router: Router, asked: Asked, sample: Sample, k: int) -> np.ndarray:
    """(q, n) int32: when the list of each of the n nearest rows of the sample, nearest first, is probed. n is to the
    sample what k is to the rows it stands for.
    """
    lists = sample.lists(DEEP_ROWS)
    n = int(np.clip(round(k * sample.share(DEEP_ROWS)), 1, max(1, len(lists) - 1)))
    found = np.empty((len(asked.queries), n), np.int32)
    for start in range(0, len(found), DEEP_AT_ONCE):
        part = slice(start, start + DEEP_AT_ONCE)
        values = _values_in_sample(router, asked.queries[part], sample)
        values[:, lists < 0] = -np.inf
        values[sample.rows[:DEEP_ROWS] == asked.itself[part, None]] = -np.inf
        share_rows(partial(_rank_best, values, lists, asked.place[part], found[part]), len(values), RANKED_TOGETHER)
    return found


def _rank_best(values: np.ndarray, lists: np.ndarray, place: np.ndarray, ranks: np.ndarray, part: slice) -> None:
    """ranks (q, n) int32 out: when the list of each of the n rows of largest value (q, rows), in order, is probed."""
    n = ranks.shape[1]
    best = np.argpartition(-values[part], n - 1, axis=1)[:, :n]
    order = np.argsort(-np.take_along_axis(values[part], best, axis=1), axis=1)
    ranks[part] = np.take_along_axis(place[part], lists[np.take_along_axis(best, order, axis=1)], axis=1)


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


def _widths(ranks: np.ndarray, asked: Asked, n_lists: int) -> np.ndarray:
    """(targets, bins): the fewest lists that find the share of the neighbours aimed at, bin by bin. A bin with too few
    queries to tell is taken for the one above it.
    """
    widths, aims = np.full((len(TARGETS), asked.n_bins), n_lists, np.float32), [aim(target) for target in TARGETS]
    for b in range(asked.n_bins)[::-1]:
        mine = ranks[asked.bins == b]
        if len(mine) < FEWEST_OF_BIN and b + 1 < asked.n_bins:
            widths[:, b] = widths[:, b + 1]
        if len(mine) < FEWEST_OF_BIN:
            continue
        reached = np.cumsum(np.bincount(mine.ravel(), minlength=n_lists)) / mine.size
        widths[:, b] = [np.searchsorted(reached, aimed) + 1 for aimed in aims]
    return np.minimum(widths, n_lists)
