"""turbovec: every vector scanned at 4 bits a coordinate, no lists and no rerank; inner product only."""

from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Bytes, SkippedError, Spec, Sweep

_CALIBRATION_ROWS = 20_000


def specs(sweep: Sweep) -> list[Spec]:
    """Its two code widths; the 2-bit one is far below any useful recall on its own."""
    widths = (2, 4) if sweep.effort == "full" else (4,)
    return [
        Spec(sweep.engine, "turbovec", f"{bits} bit", {"bits": bits}, [{}], threads_at_start=True) for bits in widths
    ]


def build(spec: Spec) -> "Turbovec":
    """The engine, or why it is not here."""
    try:
        import turbovec  # noqa: F401
    except ImportError as error:
        raise SkippedError(f"turbovec is not installed ({error})") from error
    return Turbovec(**spec.build)


class Turbovec:
    """One TurboQuantIndex, calibrated."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def fit(self, train: Floats, metric: Metric) -> None:
        import turbovec

        if metric != "cosine":
            raise SkippedError(f"turbovec ranks by inner product, not by {metric}")
        self._index = turbovec.TurboQuantIndex(train.shape[1], bit_width=self._bits)
        sample = np.random.default_rng(1).permutation(len(train))[:_CALIBRATION_ROWS]
        self._index.calibrate(np.ascontiguousarray(train[np.sort(sample)]))
        self._index.add(train)
        self._index.prepare()
        self._n = len(train)

    def set_threads(self, threads: int) -> None:
        """Its pool takes RAYON_NUM_THREADS, once, from the environment of its process."""

    def set_query_arguments(self, **arguments: Any) -> None:
        """There is nothing to set."""

    def query(self, vector: Floats, k: int) -> object:
        return self._index.search(vector[np.newaxis, :], k)[1][0]

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        return self._index.search(vectors, k)[1]

    def get_memory_usage(self) -> Bytes:
        return Bytes(len(self._index.to_bytes()) / self._n, 0.0, 0.0)

    def versions(self) -> dict[str, str]:
        return {"turbovec": version("turbovec")}

    def close(self) -> None:
        """Nothing is open."""
