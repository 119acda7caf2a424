"""What an engine is to the benches: ann-benchmarks' shape, and a spec saying how to build and ask it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from bench.data import Floats, Metric

Arguments = Mapping[str, Any]
Effort = Literal["quick", "standard", "full"]
WIDE = 512  # dimensions


class SkippedError(Exception):
    """This engine cannot take part here; the sentence says why and is printed, never swallowed."""


@dataclass(frozen=True)
class Sweep:
    """What an engine is asked to propose indexes for."""

    engine: str
    n: int
    dim: int
    metric: Metric
    effort: Effort

    @property
    def is_wide(self) -> bool:
        """Whether there are so many dimensions that shorter codes, for these, are worth a try."""
        return self.dim > WIDE


@dataclass(frozen=True)
class Spec:
    """One index to build and the settings to ask it with; one process each."""

    engine: str
    family: str
    label: str
    build: Arguments
    settings: Sequence[Arguments]
    threads_at_start: bool = False  # its thread pool cannot be resized: batches get a process of their own


@dataclass(frozen=True)
class Bytes:
    """Memory by purpose: `scan` is read for every vector of a visited list, `rerank` for candidates only."""

    scan: float  # bytes a vector: codes, factors, row numbers, padding
    rerank: float  # bytes a vector: the finer copy candidates are scored from
    shared: float  # bytes in all: centroids, codebooks


class Engine(Protocol):
    """One engine in its process. Cosine sets arrive at unit length, so inner product ranks them rightly."""

    def fit(self, train: Floats, metric: Metric) -> None:
        """Build over train (n, d) float32; row numbers are the ids."""

    def set_threads(self, threads: int) -> None:
        """Threads for building, when called before `fit`, and for the queries that follow."""

    def set_query_arguments(self, **arguments: Any) -> None:
        """The setting for the queries that follow; not timed."""

    def query(self, vector: Floats, k: int) -> object:
        """Answer one query (d,): a sequence of ids, as the engine's own interface gives it."""

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        """Answer queries (q, d) in one call: (q, k) ids."""

    def get_memory_usage(self) -> Bytes:
        """Counted from the layout the engine holds, not from the process."""

    def versions(self) -> dict[str, str]:
        """Package versions behind this engine."""

    def close(self) -> None:
        """Let go of files."""


def geometric(start: int, stop: int, per_octave: int = 1) -> list[int]:
    """Whole numbers from start to stop, `per_octave` to a doubling, both ends in."""
    count = max(1, round(np.log2(stop / start) * per_octave)) + 1
    return sorted({round(x) for x in np.geomspace(start, stop, count).tolist()})


def ids_array(answers: Sequence[Any], k: int) -> npt.NDArray[np.int64]:
    """Answers of any sequence type as (q, k) int64, -1 where they are short."""
    out = np.full((len(answers), k), -1, dtype=np.int64)
    for i, answer in enumerate(answers):
        flat = np.asarray(answer).reshape(-1)[:k].astype(np.int64)
        out[i, : len(flat)] = flat
    return out
