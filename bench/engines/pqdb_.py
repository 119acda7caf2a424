"""pqdb through its front door: by the recall asked for, which is the product, and by hand for comparison."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Bytes, SkippedError, Spec, Sweep, geometric

_ASKED = (0.80, 0.85, 0.88, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
_RERANK = {"quick": (50, 150), "standard": (20, 40, 80, 160, 320), "full": (20, 30, 50, 80, 120, 200, 400)}
_UPSERT_ROWS = 20_000


def specs(sweep: Sweep) -> list[Spec]:
    """The default collection; `{}` is the bare `search(q, k)`."""
    lists = max(8, round(4 * sweep.n**0.5))
    probes = geometric(1, lists, 2 if sweep.effort == "full" else 1)
    asked: list[dict[str, Any]] = [{}, *({"recall": recall} for recall in _ASKED)]
    by_hand = [{"nprobe": p, "rerank": r} for p in probes for r in _RERANK[sweep.effort]]
    return [
        Spec(sweep.engine, "pqdb", "search(q, k, recall=…)", {}, asked),
        Spec(sweep.engine, "pqdb by hand", "search(q, k, nprobe=…, rerank=…)", {}, by_hand),
    ]


def build(spec: Spec) -> "Pqdb":
    """The engine, or why it is not here."""
    try:
        import pqdb  # noqa: F401
    except ImportError as error:
        raise SkippedError(f"pqdb cannot be imported ({error})") from error
    return Pqdb(**spec.build)


class Pqdb:
    """One collection in a temporary database, with the defaults a user gets."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def fit(self, train: Floats, metric: Metric) -> None:
        import pqdb

        self._database = pqdb.open()
        self._collection = self._database.create_collection("bench", train.shape[1], metric, **self._options)
        for start in range(0, len(train), _UPSERT_ROWS):
            rows = train[start : start + _UPSERT_ROWS]
            self._collection.upsert(list(range(start, start + len(rows))), rows)
        self._collection.optimize()

    def set_threads(self, threads: int) -> None:
        """Single queries run on the caller's thread; batches on as many as the process may use."""

    def set_query_arguments(self, **arguments: Any) -> None:
        self._arguments = arguments

    def query(self, vector: Floats, k: int) -> object:
        return self._collection.search(vector, k, **self._arguments).ids

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        return self._collection.search(vectors, k, **self._arguments).ids

    def get_memory_usage(self) -> Bytes:
        return bytes_of(self._collection.info())

    def versions(self) -> dict[str, str]:
        import pqdb

        return {"pqdb": str(getattr(pqdb, "__version__", "unreleased"))}

    def close(self) -> None:
        if hasattr(self, "_database"):
            self._database.close()


def bytes_of(info: Mapping[str, Any]) -> Bytes:
    """The three kinds of bytes out of Collection.info()."""
    n = max(1, info["points"])
    return Bytes(info["bytes"]["codes"] / n, info["bytes"]["rerank"] / n, float(info["bytes"]["shared"]))
