"""FAISS: inverted lists, 4-bit product quantization by fast scan, candidates refined from int8 rows."""

from typing import Any

import numpy as np

from bench.data import Floats, Metric
from bench.engines.base import Bytes, Effort, SkippedError, Spec, geometric

_TRAINING_POINTS_A_LIST = 256  # faiss itself samples down to this many


def specs(engine: str, n: int, dim: int, metric: Metric, effort: Effort) -> list[Spec]:
    """Factory strings and their (nprobe, k_factor) grids."""
    return [_spec(factory, nlist, n, effort) for factory, nlist in _factories(n, dim, metric, effort)]


def _factories(n: int, dim: int, metric: Metric, effort: Effort) -> list[tuple[str, int]]:
    lists = [
        nlist for nlist in (256, 512, 1024, 2048, 4096) if n / 400 <= nlist * 1.3 and nlist * 20 <= n
    ] or [16]
    found = [
        (f"IVF{nlist},PQ{dim // dsub}x4{kind},Refine(SQ8)", nlist)
        for nlist in lists
        for dsub in (4, 8)
        for kind in ("fs", "fsr")
    ]
    return found


def _spec(factory: str, nlist: int, n: int, effort: Effort) -> Spec:
    per_octave = 2 if effort == "full" else 1
    nprobes = geometric(2, max(4, nlist // 3), per_octave)
    factors = (1, 2, 4, 8, 16, 32) if effort == "full" else (2, 5, 10, 20)
    settings = [{"nprobe": p, "k_factor": f} for p in nprobes for f in factors]
    return Spec("faiss", "FAISS", factory.replace(",Refine(SQ8)", "+SQ8"), {"factory": factory}, settings)


def build(spec: Spec) -> "Faiss":
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
        self._index.train(train)
        self._index.add(train)
        self._space = self._faiss.ParameterSpace()

    def set_threads(self, threads: int) -> None:
        self._faiss.omp_set_num_threads(threads)

    def set_query_arguments(self, **arguments: Any) -> None:
        self._base().nprobe = arguments["nprobe"]
        self._index.k_factor = arguments["k_factor"]

    def query(self, vector: Floats, k: int) -> Any:
        return self._index.search(vector[np.newaxis, :], k)[1][0]

    def batch_query(self, vectors: Floats, k: int) -> Any:
        return self._index.search(vectors, k)[1]

    def get_memory_usage(self) -> Bytes:
        base, n = self._base(), self._index.ntotal
        lists = base.invlists
        codes = sum(lists.list_size(i) * 8 for i in range(lists.nlist))  # ids, 8 bytes each
        codes += self._padded_code_bytes(base, lists)
        refine = self._faiss.downcast_index(self._index.refine_index)
        return Bytes(
            codes / n, float(refine.sa_code_size()), self._whole() - codes - n * refine.sa_code_size()
        )

    @staticmethod
    def _padded_code_bytes(base: Any, lists: Any) -> int:
        """Fast-scan lists are padded to whole groups of bbs vectors."""
        group = getattr(base, "bbs", 1)
        size = getattr(base, "code_size", lists.code_size)
        return sum(-(-lists.list_size(i) // group) * group * size for i in range(lists.nlist))

    def _whole(self) -> int:
        return int(self._faiss.serialize_index(self._index).size)

    def _base(self) -> Any:
        return self._faiss.downcast_index(self._index.base_index)

    def versions(self) -> dict[str, str]:
        return {
            "faiss-cpu": self._faiss.__version__,
            "faiss options": self._faiss.get_compile_options().strip(),
        }

    def close(self) -> None:
        """Nothing is open."""
