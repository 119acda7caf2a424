"""The deep check of a database, in a process of its own: what is damaged can end the process that maps it.

The child reads store after store and says what it finds, line by line. Where it dies, its parent knows in which store,
looks at that one by plain reads, and lets another child go on with the rest.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pqdb.children import lines, say
from pqdb.children import start as start_child
from pqdb.config import NamedConfig, config_from_dict
from pqdb.errors import CorruptError, FormatError, NotADatabaseError, PqdbError
from pqdb.query.definitions import maker
from pqdb.search.index import Index
from pqdb.search.snapshot import Snapshot
from pqdb.store import pages
from pqdb.store.blocks import BlockStore
from pqdb.store.catalog import Catalog
from pqdb.store.environment import user_of
from pqdb.store.moved import home_of
from pqdb.store.points import PointStore
from pqdb.store.salvage import is_key, salvaged_names
from pqdb.store.slots import index_folder, indexed
from pqdb.upkeep.agree import disagreements

Store = tuple[str, str, str]  # key of a collection, the store's folder, its name; the catalog has no key and no name
CATALOG, POINTS, INDEX = "catalog", "points", "index"  # (or "index-1" and so on, where vectors have names)
MAKING_SECONDS = 1.0  # after which a collection that is being made is open, or named
_INDEX = re.compile(r"index(-[0-9]+)?")


@dataclass
class Findings:
    """What a check found of one collection."""

    points: int | None = None
    """How many there are; None where they could not be counted."""
    problems: list[str] = field(default_factory=list)
    """Each begins with "points: " or "index: ", or "index-1: " and so on where vectors have names."""


@dataclass
class CheckReport:
    """What a check found; sound where there is no problem."""

    collections: dict[str, Findings] = field(default_factory=dict)
    catalog: list[str] = field(default_factory=list)
    """Problems of the catalog; where there are some, collections may be missing above."""
    leftovers: list[str] = field(default_factory=list)
    """Folders that no collection leads to, left by a create or drop that was cut off: space, not damage."""

    @property
    def problems(self) -> list[str]:
        """All of them, each behind the name of its collection."""
        found = [f"{CATALOG}: {problem}" for problem in self.catalog]
        for name, findings in self.collections.items():
            found += [f"{name}: {problem}" for problem in findings.problems]
        return found


def check(path: str | os.PathLike[str]) -> CheckReport:
    """Read all of a database against its checksums, and everything in it against everything else.

    It is opened read-only, in a child process, and others may write meanwhile. Raises NotADatabaseError, FormatError.
    """
    folder = Path(path)
    if not (folder / CATALOG).is_dir():
        raise NotADatabaseError(f"{folder} is not a pqdb database: there is no {CATALOG} in it")
    report, checked = CheckReport(), list[str]()
    while True:
        code, store = _let_a_child_check(folder, checked, report)
        if code == 0:
            return report
        if store is None:
            raise CorruptError(f"{folder} cannot be checked: the process that should do it ended with {_ending(code)}")
        checked.append("/".join(store[:2]))
        _note_death(folder, report, *store, code)


def _let_a_child_check(folder: Path, checked: list[str], report: CheckReport) -> tuple[int, Store | None]:
    """What one child finds goes into the report. -> its exit code, and the store it was reading last."""
    store = refusal = None
    with start_child("pqdb.checking", [str(folder), *checked]) as process:
        for word, key, name, what in lines(process):
            if word == "store":
                store = (key, name, what)
            elif word == "refused":
                refusal = FormatError(what)
            else:
                _note(report, word, key, name, what)
    if refusal is not None:
        raise refusal
    return process.returncode, store


def _note(report: CheckReport, word: str, key: str, name: str, what: Any) -> None:
    """Take what a child said into the report; the catalog has no key."""
    if word == "leftover":
        report.leftovers.append(key)
    elif word == "points":
        report.collections.setdefault(name, Findings()).points = what
    elif key:
        report.collections.setdefault(name, Findings()).problems.append(what)
    else:
        report.catalog.append(what)


def _note_death(folder: Path, report: CheckReport, key: str, part: str, name: str, code: int) -> None:
    """A store that ended its reader is damaged; plain reads may tell where."""
    found = [f"reading it ended the process with {_ending(code)}"]
    try:
        found += pages.problems(home_of(folder / key / part))
    except (PqdbError, OSError) as error:
        found.append(str(error))
    for problem in found:
        _note(report, "problem", key, name, f"{part}: {problem}" if key else problem)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


# -- the child

Line = tuple[str, str, str, Any]  # word, key of a collection, its name, and what there is to say


def child() -> None:
    """Say what is found."""
    folder, *checked = sys.argv[1:]
    for line in look(Path(folder), frozenset(checked)):
        say(*line)


def look(folder: Path, checked: frozenset[str] = frozenset()) -> Iterator[Line]:
    """Check every store that was not checked: ("store", key, part, name) before each, then what is found."""
    named: dict[str, str] = {}
    if f"/{CATALOG}" in checked:
        named = salvaged_names(folder / CATALOG)
    else:
        yield "store", "", CATALOG, ""
        try:
            with Catalog.open(folder / CATALOG, readonly=True) as catalog:
                problems = catalog.verify()
                names = catalog.names().collections if not problems else {}
                named = {name: str(record["uuid"]) for name, record in names.items()}
        except FormatError as error:
            yield "refused", "", "", str(error)
            return
        except PqdbError as error:
            problems = [str(error)]
        if problems:
            named = salvaged_names(folder / CATALOG)
        for problem in problems:
            yield "problem", "", "", problem
    for name, key in named.items():
        yield from _while_named(folder, key, _look_at(folder, key, name, checked))
    yield from _leftovers(folder, set(named.values()))


def _while_named(folder: Path, key: str, found: Iterator[Line]) -> Iterator[Line]:
    """What is found of a collection, unless it was dropped while it was looked at."""
    for line in found:
        if line[0] in ("problem", "refused") and not _is_named(folder, key):
            return
        yield line


def _leftovers(folder: Path, known: set[str]) -> Iterator[Line]:
    """Folders that no collection leads to, and that nobody is making."""
    strangers = _strangers(folder) - known
    if strangers:
        time.sleep(MAKING_SECONDS)
    for key in sorted(strangers & _strangers(folder)):
        if not _is_named(folder, key):
            yield "leftover", key, "", None


def _strangers(folder: Path) -> set[str]:
    """Folders like those of collections that nobody has open."""
    return {each.name for each in folder.iterdir() if is_key(each.name) and user_of(each / POINTS) is None}


def _is_named(folder: Path, key: str) -> bool:
    """Whether the catalog leads to a collection now; one that cannot be read leads to all of them."""
    try:
        with Catalog.open(folder / CATALOG, readonly=True) as catalog:
            return key in catalog.names().keys
    except PqdbError:
        return True


def _look_at(folder: Path, key: str, name: str, checked: frozenset[str]) -> Iterator[Line]:
    sound, parts, slots = True, [POINTS, *_index_folders(folder / key)], list[int]()
    for part in parts:  # (grows by indexes that are not there)
        if f"{key}/{part}" in checked:
            sound = False
            continue
        yield "store", key, part, name
        try:
            with _open(folder / key, part) as opened:
                problems = opened.verify()
                if isinstance(opened, PointStore):
                    slots = indexed(opened.geometry)
                    parts += [each for each in map(index_folder, slots) if each not in parts]
                if isinstance(opened, PointStore) and not problems:
                    with opened.read() as view:
                        yield "points", key, name, view.n_live
        except FormatError as error:
            yield "refused", "", "", str(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever damaged bytes lead to is damage
            problems = [str(error) if isinstance(error, PqdbError) else f"{type(error).__name__}: {error}"]
        sound = sound and not problems
        for problem in problems:
            yield "problem", key, name, f"{part}: {problem}"
    if sound:
        yield from _compare(folder, key, name, slots)


def _compare(folder: Path, key: str, name: str, slots: Sequence[int]) -> Iterator[Line]:
    """Points and the index of every vector, against each other."""
    for slot in slots:
        part = index_folder(slot)
        yield "store", key, part, name
        try:
            for problem in _disagreements(folder / key, slot):
                yield "problem", key, name, f"{part}: {problem}"
        except FormatError as error:
            yield "refused", "", "", f"collection {name!r}: {error}"


def _index_folders(folder: Path) -> list[str]:
    """The indexes of a collection that are there."""
    return sorted(each.name for each in folder.iterdir() if _INDEX.fullmatch(each.name)) if folder.is_dir() else []


def _open(folder: Path, part: str) -> PointStore | BlockStore:
    if part == POINTS:
        return PointStore.open(folder / POINTS, readonly=True, maker=maker)
    return BlockStore.open(folder / part, readonly=True)


def _disagreements(folder: Path, slot: int) -> list[str]:
    """What index and points of a vector do not agree on. Raises FormatError where a newer pqdb wrote one."""
    try:
        with (
            PointStore.open(folder / POINTS, readonly=True, maker=maker) as whole,
            BlockStore.open(folder / index_folder(slot), readonly=True) as blocks,
            whole.slot(slot) as points,
            blocks.read() as index_view,
            points.read() as view,
        ):
            config = config_from_dict(view.manifest["config"])
            if isinstance(config, NamedConfig):
                config = list(config.vectors.values())[slot - 1]
            index = Index.load(index_view) if index_view.generation else None
            snapshot = Snapshot(config, view, index_view, index, points.rows_per_run, points.row_bytes, view.n_rows)
            return list(disagreements(snapshot))
    except FormatError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        return [str(error) if isinstance(error, PqdbError) else f"{type(error).__name__}: {error}"]
