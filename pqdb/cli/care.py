"""`pqdb compact`: what one asks of a collection now and then."""

from pathlib import Path

import click

import pqdb
from pqdb.bars import stages
from pqdb.cli.each import for_each

DATABASE = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("path", type=DATABASE)
@click.argument("collection", required=False)
@click.option("--drop-previous", is_flag=True, help="Also the generation before, which is kept for a way back.")
def compact(path: Path, collection: str | None, drop_previous: bool) -> None:
    """Give back to the disk what deleted and replaced points of the database at PATH held, or of one COLLECTION.

    Others may read and write meanwhile. Needs room for a second copy of the collection.
    """

    def compact_one(things: pqdb.Collection) -> None:
        before = _bytes(things)
        with stages() as progress:
            things.compact(progress, drop_previous=drop_previous)
        click.echo(f"{things.name}: {before:,} bytes before, {_bytes(things):,} now")

    with pqdb.open(path, upkeep="manual") as db:
        for_each(db, collection, compact_one)


def _bytes(things: pqdb.Collection) -> int:
    return sum(int(part["file"]) for part in things.info()["disk"].values())
