"""`pqdb backup` and `pqdb restore`: a database to a safe place and back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import pqdb
from pqdb.bars import bar
from pqdb.cli.look import DATABASE

NEW = click.Path(path_type=Path)


@click.command()
@click.argument("path", type=DATABASE)
@click.argument("target", type=NEW)
def backup(path: Path, target: Path) -> None:
    """Copy the database at PATH into the new folder TARGET, while others read and write it.

    Every collection is one snapshot, all of one moment. The copy is a database itself.
    """
    with pqdb.open(path, read_only=True, upkeep="manual") as database, _bytes("backing up") as progress:
        database.backup(target, progress=progress)
    click.echo(f"{path} is backed up in {target}")


@click.command()
@click.argument("source", metavar="BACKUP", type=DATABASE)
@click.argument("target", type=NEW)
def restore(source: Path, target: Path) -> None:
    """Check a BACKUP and copy it into the new folder TARGET, which is a database then."""
    with _bytes("restoring") as progress:
        pqdb.restore(source, target, progress=progress)
    click.echo(f"{source} is restored in {target}")


@contextmanager
def _bytes(what: str) -> Iterator[Callable[[str, float], None]]:
    """Progress by share of the bytes, whatever the collection."""
    with bar(what, 100, "%") as shown:
        yield lambda _, share: shown.update(100 * share - shown.n)
