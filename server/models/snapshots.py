"""Snapshots and backups."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from .words import Strict

SnapshotPriority = Literal["no_sync", "snapshot", "replica"]


class Snapshot(BaseModel):
    """A snapshot of a collection."""

    name: str
    creation_time: str = Field(description="In UTC.")
    size: int = Field(description="Bytes.")
    checksum: str | None = Field(description="Its SHA256.")


class RecoverSnapshot(Strict):
    """Where a snapshot is: `file://` and a path in this service's folder, or the name of one of this collection."""

    location: str
    priority: SnapshotPriority | None = None
    checksum: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$")


class NewBackup(Strict):
    """A backup to be made."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")


class Backups(BaseModel):
    """The backups there are."""

    backups: list[str]
