"""`pqdb import` and `pqdb export`: points from and to files, in bounded memory."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

import pqdb
from pqdb.bars import bar, stages
from pqdb.cli.files import Batch, count_points, read_points, writer

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
METRICS = ("cosine", "dot", "l2")
PAGE = 1_000  # points held in memory at once while exporting


@click.command("import")
@click.argument("path", type=click.Path(file_okay=False, path_type=Path))
@click.argument("collection")
@click.argument("file", type=FILE)
@click.option(
    "--points", type=FILE, help="Ids and payloads of a .npy file, one JSON object a line, in its order."
)
@click.option(
    "--metric", default="cosine", type=click.Choice(METRICS), help="Of a new collection.  [default: cosine]"
)
@click.option("--batch", default=5_000, show_default=True, type=click.IntRange(1), help="Points a commit.")
def import_(path: Path, collection: str, file: Path, points: Path | None, metric: str, batch: int) -> None:
    """Put the points of FILE into a COLLECTION of the database at PATH; both are made if they are not there.

    FILE is a .npy file of vectors (ids count from 0 unless --points says them) or JSON lines,
    {"id": 7, "vector": [0.1, 0.2], "payload": {"year": 2024}}. Every batch is one commit: after an
    interruption run it again, ids that are there already are replaced.
    """
    total = count_points(file)
    with pqdb.open(path, upkeep="manual") as db:
        with bar("importing", total, "points") as progress:
            for part in read_points(file, points, batch):
                if collection not in db:
                    _create(db, collection, part, metric)
                db[collection].upsert(part.ids, part.vectors, part.payloads)
                progress.update(len(part.ids))
        if total:
            with stages() as progress_of:
                db[collection].optimize(progress=progress_of)
    click.echo(f"{total:,} points from {file.name} are in {collection!r} of {path}")


@click.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("collection")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(path: Path, collection: str, file: Path) -> None:
    """Write a COLLECTION's points into FILE: .npy (ids and payloads beside it as .jsonl), else JSON lines.

    Vectors come as they are kept; a cosine collection keeps them at unit length.
    """
    written = 0
    with pqdb.open(path, read_only=True) as db:
        source = db[collection]
        with closing(writer(file, source)) as out, bar("exporting", len(source), "points") as progress:
            for page in _pages(source):
                out.write(page)
                written += len(page)
                progress.update(len(page))
    click.echo(f"{written:,} points of {collection!r} are in {file}")


def _create(db: pqdb.Database, collection: str, part: Batch, metric: str) -> None:
    """A collection for what the first batch of a file holds."""
    if not isinstance(part.vectors, dict):
        db.create_collection(collection, len(part.vectors[0]), metric)
        return
    first = {name: next(each for each in held if each is not None) for name, held in part.vectors.items()}
    vectors = {name: pqdb.VectorConfig(len(each), metric) for name, each in first.items()}  # type: ignore[arg-type]
    db.create_collection(collection, vectors=vectors)


def _pages(source: pqdb.Collection) -> Iterator[list[pqdb.Point]]:
    page = source.scroll(limit=PAGE, with_vector=True)
    yield page.points
    while page.next_offset is not None:
        page = source.scroll(limit=PAGE, offset=page.next_offset, with_vector=True)
        yield page.points
