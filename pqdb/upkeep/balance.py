"""Keep the lists even as the data move: large ones are cut, small ones merged, a few at a time, in one commit each.

The rows of both are coded anew against the nearest of the centroids there are then; all other codes stay as they are,
since a code knows no centroid but its own list's. A list that is merged away gives its number to a new one, or to the
last list.
"""

from dataclasses import dataclass, replace

import numpy as np

from pqdb.config import Values
from pqdb.partition.assign import assign
from pqdb.partition.router import Router, mean_squares
from pqdb.partition.split import cut, uneven
from pqdb.quantization.pack import rows_of_list
from pqdb.search.coded import ListRows, by_list, code_rows
from pqdb.search.index import Index
from pqdb.store.blockbatch import BlockBatch
from pqdb.store.layout import bits_at
from pqdb.upkeep.decoded import can_decode, decoded_list
from pqdb.upkeep.lists import living, put
from pqdb.upkeep.newcomers import put_shape, stretched
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.train import Progress
from pqdb.upkeep.watch import Watch, about_of

LISTS_AT_ONCE = 64
PART_BYTES = 32 << 20  # of float32 vectors
PART_COPIES = 8  # of them, with what becomes of them
DUE_SHARE = 64  # one list in so many is uneven: worth a commit, after which every reader loads the centroids anew
FAR_OUT = 2.0  # … and so is a single one that is so many times too large


@dataclass(frozen=True)
class Shape:
    """How the lists are numbered anew."""

    centroids: np.ndarray  # (n, d) float32, of the lists there will be
    rebuilt: frozenset[int]  # lists whose rows are all coded anew
    moved: dict[int, int]  # last lists, and the numbers they get
    n_before: int


def is_balanceable(stores: Stores) -> bool:
    """Whether there are vectors to code anew."""
    return stores.config.source is not None or can_decode(stores.config)


def n_uneven(stores: Stores) -> int:
    """How many lists are too large or too small; 0 where they are too few to be worth a commit."""
    counts, usual = _counts(stores)
    if len(counts) < 2 or not counts.sum():
        return 0
    large, small = uneven(counts, usual)
    extreme = len(large) > 0 and counts[large[0]] > FAR_OUT * 2 * counts.mean()
    n = len(large) + len(small)
    return n if extreme or n >= max(1, len(counts) // DUE_SHARE) else 0


def balance(stores: Stores, index: Index, progress: Progress, seed: int = 0) -> int:
    """Split and merge some lists; returns how many. Readers see the lists before or after, never between."""
    progress("balance", 0.0)
    rng = np.random.default_rng(seed)
    counts, usual = _counts(stores)
    large, small = uneven(counts, usual)
    small = np.concatenate([small[counts[small] == 0], _near_others(stores, index, small[counts[small] > 0])])
    held, cuts = _cuts(stores, index, large[:LISTS_AT_ONCE], float(counts.mean()), rng)
    small = _in_memory(stores, small[:LISTS_AT_ONCE], counts)
    if not cuts and not len(small):
        return 0
    finer = sum((len(cuts[number]) - 1) * int(counts[number]) for number in cuts) / max(1, int(counts.sum()))
    shape = _shape(index.router.centroids, cuts, small.tolist())
    held += [_living(stores, index, number) for number in small.tolist()]
    rows, vectors = (np.concatenate(each) for each in zip(*held, strict=True))
    progress("balance", 0.5)
    _commit(stores, index, shape, rows, vectors, 1 + finer)
    progress("balance", 1.0)
    return len(cuts) + len(small)


def _counts(stores: Stores) -> tuple[np.ndarray, float]:
    """(n_lists,) int64 rows of each list, and how many were usual when they were trained (0 if nobody knows)."""
    with stores.blocks.read() as blocks:
        return blocks.counts.astype(np.int64), about_of(blocks).list_rows or 0.0


def _near_others(stores: Stores, index: Index, numbers: np.ndarray) -> np.ndarray:
    """Those of these lists whose rows have another centroid within reach: merging the others would make outliers."""
    with stores.blocks.read() as blocks:
        reach = about_of(blocks).reach
    if reach is None or not len(numbers):
        return numbers
    others = np.delete(index.router.centroids, numbers, axis=0)
    nearest = others[assign(index.router.centroids[numbers], others)]
    apart = index.router.centroids[numbers] - nearest
    near: np.ndarray = numbers[np.sqrt(np.einsum("nd,nd->n", apart, apart)) <= reach]
    return near


def _in_memory(stores: Stores, numbers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The first of these lists whose vectors there is room for, one at least."""
    sizes = np.cumsum(counts[numbers]) * stores.vector_bytes
    most = stores.memory.bytes(PART_BYTES, PART_COPIES)
    return numbers[: max(1, int(np.searchsorted(sizes, most, side="right")))]


def _cuts(
    stores: Stores, index: Index, large: np.ndarray, mean: float, rng: np.random.Generator
) -> tuple[list[tuple[np.ndarray, np.ndarray]], dict[int, np.ndarray]]:
    """Rows and vectors of the large lists that can be cut, and the centroids of their parts, by number."""
    held, cuts, size = list[tuple[np.ndarray, np.ndarray]](), dict[int, np.ndarray](), 0
    most = stores.memory.bytes(PART_BYTES, PART_COPIES)
    for number in large.tolist():
        rows, points = _living(stores, index, number)
        size += points.nbytes
        if cuts and size > most:
            break
        parts = cut(points, mean, rng) if len(rows) > 1 else points
        if len(parts) > 1:
            held.append((rows, points))
            cuts[number] = parts
    return held, cuts


def _living(stores: Stores, index: Index, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Living rows (n,) of a list, and their vectors (n, dim) in index space."""
    with stores.blocks.read() as blocks, stores.points.read() as points:
        if stores.config.source is None:
            rows, vectors = decoded_list(blocks, index, number, stores.config)
            kept = bits_at(points.live, rows)
            return rows[kept], vectors[kept]
        held = rows_of_list(blocks.data(number), int(blocks.counts[number]))
        rows = held[bits_at(points.live, held)]
    return rows, index.router.to_index_space(stores.vectors(rows))


def _shape(centroids: np.ndarray, cuts: dict[int, np.ndarray], freed: list[int]) -> Shape:
    """Where the parts of cut lists go: the first keeps the number, others take freed ones, then new ones at the end; if
    numbers stay free, the last lists take them.
    """
    n_before, extras = len(centroids), [part for parts in cuts.values() for part in parts[1:]]
    n = n_before + len(extras) - len(freed)
    grown = np.concatenate([centroids, np.zeros((max(0, n - n_before), centroids.shape[1]), np.float32)])
    for number, parts in cuts.items():
        grown[number] = parts[0]
    free = sorted(freed)
    numbers = [*free[: len(extras)], *range(n_before, n)]
    for number, part in zip(numbers, extras, strict=True):
        grown[number] = part
    holes = free[len(extras) :]
    last = [number for number in range(n, n_before) if number not in holes]
    moved = dict(zip(last, [hole for hole in holes if hole < n], strict=True))
    for source, target in moved.items():
        grown[target] = grown[source]
    rebuilt = frozenset([*cuts, *numbers, *holes]) - frozenset(moved.values())
    return Shape(grown[:n], frozenset(moved.get(number, number) for number in rebuilt), moved, n_before)


def _commit(
    stores: Stores, index: Index, shape: Shape, rows: np.ndarray, vectors: np.ndarray, finer: float
) -> None:
    """`finer`: into how many lists, on the mean over all rows, that of a row was cut. Large lists hold more than their
    share of rows, and what is near to each other: where the lists of one kind of row are cut, their number says little.
    """
    lists = assign(vectors, shape.centroids) if len(vectors) else np.zeros(0, np.int32)
    router = replace(index.router, centroids=shape.centroids, spreads=_spreads(index.router, shape, vectors, lists))
    coded = code_rows(router, index.codebook, vectors, rows, lists)
    with stores.points.read() as points:
        live = points.live
    tier = stores.config.reranked_values
    with stores.blocks.write() as batch:
        _renumber(batch, index, shape, tier is not None)
        tails = dict(by_list(lists))
        for number in sorted({*tails, *[each for each in shape.rebuilt if each < router.n_lists]}):
            joined = coded.take(tails.get(number, np.zeros(0, np.int64)))
            if number not in shape.rebuilt:
                joined = _with_held(batch, index, number, joined, live, tier)
            put(batch, index, number, joined, tier)
        calibration = stretched(index.calibration, np.sqrt(finer), router.n_lists)
        put_shape(batch, index.generation, router, calibration)
        watch = Watch.load_bytes(batch.get_object(index.generation, "watch") or b"").after_move(len(rows))
        batch.put_note(index.generation, "watch", watch.to_bytes())


def _spreads(router: Router, shape: Shape, vectors: np.ndarray, lists: np.ndarray) -> np.ndarray | None:
    """(n,) float32 as of the lists there will be: measured where all rows are coded anew."""
    if router.spreads is None:
        return None
    n = len(shape.centroids)
    spreads = np.concatenate([router.spreads, np.zeros(max(0, n - shape.n_before), np.float32)])
    for source, target in shape.moved.items():
        spreads[target] = spreads[source]
    rebuilt = [number for number in shape.rebuilt if number < n]
    spreads[rebuilt] = mean_squares(vectors - shape.centroids[lists], lists, n, router.l2)[rebuilt]
    return spreads[:n]


def _renumber(batch: BlockBatch, index: Index, shape: Shape, has_rerank: bool) -> None:
    """Let the last lists take numbers that are free, and make the table as long as there will be lists."""
    number = index.generation
    for source, target in shape.moved.items():
        count, codes, rerank = batch.read_list(number, source)
        batch.put_list(number, target, count, codes or b"", rerank if has_rerank else None)
    for each in range(len(shape.centroids), shape.n_before):
        batch.put_list(number, each, 0, b"")
    batch.resize_generation(number, len(shape.centroids))


def _with_held(
    batch: BlockBatch, index: Index, number: int, tail: ListRows, live: np.ndarray, tier: Values | None
) -> ListRows:
    """A list's living rows as they are coded, then the tail."""
    held = living(batch, index, number, live, tier)
    return tail if held is None else held.joined(tail)
