"""What margins narrower than usual cost, measured against the usual one (docs/decisions/017)."""

import numpy as np

from pqdb.search.batch import search_batch
from pqdb.search.plan import LOSSES_KS, MARGIN_SIGMAS, SIGMAS, Calibration, Plan, keep_for
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import recall_of

QUERIES = 512


def count_missed(snapshot: Snapshot, queries: np.ndarray, allowed: np.ndarray, itself: int) -> np.ndarray:
    """(LOSSES_KS, SIGMAS) how many neighbours of the queries (q, d) so narrow a margin passes over, of those that the
    usual one does not; σ is that of the index's calibration. `itself` is 1 for queries that are rows, which find
    themselves in any case.
    """
    assert snapshot.index is not None
    missed, known = np.zeros((len(LOSSES_KS), len(SIGMAS))), snapshot.index.calibration
    for i, k in enumerate(LOSSES_KS):
        usual = values_found(snapshot, queries, k + itself, allowed, known, MARGIN_SIGMAS)
        for j, sigmas in enumerate(SIGMAS):
            found = values_found(snapshot, queries, k + itself, allowed, known, sigmas)
            missed[i, j] = (1 - recall_of(found, usual)).sum() * (k + itself)
    return missed


def losses_of(missed: np.ndarray, queries: int) -> tuple[tuple[float, ...], ...]:
    """Of so many queries the share of neighbours that was missed: of few, one more than was seen."""
    pairs = queries * np.array(LOSSES_KS)[:, None]
    return tuple(tuple(row) for row in np.minimum((missed + 1) / (pairs + 1), 1.0).tolist())


def values_found(
    snapshot: Snapshot, queries: np.ndarray, k: int, allowed: np.ndarray, known: Calibration, sigmas: float
) -> np.ndarray:
    """(q, k) values of what a search of every list finds, with a margin of so many σ."""
    assert snapshot.index is not None
    n_lists = snapshot.index.router.n_lists
    knots, widths = np.zeros(1, np.float32), np.full(1, n_lists, np.float32)
    plan = Plan(k, k, keep_for(k, known.spare), sigmas * known.noise, knots, widths, n_lists)
    return search_batch(snapshot, queries, plan, allowed, k)[0]
