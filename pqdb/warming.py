"""Kernels made ready before they are waited for: compiled where they never ran, loaded where they did."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from pqdb.config import PQ, SQ, SparseConfig
from pqdb.database import open_database
from pqdb.errors import InputError

DIM = 64
ROWS = 6_000  # enough for learned codes
FRESH = 100

ROADS: Mapping[str, Mapping[str, Any]] = MappingProxyType(  # what differs from the defaults where other kernels run
    {
        "cosine": {},
        "dot": {"metric": "dot"},
        "l2": {"metric": "l2"},
        "8-bit codes": {"quantization": PQ(m=8, nbits=8)},
        "codes without rerank": {"rerank": None},
        "scalars": {"quantization": SQ("int8"), "rerank": "float16"},
        "sparse": {"vectors": {"words": SparseConfig(idf=True)}},
    }
)


def warm_up(road: str = "cosine") -> None:
    """Have the kernels of one road ready in this process, so that no first write, training or search waits for them.

    road: one of `ROADS`. Takes seconds, or minutes where they were never compiled for this machine. Works on made-up
    clusters in a temporary database. Raises InputError for another road, StorageError and kin.
    """
    if road not in ROADS:
        raise InputError(f"{road!r} is not one of {', '.join(map(repr, ROADS))}")
    if "vectors" in ROADS[road]:
        _warm_up_sparse(ROADS[road])
        return
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, DIM)) * 3
    vectors = (centres[rng.integers(50, size=ROWS)] + rng.standard_normal((ROWS, DIM))).astype(np.float32)
    with open_database(upkeep="manual") as db:
        collection = db.create_collection("warmup", DIM, **ROADS[road])
        collection.upsert(list(range(ROWS - FRESH)), vectors[:-FRESH])
        collection.optimize()
        collection.upsert(list(range(ROWS - FRESH, ROWS)), vectors[-FRESH:])
        collection.search(vectors[0], k=10)
        collection.search(vectors[:8], k=10)
        collection.search(vectors[0], k=10, exact=True)
        for few in (FRESH, ROWS // 2):  # scored one by one, and looked for in lists
            collection.search(vectors[0], k=10, filter={"must": [{"has_id": list(range(few))}]})
        collection.explain(vectors[0], k=10, filter={"must": [{"has_id": list(range(ROWS // 2))}]})  # stage after stage
        collection.optimize()


def _warm_up_sparse(settings: Mapping[str, Any]) -> None:
    """The road of sparse vectors, which learn nothing."""
    with open_database(upkeep="manual") as db:
        collection = db.create_collection("warmup", **settings)
        collection.upsert(list(range(FRESH)), {"words": [{row % 7: 1.0, 9: 0.5} for row in range(FRESH)]})
        collection.search({3: 1.0, 9: 1.0}, using="words")
        collection.search({9: 1.0}, using="words", filter={"must": [{"has_id": [3, 4]}]})
