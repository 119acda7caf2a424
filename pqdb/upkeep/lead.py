"""How much the spread of a list's rows counts where lists are ranked, measured when a generation is built.

A centroid tells where the rows of a list lie on the mean, and a query asks for the nearest: of lists that are as near,
the widest is the likeliest to have them. How much that is worth differs from set to set, and where the lengths of rows
differ widely in l2 it is nothing; so it is tried on queries whose neighbours are known.
"""

from dataclasses import replace

import numpy as np

from pqdb.partition.router import Router
from pqdb.search.snapshot import Snapshot
from pqdb.upkeep.order import lists_of_nearest, rows_that_are
from pqdb.upkeep.queries import made_queries
from pqdb.upkeep.sample import Sample

# By whether it is l2: see Router.leads_of.
LEADS = {False: (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0), True: (0.0, 0.25, 0.5, 0.75)}
ROWS, MADE = 200, 60  # queries, of each made kind; for l2 only rows
K = 10
ALIKE = 1.05  # times the fewest lists: less is chance
FOUND = (0.8, 0.9, 0.95, 0.98)  # of the neighbours: a lead is judged by how many lists hold so many


def led(snapshot: Snapshot, sample: Sample, allowed: np.ndarray, seed: int) -> Router:
    """The router of a snapshot's index, which has no lead yet, with the least that needs about the fewest lists."""
    assert snapshot.index is not None
    router, config = snapshot.index.router, snapshot.config
    queries, n_rows = made_queries(sample.vectors, config.metric, seed, ROWS, 0 if router.l2 else MADE)
    itself = rows_that_are(sample.rows[:n_rows], len(queries))
    lists = lists_of_nearest(snapshot, queries, itself, sample.list_of_row, allowed, K)
    moved = router.to_index_space(queries)
    keys, _ = router.keys_of(moved)
    reach = np.ones(len(moved)) if router.l2 else np.linalg.norm(moved, axis=1)
    leads = LEADS[router.l2]
    costs = np.array([_cost(keys + reach[:, None] * router.leads_of(lead), lists) for lead in leads])
    return replace(router, lead=leads[int(np.argmax(costs <= ALIKE * costs.min()))])


def _cost(keys: np.ndarray, lists: np.ndarray) -> float:
    """How many lists, on the geometric mean over FOUND, hold so many of the neighbours: keys (q, n_lists) that lists
    are ranked by, and the list (q, k) of each neighbour, −1 for none.
    """
    ranks = [
        np.count_nonzero(mine > mine[held[held >= 0], None], axis=1) for mine, held in zip(keys, lists, strict=True)
    ]
    every = np.concatenate(ranks)
    return float(np.exp(np.log1p(np.quantile(every, FOUND)).mean())) if len(every) else 1.0
