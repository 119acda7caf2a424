"""ScaNN, as Google's package `scann` and as `scann-core`, which knows the CPU and l2 as dot product.

Both packages install the same folder, so one environment holds one of them; `--site scann=FOLDER` gives the
other its own.
"""

import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data import Floats, Metric
from bench.engines.base import Arguments, Bytes, SkippedError, Spec, Sweep, geometric

_TRAINING_SAMPLE = 250_000
_LARGE = 500_000  # rows; from here on each index takes gigabytes and minutes, so fewer are built
_REORDER = {
    "quick": (20, 40, 160),
    "standard": (20, 30, 40, 60, 80, 120, 160, 240, 320, 640),
    "full": (20, 40, 80, 160, 320, 640),
}
_PER_OCTAVE = {"quick": 1, "standard": 2, "full": 1}

# Crossed with the numbers of leaves, the best first; thresholds are fractions of the rows' RMS length.
_COSINE_SHAPES: list[Arguments] = [
    {"threshold": 0.088, "avq": 2.5, "soar": 1.5},
    {"threshold": 0.2, "block": 4},
    {"threshold": 0.2, "soar": 1.5},
    {"threshold": 0.2},
    {"threshold": 0.1},
    {"threshold": 0.088, "avq": 2.5},
]
_L2_SHAPES: list[Arguments] = [{}, {"block": 4}]
_L2_AS_DOT_SHAPES: list[Arguments] = [
    {"threshold": 0.2, "avq": 2.5, "l2_as_dot": True},
    {"threshold": 0.2, "l2_as_dot": True, "soar": 1.5},
]


def specs(sweep: Sweep) -> list[Spec]:
    """Multiples of √n leaves crossed with the ways of quantizing and spilling each package has."""
    full, large = sweep.effort == "full", sweep.n >= _LARGE
    multiples = (0.25, 0.5, 1, 2, 4) if full else (4, 2) if large else (2, 4, 1)
    shapes = _shapes(sweep)[: None if full else 2 if large else 3]
    builds = [_build(round(sweep.n**0.5 * times), **shape) for times in multiples for shape in shapes]
    if not full and sweep.engine == "scann":  # the same searcher without run-time dispatch: behind everywhere
        builds = builds[:2]
    return [_spec(sweep, build) for build in (builds[:2] if sweep.effort == "quick" else builds)]


def _shapes(sweep: Sweep) -> list[Arguments]:
    if sweep.metric == "cosine":
        return _COSINE_SHAPES
    return _L2_SHAPES if sweep.engine == "scann" else [*_L2_AS_DOT_SHAPES, *_L2_SHAPES]


def _build(leaves: int, **shape: Any) -> Arguments:
    plain = {"leaves": leaves, "block": 2, "threshold": None, "avq": None, "soar": None, "l2_as_dot": False}
    return {**plain, **shape}


def _spec(sweep: Sweep, build: Arguments) -> Spec:
    leaves = build["leaves"]
    searched = geometric(max(1, leaves // 64), leaves * 4 // 5, _PER_OCTAVE[sweep.effort])
    settings = [{"leaves_to_search": s, "reorder": r} for s in searched for r in _REORDER[sweep.effort]]
    words = [f"{leaves} leaves", f"{build['block']} dims/block"]
    words += [f"{name}={build[name]}" for name in ("threshold", "avq", "soar") if build[name] is not None]
    words += ["l2 as dot"] if build["l2_as_dot"] else []
    return Spec(sweep.engine, "ScaNN", f"{sweep.engine}: " + ", ".join(words), build, settings)


def build(spec: Spec) -> "Scann":
    """The engine, or why it is not here."""
    if find_spec("scann") is None:
        raise SkippedError(f"{spec.engine} is not installed")
    found = "scann-core" if find_spec("scann.version") is not None else "scann"
    if found != spec.engine:
        raise SkippedError(f"the environment holds {found}; give --site {spec.engine}=FOLDER to run {spec.engine} too")
    return Scann(spec.engine, spec.build)


class Scann:
    """One searcher: tree, asymmetric hashing in 4-bit blocks, float32 reorder."""

    def __init__(self, package: str, build: Arguments) -> None:
        self._package, self._build, self._threads = package, build, 1

    def fit(self, train: Floats, metric: Metric) -> None:
        import scann

        by = self._build
        builder = scann.scann_ops_pybind.builder(train, 10, "dot_product" if metric == "cosine" else "squared_l2")
        if by["l2_as_dot"]:
            builder = builder.l2_as_dot_product()
        optional = {name: value for name, value in (("avq", by["avq"]), ("soar_lambda", by["soar"])) if value}
        builder = builder.tree(
            num_leaves=by["leaves"],
            num_leaves_to_search=max(1, by["leaves"] // 10),
            training_sample_size=min(len(train), _TRAINING_SAMPLE),
            **optional,
        )
        threshold = float("nan")
        if by["threshold"] is not None:
            threshold = by["threshold"] * float(np.sqrt((train**2).sum(axis=1).mean()))
        builder = builder.score_ah(by["block"], anisotropic_quantization_threshold=threshold)
        self._searcher = builder.reorder(100).build()
        self._shape = train.shape

    def set_threads(self, threads: int) -> None:
        self._threads = threads
        if hasattr(self, "_searcher"):
            self._searcher.set_num_threads(threads)

    def set_query_arguments(self, **arguments: Any) -> None:
        self._leaves, self._reorder = arguments["leaves_to_search"], arguments["reorder"]

    def query(self, vector: Floats, k: int) -> object:
        return self._searcher.search(vector, k, max(k, self._reorder), self._leaves)[0]

    def batch_query(self, vectors: Floats, k: int) -> npt.NDArray[Any]:
        search = self._searcher.search_batched_parallel if self._threads > 1 else self._searcher.search_batched
        return search(vectors, k, max(k, self._reorder), self._leaves)[0]

    def get_memory_usage(self) -> Bytes:
        """From what it writes to disk; codes lie there a byte a block, in memory two blocks a byte."""
        with tempfile.TemporaryDirectory() as folder:
            self._searcher.serialize(folder)
            sizes = {path.name: path.stat().st_size for path in Path(folder).iterdir()}
        codes = sum(size for name, size in sizes.items() if name.startswith("hashed_dataset")) / 2
        tokens = sizes.get("datapoint_to_token.npy", 0)
        rows = sum(size for name, size in sizes.items() if name.endswith("dataset.npy") and "hashed" not in name)
        n = self._shape[0]
        return Bytes((codes + tokens) / n, rows / n, sum(sizes.values()) - 2 * codes - tokens - rows)

    def versions(self) -> dict[str, str]:
        return {self._package: version(self._package)}

    def close(self) -> None:
        """Nothing is open."""
