"""hnswlib: a graph over float32 vectors. Fast and hungry: the whole vector is held for every row."""

from importlib.metadata import version
from typing import Any

import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Bytes, SkippedError, Spec, Sweep, geometric


def specs(sweep: Sweep) -> list[Spec]:
    """M=16 is the field's usual graph; ef sweeps the whole range of recalls."""
    efs = geometric(10, 640, {"quick": 1, "standard": 4, "full": 2}[sweep.effort])
    degrees = (12, 16, 24) if sweep.effort == "full" else (16,)
    return [
        Spec(
            sweep.engine,
            "hnswlib",
            f"M={m} efc=200",
            {"m": m, "ef_construction": 200},
            [{"ef": ef} for ef in efs],
        )
        for m in degrees
    ]


def build(spec: Spec) -> "Hnswlib":
    """The engine, or why it is not here."""
    try:
        import hnswlib  # noqa: F401
    except ImportError as error:
        raise SkippedError(f"hnswlib is not installed ({error})") from error
    return Hnswlib(**spec.build)


class Hnswlib:
    """One hnswlib.Index."""

    def __init__(self, m: int, ef_construction: int) -> None:
        self._m, self._ef_construction, self._threads = m, ef_construction, 1

    def fit(self, train: Floats, metric: Metric) -> None:
        import hnswlib

        # Unit vectors by inner product: the "cosine" space would normalise every query again.
        self._index = hnswlib.Index(space="ip" if metric == "cosine" else "l2", dim=train.shape[1])
        self._index.init_index(max_elements=len(train), M=self._m, ef_construction=self._ef_construction, random_seed=1)
        self._index.add_items(train, num_threads=self._threads)
        self._dim = train.shape[1]

    def set_threads(self, threads: int) -> None:
        self._threads = threads
        if hasattr(self, "_index"):
            self._index.set_num_threads(threads)

    def set_query_arguments(self, **arguments: Any) -> None:
        self._index.set_ef(arguments["ef"])

    def query(self, vector: Floats, k: int) -> object:
        return self._index.knn_query(vector, k, num_threads=1)[0][0]

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        return self._index.knn_query(vectors, k, num_threads=self._threads)[0]

    def get_memory_usage(self) -> Bytes:
        return Bytes(self._index.index_file_size() / self._index.get_current_count(), 0.0, 0.0)

    def versions(self) -> dict[str, str]:
        return {"hnswlib": version("hnswlib")}

    def close(self) -> None:
        """Nothing is open."""
