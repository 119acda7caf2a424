"""Index fresh rows: their codes join the tails of their lists, and the watermark moves up in the same commit."""

import numpy as np

from pqdb.partition.assign import assign
from pqdb.search.index import Index
from pqdb.upkeep.blocks import ListRows, by_list, code_rows, unpacked
from pqdb.upkeep.build import Stores

BATCH_ROWS = 65_536


def index_fresh(stores: Stores, index: Index, reserved: np.ndarray | None = None) -> int:
    """Index up to BATCH_ROWS rows behind the watermark; returns how many rows it moved past.

    `reserved` rows are indexed like living ones: they are about to take the place of others (compact.py).
    """
    with stores.blocks.read() as blocks, stores.points.read() as points:
        watermark = blocks.watermark
        stop = min(points.n_rows, watermark + BATCH_ROWS)
        live = points.live
    if stop == watermark:
        return 0
    if reserved is not None:
        live = live.copy()
        np.bitwise_or.at(live, reserved >> 3, np.uint8(1) << (reserved & 7).astype(np.uint8))
    rows = watermark + np.flatnonzero(is_alive(np.arange(watermark, stop), live))
    vectors = index.router.to_index_space(stores.vectors(rows))
    lists = assign(vectors, index.router.centroids)
    fresh = code_rows(index.router, index.codebook, vectors, rows, lists)
    keep_rerank = stores.config.rerank == "int8"
    stores.blocks.free_last()
    with stores.blocks.write() as batch:
        for number, positions in by_list(lists):
            count, codes, rerank = batch.read_list(index.generation, number)
            joined = fresh.take(positions)
            if count and codes is not None:
                held = unpacked(codes, rerank, count, index.codebook, index.router.l2)
                joined = alive(held, live).joined(joined)
            packed, packed_rerank = joined.packed(index.codebook.nbits)
            batch.put_list(index.generation, number, len(joined.rows), packed, packed_rerank if keep_rerank else None)
        batch.set_current(index.generation, stop)
    return stop - watermark


def alive(held: ListRows, live: np.ndarray) -> ListRows:
    """Without the rows that have died: a list that is rewritten anyway need not carry them on."""
    return held.take(np.flatnonzero(is_alive(held.rows, live)))


def is_alive(rows: np.ndarray, live: np.ndarray) -> np.ndarray:
    """(n,) uint8: 1 for those of rows (n,) whose bit is set."""
    bits: np.ndarray = live[rows >> 3] >> (rows & 7).astype(np.uint8) & 1
    return bits
