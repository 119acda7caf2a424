"""Vectors from what the lists hold: with source=None the int8 residuals are all there is of them."""

import numpy as np

from pqdb.config import CollectionConfig
from pqdb.search.index import Index
from pqdb.store.blocklayout import RERANK
from pqdb.store.blockview import BlockView
from pqdb.upkeep.blocks import unpacked


def can_decode(config: CollectionConfig) -> bool:
    """Whether lists alone give vectors worth coding anew: int8 residuals do, codes of a bit a dimension do not."""
    return config.rerank == "int8"


def decoded_list(view: BlockView, index: Index, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n,) uint32 of a list, dead ones too, and their vectors (n, dim) float32 in index space."""
    count = int(view.counts[number])
    held = unpacked(view.data(number), view.data(number, RERANK), count, index.codebook, index.router.l2)
    vectors: np.ndarray = held.residuals + index.router.centroids[number]
    return held.rows, vectors
