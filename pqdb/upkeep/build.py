"""Build a generation aside: train, assign, encode, calibrate; then swap it in by one commit.

Memory is bounded whatever the collection's size: a sample for training, two list numbers a row and how far it is to the
second, and a part of the lists at a time. No read transaction outlives a part, so a long build pins no pages.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pqdb.config import CollectionConfig, Flat
from pqdb.partition.assign import Assigner
from pqdb.partition.fill import fill_groups
from pqdb.partition.router import Router, mean_squares
from pqdb.partition.train import FEWEST_POINTS, choose_n_lists
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.values import Code
from pqdb.search.coded import by_list, code_rows
from pqdb.search.index import Index
from pqdb.search.plan import Calibration
from pqdb.store.blocks import BlockStore
from pqdb.upkeep.calibrate import calibrate
from pqdb.upkeep.fresh import catch_up
from pqdb.upkeep.lead import led
from pqdb.upkeep.lists import NOWHERE
from pqdb.upkeep.precision import NOISE_ROWS, measure_noise, with_precision
from pqdb.upkeep.sample import Sample
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.train import Progress, sample_size, train
from pqdb.upkeep.watch import About, Watch, errors_of, reach_of

PART_BYTES = 32 << 20  # float32 vectors held at a time while encoding
PART_COPIES = 7  # of them, with residuals, codes and what a commit holds of its pages [M]
ASSIGN_ROWS = 16_384
DRAWN_ROWS = 4_096  # of a sample, read at a time
ASSIGN_COPIES = 5


Proof = Callable[[Index, int], bool]  # of a generation built aside and its watermark: whether to swap it in


def build_generation(
    stores: Stores, seed: int = 0, progress: Progress | None = None, proof: Proof | None = None
) -> int | None:
    """Train on the live rows and index all of them; returns the number of the new, current generation, or None where
    `proof` did not want it.

    What `progress` raises ends the build and leaves the current generation as it was.
    """
    with stores.memory.at_hand():
        return _build(stores, seed, progress, proof)


def _build(stores: Stores, seed: int, progress: Progress | None, proof: Proof | None) -> int | None:
    with stores.points.read() as view:
        n_rows, live = view.n_rows, view.live_rows(stores.known_from(view), view.n_rows)
    rng = np.random.default_rng(seed)
    n_lists = choose_n_lists(len(live))
    size = sample_size(len(live), n_lists, stores.config.dim, stores.memory)
    n_lists = min(n_lists, max(1, size // FEWEST_POINTS))
    chosen, sample = _drawn(stores, live, size, rng)
    router, codebook = train(sample, stores.config, n_lists, seed, progress)
    moved = router.to_index_space(sample[:NOISE_ROWS])
    assigner = Assigner.of(router.centroids, moved, len(live))
    lists = assigner.nearest(moved)
    noise, scale = measure_noise(router, codebook, sample[:NOISE_ROWS], lists, stores.config.metric, seed)
    residuals = moved - router.centroids[lists]
    generation = _begin(stores.blocks, router.n_lists)
    list_of_row = _assign_rows(stores, router, assigner, isinstance(codebook, Codebook), live, n_rows, progress)
    router = replace(router, spreads=_write_lists(stores, router, codebook, generation, list_of_row, progress))
    blank = Calibration(noise, (1,), np.zeros(1, np.float32), np.ones((1, 1, 1), np.float32), scale=scale)
    index = Index(generation, codebook, router, blank)
    index = _calibrated(stores, index, Sample(sample, chosen, len(live), list_of_row), seed)
    watermark = catch_up(stores, index, n_rows)
    if proof is not None and not proof(index, watermark):
        with stores.blocks.write() as batch:
            batch.drop_generation(generation)
        return None
    error, code_error = errors_of(codebook, residuals, along=None if router.l2 else moved) or (None, None)
    about = About(
        len(live), router.n_lists, error, code_error, reach_of(residuals), round(len(live) / router.n_lists, 1)
    )
    _swap(stores.blocks, index, watermark, about)
    return generation


def _drawn(stores: Stores, live: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """So many of the live rows, and their vectors, in random order: what is measured on the first of them must hold for
    all. They are read in their own order, a part at a time: memory that was never touched before takes longer than the
    reading.
    """
    chosen = live[np.sort(rng.choice(len(live), size, replace=False))]
    order = rng.permutation(size)
    places, vectors = np.argsort(order), np.empty((size, stores.config.dim), np.float32)
    for start in range(0, size, DRAWN_ROWS):
        part = slice(start, start + DRAWN_ROWS)
        vectors[places[part]] = stores.vectors(chosen[part])
    return chosen[order], vectors


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
    stores: Stores, router: Router, assigner: Assigner, grouped: bool, live: np.ndarray, n_rows: int,
    progress: Progress | None,
) -> np.ndarray:  # fmt: skip
    """(n_rows,) int32 list of each live row; `grouped`: codes are scanned group by group."""
    near, farther = np.empty((len(live), 2), np.int32), np.empty(len(live), np.float32)
    step = stores.memory.rows(ASSIGN_ROWS, ASSIGN_COPIES * stores.vector_bytes, n_rows)
    for start in range(0, len(live), step):
        part = slice(start, start + step)
        near[part], farther[part] = assigner.two_nearest(router.to_index_space(stores.vectors(live[part])))
        if progress:
            progress("assign", min(1.0, (start + step) / len(live)))
    list_of_row = np.full(n_rows, NOWHERE, np.int32)
    list_of_row[live] = fill_groups(near, farther, router.n_lists) if grouped else near[:, 0]
    return list_of_row


def _write_lists(
    stores: Stores,
    router: Router,
    codebook: Code,
    generation: int,
    list_of_row: np.ndarray,
    progress: Progress | None,
) -> np.ndarray:
    """Encode and pack list after list, a part of them a commit; returns their spreads (n_lists,) float32, of an empty
    list the mean of the others.
    """
    spreads = np.full(router.n_lists, np.nan, np.float32)
    order = np.argsort(list_of_row, kind="stable")
    lists = list_of_row[order]
    dead = int(np.searchsorted(lists, 0))
    order, lists = order[dead:], lists[dead:]
    usual = max(1, PART_BYTES // stores.vector_bytes)
    room = stores.memory.rows(usual, PART_COPIES * stores.vector_bytes, len(list_of_row))
    start = 0
    while start < len(order):
        stop = min(start + room, len(order))
        if stop < len(order):  # whole lists only; a list longer than a part is a part of its own
            first = int(np.searchsorted(lists, lists[stop]))
            stop = first if first > start else int(np.searchsorted(lists, lists[stop], "right"))
        _write_part(stores, router, codebook, generation, order[start:stop], lists[start:stop], spreads)
        start = stop
        if progress:
            progress("encode", stop / len(order))
    return np.where(np.isnan(spreads), np.nanmean(spreads), spreads)


def _write_part(
    stores: Stores,
    router: Router,
    codebook: Code,
    generation: int,
    rows: np.ndarray,
    lists: np.ndarray,
    spreads: np.ndarray,
) -> None:
    tier = stores.config.reranked_values
    coded = code_rows(router, codebook, router.to_index_space(stores.vectors(rows)), rows, lists)
    with stores.blocks.write() as batch:
        for number, positions in by_list(lists):
            batch.put_list(generation, number, len(positions), *coded.take(positions).packed(codebook, tier))
    there, places = np.unique(lists, return_inverse=True)
    spreads[there] = mean_squares(coded.residuals, places, len(there), router.l2)


def _calibrated(stores: Stores, index: Index, sample: Sample, seed: int) -> Index:
    """How lists are ranked, then what a recall takes."""
    n_rows = len(sample.list_of_row)
    with stores.blocks.read() as blocks, stores.points.read() as points:
        blocks.look_at(index.generation, n_rows)
        snapshot = replace(stores.snapshot(blocks, points, index), n_rows=n_rows)
        precise = with_precision(snapshot, sample, points.live, by_source=stores.decoded is None)
        index = replace(precise, router=led(replace(snapshot, index=precise), sample, points.live, seed))
        return replace(index, calibration=calibrate(replace(snapshot, index=index), sample, points.live, seed))


def _swap(blocks: BlockStore, index: Index, watermark: int, about: About) -> None:
    """One commit makes the new generation current; the one before is kept, older ones go."""
    with blocks.write() as batch:
        if batch.generation:  # how far it has come, should we want it back
            before = About.load(batch.get_object(batch.generation, "about") or b"")
            before = replace(before, watermark=batch.watermark)
            batch.put_object(batch.generation, "about", before.to_bytes())
        batch.put_object(index.generation, "codebook", index.codebook.to_bytes())
        batch.put_object(index.generation, "router", index.router.to_bytes())
        batch.put_object(index.generation, "calibration", index.calibration.to_bytes())
        batch.put_object(index.generation, "about", about.to_bytes())
        batch.put_note(index.generation, "watch", Watch(recall_rows=about.trained_rows).to_bytes())
        batch.set_current(index.generation, watermark)
    old = [number for number in blocks.generations() if number < index.generation - 1]
    if old:
        with blocks.write() as batch:
            for number in old:
                batch.drop_generation(number)


def is_trainable(config: CollectionConfig) -> bool:
    """Whether a collection has codes at all."""
    return not isinstance(config.quantization, Flat)
