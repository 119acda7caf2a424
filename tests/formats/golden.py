"""Golden databases: where they are, how they are unpacked, and what a database answers."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

import pqdb
from tests.data import clustered

FOLDER = Path(__file__).parent
ARCHIVES = sorted(FOLDER.glob("version-*.tar.xz"))
FIRST = FOLDER / "version-1.tar.xz"
DIM = 8
K = 10
FILTERS: list[dict[str, Any]] = [
    {"must": [{"key": "word", "match": {"value": "red"}}]},
    {"must": [{"key": "word", "match": {"any": ["blue", "new"]}}, {"key": "n", "range": {"lt": 60}}]},
    {"must": [{"key": "part", "range": {"gte": 2.5, "lt": 7}}]},
    {"must_not": [{"key": "even", "match": {"value": True}}]},
    {"must": [{"key": "when", "range": {"gte": "2026-01-20T00:00:00Z"}}]},
    {"must": [{"key": "id", "match": {"value": "00000003-58cc-4372-a567-0e02b2c3d479"}}]},
    {"must": [{"key": "place", "geo_radius": {"center": {"lon": 10, "lat": 10}, "radius": 1_200_000}}]},
    {"must": [{"key": "text", "match": {"text": "33th sentences"}}]},
    {"must": [{"key": "tags", "match": {"value": 3}}], "should": [{"is_empty": {"key": "mark"}}]},
    {"must": [{"key": "again", "range": {"gt": 40}}]},
    {"must": [{"has_id": [5_000, "fresh", "name 3", 4]}]},
]


def unpack(archive: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """(the database, what it answered when it was made) in a folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return folder / "database", found["collections"]


def answers(path: Path) -> dict[str, Any]:
    """What every collection of a database is and answers, as JSON."""
    with pqdb.open(path, read_only=True) as database:
        found = {name: answers_of(database[name]) for name in database.collections()}
        for alias in ("now", "shapes"):
            if alias in database:
                found[f"alias {alias}"] = {"of": database[alias].name}
    return found


def answers_of(things: pqdb.Collection) -> dict[str, Any]:
    """Of one collection: its settings, a digest of its points, and answers to searches and filters."""
    kept = all(config.source is not None for config in things.vectors.values())
    found = {
        "metadata": things.metadata,
        "points": len(things),
        "digest": digest(things.scroll(10_000, with_vector=kept).points),
        "filters": [[point.id for point in things.scroll(200, filter=each).points] for each in FILTERS],
    }
    if "" in things.vectors:
        info = things.info()
        return found | searches(things) | {"generation": info["generation"], "fresh": info["fresh"]}
    named = found | {"vectors": {name: searches(things, using=name) for name in things.vectors}}
    return named | ({"sparse": sparse_searches(things)} if things.sparse_vectors else {})


def sparse_searches(things: pqdb.Collection) -> dict[str, Any]:
    """Of each of its sparse vectors: what it is made with, and answers."""
    queries = [pqdb.SparseVector([1, n, 39 - n], [1.0, 0.5, -0.25]) for n in range(3, 9)]
    found = {name: things.search(queries, K, using=name) for name in things.sparse_vectors}
    return {
        name: {"idf": things.sparse_vectors[name].idf, "ids": hits.ids.tolist(), "scores": hits.scores.tolist()}
        for name, hits in found.items()
    }


def searches(things: pqdb.Collection, **using: Any) -> dict[str, Any]:
    """Of one of its vectors: its settings, and answers by codes and by exact comparison."""
    config = things.vectors[using.get("using", "")]
    queries = clustered(6, DIM, seed=12, clusters=8)
    by_codes = things.search(queries, K, nprobe=999, rerank=10_000, **using)
    found = {"config": config.to_dict(), "scores": by_codes.scores.tolist()}
    if config.source is not None:
        exact = things.search(queries, K, exact=True, **using)
        found |= {"exact": exact.ids.tolist(), "exact scores": exact.scores.tolist()}
    return found


def configs(answers: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of a collection's vectors, from its answers."""
    return [answers["config"]] if "config" in answers else [each["config"] for each in answers["vectors"].values()]


def bytes_of(vector: Any) -> bytes:
    """Every bit of a vector."""
    return vector.to_bytes() if isinstance(vector, pqdb.SparseVector) else np.asarray(vector, "<f4").tobytes()


def digest(points: list[pqdb.Point]) -> str:
    """Of ids, payloads, versions and every bit of the vectors."""
    told = hashlib.sha256()
    for point in points:
        named = isinstance(point.vector, dict)
        vectors = [point.vector[name] for name in sorted(point.vector)] if named else [point.vector]
        parts = [None if vector is None else bytes_of(vector) for vector in vectors]
        told.update(repr((point.id, point.version, parts[0] if len(parts) == 1 else parts)).encode())
        told.update(json.dumps(point.payload, sort_keys=True).encode())
    return told.hexdigest()
