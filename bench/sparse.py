"""`python -m bench.sparse`: sparse vectors written and searched, in turns with qdrant-edge where that is installed.

The words are made up: dimensions drawn by Zipf's law out of a vocabulary of BERT's size, as many a vector as models
give them (SPLADE some 120, BM25 of a passage some 50; `--nonzero`), lognormal weights. Both engines answer exactly, so
their answers are compared, too.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine, notes

VOCABULARY = 30_522
K = 10
Pairs = tuple[np.ndarray, np.ndarray]
Search = Callable[[Pairs], list[int]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill both, ask both the same queries in turns, print and keep the numbers."""
    options = _parser().parse_args(arguments)
    found = measure(options)
    for name in ("pqdb", "qdrant-edge"):
        print(name, found.get(name, "is not installed"))
    print("of the answers of one the other has", found["same answers"])
    print(notes.keep(options.out, f"sparse-{options.rows}-{options.nonzero}", found))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """What each engine took, and the card of the machine."""
    rng = np.random.default_rng(options.seed)
    vectors = list(_drawn(rng, options.rows, options.nonzero))
    queries = list(_drawn(rng, options.queries, options.asked))
    found: dict[str, Any] = {"machine": machine.card(), **_said(options)}
    with tempfile.TemporaryDirectory(prefix="bench-sparse-") as folder, ExitStack() as opened:
        engines = {"pqdb": _pqdb(Path(folder), vectors, options.batch, opened)}
        edge = _edge(Path(folder), vectors, options.batch)
        engines |= {} if edge is None else {"qdrant-edge": edge}
        found["same answers"] = _agreement([search for search, _ in engines.values()], queries)
        times: dict[str, list[list[float]]] = {name: [] for name in engines}
        for _ in range(options.rounds):
            for name, (search, _) in engines.items():
                times[name].append(_times(search, queries))
    return found | {name: filled | _summed(times[name]) for name, (_, filled) in engines.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.sparse", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--nonzero", type=int, default=120, help="dimensions a vector names")
    parser.add_argument("--asked", type=int, default=20, help="dimensions a query names")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1_000, help="points of one upsert")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def _said(options: argparse.Namespace) -> dict[str, int]:
    return {name: getattr(options, name) for name in ("rows", "nonzero", "asked", "queries", "rounds", "batch", "seed")}


def _drawn(rng: np.random.Generator, n: int, nonzero: int) -> Iterator[Pairs]:
    """n vectors: dimensions ascending, weights."""
    shares = 1 / np.arange(1, VOCABULARY + 1)
    ends = np.cumsum(shares / shares.sum())
    for _ in range(n):
        drawn = np.searchsorted(ends, rng.random(2 * nonzero)).astype(np.uint32)
        dims = np.sort(rng.permutation(np.unique(drawn))[:nonzero])
        yield dims, rng.lognormal(0, 0.5, len(dims)).astype(np.float32)


def _pqdb(folder: Path, vectors: list[Pairs], batch: int, opened: ExitStack) -> tuple[Search, dict[str, Any]]:
    import pqdb

    pqdb.warm_up("sparse")
    given = [pqdb.SparseVector(*each) for each in vectors]
    database = opened.enter_context(pqdb.open(folder / "pqdb"))
    points = database.create_collection("words", vectors={"words": pqdb.SparseConfig(idf=True)})
    start = time.perf_counter()
    for first in range(0, len(given), batch):
        part = given[first : first + batch]
        points.upsert(list(range(first, first + len(part))), {"words": part})
    seconds = time.perf_counter() - start

    def search(query: Pairs) -> list[int]:
        ids: list[int] = points.search(pqdb.SparseVector(*query), K, using="words").ids
        return ids

    return search, {"filled s": round(seconds, 2), "MB": _megabytes(folder / "pqdb")}


def _edge(folder: Path, vectors: list[Pairs], batch: int) -> tuple[Search, dict[str, Any]] | None:
    try:
        import qdrant_edge as edge
    except ImportError:
        return None
    (folder / "edge").mkdir()
    params = edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)
    config = edge.EdgeConfig(sparse_vectors={"words": params}, wal_enabled=False)
    shard = edge.EdgeShard.create(str(folder / "edge" / "shard"), config)
    given = [edge.SparseVector(dims.tolist(), weights.tolist()) for dims, weights in vectors]
    start = time.perf_counter()
    for first in range(0, len(given), batch):
        part = enumerate(given[first : first + batch], first)
        shard.update(edge.UpdateOperation.upsert_points([edge.Point(at, {"words": each}, None) for at, each in part]))
    filled = time.perf_counter() - start
    shard.optimize()
    optimized = time.perf_counter() - start - filled

    def search(query: Pairs) -> list[int]:
        asked = edge.SparseVector(query[0].tolist(), query[1].tolist())
        request = edge.SearchRequest(edge.Query.Nearest(asked, using="words"), limit=K)
        return [point.id for point in shard.search(request)]

    facts = {"filled s": round(filled, 2), "optimized s": round(optimized, 2), "MB": _megabytes(folder / "edge")}
    return search, facts


def _megabytes(folder: Path) -> float:
    return round(sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) / 1e6, 1)


def _agreement(searches: list[Search], queries: list[Pairs]) -> float:
    """Share of the answers that all have."""
    shares = []
    for query in queries:
        first, *others = [set(search(query)) for search in searches]
        shares += [len(first & other) / max(1, len(first)) for other in others]
    return round(statistics.fmean(shares), 4) if shares else 1.0


def _times(search: Search, queries: list[Pairs]) -> list[float]:
    times = []
    for query in queries:
        start = time.perf_counter()
        search(query)
        times.append((time.perf_counter() - start) * 1e6)
    return times


def _summed(rounds: list[list[float]]) -> dict[str, Any]:
    """Medians by round, and of all."""
    every = np.concatenate(rounds)
    told = {"p50 us": round(float(np.median(every)), 1), "p99 us": round(float(np.quantile(every, 0.99)), 1)}
    return told | {"p50 us of each round": [round(statistics.median(each), 1) for each in rounds]}


if __name__ == "__main__":
    main()
