"""Learn from live queries: what makes the promise of recall true.

Queries made from rows tell roughly how hard a search is; the queries people ask tell exactly. A few hundred of them
are answered exactly in the background, and the width of the search is scaled, for each k and target, until it finds
what was asked of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pqdb.metric import prepare
from pqdb.partition.assign import assign
from pqdb.search.index import Index
from pqdb.search.pipeline import search
from pqdb.search.plan import LOSSES_KS, TARGETS, Calibration, Losses
from pqdb.upkeep.build import ASSIGN_COPIES, ASSIGN_ROWS
from pqdb.upkeep.calibrate import list_places
from pqdb.upkeep.margins import count_missed, losses_of
from pqdb.upkeep.stores import Stores

FEWEST = 100  # queries; with fewer the table of calibration is the better guess
DEEPEST = 100  # the k up to which live queries are answered
TELLING = 10
DOUBT = 30  # queries' worth of trust in the table as it was
BLOCK = 16  # queries answered exactly in one transaction
MARGIN_QUERIES = 256  # that margins are measured by
FACTORS = np.geomspace(1 / 16, 64, 161)
CODE_LOSS = 0.001  # what the rerank's margin costs, aimed past


def learn(stores: Stores, index: Index, queries: np.ndarray, pause: Callable[[], None]) -> Calibration:
    """The index's calibration, scaled to the queries (n, d), as they were asked; and what margins cost them.

    What `pause`, called between blocks, raises ends it.
    """
    queries = prepare(queries, stores.config.dim, stores.config.metric)
    rows, found = _truth(stores, queries, pause)
    place, best = list_places(index.router, index.router.to_index_space(queries))
    scaled = _scaled(index.calibration, _ranks(stores, index, place, rows, found), best, index)
    if not scaled.losses:
        return scaled
    return replace(scaled, losses=_losses(stores, index, queries[:MARGIN_QUERIES], pause))


def _truth(stores: Stores, queries: np.ndarray, pause: Callable[[], None]) -> tuple[np.ndarray, np.ndarray]:
    """(n, DEEPEST) uint32 rows of the nearest, and which of them there are."""
    parts = []
    for start in range(0, len(queries), BLOCK):
        with stores.blocks.read() as blocks, stores.points.read() as points:
            snapshot = stores.snapshot(blocks, points, None)
            parts.append(search(snapshot, queries[start : start + BLOCK], None, points.live, DEEPEST))
        pause()
    values = np.concatenate([values for values, _ in parts])
    return np.concatenate([rows for _, rows in parts]), np.isfinite(values)


def _ranks(stores: Stores, index: Index, place: np.ndarray, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(n, DEEPEST) float32: when the list of each true neighbour is probed; −1 where there is none."""
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


def _losses(stores: Stores, index: Index, queries: np.ndarray, pause: Callable[[], None]) -> Losses:
    """What narrower margins cost the queries (n, d), prepared, with DOUBT queries' worth of trust in what was known."""
    known = index.calibration.losses
    missed = DOUBT * np.array(known) * np.array(LOSSES_KS)[:, None]
    now, version = index, -1  # none yet
    for start in range(0, len(queries), BLOCK):
        with stores.blocks.read() as blocks, stores.points.read() as points:
            if blocks.generation != index.generation:
                return known
            if blocks.objects_version != version:  # lists may have been split or merged
                version, now = blocks.objects_version, replace(Index.load(blocks), calibration=index.calibration)
            snapshot = replace(stores.snapshot(blocks, points, now), n_rows=blocks.watermark)
            missed += count_missed(snapshot, queries[start : start + BLOCK], points.live, itself=0)
        pause()
    return losses_of(missed, len(queries) + DOUBT)


def _scaled(calibration: Calibration, ranks: np.ndarray, best: np.ndarray, index: Index) -> Calibration:
    widths = calibration.widths.copy()
    factors = np.ones(len(TARGETS))
    for i, k in enumerate(calibration.ks):
        if k <= DEEPEST:  # beyond it, the factors of the deepest k known
            factors = np.array(list(_factors(calibration, i, ranks[:, :k], best)))
        if k == 1:  # one neighbour a query tells little: half of the word is the ten nearest's
            factors = np.sqrt(factors * np.array(list(_factors(calibration, i, ranks[:, :TELLING], best))))
        widths[i] *= factors[:, None] ** (len(ranks) / (len(ranks) + DOUBT))
    return replace(calibration, widths=np.clip(widths, 1, index.router.n_lists).astype(np.float32))


def _factors(calibration: Calibration, i: int, ranks: np.ndarray, best: np.ndarray) -> Iterator[float]:
    """For each target the least factor on the table's widths that finds it, on the mean over the queries."""
    for j, target in enumerate(TARGETS):
        widths = np.interp(best, calibration.knots, calibration.widths[i, j])
        asked = np.sort((ranks / widths[:, None]).ravel())  # a list is probed if its rank is below ⌈factor · width⌉
        reached = np.searchsorted(asked, FACTORS) / asked.size
        enough = np.flatnonzero(reached >= min(target + CODE_LOSS, 1.0))
        yield float(FACTORS[enough[0]]) if len(enough) else float(FACTORS[-1])
