"""`python -m bench.meanwhile DATA.hdf5`: how long a search takes while upkeep works, against what it takes at rest.

One thread asks queries without a pause; upkeep works in the background of the same process, and another process writes.
In turn: rows arrive and are indexed; a new generation is built; a third of the points is deleted and what they held is
given back; nothing happens. To reach: p99 at most three times that of rest.
"""

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pqdb
from bench import data, machine, notes

_AT_ONCE = 500  # rows of one upsert
_QUIET = 3  # looks in a row that must find nothing to do
Info = dict[str, Any]
Times = list[float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Go through the phases, print a table, keep the numbers."""
    options = _parser().parse_args(arguments)
    found = measure(data.load(options.data, queries=1_000), options.rate, options.seconds)
    print("\n".join(table(found)))
    kept = {"machine": machine.card(), "data": options.data.stem, "rows a second": options.rate, "phases": found}
    print(notes.keep(options.out, "meanwhile", kept))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.meanwhile", description=__doc__)
    parser.add_argument("data", type=Path, help="an ann-benchmarks HDF5 file")
    parser.add_argument("--rate", type=int, default=1_000, help="rows that arrive a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of rest")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def measure(rows: data.Dataset, rate: int, seconds: float) -> dict[str, dict[str, float]]:
    """Phase → how many searches, and their median, p99 and longest in ms."""
    first, soon, grown = rows.n // 5, int(rows.n * 0.78), int(rows.n * 0.81)  # grown is past four times the first
    with tempfile.TemporaryDirectory() as folder:
        path, file = Path(folder) / "database", Path(folder) / "rows.npy"
        np.save(file, rows.train)
        with pqdb.open(path) as database:
            things = database.create_collection("bench", rows.dim, rows.metric)
            things.upsert(np.arange(first), rows.train[:first])
            things.optimize()
            generation = things.info()["generation"]

            def arriving(start: int, stop: int, rate: int) -> Callable[[], object]:
                return lambda: _in_another_process(path, file, start, stop, rate)

            def delete() -> None:
                things.delete(np.arange(0, grown, 3))

            found = {
                "rows arrive and are indexed": _phase(things, rows.test, arriving(first, soon, rate), _is_idle),
                "a new generation is built": _phase(
                    things,
                    rows.test,
                    arriving(soon, grown, rows.n),
                    lambda info: info["generation"] > generation and _is_idle(info),
                ),
                "a third is deleted and given back": _phase(things, rows.test, delete, _is_idle),
            }
            found["at rest"] = _phase(things, rows.test, lambda: time.sleep(seconds), _is_idle)
    return found


def _in_another_process(path: Path, file: Path, start: int, stop: int, rate: int) -> None:
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(path, file, start, stop, rate))
    writer.start()
    writer.join()


def _write(path: Path, file: Path, start: int, stop: int, rate: int) -> None:
    """Write rows at a steady rate."""
    rows = np.load(file, mmap_mode="r")
    with pqdb.open(path, upkeep="manual") as database:
        things, began = database["bench"], time.monotonic()
        for at in range(start, stop, _AT_ONCE):
            ids = np.arange(at, min(stop, at + _AT_ONCE))
            things.upsert(ids, rows[ids])
            time.sleep(max(0.0, began + (at + _AT_ONCE - start) / rate - time.monotonic()))


def _is_idle(info: Info) -> bool:
    return info["upkeep"]["stage"] is None


def _phase(
    things: pqdb.Collection, queries: np.ndarray, act: Callable[[], object], is_over: Callable[[Info], bool]
) -> dict[str, float]:
    """Search until something is done and all that follows from it."""
    over, times = threading.Event(), Times()
    search = threading.Thread(target=_search, args=(things, queries, over, times))
    search.start()
    try:
        act()
        quiet = 0
        while quiet < _QUIET:
            time.sleep(1)
            quiet = quiet + 1 if is_over(things.info()) else 0
    finally:
        over.set()
        search.join()
    taken = 1e3 * np.array(times)
    p50, p99 = np.percentile(taken, [50, 99])
    return {"searches": len(taken), "median_ms": float(p50), "p99_ms": float(p99), "longest_ms": float(taken.max())}


def _search(things: pqdb.Collection, queries: np.ndarray, over: threading.Event, times: Times) -> None:
    number = 0
    while not over.is_set():
        began = time.perf_counter()
        things.search(queries[number % len(queries)], 10)
        times.append(time.perf_counter() - began)
        number += 1


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """As Markdown."""
    rest = found["at rest"]["p99_ms"]
    head = "| meanwhile | searches | median ms | p99 ms | against rest | longest ms |"
    return [
        head,
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {phase} | {times['searches']:,} | {times['median_ms']:.2f} | {times['p99_ms']:.2f} "
            f"| {times['p99_ms'] / rest:.1f} × | {times['longest_ms']:.0f} |"
            for phase, times in found.items()
        ),
    ]


if __name__ == "__main__":
    main()
