"""`python -m bench.fixed_cost`: what a query costs before there is anything to search.

One list of a small collection is asked through the public interface, so that all that is left is the call:
checks, preparation, routing, table, transaction, ids, hits.
"""

import argparse
import gc
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb
from bench import machine, notes

_ROWS = 6_000  # enough for learned codes, few enough for short lists
_DIMS = (128, 384, 768)
_WARM_UP = 2_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every dim, print a table, keep the numbers."""
    options = _parser().parse_args(arguments)
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    card = machine.card()
    found = {str(dim): measure(dim, options.queries, options.rows) for dim in options.dims}
    print("\n".join(_table(found)))
    print(notes.keep(options.out, "fixed-cost", {"machine": card, "microseconds": found}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.fixed_cost", description=__doc__)
    parser.add_argument("--dims", nargs="+", type=int, default=list(_DIMS))
    parser.add_argument("--rows", type=int, default=_ROWS)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def measure(dim: int, queries: int, rows: int = _ROWS) -> dict[str, dict[str, float]]:
    """Microseconds (min, median, p99) of one-list queries by hand and of the default search."""
    rng = np.random.default_rng(dim)
    centres = rng.standard_normal((64, dim))
    vectors = centres[rng.integers(0, 64, rows)] + 0.5 * rng.standard_normal((rows, dim))
    with pqdb.open() as database:
        collection = database.create_collection("bench", dim, "cosine")
        collection.upsert(list(range(rows)), vectors.astype(np.float32))
        collection.optimize()
        asked = [np.ascontiguousarray(row) for row in vectors[:1_000].astype(np.float32)]
        return {
            "one list": _spread(_times(collection, asked, queries, {"nprobe": 1, "rerank": 10})),
            "default": _spread(_times(collection, asked, queries, {})),
        }


def _times(
    collection: pqdb.Collection, asked: list[npt.NDArray[np.float32]], queries: int, setting: dict[str, Any]
) -> npt.NDArray[np.float64]:
    """Microseconds of each query, its ids taken out."""
    search, clock = collection.search, time.perf_counter_ns
    times = np.empty(queries, dtype=np.int64)
    for i in range(min(queries, _WARM_UP)):
        search(asked[i % len(asked)], 10, **setting)
    gc.collect()
    gc.disable()
    for i in range(queries):
        vector = asked[i % len(asked)]
        start = clock()
        search(vector, 10, **setting).ids  # noqa: B018  an answer nobody reads is not an answer
        times[i] = clock() - start
    gc.enable()
    return np.asarray(times * 1e-3, dtype=np.float64)


def _spread(times: npt.NDArray[np.float64]) -> dict[str, float]:
    p50, p99 = np.percentile(times, [50, 99])
    named = {"min": times.min(), "median": p50, "p99": p99}
    return {name: round(float(value), 2) for name, value in named.items()}


def _table(found: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    lines = ["| one query, µs | min | median | p99 |", "|---|---:|---:|---:|"]
    for dim, kinds in found.items():
        for kind, spread in kinds.items():
            lines.append(f"| {dim}-d, {kind} | " + " | ".join(f"{spread[n]:.1f}" for n in spread) + " |")
    return lines


if __name__ == "__main__":
    main()
