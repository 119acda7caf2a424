"""`python -m bench.unsettled DATA.hdf5`: what a query costs while a tenth of the rows is fresh, or a tenth is deleted.

Three collections of the same rows: settled; nine tenths in lists and the last tenth just written; all in lists and
every tenth deleted. They are asked in turns, one query a call, on one core, with upkeep at rest: as things are before
it has begun. First each is asked as often as its fresh rows need to get codes.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import pqdb
from bench import machine, notes
from bench.data import Dataset, load

K = 10
ASKED = 0.95
_SHARE = 10  # one in so many rows
_WARM_UP = 3  # rounds
STATES = ("settled", "a tenth is fresh", "a tenth is deleted")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, keep the numbers."""
    options = _parser().parse_args(arguments)
    card, data = machine.card(), load(options.data, queries=options.queries)
    found = measure(data, options.rounds)
    print("\n".join(table(found)))
    kept = {"machine": card, "data": data.name, "asked": ASKED, "microseconds": found}
    print(notes.keep(options.out, f"unsettled-{data.name}", kept))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.unsettled", description=__doc__)
    parser.add_argument("data", type=Path, help="an ann-benchmarks HDF5 file")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def measure(data: Dataset, rounds: int) -> dict[str, dict[str, float]]:
    """State → microseconds of a query at first and once settled in: the median of the rounds."""
    with tempfile.TemporaryDirectory() as folder, pqdb.open(folder, upkeep="manual", live_queries=False) as database:
        collections = [_made(database, data, state) for state in STATES]
        with _one_core():
            return _in_turns(collections, data, rounds)


def _in_turns(collections: list[pqdb.Collection], data: Dataset, rounds: int) -> dict[str, dict[str, float]]:
    first = [_microseconds(each, data) for each in collections]
    for each in collections * _WARM_UP:
        _microseconds(each, data)
    taken: Any = np.empty((rounds, len(STATES)))
    for turn in range(rounds):
        taken[turn] = [_microseconds(each, data) for each in collections]
    return {
        state: {"first": at_first, "then": float(np.median(then))}
        for state, at_first, then in zip(STATES, first, taken.T, strict=True)
    }


@contextmanager
def _one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cores)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _made(database: pqdb.Database, data: Dataset, state: str) -> pqdb.Collection:
    things = database.create_collection(state.replace(" ", "-"), data.dim, data.metric)
    listed = data.n if state != STATES[1] else data.n - data.n // _SHARE
    things.upsert(np.arange(listed), data.train[:listed])
    things.optimize()
    if listed < data.n:
        things.upsert(np.arange(listed, data.n), data.train[listed:])
    if state == STATES[2]:
        things.delete(np.arange(0, data.n, _SHARE))
    return things


def _microseconds(things: pqdb.Collection, data: Dataset) -> float:
    start = time.perf_counter()
    for query in data.test:
        things.search(query, K, recall=ASKED)
    return (time.perf_counter() - start) / len(data.test) * 1e6


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """As Markdown."""
    settled = found[STATES[0]]["then"]
    return [
        "| state | first round, µs | then, µs | against settled |",
        "|---|---:|---:|---:|",
        *(
            f"| {state} | {times['first']:.0f} | {times['then']:.0f} | {times['then'] / settled:.2f} × |"
            for state, times in found.items()
        ),
    ]


if __name__ == "__main__":
    main()
