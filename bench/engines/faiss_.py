"""FAISS: inverted lists, 4-bit product quantization by fast scan, candidates refined from int8 or float rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Bytes, SkippedError, Spec, Sweep, geometric

_FEWEST_ROWS_A_LIST = 20  # below, k-means has too little to learn from
_REFINED = {
    "quick": (2, 4, 8, 16),
    "standard": (2, 3, 4, 6, 8, 12, 16, 24, 32),
    "full": (2, 4, 8, 16, 32, 64),
}
_PER_OCTAVE = {"quick": 1, "standard": 3, "full": 1}
_SCAN_ALL_BELOW = 250_000  # rows; up to here a scan without lists is on the frontier at the highest recalls
_AXES, _CODES = 256, (64, 128)  # of wide sets: principal axes that bring together what differs, and sub-quantizers


def specs(sweep: Sweep) -> list[Spec]:
    """Factory strings and their (nprobe, k_factor) grids; the best first, all of them in a full sweep."""
    builds = _everything(sweep.n) if sweep.effort == "full" else _best(sweep)
    return [_spec(sweep, *build) for build in (builds[:2] if sweep.effort == "quick" else builds)]


def _best(sweep: Sweep) -> list[tuple[int, int, str]]:
    """(lists, dims a subspace, kind) that made the frontiers of the full sweeps, by rows a list."""
    lists = [n for n in _powers() if 150 * n <= sweep.n <= 1_000 * n]
    found = [(n, 4, "fs") for n in reversed(lists)]
    found += [(n, 4, "fsr") for n in lists[-2:]]
    if sweep.is_wide:
        found += [(n, sweep.dim // m, "fs") for n in lists[-2:] for m in _CODES]
        found += [(n, _AXES // m, "axes") for n in lists[-2:] for m in _CODES]
    found += [(n, 2, "fs") for n in (lists[:2] if sweep.metric == "l2" else lists[:1])]
    return found + ([(0, 4, "fs")] if sweep.n <= _SCAN_ALL_BELOW else [])


def _everything(rows: int) -> list[tuple[int, int, str]]:
    lists = [n for n in _powers() if _FEWEST_ROWS_A_LIST * n <= rows <= 2_000 * n]
    kinds = ((2, "fs"), (4, "fs"), (4, "fsr"), (8, "fs"), (8, "fsr"))
    return [(0, dsub, "fs") for dsub in (2, 4, 8)] + [(n, *kind) for n in lists for kind in kinds]


def _powers() -> list[int]:
    return [2**e for e in range(4, 15)]


def _spec(sweep: Sweep, lists: int, dsub: int, kind: str) -> Spec:
    """One factory string; lists = 0 scans everything."""
    lead, dim, kind = (f"PCAR{_AXES},", _AXES, "fs") if kind == "axes" else ("", sweep.dim, kind)
    codes = lead + (f"IVF{lists}," if lists else "") + f"PQ{dim // dsub}x4{kind}"
    per_octave = _PER_OCTAVE[sweep.effort]
    probes = geometric(max(2, lists // 64), max(4, lists * 2 // 3), per_octave) if lists else [0]
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
        if isinstance(self._codes, self._faiss.IndexPreTransform):
            self._codes = self._faiss.downcast_index(self._codes.index)
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
        return int(sum(-(-lists.list_size(i) // group) * group for i in range(lists.nlist)))

    def _id_bytes(self) -> int:
        return 8 if self._has_lists() else 0

    def _has_lists(self) -> bool:
        return hasattr(self._codes, "invlists")

    def versions(self) -> dict[str, str]:
        options = self._faiss.get_compile_options().strip()
        return {"faiss-cpu": f"{self._faiss.__version__} ({options})"}

    def close(self) -> None:
        """Nothing is open."""
