"""`pqdb warmup`: compile what searches need now rather than at the first query, and keep it on disk."""

import time

import click

import pqdb


@click.command()
def warmup() -> None:
    """Compile the kernels for this machine and keep them; later processes start at once.

    The cache depends on the processor, so a container warms up where it runs, not where its image is built.
    """
    click.echo("compiling the kernels for this machine …")
    began = time.perf_counter()
    for road in pqdb.ROADS:
        pqdb.warm_up(road)
        click.echo(f"  {road}: ready after {time.perf_counter() - began:.1f} s")
