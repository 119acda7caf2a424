"""Snapshots of collections: files of their own form, one folder a collection, each with its checksum beside it."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pqdb

from .answering import find
from .errors import not_found, not_offered, wrong_input
from .fields import Fields
from .names import check_name

ENDING = ".snapshot"
PRIORITIES = ("no_sync", "snapshot", "replica")

_NAME = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,199}}{re.escape(ENDING)}")
_SUM = re.compile(r"[0-9a-fA-F]{64}")
_LONGEST_FOLDER = 200  # bytes: a file system's names have 255


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of a service."""

    folder: Path  # of all of them

    def of(self, name: str) -> Path:
        """The folder of one collection's; a collection's name holds nothing a path is made of."""
        raw = name.encode()
        return self.folder / (name if len(raw) <= _LONGEST_FOLDER else hashlib.sha256(raw).hexdigest())

    def make(
        self, database: pqdb.Database, name: str, progress: Callable[[str, float], None] | None = None
    ) -> dict[str, Any]:
        """A new snapshot of a collection, described."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S")
        told = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:100]
        file = self.of(name) / f"{told}-{stamp}-{uuid.uuid4().hex[:8]}{ENDING}"
        database.backup_collection(name, file, progress=progress)
        _sum_beside(file).write_text(sum_of(file))
        return described(file)

    def listed(self, name: str) -> list[dict[str, Any]]:
        """A collection's snapshots, the oldest first."""
        folder = self.of(name)
        files = [each for each in folder.iterdir() if _NAME.fullmatch(each.name)] if folder.is_dir() else []
        return [described(file) for file in sorted(files, key=lambda each: (each.stat().st_mtime_ns, each.name))]

    def file(self, name: str, snapshot: str) -> Path:
        """The file of a snapshot. Raises Refusal 404."""
        file = self.of(name) / snapshot if _NAME.fullmatch(snapshot) else None
        if file is None or not file.is_file():
            raise not_found(f"Snapshot `{snapshot[:200]}` of collection `{name}` doesn't exist!")
        return file

    def remove(self, name: str, snapshot: str) -> bool:
        """Delete a snapshot. Raises Refusal 404."""
        file = self.file(name, snapshot)
        file.unlink(missing_ok=True)
        _sum_beside(file).unlink(missing_ok=True)
        return True

    def located(self, name: str, location: str) -> Path:
        """The file that a location names: `file://` and a path in our folder, or the name of one of the collection's
        own. Raises Refusal 400 or 404.
        """
        parts = urlsplit(location)
        if parts.scheme in ("http", "https"):
            raise not_offered("fetching snapshots from other hosts: download it and send it to snapshots/upload")
        if parts.scheme == "" and "/" not in location:
            return self.file(name, location)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or "\0" in location:
            raise wrong_input(f"location {location[:200]!r} is neither file:// and a path, nor a snapshot's name")
        if not path.resolve().is_relative_to(self.folder.resolve()) or not _NAME.fullmatch(path.name):
            raise wrong_input(f"location {location[:200]!r} is no snapshot in this service's folder")
        if not path.is_file():
            raise not_found(f"Snapshot `{path.name}` doesn't exist!")
        return path


def check_there(database: pqdb.Database, name: str) -> str:
    """A collection's own name. Raises Refusal 404."""
    return find(database, name).name


def recover(database: pqdb.Database, name: str, file: Path, checksum: str | None) -> bool:
    """Let a snapshot take a collection's place, or make the collection. Raises Refusal 400 for another checksum and for
    what is damaged; then nothing is changed.
    """
    check_name(name)
    if checksum is not None and sum_of(file) != checksum.lower():
        raise wrong_input(f"the snapshot's SHA256 is not {checksum.lower()}, it is {sum_of(file)}: nothing is changed")
    try:
        database.restore_collection(name, file)
    except (pqdb.CorruptError, pqdb.FormatError, pqdb.NotADatabaseError) as error:
        raise wrong_input(f"{error}; nothing is changed") from None
    return True


def parse_recover(body: Fields) -> tuple[str, str | None]:
    """`{"location", "priority", "checksum"}`: where it is, and its checksum. Raises Refusal 400."""
    body.only(("location", "priority", "checksum")).required("location")
    body.variant("priority", PRIORITIES)  # one node: there is no replica to prefer
    return body.text("location"), checked_sum(body.get("checksum"), body.path("checksum"))


def checked_sum(given: object, place: str) -> str | None:
    """A SHA256 in hexadecimal. Raises Refusal 400."""
    if given is None:
        return None
    if not isinstance(given, str) or not _SUM.fullmatch(given):
        raise wrong_input(f"{place}: expected a SHA256 of 64 hexadecimal digits")
    return given


def described(file: Path) -> dict[str, Any]:
    """A snapshot as it is listed."""
    told, beside = file.stat(), _sum_beside(file)
    checksum = None
    with suppress(FileNotFoundError):  # it is being made, or deleted
        checksum = beside.read_text() or None
    made = datetime.fromtimestamp(told.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {"name": file.name, "creation_time": made, "size": told.st_size, "checksum": checksum}


def sum_of(file: Path) -> str:
    """The SHA256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sum_beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")
