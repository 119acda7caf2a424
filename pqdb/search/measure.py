"""Measure recall: what a plan finds of the exact answer, on stored rows or on queries given."""

import numpy as np

from pqdb.hits import RecallReport
from pqdb.quantization.source import decode_source
from pqdb.search.batch import search_batch
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import recall_of


def measure_rows(snapshot: Snapshot, plan: Plan | None, k: int, sample: int, seed: int) -> RecallReport:
    """On `sample` stored rows, each searched for its neighbours other than itself. `plan` must be for k + 1."""
    points = snapshot.points
    live = points.live_rows(points.forgotten_rows, snapshot.n_rows)
    chosen = np.sort(np.random.default_rng(seed).choice(live, min(sample, len(live)), replace=False))
    queries = decode_source(points.source_of(chosen), snapshot.config.dim, snapshot.config.kept_source)
    found, truth = (
        _without_itself(*search_batch(snapshot, queries, each, points.live, k + 1), chosen) for each in (plan, None)
    )
    return _report(found, truth, k, "stored rows")


def measure_queries(snapshot: Snapshot, plan: Plan | None, k: int, queries: np.ndarray) -> RecallReport:
    """On given queries (q, d), prepared."""
    found, truth = (search_batch(snapshot, queries, each, snapshot.points.live, k)[0] for each in (plan, None))
    return _report(found, truth, k, "given queries")


def _without_itself(values: np.ndarray, rows: np.ndarray, itself: np.ndarray) -> np.ndarray:
    keep = (rows != itself[:, None]) | ~np.isfinite(values)  # (what was not found says row 0)
    keep[keep.all(axis=1), -1] = False
    others: np.ndarray = values[keep].reshape(len(values), -1)
    return others


def _report(found: np.ndarray, truth: np.ndarray, k: int, population: str) -> RecallReport:
    return RecallReport.of(recall_of(found, truth), k, population)
