"""How far codes and int8 residuals can be trusted in this generation, measured against the exact answer.

σ tells what an estimate's error is, but not what survives of the true neighbours among thousands of others: with short
codes, or factors too coarse for tight clusters, 3σ lose half of them. So the margin, and the number of rows that are
scored from the source, grow until the answer is right. With codes as long as usual neither does. What a narrower margin
would cost is measured, too: where less than all is asked for, it pays (docs/decisions/017).
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pqdb.config import TRAIN_ROWS
from pqdb.metric import Metric
from pqdb.panels import nearest_rows
from pqdb.partition.router import Router
from pqdb.quantization.encode import decode, encode
from pqdb.quantization.values import Code
from pqdb.search.batch import Allowed, search_batch
from pqdb.search.index import Index
from pqdb.search.plan import MARGIN_SIGMAS, Calibration
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import recall_of
from pqdb.upkeep.copies import count_alike
from pqdb.upkeep.margins import measure_losses, values_found
from pqdb.upkeep.queries import made_queries
from pqdb.upkeep.sample import Sample, without_own_lists

RIGHT = 0.997  # of the true neighbours, with every list probed
KS = (1, 10)
NOISE_ROWS = 16_384  # of a sample, that measure_noise is given
NOISE_QUERIES, NOISE_PAIRS = 64, 10  # of each kind, and rows near each
LEAST_NOISE = 1e-4  # what float16 factors and the rounding of tables leave of the best code
MARGIN_STEP, MARGIN_STEPS = 1.5, 16
GAIN, PATIENCE = 0.001, 4  # wider margins must find so much more, one in so many: where codes say nothing, none does
SPARES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
QUERIES = (16, 128)
WORK = 1 << 34  # products of the exact answer for rows: about a second


def measure_noise(
    router: Router, codebook: Code, sample: np.ndarray, lists: np.ndarray, metric: Metric, seed: int
) -> tuple[float, float]:
    """σ of an estimate's error in units of the code's scale and the query's distance, over made queries and the rows of
    a sample near them; and the scale of a code whose residual has length 1, usually.

    sample (n, d) prepared rows, lists (n,) their lists. The error of ⟨q, r⟩ is ⟨q, r − s·r̂⟩; for l2 the centroid's
    share of it is known (the bias factor), so that q − c takes the place of q. Rows would not tell: along a row its own
    estimate is right, and so is that of its copies, which may be all of its neighbours (docs/decisions/029).
    """
    queries, _ = made_queries(sample, metric, seed, 0, NOISE_QUERIES)
    vectors, queries = router.to_index_space(sample), router.to_index_space(queries)
    known = np.einsum("nd,nd->n", vectors, vectors) if router.l2 else np.zeros(len(vectors), np.float32)
    near = nearest_rows(queries, vectors, known, NOISE_PAIRS).ravel()
    pairs = np.repeat(queries, len(near) // len(queries), axis=0)
    residuals = vectors[near] - router.centroids[lists[near]]
    codes, scales = encode(codebook, residuals, None if router.l2 else vectors[near])
    seen = pairs - router.centroids[lists[near]] if router.l2 else pairs
    errors = np.einsum("nd,nd->n", seen, residuals - scales[:, None] * decode(codebook, codes))
    units = scales * np.sqrt(np.einsum("nd,nd->n", seen, seen))
    kept = units > 0
    noise = float(np.std(errors[kept] / units[kept])) if kept.any() else 0.0
    lengths = np.einsum("nd,nd->", residuals, residuals, dtype=np.float64)
    return noise, float(np.sqrt(np.square(scales, dtype=np.float64).sum() / lengths)) if lengths > 0 else 0.0


def with_precision(snapshot: Snapshot, sample: Sample, allowed: np.ndarray, by_source: bool = True) -> Index:
    """The snapshot's index with all of its calibration that does not say what a recall takes. `by_source`: there are
    source vectors to measure it against.
    """
    assert snapshot.index is not None
    index = snapshot.index
    alike = replace(index.calibration, alike=count_alike(snapshot, sample, allowed))
    index = replace(index, calibration=alike)
    if by_source:
        index = replace(index, calibration=measure_precision(replace(snapshot, index=index), sample, allowed))
    return index


def measure_precision(snapshot: Snapshot, sample: Sample, allowed: np.ndarray) -> Calibration:
    """The calibration of the snapshot's index with σ to reckon with, how much longer than usual the list of rows scored
    from the source must be, and what margins narrower than usual cost.

    snapshot.index holds everything but a calibration, and its measured noise.
    """
    assert snapshot.index is not None
    config = snapshot.config
    scored = replace(snapshot, config=replace(config, source=config.kept_source))  # hits with their true values
    n_rows = int(np.clip(WORK // (snapshot.n_rows * config.dim), *QUERIES))
    share_found = partial(_share_found, scored, _rows_asked(scored, sample, n_rows, allowed))
    known = snapshot.index.calibration
    least = max(known.noise, LEAST_NOISE)
    noise, reached, idle = least, 0.0, 0
    for step in range(MARGIN_STEPS):
        tried = replace(known, noise=least * MARGIN_STEP**step, spare=SPARES[-1])
        share = share_found(tried)
        idle += 1
        if share >= RIGHT or share > reached + GAIN:
            noise, reached, idle = tried.noise, share, 0
        if share >= RIGHT or idle == PATIENCE:
            break
    if config.source is None:  # nobody watches whether its points stay what they are
        return replace(known, noise=noise, spare=1.0)
    wanted = min(RIGHT, reached)
    for spare in SPARES if config.rerank else tuple(2 * spare for spare in SPARES):  # estimates are coarser than int8
        known = replace(known, noise=noise, spare=spare)
        if share_found(known) >= wanted > 0:
            break
    if snapshot.points.n_live < TRAIN_ROWS:  # nor of so few
        return known
    precise = replace(snapshot, index=replace(snapshot.index, calibration=known))
    return replace(known, losses=measure_losses(precise, sample, allowed))


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """Queries, the rows among which they are asked, and the values of their nearest."""

    queries: np.ndarray  # (q, d) float32, as metric.prepare leaves them
    allowed: Allowed
    truth: np.ndarray  # (q, ≥ KS[-1] + itself) float32, −inf where there are fewer
    itself: int  # 1 for rows that find themselves first, which is no achievement


def _rows_asked(snapshot: Snapshot, sample: Sample, count: int, allowed: np.ndarray) -> list[_Asked]:
    """So many rows of a sample as they are, and as if the lists they lie in were not there."""
    rows, lengths = sample.vectors[:count], snapshot.blocks.counts
    hidden = sample.with_lists_to_leave(count, lengths)
    behind = int(lengths[sample.lists(count)[hidden]].max(initial=0))
    values, found = search_batch(snapshot, rows, None, allowed, KS[-1] + max(1, behind))
    asked = [_Asked(rows, allowed, values, 1)]
    if len(hidden):
        own = sample.list_of_row[found[hidden]] == sample.lists(count)[hidden, None]
        others = -np.sort(-np.where(own, -np.inf, values[hidden]), axis=1)[:, : KS[-1]]
        asked.append(_Asked(rows[hidden], without_own_lists(sample, hidden, allowed), others, 0))
    return asked


def _share_found(snapshot: Snapshot, asked: list[_Asked], known: Calibration) -> float:
    """Of what there is, what a search of every list finds: the least share of any k, asked in any way."""

    def found(each: _Asked, k: int) -> float:
        count = k + each.itself
        values = values_found(snapshot, each.queries, count, each.allowed, known, MARGIN_SIGMAS)
        return 1 - (1 - float(recall_of(values, each.truth[:, :count]).mean())) * count / k

    return min(found(each, k) for each in asked for k in KS)
