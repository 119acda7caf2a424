"""`pqdb import` and `pqdb export`: points from and to files, in bounded memory, resumed after an interruption."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import pqdb
from pqdb.bars import bar, stages

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
METRICS = ("cosine", "dot", "l2", "l1")


def _named(verb: Any) -> Any:
    """The options that both verbs have."""
    for option in (
        click.option("--restart", is_flag=True, help="Begin afresh where an earlier run was interrupted."),
        click.option("--limit", type=click.IntRange(1), help="Only the first so many points."),
        click.option("--payload", default="payload", show_default=True, help="The column or key of JSON payloads."),
        click.option("--vector-column", default="vector", show_default=True, help="The column or key of vectors."),
    ):
        verb = option(verb)
    return verb


@click.command("import")
@click.argument("path", type=click.Path(file_okay=False, path_type=Path))
@click.argument("collection")
@click.argument("file", type=FILE)
@click.option(
    "--points", type=FILE, help="Ids and payloads of a .npy file, one JSON object a line, in its order."
)
@click.option("--metric", type=click.Choice(METRICS), help="Of a new collection.  [default: the file's, else cosine]")
@click.option("--batch", default=5_000, show_default=True, type=click.IntRange(1), help="Points a commit.")
@click.option(
    "--id-column", default="id", show_default=True, help="The column or key of ids; empty: they count from 0."
)
@click.option("--fields", help="Other columns that become fields of the payload, a,b,c.  [default: all there are]")
@click.option("--memory-limit", help="How much memory indexing may take, such as 512MB.")
@_named
def import_(
    path: Path, collection: str, file: Path, restart: bool, fields: str | None, memory_limit: str | None, **given: Any
) -> None:
    """Put the points of FILE into a COLLECTION of the database at PATH; both are made if they are not there.

    FILE is .parquet, .npy (ids count from 0 unless --points says them), .npz, .hdf5 (as ann-benchmarks has it) or JSON
    lines, .jsonl or .jsonl.gz: {"id": 7, "vector": [0.1, 0.2], "payload": {"year": 2024}}. Every batch is one commit.
    After an interruption run it again: it goes on behind the last one.
    """
    with pqdb.open(path, upkeep="manual", memory_limit=memory_limit) as db:
        with _shown("importing") as progress:
            done = pqdb.import_points(
                db,
                collection,
                file,
                points=given["points"],
                metric=given["metric"],
                id_column=given["id_column"] or None,
                vector_column=given["vector_column"],
                payload_column=given["payload"],
                fields=None if fields is None else tuple(name for name in fields.split(",") if name),
                batch=given["batch"],
                limit=given["limit"],
                resume=not restart,
                progress=progress,
            )
        with stages() as progress_of:
            db[collection].optimize(progress=progress_of)
    click.echo(f"{done:,} points from {file.name} are in {collection!r} of {path}")


@click.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("collection")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--batch", default=1_000, show_default=True, type=click.IntRange(1), help="Points held at once.")
@click.option("--id-column", default="id", show_default=True, help="The column or key of ids.")
@_named
def export(path: Path, collection: str, file: Path, restart: bool, **given: Any) -> None:
    """Write a COLLECTION's points into FILE: .parquet, .npy (ids and payloads beside it as .jsonl), .npz, .hdf5, .jsonl
    or .jsonl.gz.

    Vectors come as they are kept; a cosine collection keeps them at unit length. After an interruption run it again: it
    goes on where it was. FILE is there once it is whole.
    """
    with pqdb.open(path, read_only=True) as db, _shown("exporting") as progress:
        done = pqdb.export_points(
            db[collection],
            file,
            id_column=given["id_column"],
            vector_column=given["vector_column"],
            payload_column=given["payload"],
            batch=given["batch"],
            limit=given["limit"],
            resume=not restart,
            progress=progress,
        )
    click.echo(f"{done:,} points of {collection!r} are in {file}")


@contextmanager
def _shown(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress function that moves a bar; what an earlier run did is there at its start."""
    with bar(what, None, "points") as shown:

        def progress(done: int, total: int | None) -> None:
            if shown.total != total:
                shown.total = total
            if shown.n == 0 and done:
                shown.initial = done
            shown.update(done - shown.n)

        yield progress
