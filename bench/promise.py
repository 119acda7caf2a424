"""`python -m bench.promise DATA.hdf5 …`: is recall kept as it was asked for?

Every recall is asked for with the file's queries and k = 1, 10 and 100, of a collection that learns nothing
from being asked (manual upkeep). With --after N, asked again of one that has seen the first N queries and was
left alone for a while; then only the others are counted.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import pqdb
from bench import machine, notes
from bench.data import Dataset, distances_of, load, synthetic
from bench.engines.base import ids_array
from bench.recall import recalls

ASKED = (0.80, 0.90, 0.95, 0.97, 0.99)
KS = (1, 10, 100)
_UPSERT_ROWS = 20_000
_COLUMNS = ("k", "asked", "measured", "measured strict", "two standard errors", "worst tenth", "mean us")

Upkeep = Literal["background", "manual"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every data set given, print a table each, keep the numbers."""
    options = _parser().parse_args(arguments)
    card = machine.card()
    for path in options.data or [synthetic(options.out / "data")]:
        data = load(path, queries=options.queries)
        found = measure(data, after=options.after, settle_seconds=options.settle)
        print("\n".join(_table(data, found)))
        print(notes.keep(options.out, f"promise-{data.name}", {"machine": card, "promises": found}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.promise", description=__doc__)
    parser.add_argument("data", nargs="*", type=Path, help="ann-benchmarks HDF5 files; none: a set made here")
    parser.add_argument("--queries", type=int, help="only so many of the file's queries")
    parser.add_argument("--after", type=int, default=0, help="also measure after so many queries were seen")
    parser.add_argument("--settle", type=float, default=20.0, help="idle seconds after those queries")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def measure(
    data: Dataset,
    *,
    asked: Sequence[float] = ASKED,
    ks: Sequence[int] = KS,
    after: int = 0,
    settle_seconds: float = 0.0,
) -> list[dict[str, Any]]:
    """A row for each pair of k and recall; `after` > 0 adds the rows of a seasoned collection."""
    pairs = [(k, recall) for k in ks for recall in asked if k <= data.distances.shape[1]]
    with tempfile.TemporaryDirectory(prefix="bench-promise-") as folder:
        _build(Path(folder), data)
        found = [_row(Path(folder), "manual", data, pair, seen=0) for pair in pairs]
        if after:
            found += [_seasoned(Path(folder), data, pair, after, settle_seconds) for pair in pairs]
    return found


def _build(folder: Path, data: Dataset) -> None:
    with pqdb.open(folder) as database:
        collection = database.create_collection("bench", data.dim, data.metric)
        for start in range(0, data.n, _UPSERT_ROWS):
            rows = data.train[start : start + _UPSERT_ROWS]
            collection.upsert(list(range(start, start + len(rows))), rows)
        collection.optimize()


def _row(folder: Path, upkeep: Upkeep, data: Dataset, pair: tuple[int, float], seen: int) -> dict[str, Any]:
    with pqdb.open(folder, upkeep=upkeep) as database:
        return {"queries seen": seen, **_asked(database["bench"], data, *pair)}


def _seasoned(
    folder: Path, data: Dataset, pair: tuple[int, float], after: int, settle_seconds: float
) -> dict[str, Any]:
    """The same after `after` queries and time to learn from them; counted on the others."""
    k, recall = pair
    others = replace(data, test=data.test[after:], neighbors=data.neighbors[after:], distances=data.distances[after:])
    with pqdb.open(folder) as database:
        for query in data.test[:after]:
            database["bench"].search(query, k, recall=recall)
        time.sleep(settle_seconds)
        return {"queries seen": after, **_asked(database["bench"], others, k, recall)}


def _asked(collection: pqdb.Collection, data: Dataset, k: int, recall: float) -> dict[str, Any]:
    start = time.perf_counter()
    answers = [collection.search(query, k, recall=recall).ids for query in data.test]
    seconds = time.perf_counter() - start
    ids = ids_array(answers, k)
    found = distances_of(data.train, data.test, ids, data.metric)
    loose, strict = recalls(ids, found, data.distances, k)
    return {
        "k": k,
        "asked": recall,
        "measured": round(float(loose.mean()), 4),
        "measured strict": round(float(strict.mean()), 4),
        "two standard errors": round(2 * float(strict.std()) / len(strict) ** 0.5, 4),
        "worst tenth": round(float(np.sort(strict)[: max(1, len(strict) // 10)].mean()), 4),
        "mean us": round(seconds / len(answers) * 1e6, 1),
    }


def _table(data: Dataset, found: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"{data.name}: {data.n:,} x {data.dim}, {data.metric}; {len(data.test):,} queries"
    yield ""
    yield "| queries seen | " + " | ".join(_COLUMNS) + " |"
    yield "|---:|" + "---:|" * len(_COLUMNS)
    for row in found:
        yield f"| {row['queries seen']} | " + " | ".join(str(row[name]) for name in _COLUMNS) + " |"


if __name__ == "__main__":
    main()
