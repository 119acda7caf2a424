"""`python -m bench.filters DATA.hdf5 …`: search with filters at six selectivities, on one core.

Every point has fields that let through 0.01 % to 99 % of all at random, and the number of its cluster. Filters of three
kinds are asked: at random; only the clusters nearest to the query; only those farthest from it. The first kind is the
same filter for every query, the other two are another one for each, so that nothing found for the last one helps. With
--peers FAISS and hnswlib are asked the same; of each the fastest setting counts that finds as much as pqdb, and is then
timed once more in turns with it. All have the filter in the form they like best before the clock starts: pqdb as
parse_filter leaves it. Rows are found, not payloads: the others have none.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb
from bench import filtered_peers, machine, notes
from bench.data import Dataset, Floats, load, synthetic
from bench.filter_plots import draw_filters
from bench.filtered_peers import Mask

SELECTIVITIES = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.99)
KINDS = ("random", "nearest", "farthest")
CLUSTERS = 256
K = 10
_UPSERT_ROWS = 20_000
FEW = 30  # queries that are compared with scoring one by one: that takes long where much passes
AS_NEAR = 0.005  # of recall: a peer that much below pqdb's counts as equal
Ask = Callable[[int], object]  # so many of the queries
_COLUMNS = (
    "filter",
    "passes",
    "matches",
    "recall",
    "worst tenth",
    "us",
    "of the unfiltered rate",
    "one by one us",
    "of one by one's time",
    "bitmap us",
    "ways",
)


@dataclass(frozen=True)
class Fields:
    """What the payloads say: a number from 0 to 1, and the nearest of some points taken for centres of clusters."""

    luck: npt.NDArray[np.float64]  # (n,)
    cluster: npt.NDArray[np.int64]  # (n,)
    centres: Floats  # (CLUSTERS, d)

    @classmethod
    def made(cls, data: Dataset, seed: int = 0) -> "Fields":
        rng = np.random.default_rng(seed)
        centres = data.train[rng.choice(data.n, min(CLUSTERS, data.n), replace=False)]
        return cls(rng.random(data.n), np.argmax(_nearness(data, data.train, centres), axis=1), centres)

    def payload(self, row: int) -> dict[str, Any]:
        passes = {_name(share): bool(self.luck[row] < share) for share in SELECTIVITIES}
        return {"luck": float(self.luck[row]), "cluster": f"c{self.cluster[row]}", **passes}


@dataclass(frozen=True)
class Truth:
    """How near every point is to a query, how many of those that pass there are to find, and how near the last is."""

    near: Floats  # (n,)
    wanted: int
    last: float

    @classmethod
    def of(cls, near: Floats, mask: Mask) -> "Truth":
        passing = near[mask]
        wanted = min(K, len(passing))
        at = len(passing) - wanted
        return cls(near, wanted, float(np.partition(passing, at)[at]) if wanted else 0.0)

    def share(self, found: npt.NDArray[np.int64]) -> float:
        """Of the true nearest that were found, by value; rounding is forgiven."""
        if not self.wanted:
            return 1.0
        return float((self.near[found] >= self.last - 1e-5).sum()) / self.wanted


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every data set given, print a table each, keep the numbers."""
    options = _parser().parse_args(arguments)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    card = machine.card()
    for path in options.data or [synthetic(options.out / "data")]:
        data = load(path, queries=options.queries)
        found = measure(data, options.database, options.peers)
        print("\n".join(_table(data, found)))
        kept = notes.keep(options.out, f"filters-{data.name}", {"machine": card, "filters": found})
        print(kept, draw_filters(found, f"{data.name}, {data.n:,} × {data.dim}", card, kept.with_suffix(".png")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.filters", description=__doc__)
    parser.add_argument("data", nargs="*", type=Path, help="ann-benchmarks HDF5 files; none: a set made here")
    parser.add_argument("--queries", type=int, default=300, help="only so many of the file's queries")
    parser.add_argument("--database", type=Path, help="a folder to keep the database in, or to find it in again")
    parser.add_argument("--peers", nargs="*", help="ask others too, where installed; all of them, or FAISS, hnswlib")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def measure(data: Dataset, folder: Path | None = None, peers: Sequence[str] | None = None) -> dict[str, Any]:
    """The unfiltered rate, and a row for each kind and selectivity. peers: None for none, empty for all, or names."""
    others = [] if peers is None else list(filtered_peers.peers(data, peers))
    near = _nearness(data, data.test, data.train)
    fields = Fields.made(data)
    with tempfile.TemporaryDirectory(prefix="bench-filters-") as spare:
        home = folder or Path(spare)
        if not home.exists() or not any(home.iterdir()):
            _build(home, data, fields)
        with pqdb.open(home, read_only=True) as database:
            collection = database["bench"]
            rows = []
            for kind, share in itertools.product(KINDS, SELECTIVITIES):
                asked, masks = zip(*(_asked(data, fields, kind, share, query) for query in data.test), strict=True)
                filters = [pqdb.parse_filter(each) for each in asked]
                truths = [Truth.of(*each) for each in zip(near, masks, strict=True)]
                row, ask = _row(collection, data, filters, masks, truths)
                found = _peers(others, data.test, masks, truths, row["recall"] - AS_NEAR, ask)
                rows.append(row | {"filter": kind, "passes": share, "peers": found})
            plain = round(float(np.median([row["unfiltered us"] for row in rows])), 1)
            return {"unfiltered us": plain, "rows": rows, "keyword bitmap us": _bitmap(collection)}


def _build(folder: Path, data: Dataset, fields: Fields) -> None:
    with pqdb.open(folder, upkeep="manual") as database:
        collection = database.create_collection("bench", data.dim, data.metric)
        for share in SELECTIVITIES:
            collection.create_payload_index(_name(share), "bool")
        collection.create_payload_index("cluster", "keyword")
        collection.create_payload_index("luck", "float")
        for start in range(0, data.n, _UPSERT_ROWS):
            rows = range(start, min(data.n, start + _UPSERT_ROWS))
            collection.upsert(rows, data.train[rows.start : rows.stop], [fields.payload(row) for row in rows])
        collection.optimize()


def _row(
    collection: pqdb.Collection,
    data: Dataset,
    filters: Sequence[object],
    masks: Sequence[Mask],
    truths: Sequence[Truth],
) -> tuple[dict[str, Any], Ask]:
    """What is told of one kind of filter; and how some of its queries are asked again."""

    def plainly() -> list[pqdb.Hits]:
        return [collection.search(query, K, with_payload=False) for query in data.test]

    def ask(exact: bool = False, n: int = len(data.test)) -> list[pqdb.Hits]:
        asked = zip(data.test[:n], filters[:n], strict=True)
        return [collection.search(query, K, filter=each, exact=exact, with_payload=False) for query, each in asked]

    found = ask()
    for hits, truth in zip(found, truths, strict=True):
        if len(hits) != truth.wanted:
            raise AssertionError(f"{len(hits)} hits where {truth.wanted} points are to be found")
    recalls = [truth.share(np.array(hits.ids, np.int64)) for truth, hits in zip(truths, found, strict=True)]
    explained = [collection.explain(data.test[i], K, filter=filters[i]) for i in range(0, len(filters), 10)]
    plain, micros = _microseconds([plainly, ask], len(data.test))
    few = min(FEW, len(data.test))
    again, one_by_one = _microseconds([partial(ask, n=few), partial(ask, n=few, exact=True)], few)
    ways = [each.filter.way for each in explained if each.filter is not None]
    told = {
        "matches": int(np.mean([mask.sum() for mask in masks])),
        "recall": round(float(np.mean(recalls)), 4),
        "worst tenth": round(float(np.sort(recalls)[: max(1, len(recalls) // 10)].mean()), 4),
        "us": round(micros, 1),
        "unfiltered us": round(plain, 1),
        "of the unfiltered rate": round(plain / micros, 2),
        "one by one us": round(one_by_one, 1),
        "of one by one's time": round(again / one_by_one, 2),
        "bitmap us": round(float(np.median([each.microseconds["filter"] for each in explained])), 1),
        "ways": ", ".join(f"{way} {ways.count(way)}" for way in sorted(set(ways))),
    }
    return told, lambda n: ask(n=n)


def _peers(
    others: Sequence[filtered_peers.Peer],
    queries: Floats,
    masks: Sequence[Mask],
    truths: Sequence[Truth],
    recall: float,
    ask: Ask,
) -> dict[str, dict[str, Any]]:
    """Of each peer the setting, its recall and its microseconds, and how many times pqdb's these are."""

    def recall_of(i: int, rows: npt.NDArray[np.int64]) -> float:
        return truths[i].share(rows)

    found = {}
    for peer in others:
        rate = filtered_peers.best(peer, queries, K, masks, recall_of, recall)
        ours, theirs = _microseconds([partial(ask, rate.asked), _asking(peer, rate, queries, masks)], rate.asked)
        found[peer.name] = asdict(rate) | {"microseconds": round(theirs, 1), "times": round(theirs / ours, 2)}
    return found


def _asking(
    peer: filtered_peers.Peer, rate: filtered_peers.Rate, queries: Floats, masks: Sequence[Mask]
) -> Callable[[], object]:
    """The queries that a rate was measured with, asked again."""
    passes = [peer.prepared(mask) for mask in masks[: rate.asked]]
    asked = list(zip(queries[: rate.asked], passes, strict=True))
    return lambda: [peer.search(query, K, mask, rate.setting) for query, mask in asked]


def _asked(data: Dataset, fields: Fields, kind: str, share: float, query: Floats) -> tuple[dict[str, Any], Mask]:
    """A filter, and what passes it."""
    if kind == "random":
        return {"must": [{"key": _name(share), "match": {"value": True}}]}, fields.luck < share
    near = _nearness(data, query[None], fields.centres)[0]
    order = np.argsort(-near if kind == "nearest" else near)
    sizes = np.bincount(fields.cluster, minlength=len(fields.centres))[order]
    taken = order[: int(np.searchsorted(np.cumsum(sizes), share * data.n)) + 1]
    within = np.isin(fields.cluster, taken)
    luck = share * data.n / within.sum()  # the last cluster would let too many through
    conditions = [
        {"key": "cluster", "match": {"any": [f"c{cluster}" for cluster in taken]}},
        {"key": "luck", "range": {"lt": luck}},
    ]
    if luck > 0.9:
        return {"must": conditions[:1]}, within
    return {"must": conditions}, within & (fields.luck < luck)


def _nearness(data: Dataset, queries: Floats, rows: Floats) -> Any:
    """(q, n) larger is nearer."""
    inner = queries @ rows.T
    return inner if data.metric == "cosine" else 2 * inner - (rows**2).sum(axis=1)


def _bitmap(collection: pqdb.Collection) -> dict[str, float]:
    """Median microseconds until the rows of a keyword are counted, among all there are, asked for the first time."""
    times = []
    for value, _ in collection.facet("cluster", limit=CLUSTERS):
        start = time.perf_counter()
        collection.count(filter={"must": [{"key": "cluster", "match": {"value": value}}]})
        times.append((time.perf_counter() - start) * 1e6)
    return {"median": round(float(np.median(times)), 1), "p90": round(float(np.percentile(times, 90)), 1)}


def _microseconds(ways: Sequence[Callable[[], object]], n: int, rounds: int = 3) -> list[float]:
    """Processor time of one of n queries, for each way to ask them: the fastest of some rounds, in turns."""
    taken = np.empty((rounds, len(ways)))
    for turn, (place, ask) in itertools.product(range(rounds), enumerate(ways)):
        start = time.process_time()
        ask()
        taken[turn, place] = time.process_time() - start
    return list(taken.min(axis=0) / n * 1e6)


def _name(share: float) -> str:
    return f"passes {share:g}".replace(" ", "_").replace(".", "_")


def _table(data: Dataset, found: dict[str, Any]) -> Iterator[str]:
    yield f"{data.name}: {data.n:,} x {data.dim}, {data.metric}; {len(data.test):,} queries, k = {K}"
    yield f"unfiltered: {found['unfiltered us']} us; bitmap of a keyword, us: {found['keyword bitmap us']}"
    yield ""
    yield "| " + " | ".join(_COLUMNS) + " |"
    yield "|---" * len(_COLUMNS) + "|"
    for row in found["rows"]:
        yield "| " + " | ".join(str(row[name]) for name in _COLUMNS) + " |"
    yield from _peer_table(found["rows"])


def _peer_table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    names = list(rows[0]["peers"])
    if not names:
        return
    yield ""
    heads = ("filter", "passes", "pqdb: recall, us", *(f"{name}: recall, us, times pqdb's" for name in names))
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        rates = [row["peers"][name] for name in names]
        told = [f"{r['recall']:.3f}, {r['microseconds']:.0f}, {r['times']:.1f}" for r in rates]
        cells = (row["filter"], row["passes"], f"{row['recall']:.3f}, {row['us']:.0f}", *told)
        yield "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    main()
