"""`python -m tests.formats.make`: golden databases, one of each format version, as today's pqdb writes them.

A golden database is made once, by the pqdb of its day, and never again: what a later pqdb reads is what an earlier one
wrote. So archives that are there are left alone. Beside the database lies what it answered when it was made.
"""

import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import numpy as np

import pqdb
from pqdb.upkeep import build
from tests.data import clustered
from tests.formats import golden
from tests.formats.golden import DIM, FOLDER

N = 120
UUIDS = [f"{n:08x}-58cc-4372-a567-0e02b2c3d479" for n in range(20)]
IDS: list[Any] = [*range(N - 40), *UUIDS, *map("name {}".format, range(20))]
KINDS: dict[str, dict[str, Any]] = {
    "cosine": {},
    "l2": {"metric": "l2"},
    "dot": {"metric": "dot"},
    "8-bit": {"metric": "l2", "quantization": pqdb.PQ(m=4, nbits=8)},
    "codes only": {"metric": "l2", "source": None},
    "bare codes": {"source": None, "rerank": None},
    "float16": {"source": "float16"},
    "int8": {"metric": "dot", "source": "int8"},
    "reranked from the source": {"rerank": "source"},
    "flat": {"quantization": pqdb.Flat()},
}
INDEXES = {
    "word": "keyword", "n": "integer", "part": "float", "even": "bool",
    "when": "datetime", "id": "uuid", "place": "geo", "text": "text",
}  # fmt: skip


def version_1(path: Path) -> None:
    """Every kind of collection, lived in; one without points; one that was compacted; names that changed."""
    with pqdb.open(path, upkeep="manual") as database:
        for name, options in KINDS.items():
            live(database.create_collection(name, DIM, **{"metric": "cosine", **options}, metadata={"made as": name}))
        database.create_collection("empty", DIM)
        database.create_collection("compacted", DIM)
        database.set_alias("now", "l2")
        database.set_alias("shapes", "flat")
        database.set_metadata("dot", {"changed": True})
        database.rename_collection("flat", "even")


def version_2(path: Path) -> None:
    """A collection with a payload index of every kind, and one without."""
    with pqdb.open(path, upkeep="manual") as database:
        for key, kind in INDEXES.items():
            database.create_collection("indexed", DIM, "l2", exist_ok=True).create_payload_index(key, kind)
        live(database["indexed"])
        database["indexed"].create_payload_index("again", "integer")
        database.create_collection("plain", DIM).upsert([1], np.ones(DIM))


def version_1_later(path: Path) -> None:
    """Codes that came later in version 1, and rerank rows of half precision."""
    with pqdb.open(path, upkeep="manual") as database:
        for form in get_args(pqdb.config.Scalar):
            live(database.create_collection(form, DIM, "l2", quantization=pqdb.SQ(form)))
        live(database.create_collection("score", DIM, quantization=pqdb.PQ(objective="score")))
        live(database.create_collection("reranked by float16", DIM, rerank="float16"))


def version_3(path: Path) -> None:
    """Vectors with names, of which points lack some; with a payload index and without."""
    vectors = {
        "title": pqdb.VectorConfig(DIM),
        "body": pqdb.VectorConfig(DIM, "l2", quantization=pqdb.PQ(m=4, nbits=8), source="float16"),
    }
    rows = clustered(2 * N, DIM, seed=14, clusters=8)
    with pqdb.open(path, upkeep="manual") as database:
        for name in ("named", "named and indexed"):
            things = database.create_collection(name, vectors=vectors)
            if name.endswith("indexed"):
                things.create_payload_index("word", "keyword")
            bodies = [rows[N + n] if n % 3 else None for n in range(N)]
            things.upsert(IDS, {"title": rows[:N], "body": bodies}, [payload(n) for n in range(N)])
            things.train()
            things.delete(IDS[::7])
            things.upsert([5_000, "fresh"], {"title": rows[:2] + 1, "body": [None, rows[2]]})


def version_1_l1(path: Path) -> None:
    """The metric l1, which came later in version 1."""
    with pqdb.open(path, upkeep="manual") as database:
        live(database.create_collection("l1", DIM, "l1"))
        live(database.create_collection("l1 in int8", DIM, "l1", source="int8"))


def version_1_spreads(path: Path) -> None:
    """Routers that know how widely the rows of each list are spread, which came later in version 1."""
    with pqdb.open(path, upkeep="manual") as database:
        for metric in ("cosine", "dot", "l2"):
            live(database.create_collection(metric, DIM, metric))


def version_4(path: Path) -> None:
    """Sparse vectors beside others with names, of which points lack some; one segment, and rows behind it."""
    vectors = {
        "title": pqdb.VectorConfig(DIM), "body": pqdb.VectorConfig(DIM, "l2"),
        "words": pqdb.SparseConfig(idf=True), "plain": pqdb.SparseConfig(),
    }  # fmt: skip
    rows = clustered(2 * N, DIM, seed=15, clusters=8)
    with pqdb.open(path, upkeep="manual") as database:
        things = database.create_collection("sparse", vectors=vectors)
        things.create_payload_index("word", "keyword")
        many = [n + 10_000 for n in range(4_200)]
        things.upsert(many, {"words": [sparse(n) for n in many]})
        things.delete(many[60:1_900])
        given = {
            "title": rows[:N], "body": [rows[N + n] if n % 3 else None for n in range(N)],
            "words": [sparse(n) if n % 4 else None for n in range(N)], "plain": [sparse(3 * n) for n in range(N)],
        }  # fmt: skip
        things.upsert(IDS, given, [payload(n) for n in range(N)])
        things.train()
        things.delete(IDS[::7])
        things.upsert([5_000, "fresh"], {"title": rows[:2] + 1, "body": [None, rows[2]], "plain": [None, sparse(1)]})


def sparse(n: int) -> pqdb.SparseVector:
    """A few of forty dimensions, the last of which is the largest there can be."""
    indices = {(n * 7) % 39, (n * 11) % 39, n % 5, (1 << 32) - 1}
    return pqdb.SparseVector(sorted(indices), [1 + (n + i) % 8 / 8 for i in range(len(indices))])


VERSIONS: dict[str, Callable[[Path], None]] = {
    "version-1": version_1, "version-1-later": version_1_later, "version-1-l1": version_1_l1,
    "version-1-spreads": version_1_spreads,
    "version-2": version_2, "version-3": version_3, "version-4": version_4,
}  # fmt: skip


def live(things: pqdb.Collection) -> None:
    """Points with ids of all kinds, some replaced, some deleted; two generations, fresh rows."""
    rows = clustered(N, DIM, seed=11, clusters=8)
    things.upsert(IDS, rows, [payload(n) if n % 5 else None for n in range(N)])
    things.train()
    things.delete(IDS[::7])
    things.upsert(IDS[3::10], rows[3::10][::-1] + np.float32(0.25), [{"again": n} for n in range(3, N, 10)])
    things.optimize()
    if things.config.source is not None:
        things.train()
    things.set_payload({"mark": "über"}, IDS[1:9])
    things.upsert([5_000, "fresh"], rows[:2] + 1, [{"n": -1, "word": "new"}, None])
    things.delete([4])


def payload(n: int) -> dict[str, Any]:
    """Values of every kind that can be indexed, and nested ones."""
    return {
        "word": ["red", "green", "blue"][n % 3], "n": n, "part": n / 8, "even": n % 2 == 0,
        "when": f"2026-01-{1 + n % 28:02d}T12:00:00Z", "id": UUIDS[n % 20],
        "place": {"lon": n % 30, "lat": n % 40}, "text": f"The {n}th of {N} sentences", "tags": [n % 4, None],
    }  # fmt: skip


def make(version: str, archive: Path) -> None:
    """One archive: the database without free pages and locks, and what it answers."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(build, "choose_n_lists", lambda n: 1 + n // 20):
        made, trimmed = Path(folder) / "made", Path(folder) / "database"
        VERSIONS[version](made)
        with pqdb.open(made, upkeep="manual") as database:
            database.backup(trimmed)
        if version == "version-1":
            compact(trimmed)
        found = {"pqdb": pqdb.__version__, "collections": golden.answers(trimmed)}
        (Path(folder) / "answers.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
        with tarfile.open(archive, "w:xz", preset=9) as packed:
            packed.add(Path(folder) / "answers.json", "answers.json", filter=plain)
            for file in sorted(each for each in trimmed.rglob("*") if each.name != "lock.mdb" and each.is_file()):
                packed.add(file, file.relative_to(folder), filter=plain)


def compact(path: Path) -> None:
    """Move a collection's files into folders of their own, which a copy would undo."""
    with pqdb.open(path, upkeep="manual") as database:
        live(database["compacted"])
        database["compacted"].compact()


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it, and when."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    for version in VERSIONS:
        target = FOLDER / f"{version}.tar.xz"
        if not target.exists():
            make(version, target)
            print(f"{target.name}: {target.stat().st_size:,} bytes")
