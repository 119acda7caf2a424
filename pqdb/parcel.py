"""One collection as one file: a tar of a backup that holds no other. Unpacked (`tar xf`) it is a database.

What comes back may come from anywhere. So nothing is unpacked but the plain files a backup is made of, and all of it is
checked, in a process of its own, before a database takes it in.
"""

import re
import shutil
import tarfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pqdb.backup import Progress, back_up
from pqdb.checking import CATALOG, POINTS, check
from pqdb.config import CollectionConfig, NamedConfig, config_from_dict
from pqdb.errors import CorruptError, NotADatabaseError, StorageError
from pqdb.store import datafile
from pqdb.store.catalog import Catalog
from pqdb.store.faults import refusals
from pqdb.store.points import PointStore
from pqdb.store.salvage import is_key

ABANDONED_SECONDS = 3_600  # without a write to what somebody is at
_ASIDE = re.compile(r"\.pqdb-[a-z]+-[0-9a-f]{32}")
_MEMBER = re.compile(rf"({CATALOG}|[0-9a-f]{{32}}/({POINTS}|index(-[0-9]{{1,2}})?))/{re.escape(datafile.NAME)}")


class Unpacked(NamedTuple):
    """A collection out of its parcel, sound."""

    folder: Path
    record: dict[str, Any]  # of its catalog
    config: CollectionConfig | NamedConfig


def aside_of(folder: Path, doing: str) -> Path:
    """A path in a folder for what is being packed, unpacked or received; `doing` is a word of small letters."""
    return folder / f".pqdb-{doing}-{uuid.uuid4().hex}"


def clear_abandoned(folder: Path) -> None:
    """Delete, as far as we may, what killed processes put aside in a folder: nobody has written to it for an hour."""
    with suppress(OSError):
        for each in folder.iterdir():
            if _ASIDE.fullmatch(each.name) and _last_write(each) < time.time() - ABANDONED_SECONDS:
                shutil.rmtree(each) if each.is_dir() else each.unlink()


def _last_write(path: Path) -> float:
    """Seconds since 1970; now where it goes away meanwhile."""
    try:
        return max(each.stat().st_mtime for each in (path, *path.rglob("*")))
    except OSError:
        return time.time()


def pack(source: Path, name: str, file: Path, progress: Progress | None = None) -> None:
    """Put one collection of a database into a new file, as it is at one moment, while others read and write it.

    The file appears when it is whole and on disk. Raises StorageError where it is there already, DiskFullError,
    CorruptError, CollectionNotFoundError.
    """
    if file.exists():
        raise StorageError(f"{file} is there already: a backup needs a new file")
    with refusals(file):
        datafile.make_folder(file.parent)
    clear_abandoned(file.parent)
    aside = aside_of(file.parent, "packing")
    try:
        back_up(source, aside / "database", progress, only=name)
        with refusals(file):
            packed = aside / "packed"
            with tarfile.open(packed, "w", format=tarfile.GNU_FORMAT) as tar:
                for each in sorted((aside / "database").rglob(datafile.NAME)):
                    tar.add(each, each.relative_to(aside / "database").as_posix(), filter=_plain)
            datafile.sync(packed)
            packed.rename(file)
            datafile.sync_folder(file.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def unpack(file: Path, folder: Path) -> Unpacked:
    """Take a collection out of its file into a folder that is not there yet, and check all of it.

    Raises CorruptError, a sentence that says what is wrong, FormatError, DiskFullError, StorageError.
    """
    with refusals(file):
        folder.mkdir(parents=True)
        _extract(file, folder)
    try:
        report = check(folder)
    except NotADatabaseError:
        raise CorruptError(f"{file.name} is no backup of a collection: it holds no catalog") from None
    if report.problems:
        raise CorruptError(f"{file.name} is damaged: {report.problems[0]}")
    with Catalog.open(folder / CATALOG, readonly=True) as catalog:
        records = [dict(record) for record in catalog.names().collections.values()]
    if len(records) != 1 or report.leftovers or not is_key(str(records[0]["uuid"])):
        raise CorruptError(f"{file.name} is no backup of one collection: it holds {len(records)}")
    home = folder / str(records[0]["uuid"])
    with PointStore.open(home / POINTS, readonly=True) as points:
        config = config_from_dict(points.manifest["config"])
    return Unpacked(home, records[0], config)


def _extract(file: Path, folder: Path) -> None:
    """Write the files of a tar, where each is one that a backup has. Raises CorruptError."""
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                target = folder / member.name
                plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.sparse is None
                if not plain or not _MEMBER.fullmatch(member.name) or target.exists():
                    raise CorruptError(f"{file.name} is no backup of a collection: it holds {member.name[:100]!r}")
                target.parent.mkdir(parents=True, exist_ok=True)
                held = tar.extractfile(member)
                assert held is not None  # (it is a plain file)
                with target.open("wb") as written:
                    shutil.copyfileobj(held, written)
                datafile.sync(target)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise CorruptError(f"{file.name} is damaged, or no backup of a collection: {error}") from None


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry
