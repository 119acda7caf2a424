"""`python -m bench.build DATA.hdf5`: from nothing to indexed, and to the first answer of another day.

Building and reopening each get a fresh process, as a user's program would be: peak memory is its own, and the
reopening finds nothing warm but the kernel cache and the pages of the file.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine, notes

_ROOT = Path(__file__).resolve().parent.parent
_MB = 1e6
_WARM_ROWS = 6_000  # enough for learned codes


def main(arguments: Sequence[str] | None = None) -> None:
    """Build once in a fresh process, reopen a few times in others, print and keep the numbers."""
    options = _parser().parse_args(arguments)
    if options.step:
        print(json.dumps(_STEPS[options.step](options)))
        return
    card = machine.card()
    with tempfile.TemporaryDirectory(prefix="bench-build-") as folder:
        warmed = _fresh("warm", options, Path(folder) / "warm")  # so that the numbers are not the compiler's
        built = _fresh("build", options, Path(folder))
        opened = [_fresh("reopen", options, Path(folder)) for _ in range(options.repeat)]
    found = {"machine": card, "data": options.data.name, "warm": warmed, "build": built, "reopen": opened}
    print("\n".join(_table(built, opened)))
    print(notes.keep(options.out, f"build-{options.data.stem}", found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.build", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--batch", type=int, default=10_000, help="rows of one upsert")
    parser.add_argument("--repeat", type=int, default=5, help="reopenings")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    parser.add_argument("--step", choices=["warm", "build", "reopen"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def _fresh(step: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One step in a process of its own; what it printed last."""
    command = [
        sys.executable,
        "-m",
        "bench.build",
        str(options.data),
        "--step",
        step,
        "--folder",
        str(folder),
    ]
    ran = subprocess.run(
        [*command, "--batch", str(options.batch)], cwd=_ROOT, check=True, capture_output=True, text=True
    )
    report: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return report


def _warm(options: argparse.Namespace) -> dict[str, Any]:
    """A small collection of the same kind, built and asked once: then the kernels are in their cache."""
    from bench.data import load

    data = load(options.data)
    start = time.perf_counter()
    import pqdb

    with pqdb.open() as database:
        collection = database.create_collection("bench", data.dim, data.metric)
        rows = data.train[:_WARM_ROWS]
        collection.upsert(list(range(len(rows))), rows)
        collection.optimize()
        collection.search(data.test[0], 10)
    return {"kernels warm s": round(time.perf_counter() - start, 3)}


def _build(options: argparse.Namespace) -> dict[str, Any]:
    """Upsert everything, train and index it; seconds of each, peak memory with and without the data set."""
    from bench.data import load

    data = load(options.data)
    before = _peak()
    import pqdb

    start = time.perf_counter()
    with pqdb.open(options.folder / "db") as database:
        collection = database.create_collection("bench", data.dim, data.metric)
        opened = time.perf_counter()
        for first in range(0, data.n, options.batch):
            rows = data.train[first : first + options.batch]
            collection.upsert(list(range(first, first + len(rows))), rows)
        upserted = time.perf_counter()
        collection.optimize()
        indexed = time.perf_counter()
    return {
        "rows": data.n,
        "open s": round(opened - start, 3),
        "upsert s": round(upserted - opened, 3),
        "train and index s": round(indexed - upserted, 3),
        "total s": round(indexed - start, 3),
        "peak MB": round(_peak() / _MB, 1),
        "peak MB before, with the data set": round(before / _MB, 1),
        "disk MB": round(_disk(options.folder / "db") / _MB, 1),
    }


def _reopen(options: argparse.Namespace) -> dict[str, Any]:
    """Import, open, first answer, second answer, in seconds."""
    import h5py
    import numpy as np

    with h5py.File(options.data) as file:
        queries = file["test"][:2].astype(np.float32)
    start = time.perf_counter()
    import pqdb

    imported = time.perf_counter()
    with pqdb.open(options.folder / "db") as database:
        collection = database["bench"]
        opened = time.perf_counter()
        found = collection.search(queries[0], 10).ids
        first = time.perf_counter()
        collection.search(queries[1], 10)
        second = time.perf_counter()
    if not len(found):
        raise RuntimeError("the reopened collection found nothing")
    return {
        "import s": round(imported - start, 4),
        "open s": round(opened - imported, 4),
        "first answer s": round(first - opened, 4),
        "second answer s": round(second - first, 6),
        "open and first answer s": round(first - imported, 4),
    }


_STEPS = {"warm": _warm, "build": _build, "reopen": _reopen}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _disk(folder: Path) -> int:
    """Bytes on disk, holes not counted."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _table(built: dict[str, Any], opened: list[dict[str, Any]]) -> list[str]:
    lines = ["| build | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in built.items()), ""]
    names = list(opened[0])
    lines += ["| reopen | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for number, report in enumerate(opened):
        lines.append(f"| {number + 1} | " + " | ".join(str(report[name]) for name in names) + " |")
    return lines


if __name__ == "__main__":
    main()
