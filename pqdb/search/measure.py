"""Measure recall: what a plan finds of the exact answer, on stored rows, queries given or queries asked lately."""

import numpy as np

from pqdb.hits import RecallReport
from pqdb.quantization.source import decode_source
from pqdb.search.batch import search_batch
from pqdb.search.losses import losses_of
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import Answers, recall_of, without_itself


def measure_rows(snapshot: Snapshot, plan: Plan | None, k: int, sample: int, seed: int) -> RecallReport:
    """On `sample` stored rows, each searched for its neighbours other than itself. `plan` must be for k + 1."""
    points = snapshot.points
    live = points.live_rows(points.forgotten_rows, snapshot.n_rows)
    chosen = np.sort(np.random.default_rng(seed).choice(live, min(sample, len(live)), replace=False))
    queries = decode_source(points.source_of(chosen), snapshot.config.dim, snapshot.config.kept_source)
    found, truth = (
        without_itself(search_batch(snapshot, queries, each, points.live, k + 1), chosen) for each in (plan, None)
    )
    return _report(snapshot, plan, queries, found, truth, k, "stored rows")


def measure_queries(
    snapshot: Snapshot, plan: Plan | None, k: int, queries: np.ndarray, population: str
) -> RecallReport:
    """On queries (q, d), prepared, of which the population says where they come from."""
    found, truth = (search_batch(snapshot, queries, each, snapshot.points.live, k) for each in (plan, None))
    return _report(snapshot, plan, queries, found, truth, k, population)


def _report(
    snapshot: Snapshot, plan: Plan | None, queries: np.ndarray, found: Answers, truth: Answers, k: int, population: str
) -> RecallReport:
    shares = recall_of(found[0], truth[0])
    missing = [
        np.setdiff1d(rows[np.isfinite(values)], others)
        for values, rows, others in zip(*truth, found[1], strict=True)
    ]
    lost = losses_of(snapshot, plan, queries, shares, missing)
    return RecallReport.of(shares, k, population, lost)
