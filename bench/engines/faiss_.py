"""FAISS: inverted lists, 4-bit product quantization by fast scan, candidates refined from int8 rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Bytes, SkippedError, Spec, Sweep, geometric

_MOST_ROWS_A_LIST = 520  # at fewer lists the scan is never fastest
_FEWEST_ROWS_A_LIST = 20  # below, k-means has too little to learn from
_REFINED = {"quick": (5, 20), "standard": (2, 5, 10, 20), "full": (1, 2, 4, 8, 16, 32)}


def specs(sweep: Sweep) -> list[Spec]:
    """Factory strings and their (nprobe, k_factor) grids."""
    lists = [n for n in (16, 64, *(2**e for e in range(8, 15))) if _sensible(sweep.n, n)]
    return [
        _spec(sweep, f"IVF{n},PQ{sweep.dim // dsub}x4{kind}", n)
        for n in lists
        for dsub in (4, 8)
        for kind in ("fs", "fsr")
    ]


def _sensible(rows: int, lists: int) -> bool:
    return _FEWEST_ROWS_A_LIST * lists <= rows <= _MOST_ROWS_A_LIST * lists


def _spec(sweep: Sweep, codes: str, lists: int) -> Spec:
    nprobes = geometric(2, max(4, lists // 3), 2 if sweep.effort == "full" else 1)
    settings = [{"nprobe": p, "k_factor": f} for p in nprobes for f in _REFINED[sweep.effort]]
    return Spec(sweep.engine, "FAISS", f"{codes}+SQ8", {"factory": f"{codes},Refine(SQ8)"}, settings)


def build(spec: Spec) -> "Faiss":
    """The engine, or why it is not here."""
    try:
        import faiss  # noqa: F401
    except ImportError as error:
        raise SkippedError(f"faiss-cpu is not installed ({error})") from error
    return Faiss(**spec.build)


class Faiss:
    """One index made by faiss.index_factory."""

    def __init__(self, factory: str) -> None:
        import faiss

        self._faiss = faiss
        self._factory = factory

    def fit(self, train: Floats, metric: Metric) -> None:
        kind = self._faiss.METRIC_INNER_PRODUCT if metric == "cosine" else self._faiss.METRIC_L2
        self._index = self._faiss.index_factory(train.shape[1], self._factory, kind)
        self._lists = self._faiss.downcast_index(self._index.base_index)
        self._index.train(train)
        self._index.add(train)

    def set_threads(self, threads: int) -> None:
        self._faiss.omp_set_num_threads(threads)

    def set_query_arguments(self, **arguments: Any) -> None:
        self._lists.nprobe = arguments["nprobe"]
        self._index.k_factor = arguments["k_factor"]

    def query(self, vector: Floats, k: int) -> object:
        return self._index.search(vector[np.newaxis, :], k)[1][0]

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        return self._index.search(vectors, k)[1]

    def get_memory_usage(self) -> Bytes:
        lists, n = self._lists.invlists, self._index.ntotal
        sizes = [lists.list_size(i) for i in range(lists.nlist)]
        group = self._lists.bbs  # fast-scan lists are padded to whole groups of so many vectors
        padded = sum(-(-size // group) * group for size in sizes)
        scanned = padded * self._lists.code_size + 8 * n  # and an id of 8 bytes each
        refined = n * self._faiss.downcast_index(self._index.refine_index).sa_code_size()
        whole = int(self._faiss.serialize_index(self._index).size)
        return Bytes(scanned / n, refined / n, max(0.0, float(whole - scanned - refined)))

    def versions(self) -> dict[str, str]:
        options = self._faiss.get_compile_options().strip()
        return {"faiss-cpu": f"{self._faiss.__version__} ({options})"}

    def close(self) -> None:
        """Nothing is open."""
