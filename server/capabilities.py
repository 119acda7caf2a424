"""What the service offers, told to programs by the same tables that decide it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

import pqdb

from . import embedding
from .creation import MAX_DIM, METRICS
from .quantization import METHODS
from .refused import ABSENT
from .sparse import MODIFIERS
from .targets import KINDS, MAX_K


def capabilities(app: FastAPI) -> dict[str, Any]:
    """Operations, kinds of queries, distances, quantizations and limits."""
    settings = app.state.settings
    return {
        "pqdb_version": pqdb.__version__,
        "compat_version": settings.compat_version,
        "operations": sorted(
            f"{method.upper()} {path}" for path, item in app.openapi()["paths"].items() for method in item
        ),
        "refused_operations": sorted(f"{method} {path}" for method, path, _ in ABSENT),
        "query_kinds": list(KINDS),
        "distances": list(METRICS),
        "quantizations": list(METHODS),
        "sparse_modifiers": list(MODIFIERS),
        "embedder": {"dimensions": n} if (n := embedding.dimensions()) else None,
        "limits": {
            "dimensions": MAX_DIM,
            "depth": MAX_K,
            "body_bytes": settings.body_limit,
            "points": settings.batch_limit,
            "queries": settings.queries_limit,
        },
    }
