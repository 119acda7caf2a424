"""How far codes and int8 residuals can be trusted in this generation, measured against the exact answer.

σ of near pairs tells what an estimate's error is, but not what survives of the true neighbours among thousands of
others: with short codes, or factors too coarse for tight clusters, 3σ lose half of them. So the margin, and the number
of rows that are scored from the source, grow until the answer is right. With codes as long as usual neither does.
"""

from dataclasses import replace

import numpy as np

from pqdb.search.batch import search_batch
from pqdb.search.plan import MARGIN_SIGMAS, Plan, keep_for
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import recall_of

RIGHT = 0.997  # of the true neighbours, with every list probed
KS = (1, 10)
LEAST_NOISE = 1e-4  # what float16 factors and the rounding of tables leave of the best code
MARGIN_STEP, MARGIN_STEPS = 1.5, 16
SPARES = (1.0, 3.0, 10.0, 30.0, 100.0)
QUERIES = (16, 128)
WORK = 1 << 34  # products of the exact answer: about a second


def measure_precision(snapshot: Snapshot, sample: np.ndarray, allowed: np.ndarray) -> tuple[float, float]:
    """σ to reckon with, and how much longer than usual the list of rows scored from the source must be.

    sample (n, d) prepared rows of the collection; snapshot.index holds everything but a calibration, and its measured
    noise.
    """
    assert snapshot.index is not None
    config = snapshot.config
    scored = replace(snapshot, config=replace(config, source=config.kept_source))  # hits with their true values
    queries = sample[: int(np.clip(WORK // (snapshot.n_rows * config.dim), *QUERIES))]
    truths = [search_batch(scored, queries, None, allowed, k)[0] for k in KS]
    noise = max(snapshot.index.calibration.noise, LEAST_NOISE)
    for _ in range(MARGIN_STEPS):
        if _is_right(scored, queries, truths, allowed, noise, SPARES[-1]):
            break
        noise *= MARGIN_STEP
    if config.source is None:
        return noise, 1.0
    spares = SPARES if config.rerank else tuple(2 * spare for spare in SPARES)  # estimates are coarser than int8
    for spare in spares:
        if _is_right(scored, queries, truths, allowed, noise, spare):
            return noise, spare
    return noise, spares[-1]


def _is_right(
    snapshot: Snapshot, queries: np.ndarray, truths: list[np.ndarray], allowed: np.ndarray, noise: float, spare: float
) -> bool:
    """Whether a search of every list finds what there is."""
    assert snapshot.index is not None
    n_lists = snapshot.index.router.n_lists
    knots, widths = np.zeros(1, np.float32), np.full(1, n_lists, np.float32)
    for k, truth in zip(KS, truths, strict=True):
        plan = Plan(k, k, keep_for(k, spare), MARGIN_SIGMAS * noise, knots, widths, n_lists)
        found = search_batch(snapshot, queries, plan, allowed, k)[0]
        if recall_of(found, truth).mean() < RIGHT:
            return False
    return True
