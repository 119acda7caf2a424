"""`pqdb warmup`: compile what searches need now rather than at the first query, and keep it on disk."""

import time

import click
import numpy as np

import pqdb

DIM = 64
ROWS = 6_000  # enough for learned codes
METRICS = ("cosine", "dot", "l2")


@click.command()
def warmup() -> None:
    """Compile the kernels for this machine and keep them; later processes start at once.

    The cache depends on the processor, so a container warms up where it runs, not where its image is built.
    """
    click.echo("compiling the kernels for this machine …")
    began = time.perf_counter()
    for metric in METRICS:
        _walk_the_road(metric)
        click.echo(f"  {metric}: ready after {time.perf_counter() - began:.1f} s")


def _walk_the_road(metric: str) -> None:
    """All that first writes and first searches touch, on made-up clusters in a database that goes away."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, DIM)) * 3
    vectors = (centres[rng.integers(50, size=ROWS)] + rng.standard_normal((ROWS, DIM))).astype(np.float32)
    with pqdb.open(upkeep="manual") as db:
        collection = db.create_collection("warmup", DIM, metric)
        collection.upsert(list(range(ROWS - 100)), vectors[:-100])
        collection.optimize()
        collection.upsert(list(range(ROWS - 100, ROWS)), vectors[-100:])  # some rows stay fresh
        collection.search(vectors[0], k=10)
        collection.search(vectors[:8], k=10)
        collection.search(vectors[0], k=10, exact=True)
