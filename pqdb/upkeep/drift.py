"""Detect that a generation no longer fits its points, and correct what can be corrected.

Three things are watched: the error of the codes of rows that come against its value at training (watch.py), how even
the lists are (balance.py), and recall. What a recall takes is cheap to learn anew; a codebook is not, and whether a new
one is better shows only when it is there (proof.py).
"""

from dataclasses import replace

import numpy as np

from pqdb.memory import COPIES
from pqdb.partition.assign import assign
from pqdb.quantization.source import decode_source
from pqdb.search.batch import search_batch
from pqdb.search.index import Index
from pqdb.search.plan import Calibration
from pqdb.search.truth import recall_of, without_itself
from pqdb.store.view import PointView
from pqdb.upkeep.calibrate import calibrate
from pqdb.upkeep.lists import list_of_row
from pqdb.upkeep.precision import NOISE_ROWS, measure_noise, with_precision
from pqdb.upkeep.sample import Sample
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.train import CODEBOOK_SAMPLE, Progress
from pqdb.upkeep.watch import About, Watch

ASKED = 0.95  # the recall that is watched
K = 10
QUERIES = (16, 200)
WORK = 1 << 34  # products of an exact answer: about a second
BELOW, ABOVE = 0.01, 0.015  # of what was asked: by more, and what a recall takes is learned anew
LOOK = 0.1  # of the points have come since recall was last measured: time to do it again
NEWEST = 0.2  # half of the rows that recall is measured on are among the newest so many

CODES_WORSE = 1.15  # times the error at training: the codebook has drifted from its rows
ERRORS_WORSE = 1.5  # the same, of residuals as long as they are: lists and codebook together
ENOUGH = 0.1  # of the rows trained on have come since: there is something to learn
AGAIN = 0.25  # of the points have come since a new generation was no better: time for another try


def recall_now(stores: Stores, index: Index, seed: int) -> tuple[float, int]:
    """Recall@10 of ASKED on stored rows, half of them new, each without itself; and how many points there are."""
    with stores.blocks.read() as blocks, stores.points.read() as points:
        snapshot = stores.snapshot(blocks, points, index)
        rows, queries = some_rows(stores, points, seed)
        plan = index.plan(K + 1, ASKED, None, None)
        found, truth = (
            without_itself(search_batch(snapshot, queries, each, points.live, K + 1), rows)[0] for each in (plan, None)
        )
        return float(recall_of(found, truth).mean()), points.n_live


def is_recall_due(watch: Watch, n_live: int) -> bool:
    """Whether enough has changed since recall was measured last."""
    come = watch.inserted - watch.recall_inserted
    return come >= LOOK * n_live or abs(n_live - watch.recall_rows) > LOOK * max(1, watch.recall_rows)


def has_moved(watch: Watch, n_live: int) -> bool:
    """Whether what a recall takes was learned of lists that are not there any more: of any, where the points are still
    those that the generation was trained on; as long as they come and go, lists are cut and merged again and again.
    """
    as_trained = watch.inserted == 0 and n_live == watch.recall_rows
    return watch.moved > (0 if as_trained else LOOK * n_live)


def is_off(recall: float, settled: float) -> bool:
    """Whether a recall is below what was asked, or far above what it was when it was `settled`, which costs speed."""
    return recall < ASKED - BELOW or recall > max(ASKED, settled) + ABOVE


def has_drifted(about: About, watch: Watch, n_live: int) -> bool:
    """Whether a new codebook is worth a try."""
    if watch.inserted < ENOUGH * about.trained_rows:
        return False
    if was_refused_lately(watch, n_live):
        return False
    worse = [
        (watch.error, about.error, ERRORS_WORSE),
        (watch.code_error, about.code_error, CODES_WORSE),
    ]
    off = watch.recall is not None and watch.recall < ASKED - 2 * BELOW
    return off or any(now is not None and then and now > factor * then for now, then, factor in worse)


def was_refused_lately(watch: Watch, n_live: int) -> bool:
    """Whether a new generation was no better, and hardly any point has come since."""
    return watch.refused_inserted is not None and watch.inserted - watch.refused_inserted < AGAIN * n_live


def recalibrate(stores: Stores, index: Index, seed: int, progress: Progress) -> Calibration:
    """Learn anew what a recall takes, from the points there are now, and let every process know."""
    progress("calibrate", 0.0)
    with stores.blocks.read() as blocks, stores.points.read() as points:
        lists = list_of_row(blocks, points.n_rows)
        live = points.live_rows(0, blocks.watermark)
        if not len(live):  # whoever was in the lists has been replaced since this was found to be due
            return index.calibration
        most = stores.memory.rows(CODEBOOK_SAMPLE, COPIES * stores.vector_bytes, points.n_rows)
        rows = np.random.default_rng(seed).permutation(live)[:most]
        sample = Sample(_vectors(stores, points, rows), rows, len(live), lists)
        some = sample.vectors[:NOISE_ROWS]
        lists = assign(index.router.to_index_space(some), index.router.centroids)
        noise, scale = measure_noise(index.router, index.codebook, some, lists, stores.config.metric, seed)
        blank = replace(index, calibration=replace(index.calibration, noise=noise, scale=scale))
        snapshot = replace(stores.snapshot(blocks, points, blank), n_rows=blocks.watermark)
        precise = with_precision(snapshot, sample, points.live)
        progress("calibrate", 0.3)
        found = calibrate(replace(snapshot, index=precise), sample, points.live, seed)
    with stores.blocks.write() as batch:
        batch.put_object(index.generation, "calibration", found.to_bytes())
    progress("calibrate", 1.0)
    return found


def some_rows(stores: Stores, points: PointView, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Living rows, half of them among the newest, and their vectors: as many as an exact answer is worth."""
    rng, live = np.random.default_rng(seed), points.live_rows(points.forgotten_rows)
    n = int(np.clip(WORK // (max(1, points.n_live) * stores.config.dim), *QUERIES))
    drawn = (live, live[int((1 - NEWEST) * len(live)) :])
    chosen = np.unique(np.concatenate([rng.choice(each, min(n // 2, len(each)), replace=False) for each in drawn]))
    return chosen, _vectors(stores, points, chosen)


def _vectors(stores: Stores, points: PointView, rows: np.ndarray) -> np.ndarray:
    return decode_source(points.source_of(rows), stores.config.dim, stores.config.kept_source)
