"""Give back what the dead hold: places in lists, source rows and row records.

A run of source rows goes when no row of it lives. Where a few still do they move first, in three commits, so that no
search ever misses one or finds it twice:

    reserve   their source is copied behind all other rows, as rows that are not alive yet
    index     those rows are coded into the lists, and the watermark passes them; scans skip them, as they skip the dead
    settle    the point is led to its new row, which comes to life in the commit that lets the old one die

A point that is changed or deleted in between stays where it is. What a crash leaves is dead, and goes like all dead.
"""

from collections.abc import Iterator

import numpy as np

from pqdb.quantization.pack import rerank_bytes
from pqdb.search.index import Index
from pqdb.store.layout import META_ROWS, UNNAMED_SLOT, bits_at
from pqdb.store.points import PointStore
from pqdb.upkeep.fresh import index_fresh
from pqdb.upkeep.lists import living, put, rows_by_list
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.train import Progress

DEAD = 0.25  # of a list, or of a run: more, and it is rewritten
SLIGHTLY_DEAD = 1 / 16  # the same where compact() was asked for
COMMIT_BYTES = 16 << 20  # of blocks or source rows in one commit
COMMIT_COPIES = 8  # of them, unpacked and packed, with its pages
MOVE_BYTES = 64 << 20  # of source rows moved in one round, …
MOVE_COPIES = 2
MOVE_SHARE = 8  # … and at most an eighth of what is kept: until the old rows have gone, both are on disk
SETTLED_AT_ONCE = 4_096  # rows, in a commit that writers wait for
DROPPED_AT_ONCE = 16_384


def dead_in_lists(stores: Stores) -> tuple[int, int]:
    """How many rows in the lists are dead, and how many rows the lists hold."""
    with stores.blocks.read() as blocks, stores.points.read() as points:
        held = int(blocks.counts.sum())
        return held - (points.n_live - len(points.live_rows(blocks.watermark))), held


def tidy_lists(stores: Stores, index: Index, most: float, progress: Progress) -> int:
    """Rewrite the lists of which more than a share of `most` is dead, without their dead; returns how many."""
    with stores.blocks.read() as blocks, stores.points.read() as points:
        live, counts = points.live, blocks.counts.copy()
        dead = np.zeros(len(counts))
        for number, rows in rows_by_list(blocks):
            dead[number] = 1 - bits_at(live, rows).mean()
    due = np.flatnonzero(dead > most)
    tier = stores.config.reranked_values
    row_bytes = index.record_bytes / 32 + (0 if tier is None else rerank_bytes(1, index.codebook.dim, tier)) + 4
    done = 0
    for part in _parts(due, counts[due] * row_bytes, stores.memory.bytes(COMMIT_BYTES, COMMIT_COPIES)):
        _rewrite(stores, index, part, live)
        done += len(part)
        progress("tidy lists", done / len(due))
    return len(due)


def _rewrite(stores: Stores, index: Index, numbers: np.ndarray, live: np.ndarray) -> None:
    tier = stores.config.reranked_values
    with stores.blocks.write() as batch:
        for number in numbers.tolist():
            kept = living(batch, index, number, live, tier)
            if kept is not None:
                put(batch, index, number, kept, tier)


def dead_in_runs(stores: Stores) -> tuple[int, int]:
    """How many rows whose source is on disk are dead, and how many there are on disk. None of its own has a vector
    that shares them with others (shared.py).
    """
    if stores.shared:
        return 0, 0
    with stores.points.read() as view:
        living = view.n_live if stores.config.source is not None else len(view.live_rows(view.forgotten_rows))
        return view.kept_rows - living, view.kept_rows


def tidy_rows(stores: Stores, index: Index | None, most: float, progress: Progress) -> int:
    """Move rows out of runs of which more than a share of `most` is dead, as many as one round takes, and delete the
    runs and row records that nobody needs any more; returns how many were moved or deleted.
    """
    moved = 0
    if stores.shared:
        return 0
    if stores.config.source is not None:
        rows = _rows_to_move(stores, most)
        if len(rows):
            moved = _move(stores, index, rows, progress)
    return moved + drop_dead_runs(stores.points) + drop_dead_pages(stores.points)


def _rows_to_move(stores: Stores, most: float) -> np.ndarray:
    """Living rows of runs that are mostly dead."""
    per_run = stores.points.rows_per_run
    with stores.points.read() as view:
        runs = view.kept_runs()
        runs = runs[(runs + 1) * per_run <= view.n_rows]
        counts = view.alive_each(runs, per_run)
        sparse = runs[(counts > 0) & (counts < (1 - most) * per_run)]
        most_bytes = stores.memory.bytes(MOVE_BYTES, MOVE_COPIES)
        most_rows = min(most_bytes // stores.points.row_bytes, view.kept_rows // MOVE_SHARE)
        sparse = sparse[: max(1, most_rows // per_run)]
        rows = (sparse[:, None] * per_run + np.arange(per_run)).ravel()
        living: np.ndarray = rows[bits_at(view.live, rows)].astype(np.uint32)
        return living


def _move(stores: Stores, index: Index | None, rows: np.ndarray, progress: Progress) -> int:
    progress("move rows", 0.0)
    step = max(1, stores.memory.bytes(COMMIT_BYTES, COMMIT_COPIES) // stores.points.row_bytes)
    reserved = []
    for start in range(0, len(rows), step):
        with stores.points.write() as batch:
            reserved.append(batch.reserve(rows[start : start + step]))
        progress("move rows", 0.3 * min(1.0, (start + step) / len(rows)))
    places = np.concatenate(reserved)
    if index is not None:
        _index_upto(stores, places)
    settled = 0
    for start in range(0, len(rows), SETTLED_AT_ONCE):
        part = slice(start, start + SETTLED_AT_ONCE)
        with stores.points.write() as batch:
            settled += batch.settle(rows[part], places[part])
        progress("move rows", 0.7 + 0.3 * min(1.0, (start + SETTLED_AT_ONCE) / len(rows)))
    return settled


def _index_upto(stores: Stores, places: np.ndarray) -> None:
    """Index all rows up to the last reserved one, and those like living ones."""
    while True:
        with stores.blocks.read() as blocks:
            if blocks.watermark > int(places[-1]):
                return
            index = Index.load(blocks)  # anew each time: rows that lie far from all others may be given lists
        index_fresh(stores, index, places)


def drop_dead_runs(points: PointStore, slot: int = UNNAMED_SLOT) -> int:
    """Delete the source runs of a slot that hold no living row; returns how many."""
    seen, dropped = points.slot(slot), 0
    with seen.read() as view:
        runs = view.kept_runs()
        runs = runs[view.alive_each(runs, seen.rows_per_run) == 0]
    for start in range(0, len(runs), DROPPED_AT_ONCE):
        with points.write() as batch:
            dropped += batch.drop_dead_runs(runs[start : start + DROPPED_AT_ONCE], slot)
    return dropped


def drop_dead_pages(points: PointStore) -> int:
    """Delete the pages of row records that hold no living row; returns how many."""
    dropped = 0
    with points.read() as view:
        pages = view.kept_pages()
        pages = pages[view.alive_each(pages, META_ROWS) == 0]
    for start in range(0, len(pages), DROPPED_AT_ONCE):
        with points.write() as batch:
            dropped += batch.drop_dead_pages(pages[start : start + DROPPED_AT_ONCE])
    return dropped


def _parts(numbers: np.ndarray, sizes: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Numbers (n,) in parts whose sizes (n,) add up to about `most`."""
    if len(numbers):
        part = (np.cumsum(sizes) // most).astype(np.int64)
        yield from np.split(numbers, np.flatnonzero(np.diff(part)) + 1)
