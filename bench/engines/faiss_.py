"""FAISS: inverted lists, 4-bit product quantization by fast scan, candidates refined from int8 rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Bytes, SkippedError, Spec, Sweep, geometric

_FEWEST_ROWS_A_LIST = 20  # below, k-means has too little to learn from
_REFINED = {"quick": (4, 16), "standard": (2, 4, 6, 8, 12, 16, 24, 32, 64), "full": (2, 4, 8, 16, 32, 64)}


def specs(sweep: Sweep) -> list[Spec]:
    """Factory strings and their (nprobe, k_factor) grids: the whole sweep, or the best of it."""
    lists = [
        n for n in (16, *(2**e for e in range(6, 15))) if _FEWEST_ROWS_A_LIST * n <= sweep.n <= 2_000 * n
    ]
    found = [
        _spec(sweep, f"IVF{n},PQ{sweep.dim // dsub}x4{kind}", n)
        for n in lists
        for dsub, kind in ((2, "fs"), (4, "fs"), (4, "fsr"), (8, "fs"), (8, "fsr"))
    ]
    return [_spec(sweep, f"PQ{sweep.dim // dsub}x4fs", 0) for dsub in (2, 4, 8)] + found


def _spec(sweep: Sweep, codes: str, lists: int) -> Spec:
    """One factory string; lists = 0 scans everything."""
    probes = geometric(2, max(4, lists * 2 // 3), 1 if sweep.effort == "full" else 2) if lists else [0]
    settings = [{"nprobe": p, "k_factor": f} for p in probes for f in _REFINED[sweep.effort]]
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
        self._codes = self._faiss.downcast_index(self._index.base_index)
        self._index.train(train)
        self._index.add(train)

    def set_threads(self, threads: int) -> None:
        self._faiss.omp_set_num_threads(threads)

    def set_query_arguments(self, **arguments: Any) -> None:
        if arguments["nprobe"]:
            self._codes.nprobe = arguments["nprobe"]
        self._index.k_factor = arguments["k_factor"]

    def query(self, vector: Floats, k: int) -> object:
        return self._index.search(vector[np.newaxis, :], k)[1][0]

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        return self._index.search(vectors, k)[1]

    def get_memory_usage(self) -> Bytes:
        n = self._index.ntotal
        scanned = self._padded() * self._codes.code_size + self._id_bytes() * n
        refined = n * self._faiss.downcast_index(self._index.refine_index).sa_code_size()
        whole = int(self._faiss.serialize_index(self._index).size)
        return Bytes(scanned / n, refined / n, max(0.0, float(whole - scanned - refined)))

    def _padded(self) -> int:
        """Rows there is room for: fast-scan codes lie in whole groups of `bbs` vectors, in each list."""
        group = self._codes.bbs
        if not self._has_lists():
            return -(-self._index.ntotal // group) * group
        lists = self._codes.invlists
        return sum(-(-lists.list_size(i) // group) * group for i in range(lists.nlist))

    def _id_bytes(self) -> int:
        return 8 if self._has_lists() else 0

    def _has_lists(self) -> bool:
        return hasattr(self._codes, "invlists")

    def versions(self) -> dict[str, str]:
        options = self._faiss.get_compile_options().strip()
        return {"faiss-cpu": f"{self._faiss.__version__} ({options})"}

    def close(self) -> None:
        """Nothing is open."""
