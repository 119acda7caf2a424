"""A collection as Qdrant describes one: what was sent at its creation, its state, and the truth beside it."""

from __future__ import annotations

from typing import Any

import pqdb

from .creation import DISTANCES
from .indexes import SCHEMAS, described
from .names import WIRE_KEY
from .sparse import sent_params
from .vectors import UNNAMED

Description = dict[str, Any]

# What Qdrant fills in where nothing was sent; its clients insist on these keys.
_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000}
_OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1_000,
    "default_segment_number": 0,
    "flush_interval_sec": 5,
}
_WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0}
_PARAMS = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True}


def describe(collection: pqdb.Collection) -> Description:
    """The body of GET /collections/{name}."""
    info = collection.info(resources=False)
    echo = (collection.metadata or {}).get(WIRE_KEY, {})
    stage, trouble = info["upkeep"]["stage"], info["upkeep"]["error"]
    return {
        "status": "green" if info["status"] == "ready" and stage is None else "yellow",
        "optimizer_status": "ok" if trouble is None else {"error": str(trouble)},
        "segments_count": 1,
        "points_count": info["points"],
        "indexed_vectors_count": info["indexed"],
        "config": _config(collection),
        "payload_schema": described(info, echo.get(SCHEMAS, {})),
    }


def _config(collection: pqdb.Collection) -> Description:
    metadata = dict(collection.metadata or {})
    echo = metadata.pop(WIRE_KEY, {})
    config = {
        "params": _params(collection, echo),
        "hnsw_config": _HNSW | echo.get("hnsw_config", {}),
        "optimizer_config": _OPTIMIZERS | echo.get("optimizer_config", {}),
        "wal_config": _WAL | echo.get("wal_config", {}),
        "quantization_config": echo.get("quantization_config"),
        "pqdb": collection.config.to_dict(),
    }
    if metadata or echo.get("has_metadata"):
        config["metadata"] = metadata
    return config


def _params(collection: pqdb.Collection, echo: Description) -> Description:
    """Exactly what was sent: Qdrant's clients refuse any other key in a vector's parameters."""
    params = {"vectors": sent_vectors(collection, echo), **_PARAMS, **echo.get("params", {})}
    if (sparse := sent_params(collection, echo)) is not None:
        params["sparse_vectors"] = sparse
    return params


def sent_vectors(collection: pqdb.Collection, echo: Description) -> Description:
    """The vectors' parameters as they were sent; of a collection made by the library, what they would have been."""
    if "vectors" in echo:
        sent: Description = echo["vectors"]
        return sent
    each = {
        name: {"size": config.dim, "distance": DISTANCES[config.metric]} for name, config in collection.vectors.items()
    }
    return each if isinstance(collection.config, pqdb.NamedConfig) else each[UNNAMED]
