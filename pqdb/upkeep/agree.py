"""Whether the lists and the points say the same: every indexed row that is alive lies in exactly one list."""

from collections.abc import Iterator

import numpy as np

from pqdb.quantization.pack import list_bytes, unpack_list
from pqdb.search.snapshot import Snapshot
from pqdb.store.addresses import BYTES


def disagreements(snapshot: Snapshot) -> Iterator[str]:
    """Sentences about rows that lists and points disagree on. Raises CorruptError for a block that is none."""
    index, blocks, points = snapshot.index, snapshot.blocks, snapshot.points
    if index is None:
        return
    if blocks.watermark > points.n_rows:
        yield f"the index has come to row {blocks.watermark:,}, but there are {points.n_rows:,} rows"
    times = np.zeros(max(blocks.watermark, points.n_rows), np.int64)  # that each row is in a list
    for number in np.flatnonzero(blocks.counts).tolist():
        rows = _rows_of(snapshot, number)
        beyond = rows[rows >= min(blocks.watermark, points.n_rows)]
        if len(beyond):
            yield f"list {number} holds row {int(beyond[0]):,}, which is not indexed yet"
            continue
        np.add.at(times, rows, 1)
    twice = np.flatnonzero(times > 1)
    if len(twice):
        yield f"{len(twice):,} rows are in lists more than once, row {int(twice[0]):,} first"
    live = points.live_rows(0, blocks.watermark)
    lost = live[times[live] == 0]
    if len(lost):
        yield f"{len(lost):,} points that should be indexed are in no list, row {int(lost[0]):,} first"


def _rows_of(snapshot: Snapshot, number: int) -> np.ndarray:
    """(count,) uint32: the rows of a list."""
    assert snapshot.index is not None
    book, l2 = snapshot.index.codebook, snapshot.index.router.l2
    count, start = int(snapshot.blocks.counts[number]), int(snapshot.blocks.codes[number])
    data = BYTES[start : start + list_bytes(count, book.m, book.nbits, l2)]
    return unpack_list(data, count, book.m, book.nbits, l2)[3]
