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
    "quick": (40, 80, 160),
    "standard": (30, 40, 60, 80, 120, 160, 240, 320),
    "full": (20, 40, 80, 160, 320, 640),
}
_PER_OCTAVE = {"quick": 1, "standard": 3, "full": 1}

# Which shapes made the frontiers, the best first: (leaves as a multiple of √n, 0 scanning all; the shape).
# Codes of the residual, ScaNN's default for inner product, cost more a leaf than they gain while leaves are large.
_PLAIN4 = {"block": 4, "threshold": 0.2, "residual": False}
_SPILLED4 = {**_PLAIN4, "avq": 2.5, "soar": 1.5}
_RESIDUAL = {"threshold": 0.088, "avq": 2.5, "soar": 1.5}
_AS_DOT = {"threshold": 0.2, "avq": 2.5, "l2_as_dot": True}
_BEST: dict[tuple[Metric, bool], list[tuple[float, Arguments]]] = {
    ("cosine", False): [
        (0.28, _PLAIN4),
        (0, {"block": 4, "threshold": 0.1}),
        (0.5, _PLAIN4),
        (1, _SPILLED4),
        (0, {"block": 4, "threshold": 0.2}),
        (0.5, _SPILLED4),
        (1, {**_PLAIN4, "block": 2}),
        (0.28, {**_PLAIN4, "int8": True}),
        (2, _RESIDUAL),
        (2, {**_RESIDUAL, "block": 4}),
    ],
    ("cosine", True): [(1, _SPILLED4), (2, _SPILLED4), (2, {**_RESIDUAL, "block": 4}), (4, _RESIDUAL)],
    ("l2", False): [
        (0.5, {}),
        (1, {}),
        (0.5, {"block": 3}),
        (0.25, {}),
        (0.5, {"int8": True}),
        (0, {}),
        (0, {"block": 4}),
        (1, {"block": 3}),
        (2, {}),
        (1, _AS_DOT),
    ],
    ("l2", True): [(1, {}), (2, {}), (1, {"block": 3}), (2, _AS_DOT)],
}
_LONG_BLOCKS = (8, 16)  # dimensions; of wide sets codes of these stand beside those of the best shapes
_MULTIPLES = (0, 0.28, 0.5, 1, 2, 4)
_SHAPES: dict[Metric, list[Arguments]] = {
    "cosine": [
        *({"block": block, "threshold": 0.2, "residual": False} for block in (2, 4, 6)),
        {**_PLAIN4, "threshold": 0.1},
        {**_PLAIN4, "soar": 1.5},
        _SPILLED4,
        {"threshold": 0.2, "soar": 1.5},
        _RESIDUAL,
        {**_RESIDUAL, "block": 4},
    ],
    "l2": [{}, {"block": 3}, {"block": 4}, _AS_DOT, {"threshold": 0.2, "soar": 1.5, "l2_as_dot": True}],
}
_PARTITIONED = ("residual", "avq", "soar", "l2_as_dot")  # mean nothing without leaves


def specs(sweep: Sweep) -> list[Spec]:
    """Multiples of √n leaves, crossed with the ways of quantizing and spilling in a full sweep."""
    shapes = _SHAPES[sweep.metric]
    chosen = _BEST[sweep.metric, sweep.n >= _LARGE]
    if sweep.effort == "full":
        chosen = [(times, shape) for times in _MULTIPLES for shape in shapes]
    elif sweep.is_wide:
        chosen = chosen + [(times, {**shape, "block": block}) for block in _LONG_BLOCKS for times, shape in chosen[:4]]
    builds = [_build(round(sweep.n**0.5 * times), shape) for times, shape in chosen]
    if sweep.engine == "scann":  # knows no l2 as dot product; and without run-time dispatch it is behind everywhere
        builds = [build for build in builds if not build["l2_as_dot"]]
        builds = builds if sweep.effort == "full" else builds[:2]
    found = [_spec(sweep, build) for build in (builds[:2] if sweep.effort == "quick" else builds)]
    return list({spec.label: spec for spec in found}.values())


def _build(leaves: int, shape: Arguments) -> Arguments:
    plain = {
        "block": 2,
        "threshold": None,
        "residual": None,
        "avq": None,
        "soar": None,
        "l2_as_dot": False,
        "int8": False,
    }
    kept = {name: value for name, value in shape.items() if leaves or name not in _PARTITIONED}
    return {"leaves": leaves, **plain, **kept}


def _spec(sweep: Sweep, build: Arguments) -> Spec:
    leaves = build["leaves"]
    searched = geometric(max(1, leaves // 64), leaves * 4 // 5, _PER_OCTAVE[sweep.effort]) if leaves else [0]
    settings = [{"leaves_to_search": s, "reorder": r} for s in searched for r in _REORDER[sweep.effort]]
    words = [f"{leaves} leaves" if leaves else "no tree", f"{build['block']} dims/block"]
    words += [f"{name}={build[name]}" for name in ("threshold", "avq", "soar") if build[name] is not None]
    words += ["not residual"] if build["residual"] is False else []
    words += ["int8 rows"] if build["int8"] else []
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
    """One searcher: tree, asymmetric hashing in 4-bit blocks, float32 or int8 rows to reorder by."""

    def __init__(self, package: str, build: Arguments) -> None:
        self._package, self._build, self._threads = package, build, 1

    def fit(self, train: Floats, metric: Metric) -> None:
        import scann

        by = self._build
        builder = scann.scann_ops_pybind.builder(train, 10, "dot_product" if metric == "cosine" else "squared_l2")
        if by["l2_as_dot"]:
            builder = builder.l2_as_dot_product()
        if by["leaves"]:
            builder = builder.tree(
                num_leaves=by["leaves"],
                num_leaves_to_search=max(1, by["leaves"] // 10),
                training_sample_size=min(len(train), _TRAINING_SAMPLE),
                **_given(avq=by["avq"], soar_lambda=by["soar"]),
            )
        length = float(np.sqrt((train**2).sum(axis=1).mean()))
        builder = builder.score_ah(
            by["block"],
            anisotropic_quantization_threshold=float("nan") if by["threshold"] is None else by["threshold"] * length,
            **_given(residual_quantization=by["residual"]),
        )
        rows = scann.ReorderType.INT8 if by["int8"] else scann.ReorderType.FLOAT32
        self._searcher = builder.reorder(100, quantize=rows).build()
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


def _given(**options: Any) -> dict[str, Any]:
    """Options that were set; for the others the package's own defaults hold."""
    return {name: value for name, value in options.items() if value is not None}
