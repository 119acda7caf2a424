"""What margins narrower than usual cost, measured against the usual one (docs/decisions/017).

As for lists, rows flatter: where each has near neighbours of its own, theirs are told from all others by any estimate,
and those of a question between them are not. So they are asked as if the lists they lie in were not there.
"""

from dataclasses import replace

import numpy as np

from pqdb.search.batch import Allowed, search_batch
from pqdb.search.plan import LOSSES_KS, MARGIN_SIGMAS, SIGMAS, Calibration, Losses, plan_by_hand
from pqdb.search.snapshot import Snapshot
from pqdb.search.truth import recall_of
from pqdb.upkeep.sample import Sample, without_own_lists

QUERIES = (60, 320)
WORK = 1 << 27  # codes looked at by each margin: a tenth of a second


def measure_losses(snapshot: Snapshot, sample: Sample, allowed: np.ndarray) -> Losses:
    """Of rows of a sample, as if the lists they lie in were not there, where there are others."""
    count = int(np.clip(WORK // max(1, snapshot.n_rows), *QUERIES))
    some = np.arange(min(count, len(sample.rows)))
    hidden = sample.with_lists_to_leave(count, snapshot.blocks.counts)
    if not len(hidden):
        return losses_of(count_missed(snapshot, sample.vectors[some], allowed, itself=1), len(some))
    rest = without_own_lists(sample, hidden, allowed)
    return losses_of(count_missed(snapshot, sample.vectors[hidden], rest, itself=0), len(hidden))


def count_missed(snapshot: Snapshot, queries: np.ndarray, allowed: Allowed, itself: int) -> np.ndarray:
    """(LOSSES_KS, SIGMAS) how many neighbours of the queries (q, d) so narrow a margin passes over, of those that the
    usual one does not; σ is that of the index's calibration. `itself` is 1 for queries that are rows, which are (but
    for dot) their own nearest and find themselves.
    """
    assert snapshot.index is not None
    missed, known = np.zeros((len(LOSSES_KS), len(SIGMAS))), snapshot.index.calibration
    for i, k in enumerate(LOSSES_KS):
        usual = values_found(snapshot, queries, k + itself, allowed, known, MARGIN_SIGMAS)
        for j, sigmas in enumerate(SIGMAS):
            found = values_found(snapshot, queries, k + itself, allowed, known, sigmas)
            missed[i, j] = (1 - recall_of(found, usual)).sum() * (k + itself)
    return missed


def losses_of(missed: np.ndarray, queries: int) -> Losses:
    """Of so many queries the share of neighbours that was missed: of few, one more than was seen."""
    pairs = queries * np.array(LOSSES_KS)[:, None]
    return tuple(tuple(row) for row in np.minimum((missed + 1) / (pairs + 1), 1.0).tolist())


def values_found(
    snapshot: Snapshot, queries: np.ndarray, k: int, allowed: Allowed, known: Calibration, sigmas: float
) -> np.ndarray:
    """(q, k) values of what a search of every list finds, with a margin of so many σ."""
    assert snapshot.index is not None
    n_lists = snapshot.index.router.n_lists
    plan = replace(plan_by_hand(known, n_lists, k, n_lists, None), margin=sigmas * known.noise)
    found = search_batch(snapshot, queries, plan, allowed, k)[0]
    snapshot.index.molds.pop(plan, None)  # kept for nobody: the plan ends here
    return found
