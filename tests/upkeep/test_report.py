"""What info() tells of bytes adds up to what the system says: on disk, mapped, and held."""

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import pqdb
from pqdb.store.resident import allocated_bytes, anonymous_bytes, resident_bytes
from pqdb.upkeep.held import held_bytes
from tests.data import clustered

WITHIN = 0.10


def filled(db: pqdb.Database, rows: int = 6_000, dim: int = 32, **choices: Any) -> pqdb.Collection:
    things = db.create_collection("things", dim, **choices)
    vectors = clustered(rows, dim, seed=1)
    things.upsert(range(rows), vectors, [{"year": n % 30, "text": f"number {n}"} for n in range(rows)])
    things.create_payload_index("year", "integer")
    things.optimize()
    things.delete(range(0, rows, 7))
    for query in vectors[:150]:
        things.search(query)
    things.search(vectors[0], filter={"must": [{"key": "year", "match": {"value": 3}}]})
    return things


@pytest.mark.parametrize("choices", [{}, {"rerank": None}, {"quantization": pqdb.Flat()}, {"source": None}], ids=str)
def test_bytes_on_disk_add_up(db_path: Path, choices: dict[str, Any]) -> None:
    with pqdb.open(db_path, upkeep="manual") as db:
        things = filled(db, **choices)
        for compacted in (False, True):
            if compacted:
                things.compact()
            disk = things.info()["disk"]
            for part in (disk["points"], disk["index"]):
                assert part["file"] == part["meta"] + part["free"] + sum(part["databases"].values())
            assert sum(disk["index"]["blocks"].values()) == disk["index"]["databases"]["blocks"]
            assert all(size >= 0 for size in disk["index"]["blocks"].values())
            told = sum(part["file"] for part in disk.values())
            assert told == pytest.approx(allocated_bytes(things.folder), rel=WITHIN)


def test_blocks_by_kind_are_those_of_the_generation(db_path: Path) -> None:
    with pqdb.open(db_path, upkeep="manual") as db:
        things = filled(db)
        once = things.info()["disk"]["index"]["blocks"]
        assert once["codes"] > things.info()["bytes"]["codes"]
        assert once["rerank"] > things.info()["bytes"]["rerank"]
        assert once["others"] < 0.1 * once["codes"] + 8_192
        things.train()
        twice = things.info()["disk"]["index"]["blocks"]
        assert twice["others"] > 0.8 * (once["codes"] + once["rerank"])  # the generation before is kept


def test_what_is_mapped_is_what_the_system_says(db_path: Path) -> None:
    with pqdb.open(db_path, upkeep="manual") as db:
        things = filled(db)
        mapped = things.info()["memory"]["mapped"]
        there = {Path(each.path): each.rss for each in psutil.Process().memory_maps()}
        for part in ("points", "index"):
            file = next((things.folder / part).rglob("data.mdb"))
            assert mapped[part] == pytest.approx(there[file.resolve()], rel=WITHIN)
            assert 0 < mapped[part] <= file.stat().st_size


def test_arrays_held_are_those_that_numpy_made(db_path: Path) -> None:
    with pqdb.open(db_path, upkeep="manual") as db:
        filled(db, 5_000, 256)
    queries = clustered(200, 256, seed=2)
    pqdb.open(upkeep="manual").close()
    tracemalloc.start()
    try:
        with pqdb.open(db_path, upkeep="manual") as db:
            things = db["things"]
            for query in queries:
                things.search(query)
            things.search(queries[0], filter={"must": [{"key": "year", "match": {"value": 3}}]})
            things.info()
            held = things.info()["memory"]["held"]
            arrays = tracemalloc.take_snapshot().filter_traces(
                [
                    tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain),
                    tracemalloc.Filter(False, "*/search/scratch.py"),  # a thread's, for all collections
                ]
            )
            made = sum(trace.size for trace in arrays.traces)
    finally:
        tracemalloc.stop()
    assert held["upkeep"] >= 200 * 256 * 4  # live queries
    assert sum(held.values()) == pytest.approx(made, rel=WITHIN)


def test_nothing_is_counted_twice() -> None:
    shared, own = np.zeros(1_000, np.uint8), np.zeros(100, np.uint8)
    assert held_bytes({"first": [[shared, shared[3:]], None], "second": [{"a": (shared, own)}, b"xyz"]}) == {
        "first": 1_000,
        "second": 103,
    }


def test_where_the_system_says_nothing_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert resident_bytes(tmp_path / "never mapped") == 0
    monkeypatch.setattr("pqdb.store.resident._SMAPS", tmp_path / "absent")
    monkeypatch.setattr("pqdb.store.resident._STATUS", tmp_path / "absent")
    assert resident_bytes(tmp_path) is None
    assert anonymous_bytes() is None


OPENED = """
import sys
import numpy as np
import pqdb
from pqdb.allocator import give_back
from pqdb.store.resident import anonymous_bytes

rng = np.random.default_rng(0)
queries = rng.standard_normal((450, 1_024)).astype(np.float32)

def use(things, queries):
    for query in queries:
        things.search(query)
    return sum(things.info()["memory"]["held"].values())

db = pqdb.open(sys.argv[1], upkeep="manual")
use(db["small"], queries[:20, :64].copy())  # kernels, and whatever else a first search needs
give_back()
before = anonymous_bytes()
use(db["large"], queries)
held = use(db["large"], queries[:1])
give_back()
print(held, anonymous_bytes() - before)
"""


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("large", [20_000, 100_000])
def test_what_is_held_is_by_how_much_the_process_grows(db_path: Path, large: int, figure: Any) -> None:
    with pqdb.open(db_path, upkeep="manual") as db:
        for name, rows, dim in (("small", 6_000, 64), ("large", large, 1_024)):
            things = db.create_collection(name, dim)
            for start in range(0, rows, 2_000):
                things.upsert(range(start, start + 2_000), clustered(2_000, dim, seed=start))
            things.optimize()
    done = subprocess.run(
        [sys.executable, "-c", OPENED, str(db_path)], capture_output=True, text=True, check=True
    )
    held, grown = map(int, done.stdout.split())
    figure(f"{large:,} rows: bytes held, as info() says", held)
    figure(f"{large:,} rows: bytes by which anonymous memory grew", grown)
    assert held == pytest.approx(grown, rel=WITHIN)
