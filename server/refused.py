"""Qdrant's operations that are not there, each with what it would be."""

from __future__ import annotations

_C = "/collections/{collection_name}"
_P = f"{_C}/points"

ABSENT: tuple[tuple[str, str, str], ...] = (
    ("POST", f"{_C}/cluster", "cluster operations"),
    ("GET", "/snapshots", "snapshots of all collections at once: see POST /pqdb/v1/backup"),
    ("POST", "/snapshots", "snapshots of all collections at once: see POST /pqdb/v1/backup"),
    ("POST", f"{_P}/search/matrix/pairs", "distance matrices"),
    ("POST", f"{_P}/search/matrix/offsets", "distance matrices"),
    ("POST", f"{_P}/discover", "discovery"),
    ("POST", f"{_P}/discover/batch", "discovery"),
    ("GET", "/telemetry", "telemetry"),
    ("GET", "/issues", "issues"),
    ("DELETE", "/issues", "issues"),
    ("GET", "/cluster/telemetry", "clusters"),
    ("POST", "/cluster/recover", "clusters"),
    ("DELETE", "/cluster/peer/{peer_id}", "clusters"),
    ("GET", f"{_C}/optimizations", "a list of optimizations: see GET /pqdb/v1/collections/{collection_name}/stats"),
    ("GET", f"{_C}/shards", "shard keys"),
    ("PUT", f"{_C}/shards", "shard keys"),
    ("POST", f"{_C}/shards/delete", "shard keys"),
    ("GET", f"{_C}/shards/{{shard_id}}/snapshots", "snapshots of shards"),
    ("POST", f"{_C}/shards/{{shard_id}}/snapshots", "snapshots of shards"),
    ("PUT", f"{_C}/vectors/{{vector_name}}", "names of vectors that come later"),
    ("DELETE", f"{_C}/vectors/{{vector_name}}", "names of vectors that go"),
)
