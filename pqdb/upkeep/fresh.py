"""Index fresh rows: their codes join the tails of their lists, and the watermark moves up in the same commit."""

import numpy as np

from pqdb.config import FRESH_ROWS
from pqdb.kernels.pack import GROUP
from pqdb.partition.assign import assign
from pqdb.quantization.pack import rerank_bytes
from pqdb.search.coded import ListRows, by_list, code_rows
from pqdb.search.index import Index
from pqdb.store.blockbatch import BlockBatch
from pqdb.store.layout import bits_at
from pqdb.upkeep.lists import living, put
from pqdb.upkeep.newcomers import FEWEST, add_lists, distances
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.watch import Watch, about_of, errors_of

BATCH_ROWS = 65_536
COPIES = 7  # of a vector, with its residual and code
LIST_COPIES = 3  # of a list: as it was, as it will be, and its pages in the commit


def index_fresh(stores: Stores, index: Index, reserved: np.ndarray | None = None) -> int:
    """Index up to BATCH_ROWS rows behind the watermark; returns how many rows it moved past.

    Rows that lie farther from all centroids than rows did at training get lists of their own first. `reserved` rows are
    indexed like living ones: they are about to take the place of others (compact.py).
    """
    with stores.blocks.read() as blocks:
        watermark, about, watch = blocks.watermark, about_of(blocks), Watch.load(blocks)
    rows, live, stop = _rows_behind(stores, watermark, reserved, _at_once(stores, index))
    if stop == watermark:
        return 0
    vectors = index.router.to_index_space(stores.vectors(rows))
    lists = assign(vectors, index.router.centroids)
    far = distances(index.router, vectors, lists) > (about.reach or np.inf)
    if stores.follow_drift and far.sum() >= FEWEST:
        index = add_lists(stores, index, vectors[far])
        lists = assign(vectors, index.router.centroids)
    fresh = code_rows(index.router, index.codebook, vectors, rows, lists)
    watch = watch.after(errors_of(index.codebook, fresh.residuals, fresh.codes), len(rows), about)
    stores.blocks.free_last()
    with stores.blocks.write() as batch:
        _join(batch, stores, index, fresh, lists, live)
        batch.put_note(index.generation, "watch", watch.to_bytes())
        batch.set_current(index.generation, stop)
    return stop - watermark


def catch_up(stores: Stores, index: Index, watermark: int) -> int:
    """Join what was written since `watermark` to a generation that is not searched yet, until little is left; returns
    how far it has come.
    """
    while True:
        rows, live, stop = _rows_behind(stores, watermark, None, _at_once(stores, index))
        if stop - watermark < FRESH_ROWS:
            return watermark
        vectors = index.router.to_index_space(stores.vectors(rows))
        lists = assign(vectors, index.router.centroids)
        with stores.blocks.write() as batch:
            _join(batch, stores, index, code_rows(index.router, index.codebook, vectors, rows, lists), lists, live)
        watermark = stop


def _rows_behind(
    stores: Stores, watermark: int, reserved: np.ndarray | None, most: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Living (and reserved) rows behind the watermark, the live bits they are so by, and where they end."""
    with stores.points.read() as points:
        stop, live = min(points.n_rows, watermark + most), points.live
    if reserved is not None:
        live = live.copy()
        np.bitwise_or.at(live, reserved >> 3, np.uint8(1) << (reserved & 7).astype(np.uint8))
    return watermark + np.flatnonzero(bits_at(live, np.arange(watermark, stop))), live, stop


def _at_once(stores: Stores, index: Index) -> int:
    """Rows to join to lists in one commit: as many as memory has room for, with the pages of the lists they go to."""
    memory = stores.memory
    rows = memory.rows(BATCH_ROWS, COPIES * stores.vector_bytes, share=0.5)
    with stores.points.read() as points:
        in_list = points.n_live / index.router.n_lists
    tier, dim = stores.config.reranked_values, stores.config.dim
    row_bytes = index.record_bytes / GROUP + (0 if tier is None else rerank_bytes(1, dim, tier))
    list_bytes = LIST_COPIES * in_list * row_bytes
    lists = memory.rows(BATCH_ROWS, list_bytes, share=0.5)
    return rows if lists >= index.router.n_lists else min(rows, lists)


def _join(
    batch: BlockBatch, stores: Stores, index: Index, fresh: ListRows, lists: np.ndarray, live: np.ndarray
) -> None:
    """Put coded rows behind those that their lists hold, without what has died there."""
    tier = stores.config.reranked_values
    for number, positions in by_list(lists):
        held, behind = living(batch, index, number, live, tier), fresh.take(positions)
        put(batch, index, number, behind if held is None else held.joined(behind), tier)
