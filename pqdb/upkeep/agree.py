"""Whether the lists and the points say the same: every indexed row that is alive lies in exactly one list."""

from collections.abc import Iterator

import numpy as np

from pqdb.search.snapshot import Snapshot
from pqdb.upkeep.lists import rows_by_list


def disagreements(snapshot: Snapshot) -> Iterator[str]:
    """Sentences about rows that lists and points disagree on. Raises CorruptError for a block that is none."""
    blocks, points = snapshot.blocks, snapshot.points
    if snapshot.index is None:
        return
    if blocks.watermark > points.n_rows:
        yield f"the index has come to row {blocks.watermark:,}, but there are {points.n_rows:,} rows"
    times = np.zeros(max(blocks.watermark, points.n_rows), np.int64)  # that each row is in a list
    for number, rows in rows_by_list(blocks):
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
