"""Lists of their own for rows that lie in no list's land.

A code stands for what is left of a row once its centroid is taken away. Where that is much longer than it was for the
rows trained on, its estimates are off by as much more, and one such row that seems near keeps true neighbours of the
same list from being looked at. So the first of a new kind get centroids before they are coded, and not when a list has
grown too large.
"""

from dataclasses import replace

import numpy as np

from pqdb.partition.assign import assign
from pqdb.partition.lloyd import kmeans
from pqdb.partition.middle import middle
from pqdb.partition.router import Router, mean_squares
from pqdb.search.index import Index
from pqdb.search.plan import Calibration
from pqdb.store.blockbatch import BlockBatch
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.watch import About

FEWEST = 16  # rows of a batch: fewer stay outliers in the lists they are nearest to
LEAST_LIST = 64  # rows that a new list is made for, at least
_ROUNDS = 8


def distances(router: Router, vectors: np.ndarray, lists: np.ndarray) -> np.ndarray:
    """(n,) float32 of vectors (n, d), in index space, to the centroids of their lists (n,)."""
    apart = vectors - router.centroids[lists]
    found: np.ndarray = np.sqrt(np.einsum("nd,nd->n", apart, apart))
    return found


def add_lists(stores: Stores, index: Index, vectors: np.ndarray, seed: int = 0) -> Index:
    """Give the current generation new, empty lists for such vectors (n, d), in index space; returns it with them."""
    with stores.blocks.read() as blocks:
        usual = max(LEAST_LIST, float(blocks.counts.mean()))
    origin = middle(vectors)
    wanted = max(1, round(len(vectors) / usual))
    added = kmeans(vectors - origin, wanted, _ROUNDS, np.random.default_rng(seed)) + origin
    router = index.router
    spreads = router.spreads
    if spreads is not None:
        lists = assign(vectors, added)
        spreads = np.concatenate([spreads, mean_squares(vectors - added[lists], lists, len(added), router.l2)])
    grown = replace(router, centroids=np.concatenate([router.centroids, added]), spreads=spreads)
    calibration = stretched(index.calibration, grown.n_lists / router.n_lists, grown.n_lists)
    with stores.blocks.write() as batch:
        batch.resize_generation(index.generation, grown.n_lists)
        put_shape(batch, index.generation, grown, calibration)
    return Index(index.generation, index.codebook, grown, calibration)


def put_shape(batch: BlockBatch, generation: int, router: Router, calibration: Calibration) -> None:
    """The objects of a generation whose lists have changed."""
    batch.put_object(generation, "router", router.to_bytes())
    batch.put_object(generation, "calibration", calibration.to_bytes())
    about = About.load(batch.get_object(generation, "about") or b"")
    batch.put_object(generation, "about", replace(about, n_lists=router.n_lists).to_bytes())


def stretched(calibration: Calibration, ratio: float, n_lists: int) -> Calibration:
    """As many rows as before are probed where there are more, smaller lists."""
    return replace(calibration, widths=np.clip(calibration.widths * max(1.0, ratio), 1, n_lists).astype(np.float32))
