"""`pqdb compact`: what one asks of a collection now and then."""

from pathlib import Path

import click

import pqdb
from pqdb.bars import stages

DATABASE = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("path", type=DATABASE)
@click.argument("collection", required=False)
@click.option("--drop-previous", is_flag=True, help="Also the generation before, which is kept for a way back.")
def compact(path: Path, collection: str | None, drop_previous: bool) -> None:
    """Give back to the disk what deleted and replaced points of the database at PATH held, or of one COLLECTION.

    Others may read and write meanwhile. Needs room for a second copy of the collection.
    """
    with pqdb.open(path, upkeep="manual") as db:
        for name in [collection] if collection else db.collections():
            before = _bytes(db[name])
            with stages() as progress:
                db[name].compact(progress, drop_previous=drop_previous)
            click.echo(f"{name}: {before:,} bytes before, {_bytes(db[name]):,} now")


def _bytes(things: pqdb.Collection) -> int:
    return sum(int(part["file"]) for part in things.info()["disk"].values())
