"""Index fresh rows: their codes join the tails of their lists, and the watermark moves up in the same commit."""

import numpy as np

from pqdb.partition.assign import assign
from pqdb.search.index import Index
from pqdb.upkeep.blocks import ListRows, by_list, code_rows, unpacked
from pqdb.upkeep.build import Stores

BATCH_ROWS = 65_536


def index_fresh(stores: Stores, index: Index) -> int:
    """Index up to BATCH_ROWS rows behind the watermark; returns how many rows it moved past."""
    with stores.blocks.read() as blocks, stores.points.read() as points:
        watermark = blocks.watermark
        stop = min(points.n_rows, watermark + BATCH_ROWS)
        rows, live = points.live_rows(watermark, stop), points.live
    if stop == watermark:
        return 0
    vectors = index.router.to_index_space(stores.vectors(rows))
    lists = assign(vectors, index.router.centroids)
    fresh = code_rows(index.router, index.codebook, vectors, rows, lists)
    keep_rerank = stores.config.rerank == "int8"
    with stores.blocks.write() as batch:
        for number, positions in by_list(lists):
            count, codes, rerank = batch.read_list(index.generation, number)
            joined = fresh.take(positions)
            if count and codes is not None:
                held = unpacked(codes, rerank, count, index.codebook, index.router.l2)
                joined = _alive(held, live).joined(joined)
            packed, packed_rerank = joined.packed(index.codebook.nbits)
            batch.put_list(index.generation, number, len(joined.rows), packed, packed_rerank if keep_rerank else None)
        batch.set_current(index.generation, stop)
    return stop - watermark


def _alive(held: ListRows, live: np.ndarray) -> ListRows:
    """Without the rows that have died: a list that is rewritten anyway need not carry them on."""
    return held.take(np.flatnonzero((live[held.rows >> 3] >> (held.rows & 7).astype(np.uint8)) & 1))
