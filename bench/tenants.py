"""`python -m bench.tenants`: what a tenant's search costs among a thousand others, against a collection of its own.

Every point names its tenant in the payload, under a keyword index with `is_tenant`; tenants' points come in any order.
Some tenants also have a collection that holds their points alone. Both are asked the same, in turn, on one core: the
same tenant again and again, another one each time, and each one just after somebody has written.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb
from bench import machine, notes
from bench.data import Floats

K = 10
_UPSERT_ROWS = 20_000
_TIMES_THE_SAME = 50  # searches of one tenant before the next
_COLUMNS = ("asked", "tenant p50", "p99", "alone p50", "p99", "ratio p50", "p99")


@dataclass(frozen=True)
class Tenants:
    """Points of many tenants, in the order they are written."""

    vectors: Floats  # (n, d)
    tenant: npt.NDArray[np.int64]  # (n,) whose each is

    @classmethod
    def made(cls, rows: int, each: int, dim: int, seed: int = 0) -> "Tenants":
        """Clustered vectors; every tenant has points in all clusters."""
        rng = np.random.default_rng(seed)
        centres = rng.standard_normal((256, dim)).astype(np.float32)
        vectors = rng.standard_normal((rows, dim), np.float32)
        vectors *= np.float32(0.5)
        vectors += centres[rng.integers(0, len(centres), rows)]
        return cls(vectors, rng.permutation(np.arange(rows) // each))

    def of(self, tenant: int) -> npt.NDArray[np.int64]:
        """(each,) the rows of one."""
        return np.flatnonzero(self.tenant == tenant)


@dataclass(frozen=True)
class Asked:
    """One tenant, both ways."""

    condition: dict[str, Any]
    alone: pqdb.Collection
    queries: Floats  # (q, d)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, measure, print a table, keep the numbers."""
    options = _parser().parse_args(arguments)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    found = measure(options)
    print("\n".join(_table(found)))
    told = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
    print(notes.keep(options.out, "tenants", {"machine": machine.card(), "options": told, "found": found}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.tenants", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of all tenants together")
    parser.add_argument("--each", type=int, default=1_000, help="points of a tenant")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--asked", type=int, default=50, help="tenants that are compared")
    parser.add_argument("--queries", type=int, default=4_000)
    parser.add_argument("--plain", action="store_true", help="an ordinary keyword index, without is_tenant")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    return parser


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Microseconds by the way they are asked."""
    tenants = Tenants.made(options.rows, options.each, options.dim)
    with tempfile.TemporaryDirectory(prefix="pqdb-tenants-") as folder, pqdb.open(folder, upkeep="manual") as database:
        shared = _shared(database, tenants, not options.plain)
        asked = list(_asked(database, tenants, options.asked))
        _check(shared, asked)
        n = max(1, options.queries // 3)
        again = [number // _TIMES_THE_SAME % len(asked) for number in range(n)]
        others = np.random.default_rng(1).integers(0, len(asked), n).tolist()
        return {
            "the same again": _compared(shared, asked, again, write=False),
            "another each time": _compared(shared, asked, others, write=False),
            "after a write": _compared(shared, asked, others[: max(1, n // 10)], write=True),
        }


def _shared(database: pqdb.Database, tenants: Tenants, is_tenant: bool) -> pqdb.Collection:
    """The collection of all."""
    made = database.create_collection("shared", tenants.vectors.shape[1])
    made.create_payload_index("tenant", "keyword", is_tenant=is_tenant)
    for start in range(0, len(tenants.vectors), _UPSERT_ROWS):
        rows = np.arange(start, min(start + _UPSERT_ROWS, len(tenants.vectors)))
        made.upsert(rows, tenants.vectors[rows], [{"tenant": f"t{number}"} for number in tenants.tenant[rows]])
    made.optimize()
    return made


def _asked(database: pqdb.Database, tenants: Tenants, n: int) -> Iterator[Asked]:
    """The tenants that are compared, each in a collection of its own, with its questions."""
    rng = np.random.default_rng(2)
    for tenant in rng.permutation(int(tenants.tenant.max()) + 1)[:n].tolist():
        rows = tenants.of(tenant)
        alone = database.create_collection(f"alone-{tenant}", tenants.vectors.shape[1])
        alone.upsert(rows, tenants.vectors[rows], [{"tenant": f"t{tenant}"}] * len(rows))
        alone.optimize()
        queries = tenants.vectors[rng.choice(rows, 64)] + 0.2 * rng.standard_normal((64, alone.dim))
        condition = {"must": [{"key": "tenant", "match": {"value": f"t{tenant}"}}]}
        yield Asked(condition, alone, queries.astype(np.float32))


def _check(shared: pqdb.Collection, asked: Sequence[Asked]) -> None:
    """Both ways must find the same."""
    for each in asked:
        for query in each.queries[:4]:
            found, wanted = shared.search(query, K, filter=each.condition), each.alone.search(query, K)
            if found.ids != wanted.ids:
                raise AssertionError(f"a tenant's search found {found}, alone it is {wanted}")


def _compared(shared: pqdb.Collection, asked: Sequence[Asked], turns: Sequence[int], write: bool) -> dict[str, float]:
    """Microseconds of a tenant's search and of the same one alone, in turn."""
    times: npt.NDArray[np.float64] = np.empty((len(turns), 2))
    extra = np.zeros((1, shared.dim), np.float32)
    for number, turn in enumerate(turns):
        each = asked[turn]
        query = each.queries[number % len(each.queries)]
        if write:
            for collection in (shared, each.alone):
                collection.upsert(["written"], extra, [{"tenant": "somebody else"}])
        started = time.perf_counter()
        shared.search(query, K, filter=each.condition)
        between = time.perf_counter()
        each.alone.search(query, K)
        times[number] = between - started, time.perf_counter() - between
    p50, p99 = np.percentile(1e6 * times, (50, 99), axis=0)
    return {
        "tenant p50": p50[0], "tenant p99": p99[0], "alone p50": p50[1], "alone p99": p99[1],
        "ratio p50": p50[0] / p50[1], "ratio p99": p99[0] / p99[1],
    }  # fmt: skip


def _table(found: dict[str, dict[str, float]]) -> Iterator[str]:
    yield "microseconds of a search: a tenant's among all, and the same in a collection of its own"
    yield " | ".join(f"{column:>17}" for column in _COLUMNS)
    for asked, numbers in found.items():
        values = [f"{value:17.2f}" if key.startswith("ratio") else f"{value:17.1f}" for key, value in numbers.items()]
        yield " | ".join([f"{asked:>17}", *values])


if __name__ == "__main__":
    main()
