"""Build a generation aside: train, assign, encode, calibrate; then swap it in by one commit.

Memory is bounded whatever the collection's size: a sample for training, one list number a row, and a part of the
lists at a time. No read transaction outlives a part, so a long build pins no pages.
"""

import json
from dataclasses import dataclass, replace

import numpy as np

from pqdb.config import PQ, CollectionConfig
from pqdb.partition.assign import assign
from pqdb.partition.router import Router
from pqdb.partition.train import choose_n_lists
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.source import decode_source
from pqdb.search.index import Index
from pqdb.search.plan import Calibration
from pqdb.search.snapshot import Snapshot
from pqdb.store.blocks import BlockStore
from pqdb.store.points import PointStore
from pqdb.upkeep.blocks import by_list, code_rows
from pqdb.upkeep.calibrate import calibrate, measure_noise
from pqdb.upkeep.precision import measure_precision
from pqdb.upkeep.train import Progress, sample_size, train

PART_BYTES = 128 << 20  # float32 vectors held at a time while encoding
ASSIGN_ROWS = 16_384
NOWHERE = -1  # list of a row that is dead


@dataclass(frozen=True)
class Stores:
    """A collection's two environments and its configuration: all that upkeep needs."""

    config: CollectionConfig
    points: PointStore
    blocks: BlockStore

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 prepared vectors of rows that still have their source."""
        with self.points.read() as view:
            return decode_source(view.source_of(rows), self.config.dim, self.config.kept_source)

    def vectors_alive(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bool which of rows are alive now, and the vectors of those: others may have lost their source."""
        with self.points.read() as view:
            there = (view.live[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).astype(bool)
            source = view.source_of(rows[there])
        return there, decode_source(source, self.config.dim, self.config.kept_source)


def build_generation(stores: Stores, seed: int = 0, progress: Progress | None = None) -> int:
    """Train on the live rows and index all of them; returns the number of the new, current generation.

    What `progress` raises ends the build and leaves the current generation as it was.
    """
    with stores.points.read() as view:
        n_rows, live = view.n_rows, view.live_rows(view.forgotten_rows, view.n_rows)
    n_lists = choose_n_lists(len(live))
    rng = np.random.default_rng(seed)
    chosen = live[np.sort(rng.choice(len(live), sample_size(len(live), n_lists, stores.config.dim), replace=False))]
    sample = stores.vectors(chosen)
    router, codebook = train(sample, stores.config, n_lists, seed, progress)
    moved = router.to_index_space(sample[: 1 << 15])
    noise = measure_noise(router, codebook, moved, assign(moved, router.centroids), seed)
    generation = _begin(stores.blocks, router.n_lists)
    list_of_row = _assign_rows(stores, router, live, n_rows, progress)
    _write_lists(stores, router, codebook, generation, list_of_row, progress)
    blank = Calibration(noise, (1,), np.zeros(1, np.float32), np.ones((1, 1, 1), np.float32))
    index = Index(generation, codebook, router, blank)
    shuffled = rng.permutation(len(chosen))
    calibration = _calibrate(stores, index, sample[shuffled], chosen[shuffled], list_of_row, seed)
    _swap(stores.blocks, replace(index, calibration=calibration), n_rows, len(live))
    return generation


def _begin(blocks: BlockStore, n_lists: int) -> int:
    """Start a generation of our own number; what an interrupted build left behind goes first."""
    there = blocks.generations()
    with blocks.write() as batch:
        current = batch.generation
        for number in there:
            if number > current:
                batch.drop_generation(number)
        batch.begin_generation(current + 1, n_lists)
    return current + 1


def _assign_rows(
    stores: Stores, router: Router, live: np.ndarray, n_rows: int, progress: Progress | None
) -> np.ndarray:
    """(n_rows,) int32 list of each live row."""
    list_of_row = np.full(n_rows, NOWHERE, np.int32)
    for start in range(0, len(live), ASSIGN_ROWS):
        rows = live[start : start + ASSIGN_ROWS]
        list_of_row[rows] = assign(router.to_index_space(stores.vectors(rows)), router.centroids)
        if progress:
            progress("assign", min(1.0, (start + ASSIGN_ROWS) / len(live)))
    return list_of_row


def _write_lists(
    stores: Stores,
    router: Router,
    codebook: Codebook,
    generation: int,
    list_of_row: np.ndarray,
    progress: Progress | None,
) -> None:
    """Encode and pack list after list, a part of them a commit."""
    order = np.argsort(list_of_row, kind="stable")
    order = order[np.searchsorted(list_of_row[order], 0) :]
    room = max(1, PART_BYTES // (4 * stores.config.dim))
    start = 0
    while start < len(order):
        stop = min(start + room, len(order))
        if stop < len(order):  # whole lists only; a list longer than a part is a part of its own
            first = int(np.searchsorted(list_of_row[order], list_of_row[order[stop]]))
            stop = (
                first if first > start else int(np.searchsorted(list_of_row[order], list_of_row[order[stop]], "right"))
            )
        _write_part(stores, router, codebook, generation, order[start:stop], list_of_row)
        start = stop
        if progress:
            progress("encode", stop / len(order))


def _write_part(
    stores: Stores,
    router: Router,
    codebook: Codebook,
    generation: int,
    rows: np.ndarray,
    list_of_row: np.ndarray,
) -> None:
    lists = list_of_row[rows]
    coded = code_rows(router, codebook, router.to_index_space(stores.vectors(rows)), rows, lists)
    with stores.blocks.write() as batch:
        for number, positions in by_list(lists):
            codes, rerank = coded.take(positions).packed(codebook.nbits)
            batch.put_list(
                generation, number, len(positions), codes, rerank if stores.config.rerank == "int8" else None
            )


def _calibrate(
    stores: Stores,
    index: Index,
    sample: np.ndarray,
    sample_rows: np.ndarray,
    list_of_row: np.ndarray,
    seed: int,
) -> Calibration:
    with stores.blocks.read() as blocks, stores.points.read() as points:
        blocks.look_at(index.generation, len(list_of_row))
        snapshot = Snapshot(
            stores.config,
            points,
            blocks,
            index,
            stores.points.rows_per_run,
            stores.points.row_bytes,
            len(list_of_row),
        )
        noise, spare = measure_precision(snapshot, sample, points.live)
        precise = replace(index, calibration=replace(index.calibration, noise=noise, spare=spare))
        return calibrate(replace(snapshot, index=precise), sample, sample_rows, list_of_row, points.live, seed)


def _swap(blocks: BlockStore, index: Index, watermark: int, trained_rows: int) -> None:
    """One commit makes the new generation current; the one before is kept, older ones go."""
    assert isinstance(index.codebook, Codebook)
    about = {"trained_rows": trained_rows, "n_lists": index.router.n_lists}
    with blocks.write() as batch:
        batch.put_object(index.generation, "codebook", index.codebook.to_bytes())
        batch.put_object(index.generation, "router", index.router.to_bytes())
        batch.put_object(index.generation, "calibration", index.calibration.to_bytes())
        batch.put_object(index.generation, "about", json.dumps(about).encode())
        batch.set_current(index.generation, watermark)
    old = [number for number in blocks.generations() if number < index.generation - 1]
    if old:
        with blocks.write() as batch:
            for number in old:
                batch.drop_generation(number)


def is_trainable(config: CollectionConfig) -> bool:
    """Whether a collection has codes at all."""
    return isinstance(config.quantization, PQ)
