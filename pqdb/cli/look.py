"""`pqdb info` and `pqdb check`: what a database holds, and whether its bytes are what was written."""

import json
from pathlib import Path

import click

import pqdb

DATABASE = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("path", type=DATABASE)
@click.argument("collection", required=False)
def info(path: Path, collection: str | None) -> None:
    """What the database at PATH holds, or one COLLECTION of it, as JSON."""
    with pqdb.open(path, read_only=True, upkeep="manual") as db:
        names = [collection] if collection else db.collections()
        report = {name: dict(db.get_collection(name).info()) for name in names}
    click.echo(json.dumps(report, indent=2, default=str, ensure_ascii=False))


@click.command()
@click.argument("path", type=DATABASE)
def check(path: Path) -> None:
    """Read all of the database at PATH against its checksums; exit code 1 if anything is wrong."""
    problems = 0
    with pqdb.open(path, read_only=True, upkeep="manual") as db:
        for name in db.collections():
            found = db.get_collection(name).verify()
            problems += len(found)
            for problem in found:
                click.echo(f"{name}: {problem}")
            if not found:
                click.echo(f"{name}: {len(db[name]):,} points, no problem found")
    if problems:
        raise click.exceptions.Exit(1)
