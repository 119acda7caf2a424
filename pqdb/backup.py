"""Copying a database while others read and write it: one snapshot of every collection, index and points in step.

A process of its own does the copying. It begins all its read transactions before it copies the first page, so the
collections are as they were at one moment (that of each beginning, microseconds apart), and it holds nobody up: LMDB
lets a write that is given up wait for a copy that another thread of the same process makes.
"""

import os
import shutil
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pqdb import errors
from pqdb.checking import CATALOG, POINTS, check
from pqdb.children import lines, say, start
from pqdb.errors import CollectionNotFoundError, CorruptError, NotADatabaseError, PqdbError, StorageError
from pqdb.store import datafile
from pqdb.store.blocks import BlockStore
from pqdb.store.blockview import BlockView
from pqdb.store.catalog import Catalog, Names
from pqdb.store.layout import UNNAMED_SLOT
from pqdb.store.moment import Moment
from pqdb.store.points import PointStore
from pqdb.store.slots import index_folder, indexed
from pqdb.store.view import PointView

Progress = Callable[[str, float], None]


def back_up(source: Path, target: Path, progress: Progress | None = None, only: str | None = None) -> None:
    """Copy a database, or `only` the collection of a name, into a new folder. progress(collection, share of the bytes
    that is done).

    The folder appears when it is whole and on disk. Raises StorageError where there is something already or the disk
    refuses, DiskFullError, CorruptError, CollectionNotFoundError.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StorageError(f"{target} holds something already: a copy needs a new folder")
    aside = target.parent / f".{target.name}-{uuid.uuid4().hex}"
    try:
        datafile.make_folder(target.parent)
        _let_a_child_copy(source, aside, progress, only)
        aside.rename(target)
        datafile.sync_folder(target.parent)
    except OSError as error:
        if isinstance(error, PqdbError):
            raise
        raise StorageError(error.errno, f"{target} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def refuse_inside(source: Path, target: Path) -> None:
    """Raise StorageError for a backup of a database into its own folder."""
    if source.resolve() in target.resolve().parents:
        raise StorageError(f"{target} lies inside of {source}: a backup needs a place of its own")


def restore(
    backup: str | os.PathLike[str], path: str | os.PathLike[str], *, progress: Progress | None = None
) -> None:
    """Check a backup and copy it into a new folder, which is a database then. (So is the backup itself.)

    Raises CorruptError naming what is damaged, StorageError where there is something already, NotADatabaseError.
    """
    problems = check(backup).problems
    if problems:
        more = f" (and {len(problems) - 1:,} problems more)" if len(problems) > 1 else ""
        raise CorruptError(f"{backup} is damaged and not restored: {problems[0]}{more}")
    refuse_inside(Path(backup), Path(path))
    back_up(Path(backup), Path(path), progress)


def _let_a_child_copy(source: Path, aside: Path, progress: Progress | None, only: str | None) -> None:
    with start("pqdb.backup", [str(source), str(aside), *([] if only is None else [only])]) as process:
        for word, *what in lines(process):
            if word == "error":
                name, code, text = what
                kind: type[PqdbError] = getattr(errors, name)
                raise kind(text) if code is None else kind(code, text)
            if progress is not None:
                progress(*what)
    if process.returncode:
        raise StorageError(f"the process that copied {source} ended with code {process.returncode}")


# -- the child


def child() -> None:
    """Copy, and say how far it is or what went wrong."""
    (source, target), only = map(Path, sys.argv[1:3]), sys.argv[3] if len(sys.argv) > 3 else None
    try:
        copy(source, target, lambda name, share: say("progress", name, share), only)
    except PqdbError as error:
        code = error.errno if isinstance(error, OSError) else None
        text = str(error) if code is None else error.strerror if isinstance(error, OSError) else ""
        say("error", type(error).__name__, code, text)


def copy(source: Path, target: Path, progress: Progress, only: str | None = None) -> None:
    """Copy what is there now, or one collection of it, into a folder that is not there yet."""
    with ExitStack() as stack:
        catalog = stack.enter_context(Catalog.open(source / CATALOG, readonly=True))
        names = catalog.names()
        opened = {}
        for name, record in names.collections.items():
            if only not in (None, name):
                continue
            found = _open(source / str(record["uuid"]), stack)
            if found is None and name in catalog.names().collections:
                raise NotADatabaseError(f"collection {name!r} of {source} has no files")
            if found is not None:  # (else it was dropped since)
                opened[name] = found
        if only is not None and not opened:
            raise CollectionNotFoundError(f"there is no collection {only!r} in {source}")
        views = {name: _begin(stores, stack) for name, stores in opened.items()}
        sizes = {name: sum(map(_bytes, parts.values())) for name, parts in views.items()}
        done, total = 0, max(1, sum(sizes.values()))
        for name, parts in views.items():
            progress(name, done / total)
            for part, view in parts.items():
                view.copy(target / str(names.collections[name]["uuid"]) / part)
            done += sizes[name]
        _write_catalog(target / CATALOG, names, set(views))
        progress("catalog", 1.0)


def _open(folder: Path, stack: ExitStack) -> dict[str, BlockStore | PointStore] | None:
    """Every store of a collection, the indexes first, by their folders' names; None where its files are gone."""
    try:
        points = stack.enter_context(PointStore.open(folder / POINTS, readonly=True))
        parts = [index_folder(slot) for slot in indexed(points.geometry)]
        blocks = {part: stack.enter_context(BlockStore.open(folder / part, readonly=True)) for part in parts}
    except NotADatabaseError:
        return None
    return {**blocks, POINTS: points}


def _begin(stores: dict[str, BlockStore | PointStore], stack: ExitStack) -> dict[str, BlockView | PointView]:
    """A snapshot of each store, in their order. Opening them takes milliseconds and is done before: writes go on."""
    blocks, points = stores.get(index_folder(UNNAMED_SLOT)), stores[POINTS]
    if isinstance(blocks, BlockStore) and isinstance(points, PointStore):
        of_index, of_points = stack.enter_context(Moment(blocks, points))
        return {index_folder(UNNAMED_SLOT): of_index, POINTS: of_points}
    views: dict[str, BlockView | PointView] = {}
    for part, store in stores.items():
        views[part] = view = store.read()
        stack.enter_context(view)
    return views


def _bytes(view: BlockView | PointView) -> int:
    """Of a store's file, to tell how far the copy is; 0 of one that was dropped since, whose snapshot is still read."""
    try:
        return (view.home / datafile.NAME).stat().st_size
    except FileNotFoundError:
        return 0


def _write_catalog(folder: Path, names: Names, copied: set[str]) -> None:
    """The names and aliases of what was copied."""
    with Catalog.create(folder) as catalog, catalog.write() as batch:
        for name in copied:
            batch.add(name, names.collections[name])
        for alias, name in names.aliases.items():
            if name in copied:
                batch.set_alias(alias, name)
