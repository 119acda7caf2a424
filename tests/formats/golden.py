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
NAMED = FOLDER / "named-3.tar.xz"  # vectors with names are written and searched in another way
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
    if isinstance(things.config, pqdb.NamedConfig):
        return named_answers_of(things)
    info = things.info()
    points = things.scroll(10_000, with_vector=things.config.source is not None).points
    queries = clustered(6, DIM, seed=12, clusters=8)
    by_codes = things.search(queries, K, nprobe=999, rerank=10_000)
    found = {
        "config": things.config.to_dict(),
        "metadata": things.metadata,
        "generation": info["generation"],
        "fresh": info["fresh"],
        "points": len(things),
        "digest": digest(points),
        "scores": by_codes.scores.tolist(),
        "filters": [[point.id for point in things.scroll(200, filter=each).points] for each in FILTERS],
    }
    if things.config.source is not None:
        exact = things.search(queries, K, exact=True)
        found |= {"exact": exact.ids.tolist(), "exact scores": exact.scores.tolist()}
    return found


def named_answers_of(things: pqdb.Collection) -> dict[str, Any]:
    """Of a collection whose vectors have names: what each finds."""
    found: dict[str, Any] = {"config": things.config.to_dict(), "points": len(things)}
    points = things.scroll(10_000, with_vector=True).points
    found["digest"] = digest(points)
    found["vectors"] = [[point.id, sorted(point.vector)] for point in points]
    for name in things.vectors:
        queries = clustered(6, DIM, seed=12, clusters=8)
        found[f"exact by {name}"] = things.search(queries, K, exact=True, using=name).ids.tolist()
        found[f"generation of {name}"] = things.info()["vectors"][name]["generation"]
    return found


def digest(points: list[pqdb.Point]) -> str:
    """Of ids, payloads, versions and every bit of the vectors."""
    told = hashlib.sha256()
    for point in points:
        vector: object = None if point.vector is None else _bytes(point.vector)
        told.update(repr((point.id, point.version, vector)).encode())
        told.update(json.dumps(point.payload, sort_keys=True).encode())
    return told.hexdigest()


def _bytes(vector: Any) -> object:
    if isinstance(vector, dict):
        return sorted((name, _bytes(each)) for name, each in vector.items())
    return np.asarray(vector, "<f4").tobytes()
