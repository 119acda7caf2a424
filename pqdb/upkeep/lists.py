"""The rows of a list, as upkeep reads and writes them."""

from collections.abc import Iterator

import numpy as np

from pqdb.config import Values
from pqdb.quantization.pack import rows_of_list
from pqdb.search.coded import ListRows, unpacked
from pqdb.search.index import Index
from pqdb.store.blockbatch import BlockBatch
from pqdb.store.blockview import BlockView
from pqdb.store.layout import bits_at

NOWHERE = -1  # list of a row that is in none


def rows_by_list(blocks: BlockView) -> Iterator[tuple[int, np.ndarray]]:
    """(list, its rows (n,) uint32) of every list that holds any."""
    for number in np.flatnonzero(blocks.counts).tolist():
        yield number, rows_of_list(blocks.data(number), int(blocks.counts[number]))


def list_of_row(blocks: BlockView, n_rows: int) -> np.ndarray:
    """(n_rows,) int32 list of each row."""
    found = np.full(n_rows, NOWHERE, np.int32)
    for number, rows in rows_by_list(blocks):
        found[rows] = number
    return found


def living(batch: BlockBatch, index: Index, number: int, live: np.ndarray, tier: Values | None) -> ListRows | None:
    """A list's rows as they are coded, without those that have died: a list that is rewritten need not carry them on.
    None where it holds nothing.
    """
    count, codes, rerank = batch.read_list(index.generation, number)
    if not count or codes is None:
        return None
    held = unpacked(codes, rerank, count, index.codebook, index.router.l2, tier)
    return held.take(np.flatnonzero(bits_at(live, held.rows)))


def put(batch: BlockBatch, index: Index, number: int, rows: ListRows, tier: Values | None) -> None:
    """Let a list hold these rows and no others."""
    batch.put_list(index.generation, number, len(rows.rows), *rows.packed(index.codebook, tier))
