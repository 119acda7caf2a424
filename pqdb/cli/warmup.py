"""`pqdb warmup`: compile what searches need now rather than at the first query, and keep it on disk."""

import time
from typing import Any

import click
import numpy as np

import pqdb

DIM = 64
ROWS = 6_000  # enough for learned codes
FRESH = 100
ROADS: dict[str, dict[str, Any]] = {  # what differs from the defaults where other kernels run
    "cosine": {},
    "dot": {"metric": "dot"},
    "l2": {"metric": "l2"},
    "8-bit codes": {"quantization": pqdb.PQ(m=8, nbits=8)},
    "codes without rerank": {"rerank": None},
    "scalars": {"quantization": pqdb.SQ("int8"), "rerank": "float16"},
}


@click.command()
def warmup() -> None:
    """Compile the kernels for this machine and keep them; later processes start at once.

    The cache depends on the processor, so a container warms up where it runs, not where its image is built.
    """
    click.echo("compiling the kernels for this machine …")
    began = time.perf_counter()
    for name, settings in ROADS.items():
        _walk(settings)
        click.echo(f"  {name}: ready after {time.perf_counter() - began:.1f} s")


def _walk(settings: dict[str, Any]) -> None:
    """Write, train, search and index again, on made-up clusters in a database that goes away."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, DIM)) * 3
    vectors = (centres[rng.integers(50, size=ROWS)] + rng.standard_normal((ROWS, DIM))).astype(np.float32)
    with pqdb.open(upkeep="manual") as db:
        collection = db.create_collection("warmup", DIM, **settings)
        collection.upsert(list(range(ROWS - FRESH)), vectors[:-FRESH])
        collection.optimize()
        collection.upsert(list(range(ROWS - FRESH, ROWS)), vectors[-FRESH:])
        collection.search(vectors[0], k=10)
        collection.search(vectors[:8], k=10)
        collection.search(vectors[0], k=10, exact=True)
        collection.optimize()
