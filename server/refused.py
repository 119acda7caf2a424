"""Qdrant's operations that are not there, each with what it would be."""

from __future__ import annotations

_C = "/collections/{collection_name}"
_P = f"{_C}/points"

ABSENT: tuple[tuple[str, str, str], ...] = (
    ("POST", f"{_C}/cluster", "cluster operations"),
    ("GET", "/snapshots", "snapshots of all collections at once: see POST /pqdb/v1/backup"),
    ("POST", "/snapshots", "snapshots of all collections at once: see POST /pqdb/v1/backup"),
    ("POST", f"{_P}/search/groups", "groups"),
    ("POST", f"{_P}/search/matrix/pairs", "distance matrices"),
    ("POST", f"{_P}/search/matrix/offsets", "distance matrices"),
    ("POST", f"{_P}/recommend", "recommendations"),
    ("POST", f"{_P}/recommend/batch", "recommendations"),
    ("POST", f"{_P}/recommend/groups", "recommendations"),
    ("POST", f"{_P}/discover", "discovery"),
    ("POST", f"{_P}/discover/batch", "discovery"),
    ("GET", "/telemetry", "telemetry"),
)
