"""`python -m bench.codes DATA.hdf5`: what each kind of code costs in bytes and time, and what it finds.

Every code is a collection of its own, all in one process, asked in turns: by its best estimates with every list probed,
so that the code is to blame for what is missed, and as a user would ask it, for a recall. One query a call, one core.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pqdb
from bench import machine, notes
from bench.data import Dataset, distances_of, load
from bench.plots import draw_codes
from bench.recall import recalls

K = 10
ASKED = 0.95
FRONTS = (10, 20, 50, 100)  # candidates a code alone may name
_ROUNDS = 5


@dataclass(frozen=True)
class Kind:
    """A line of the plot: a name, and what the collection is made with."""

    name: str
    options: dict[str, Any]


def kinds() -> list[Kind]:
    """Every precision there is, with its usual tiers, and the mixed ones."""
    return [
        Kind("PQ 4-bit (default)", {}),
        Kind("PQ 4-bit, objective score", {"quantization": pqdb.PQ(objective="score")}),
        Kind("PQ 4-bit, 1 bit a dimension", {"quantization": pqdb.PQ(bits_per_dim=1)}),
        Kind("PQ 4-bit, 2 bits a dimension", {"quantization": pqdb.PQ(bits_per_dim=2)}),
        Kind("PQ 8-bit, 1 bit a dimension", {"quantization": pqdb.PQ(nbits=8)}),
        Kind("1 bit", {"quantization": pqdb.SQ("1bit")}),
        Kind("int4", {"quantization": pqdb.SQ("int4")}),
        Kind("int8", {"quantization": pqdb.SQ("int8")}),
        Kind("float16", {"quantization": pqdb.SQ("float16")}),
        Kind("PQ 4-bit + float16", {"rerank": "float16"}),
        Kind("PQ 4-bit + source", {"rerank": "source"}),
        Kind("1 bit + float16", {"quantization": pqdb.SQ("1bit"), "rerank": "float16"}),
        Kind("int8 + float16, no source", {"quantization": pqdb.SQ("int8"), "rerank": "float16", "source": None}),
        Kind("PQ 4-bit + int8, no source", {"source": None}),
        Kind("PQ 4-bit + int8, source float16", {"source": "float16"}),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Build all kinds, measure them in turns, print a table, keep the numbers and draw the plot."""
    options = _parser().parse_args(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # building takes both
    card = machine.card()
    for path in options.data:
        data = load(path, queries=options.queries)
        found = measure(data, options.rounds)
        doc = {"machine": card, "data": _about(data), "asked": ASKED, "k": K, "kinds": found}
        print("\n".join(table(found)))
        print(notes.keep(options.out, f"codes-{path.stem}", doc))
        print(draw_codes(doc, options.out / f"codes-{path.stem}.png"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.codes", description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="0: bytes and recall alone, on a busy machine too")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def _about(data: Dataset) -> dict[str, Any]:
    return {"name": data.name, "n": data.n, "dim": data.dim, "metric": data.metric}


def measure(data: Dataset, rounds: int) -> list[dict[str, Any]]:
    """One record a kind: bytes a vector, recall of the codes alone, recall and rate at what is asked."""
    with pqdb.open(upkeep="manual") as database:
        made = [(kind, *_built(database, data, kind, number)) for number, kind in enumerate(kinds())]
        found = [_record(data, kind, collection, seconds) for kind, collection, seconds in made]
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
        for _ in range(rounds):
            for record, (_, collection, _) in zip(found, made, strict=True):
                record["qps rounds"].append(round(_rate(collection, data), 1))
    for record in found:
        record["qps"] = float(np.median(record["qps rounds"])) if rounds else None
    return found


def _built(database: pqdb.Database, data: Dataset, kind: Kind, number: int) -> tuple[pqdb.Collection, float]:
    collection = database.create_collection(f"c{number}", data.dim, data.metric, **kind.options)
    start = time.perf_counter()
    for first in range(0, data.n, 20_000):
        rows = data.train[first : first + 20_000]
        collection.upsert(list(range(first, first + len(rows))), rows)
    collection.optimize()
    return collection, time.perf_counter() - start


def _record(data: Dataset, kind: Kind, collection: pqdb.Collection, seconds: float) -> dict[str, Any]:
    sizes, n = collection.info()["bytes"], data.n
    told = [collection.explain(query, K, recall=ASKED) for query in data.test[:100]]
    return {
        "kind": kind.name,
        "bytes scanned": round(sizes["codes"] / n, 1),
        "bytes reranked": round(sizes["rerank"] / n, 1),
        "bytes source": 0 if kind.options.get("source", "") is None else round(sizes["source"] / n, 1),
        "build s": round(seconds, 1),
        "recall by rerank": {front: _recall_by_hand(collection, data, front) for front in FRONTS},
        "recall": _recall(collection.search(data.test, K, recall=ASKED), data),
        "lists": round(float(np.mean([each.lists for each in told])), 1),
        "codes": round(float(np.mean([each.codes for each in told]))),
        "candidates": round(float(np.mean([each.candidates for each in told]))),
        "reranked": round(float(np.mean([each.reranked for each in told]))),
        "qps rounds": [],
    }


def _recall_by_hand(collection: pqdb.Collection, data: Dataset, front: int) -> float:
    """Of the ten nearest, how many are among so many with the best estimates, every list probed."""
    lists = collection.info()["lists"]
    return _recall(collection.search(data.test, K, nprobe=lists, rerank=front), data)


def _recall(hits: pqdb.BatchHits, data: Dataset) -> float:
    rows = np.full((len(data.test), K), -1, np.int64)
    for row, each in zip(rows, hits, strict=True):
        row[: len(each)] = each.ids
    found, _ = recalls(rows, distances_of(data.train, data.test, rows, data.metric), data.distances, K)
    return round(float(found.mean()), 4)


def _rate(collection: pqdb.Collection, data: Dataset) -> float:
    start = time.perf_counter()
    for query in data.test:
        collection.search(query, K, recall=ASKED).ids  # noqa: B018  an answer nobody reads is not an answer
    return len(data.test) / (time.perf_counter() - start)


def table(found: Sequence[dict[str, Any]]) -> list[str]:
    """The records as Markdown."""
    names = ("bytes scanned", "bytes reranked", "bytes source", "recall", "lists", "candidates", "reranked", "qps")
    fronts = [f"best {front}" for front in FRONTS]
    columns = [*fronts, *names, "build s"]
    lines = [f"| code | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for record in found:
        cells = [f"{record['recall by rerank'][front]:.3f}" for front in FRONTS]
        cells += [str(record[name]) for name in (*names, "build s")]
        lines.append(f"| {record['kind']} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
