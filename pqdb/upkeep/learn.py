"""Learn from live queries: what makes the promise of recall true.

Queries made from rows tell roughly how hard a search is; the queries people ask tell exactly. A few hundred of them
are answered exactly in the background, and the width of the search is scaled, for each k and target, until it finds
what was asked of them: by the lists their neighbours lie in, and by what searches then found of these.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pqdb.metric import prepare
from pqdb.partition.assign import assign
from pqdb.search.index import Index
from pqdb.search.pipeline import search
from pqdb.search.plan import LOSSES_KS, TARGETS, Calibration, Losses, Plan, plan_recall
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import recall_of
from pqdb.upkeep.build import ASSIGN_COPIES, ASSIGN_ROWS
from pqdb.upkeep.margins import count_missed, losses_of
from pqdb.upkeep.order import list_places
from pqdb.upkeep.stores import Stores

FEWEST = 100  # queries; with fewer the table of calibration is the better guess
DEEPEST, EACH = 1_000, 8  # the k up to which live queries are answered; beyond NEAR each eighth neighbour is looked up
NEAR = 100  # the k up to which they are searched, too
TELLING = 10
DOUBT = 15  # queries' worth of trust in the table as it was
BLOCK = 16  # queries answered exactly in one transaction
SEARCHED = 256  # queries that are searched, too
FACTORS = np.geomspace(1 / 16, 64, 161)
CODE_LOSS = 0.001  # what the rerank's margin costs, aimed past until it is known
EASIEST = 0.8  # what is asked for less loses as much as this

Aims = dict[int, np.ndarray]  # by k, for each target the share of the neighbours that the lists of a plan must hold


def learn(stores: Stores, index: Index, queries: np.ndarray, pause: Callable[[], None]) -> Calibration:
    """The index's calibration, scaled to the queries (n, d), as they were asked; and what margins cost them.

    What `pause`, called between blocks, raises ends it.
    """
    queries = prepare(queries, stores.config.dim, stores.config.metric)
    values, rows = _truth(stores, queries, max(k for k in index.calibration.ks if k <= DEEPEST), pause)
    place, easy = list_places(index.router, index.router.to_index_space(queries), index.calibration.within)
    ranks = _ranks(stores, index, place, rows, np.isfinite(values))
    scaled = _scaled(index, ranks, easy, {})
    if not scaled.losses:
        return scaled
    few = slice(0, SEARCHED)
    scaled = replace(scaled, losses=_losses(stores, index, queries[few], pause))
    tried = replace(index, calibration=scaled)
    aims = _aims(stores, tried, queries[few], values[few], ranks[few], easy[few], pause)
    return replace(_scaled(index, ranks, easy, aims), losses=scaled.losses)


def _truth(
    stores: Stores, queries: np.ndarray, k: int, pause: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, k) float32 of the nearest, −inf where there are fewer, and uint32 rows."""
    parts = []
    for start in range(0, len(queries), BLOCK):
        with stores.blocks.read() as blocks, stores.points.read() as points:
            snapshot = stores.snapshot(blocks, points, None)
            parts.append(search(snapshot, queries[start : start + BLOCK], None, points.live, k))
        pause()
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])


def _looked_up(k: int) -> np.ndarray:
    """Whose lists tell of the k nearest: their places among them, from 0."""
    return np.arange(k) if k <= NEAR else np.arange(EACH - 1, k, EACH)


def _ranks(stores: Stores, index: Index, place: np.ndarray, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(n, k) float32: when the list of each of the k true neighbours is probed; −1 where there is none, or it is
    not looked up.
    """
    some = np.union1d(_looked_up(min(NEAR, rows.shape[1])), _looked_up(rows.shape[1]))
    ranks = np.full(rows.shape, -1, np.float32)
    ranks[:, some] = _ranks_of(stores, index, place, rows[:, some], found[:, some])
    return ranks


def _ranks_of(stores: Stores, index: Index, place: np.ndarray, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(n, m) float32: when the list of each row is probed for its query; −1 where there is none."""
    distinct, where = np.unique(rows, return_inverse=True)
    there, lists = np.zeros(len(distinct), np.bool_), np.zeros(len(distinct), np.int32)
    step = stores.memory.rows(ASSIGN_ROWS, ASSIGN_COPIES * stores.vector_bytes)
    for start in range(0, len(distinct), step):
        part = slice(start, start + step)
        there[part], vectors = stores.vectors_alive(distinct[part])
        lists[part][there[part]] = assign(index.router.to_index_space(vectors), index.router.centroids)
    ranks = np.take_along_axis(place, lists[where].reshape(rows.shape), axis=1).astype(np.float32)
    ranks[~found | ~there[where].reshape(rows.shape)] = -1
    return ranks


def _snapshots(
    stores: Stores, index: Index, count: int, pause: Callable[[], None]
) -> Iterator[tuple[slice, Snapshot, np.ndarray]]:
    """Block after block of so many queries, what to search for it, and which rows live. Ends early where the generation
    is another.
    """
    now, version = index, -1  # none yet
    for start in range(0, count, BLOCK):
        with stores.blocks.read() as blocks, stores.points.read() as points:
            if blocks.generation != index.generation:
                return
            if blocks.objects_version != version:  # lists may have been split or merged
                version, now = blocks.objects_version, replace(Index.load(blocks), calibration=index.calibration)
            yield slice(start, start + BLOCK), stores.snapshot(blocks, points, now), points.live
        pause()


def _losses(stores: Stores, index: Index, queries: np.ndarray, pause: Callable[[], None]) -> Losses:
    """What narrower margins cost the queries (n, d), prepared, with DOUBT queries' worth of trust in what was known."""
    known, seen = index.calibration.losses, DOUBT
    missed = DOUBT * np.array(known) * np.array(LOSSES_KS)[:, None]
    for block, snapshot, live in _snapshots(stores, index, len(queries), pause):
        listed = replace(snapshot, n_rows=snapshot.blocks.watermark)
        missed += count_missed(listed, queries[block], live, itself=0)
        seen += len(queries[block])
    return losses_of(missed, seen)


def _aims(
    stores: Stores, index: Index, queries: np.ndarray, values: np.ndarray, ranks: np.ndarray, easy: np.ndarray,
    pause: Callable[[], None],
) -> Aims:  # fmt: skip
    """What the lists must hold so that searches find as much of the queries' (n, d) neighbours as a plan that asks the
    table for a target is made for. A search passes over some of what its lists hold, and fewer than its plan reckons
    with where lists hold less than all: the k-th best estimate is then the lower. values and ranks as learn has them.
    """
    calibration, n_lists = index.calibration, index.router.n_lists
    hard = [target for target in TARGETS if target >= EASIEST]
    plans = {k: [_plan_for(calibration, n_lists, k, target) for target in hard] for k in calibration.ks if k <= NEAR}
    found, held = ({k: np.zeros(len(hard)) for k in plans} for _ in range(2))
    for block, snapshot, live in _snapshots(stores, index, len(queries), pause):
        for k, asked in plans.items():
            for j, plan in enumerate(asked):
                got = search(snapshot, queries[block], plan, live, k)[0]
                found[k][j] += recall_of(got, values[block, :k]).sum()
                widths = np.interp(easy[block], plan.knots, plan.widths)
                held[k][j] += (ranks[block, :k] < np.ceil(widths)[:, None]).mean(axis=1).sum()
    aims: Aims = {}
    for k, asked in plans.items():
        if found[k].all():
            more = np.array([1 - plan.lost for plan in asked]) * np.maximum(held[k] / found[k], 1.0)
            aims[k] = np.minimum(TARGETS * np.pad(more, (len(TARGETS) - len(hard), 0), mode="edge"), 1.0)
    return aims


def _plan_for(calibration: Calibration, n_lists: int, k: int, target: float) -> Plan:
    """The plan that asks the table for about a target: of what it looks for, margins lose some."""
    lost = plan_recall(calibration, n_lists, k, target).lost
    return plan_recall(calibration, n_lists, k, target * (1 - lost))


def _scaled(index: Index, ranks: np.ndarray, easy: np.ndarray, aims: Aims) -> Calibration:
    """The table, its widths scaled to what the lists of the queries' neighbours take."""
    calibration, about = index.calibration, np.minimum(np.array(TARGETS) + CODE_LOSS, 1.0)
    about = aims[max(aims)] if aims else about  # of more neighbours as large a share is passed over
    known = {k: _factors(calibration, k, ranks, easy, aims.get(k, about)) for k in calibration.ks if k <= DEEPEST}
    if TELLING in known:  # one neighbour a query tells little: half of the word is the ten nearest's
        known[1] = np.sqrt(known[1] * known[TELLING])
    deepest = known[max(known)]  # … which is the word for all beyond it
    factors = np.array([known.get(k, deepest) for k in calibration.ks]) ** (len(ranks) / (len(ranks) + DOUBT))
    widths = np.clip(calibration.widths * factors[:, :, None], 1, index.router.n_lists)
    np.maximum.accumulate(widths, axis=1, out=widths)  # who asks for more looks at no fewer lists
    return replace(calibration, widths=widths.astype(np.float32))


def _factors(calibration: Calibration, k: int, ranks: np.ndarray, easy: np.ndarray, aims: np.ndarray) -> np.ndarray:
    """(len(TARGETS),): for each the least factor on the table's widths whose lists hold what is aimed at, on the mean
    over the queries.
    """
    table, some, factors = calibration.widths[calibration.ks.index(k)], _looked_up(k), np.empty(len(TARGETS))
    for j, aim in enumerate(aims):
        widths = np.interp(easy, calibration.knots, table[j])
        asked = np.sort((ranks[:, some] / widths[:, None]).ravel())  # probed: those of rank below ⌈factor · width⌉
        reached = np.searchsorted(asked, FACTORS) / asked.size
        factors[j] = FACTORS[min(int(np.searchsorted(reached, aim)), len(FACTORS) - 1)]
    return factors
