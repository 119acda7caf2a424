"""What others do with a filter: FAISS with a bitmap of row numbers, hnswlib with a callback.

Each is handed what passes as the form it likes best, made before the clock starts. A filter that is the same for
every query is still checked query by query, as pqdb's is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.data import Dataset, Floats
from bench.engines import faiss_, hnswlib_
from bench.engines.base import SkippedError, Sweep

Mask = npt.NDArray[np.bool_]
Found = npt.NDArray[np.int64]  # row numbers; -1 where fewer were found
LONGEST_S = 0.5  # of one setting: the queries left over are not asked
FEWEST = 20  # queries all the same


@dataclass(frozen=True)
class Rate:
    """How one setting of a peer did."""

    setting: dict[str, int]
    recall: float
    microseconds: float
    asked: int  # queries


class Peer(Protocol):
    """An index that takes a filter."""

    name: str

    def settings(self) -> Sequence[dict[str, int]]: ...
    def prepared(self, mask: Mask) -> Any: ...
    def search(self, query: Floats, k: int, passes: Any, setting: dict[str, int]) -> Found: ...


def peers(data: Dataset, names: Sequence[str]) -> Iterator[Peer]:
    """Those of the names given, or all, that are installed, built on the data."""
    for kind in (FilteredFaiss, FilteredHnswlib):
        if names and kind.name not in names:
            continue
        try:
            yield kind(data)
        except SkippedError as error:
            print(f"SKIPPED {kind.name}: {error}")


def best(
    peer: Peer, queries: Floats, k: int, masks: Sequence[Mask], recall_of: Callable[[int, Found], float], asked: float
) -> Rate:
    """The fastest setting that reaches the recall asked; where none does, the one of the highest recall."""
    rates = [_measured(peer, queries, k, masks, recall_of, setting) for setting in peer.settings()]
    reached = [rate for rate in rates if rate.recall >= asked]
    if reached:
        return min(reached, key=lambda rate: rate.microseconds)
    return max(rates, key=lambda rate: rate.recall)


def _measured(
    peer: Peer,
    queries: Floats,
    k: int,
    masks: Sequence[Mask],
    recall_of: Callable[[int, Found], float],
    setting: dict[str, int],
) -> Rate:
    recalls: list[float] = []
    spent = 0.0
    for query, mask in zip(queries, masks, strict=True):
        passes = peer.prepared(mask)
        start = time.process_time()
        rows = peer.search(query, k, passes, setting)
        spent += time.process_time() - start
        recalls.append(recall_of(len(recalls), rows[rows >= 0]))
        if len(recalls) >= FEWEST and spent > LONGEST_S:
            break
    return Rate(setting, float(np.mean(recalls)), spent / len(recalls) * 1e6, len(recalls))


class FilteredFaiss:
    """IVF, 4-bit codes by fast scan, int8 rows to refine; an IDSelectorBitmap."""

    name = "FAISS"

    def __init__(self, data: Dataset) -> None:
        spec = faiss_.specs(Sweep("faiss", data.n, data.dim, data.metric, "quick"))[0]
        engine = faiss_.build(spec)
        import faiss

        self._faiss = faiss
        engine.fit(data.train, data.metric)
        engine.set_threads(1)
        self._index = engine._index  # noqa: SLF001 (the benches' own)
        self._lists = engine._codes.nlist  # noqa: SLF001

    def settings(self) -> Sequence[dict[str, int]]:
        probes = sorted({max(1, round(self._lists / 2 ** (step / 2))) for step in range(13)})
        return [{"nprobe": probe, "k_factor": factor} for probe in probes for factor in (4, 8, 16, 32)]

    def prepared(self, mask: Mask) -> Any:
        bits = np.packbits(mask, bitorder="little")
        return bits, self._faiss.IDSelectorBitmap(len(bits), self._faiss.swig_ptr(bits))

    def search(self, query: Floats, k: int, passes: Any, setting: dict[str, int]) -> Found:
        lists = self._faiss.SearchParametersIVF(nprobe=setting["nprobe"], sel=passes[1])
        refined = self._faiss.IndexRefineSearchParameters(k_factor=setting["k_factor"], base_index_params=lists)
        rows: Found = self._index.search(query[np.newaxis], k, params=refined)[1][0]
        return rows


class FilteredHnswlib:
    """A graph, walked past every row; the callback says which may be hits."""

    name = "hnswlib"

    def __init__(self, data: Dataset) -> None:
        spec = hnswlib_.specs(Sweep("hnswlib", data.n, data.dim, data.metric, "quick"))[0]
        engine = hnswlib_.build(spec)
        engine.set_threads(2)
        engine.fit(data.train, data.metric)
        engine.set_threads(1)
        self._index = engine._index  # noqa: SLF001 (the benches' own)

    def settings(self) -> Sequence[dict[str, int]]:
        return [{"ef": ef} for ef in (20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640)]

    def prepared(self, mask: Mask) -> Any:
        return mask.tolist().__getitem__

    def search(self, query: Floats, k: int, passes: Any, setting: dict[str, int]) -> Found:
        self._index.set_ef(setting["ef"])
        try:
            return self._index.knn_query(query, k, num_threads=1, filter=passes)[0][0].astype(np.int64)
        except RuntimeError:  # it found fewer than k, and gives none of them
            return np.empty(0, np.int64)
