"""`pqdb info`, `recall`, `check` and `repair`: what a database holds and finds, and whether its bytes are sound."""

import json
from pathlib import Path
from typing import Any

import click

import pqdb
from pqdb.bars import stages
from pqdb.cli.each import for_each

DATABASE = click.Path(exists=True, file_okay=False, path_type=Path)
SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command()
@click.argument("path", type=DATABASE)
@click.argument("collection", required=False)
def info(path: Path, collection: str | None) -> None:
    """What the database at PATH holds, or one COLLECTION of it, as JSON."""
    report: dict[str, Any] = {}
    with pqdb.open(path, read_only=True, upkeep="manual") as db:
        for_each(db, collection, lambda things: report.update({collection or things.name: dict(things.info())}))
    click.echo(json.dumps(report, indent=2, default=str, ensure_ascii=False))


@click.command()
@click.argument("path", type=DATABASE)
@click.argument("collection")
@click.option("-k", default=10, show_default=True, help="Neighbours of each point.")
@click.option("--sample", default=200, show_default=True, help="Points that are asked about, each without itself.")
@click.option("--recall", "asked", type=SHARE, help="The recall to ask for; 0.97 if nothing is said.")
def recall(path: Path, collection: str, k: int, sample: int, asked: float | None) -> None:
    """Recall of a COLLECTION of the database at PATH, measured now on its own points, and what loses the rest."""
    with pqdb.open(path, read_only=True, upkeep="manual") as db:
        click.echo(str(db.get_collection(collection).measure_recall(k, recall=asked, sample=sample)))


@click.command()
@click.argument("path", type=DATABASE)
def check(path: Path) -> None:
    """Read all of the database at PATH against its checksums; exit code 1 if anything is wrong."""
    report = pqdb.check(path)
    for problem in report.catalog:
        click.echo(f"catalog: {problem}")
    for name, found in report.collections.items():
        for problem in found.problems:
            click.echo(f"{name}: {problem}")
        if not found.problems:
            click.echo(f"{name}: {found.points:,} points, no problem found")
    for leftover in report.leftovers:
        click.echo(f"{leftover}: left by a create or drop that was cut off; `pqdb repair` removes it")
    if report.problems:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("path", type=DATABASE)
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for what can still be read of damaged points, one file of JSON lines a collection.",
)
def repair(path: Path, save: Path | None) -> None:
    """Heal the database at PATH where it can be healed: indexes are built again from their points.

    Damaged points are not touched; the exit code is 1 then. Nobody else may have the database open.
    """
    with stages() as progress:
        report = pqdb.repair(path, save=save, progress=progress)
    for problem in report.found.problems:
        click.echo(f"found: {problem}")
    for sentence in report.done:
        click.echo(f"healed: {sentence}")
    for sentence in report.refused:
        click.echo(f"refused: {sentence}")
    if not (report.done or report.refused):
        click.echo("no problem found")
    if report.refused:
        raise click.exceptions.Exit(1)
