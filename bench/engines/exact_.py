"""The yardstick: every row scored in numpy, nothing to tune."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Bytes, Spec, Sweep


def specs(sweep: Sweep) -> list[Spec]:
    """One index, one setting."""
    return [Spec(sweep.engine, "exact", "numpy, every row", {}, [{}])]


def build(_spec: Spec) -> "Exact":
    """Nothing to choose."""
    return Exact()


class Exact:
    """A full scan; its recall is 1 by definition, which is what its test holds the harness to."""

    def fit(self, train: Floats, metric: Metric) -> None:
        self._train = train
        # Larger is nearer: <q, x> for unit vectors, <q, x> - |x|²/2 for l2.
        self._offset = np.zeros(len(train), np.float32) if metric == "cosine" else (train**2).sum(axis=1) / 2

    def set_threads(self, threads: int) -> None:
        """BLAS threads are set by the process's environment."""

    def set_query_arguments(self, **arguments: Any) -> None:
        """There is nothing to set."""

    def query(self, vector: Floats, k: int) -> object:
        return self.batch_query(vector[np.newaxis, :], k)[0]

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        scores = vectors @ self._train.T - self._offset
        k = min(k, scores.shape[1])
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
        return np.take_along_axis(top, order, axis=1)

    def get_memory_usage(self) -> Bytes:
        return Bytes(scan=4.0 * self._train.shape[1], rerank=0.0, shared=0.0)

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    def close(self) -> None:
        """Nothing is open."""
