"""`python -m bench.writers`: upserts of a point or of more, by one thread and by several, on disk before they return.

Measured with the machine's own syncs, and with syncs that take 2 ms longer, as on a network volume: a small C library
(slow_sync.c) is compiled and preloaded. Each run is a process of its own; the rates are of acknowledged upserts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pqdb
from bench import machine, notes

_DIM = 128


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every number of threads on every disk, print a table, keep the numbers."""
    options = _parser().parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options.measure, options.points, options.seconds, options.folder)))
        return
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shim = _compile(Path(folder))
        for name, microseconds in (("own syncs", 0), ("syncs 2 ms longer", 2_000)):
            if microseconds and shim is None:
                print("no C compiler here (cc): syncs cannot be made longer")
                continue
            found[name] = {str(n): _run(n, options, shim, microseconds) for n in options.threads}
    print("\n".join(_table(found)))
    print(notes.keep(options.out, "writers", {"machine": machine.card(), "points": options.points, "rates": found}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.writers", description=__doc__)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2, 8, 32])
    parser.add_argument("--points", type=int, default=1, help="of one upsert")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the database is made: the disk to measure")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    return parser


def measure(n_threads: int, points: int, seconds: float, folder: Path) -> dict[str, float]:
    """Points acknowledged a second, and the median and p99 of one upsert in ms."""
    vectors = np.random.default_rng(0).standard_normal((1_000, _DIM)).astype(np.float32)
    times: list[list[float]] = [[] for _ in range(n_threads)]
    with tempfile.TemporaryDirectory(dir=folder) as path, pqdb.open(path, upkeep="manual") as database:
        collection = database.create_collection("bench", _DIM)
        collection.upsert(list(range(1_000)), vectors)
        stop = time.perf_counter() + seconds

        def write(thread: int) -> None:
            number = thread * 10_000_000
            while (began := time.perf_counter()) < stop:
                collection.upsert(range(number, number + points), vectors[:points])
                times[thread].append(time.perf_counter() - began)
                number += points

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(n_threads)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    every = sorted(second for mine in times for second in mine)
    return {
        "per_second": points * len(every) / seconds,
        "median_ms": 1e3 * statistics.median(every),
        "p99_ms": 1e3 * every[int(0.99 * len(every))],
    }


def _run(n_threads: int, options: argparse.Namespace, shim: Path | None, microseconds: int) -> dict[str, float]:
    env = {**os.environ, "SLOW_SYNC_US": str(microseconds)}
    if shim is not None:
        env["LD_PRELOAD"] = str(shim)
    command = [sys.executable, "-m", "bench.writers", "--measure", str(n_threads), "--seconds", str(options.seconds)]
    command += ["--points", str(options.points), "--folder", str(options.folder)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _compile(folder: Path) -> Path | None:
    """The library that makes syncs longer; None without a C compiler."""
    library = folder / "slow_sync.so"
    source = Path(__file__).with_name("slow_sync.c")
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return library


def _table(found: dict[str, Any]) -> list[str]:
    lines = ["| disk | threads | points a second | against one thread | median ms | p99 ms |", "|---" * 6 + "|"]
    for disk, rates in found.items():
        alone = next(iter(rates.values()))["per_second"]
        lines += [
            f"| {disk} | {threads} | {rate['per_second']:,.0f} | {rate['per_second'] / alone:.1f} × "
            f"| {rate['median_ms']:.2f} | {rate['p99_ms']:.2f} |"
            for threads, rate in rates.items()
        ]
    return lines


if __name__ == "__main__":
    main()
