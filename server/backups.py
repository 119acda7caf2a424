"""Backups: copies of the whole database, each a folder of its own under the one the settings name."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import Refusal, wrong_input
from .fields import Fields
from .settings import Settings

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


def folder_of(settings: Settings) -> Path:
    """Where backups lie. Raises Refusal 400 where the settings name no folder."""
    if settings.backups is None:
        raise wrong_input("there is no folder for backups: name one by PQDB_BACKUPS")
    return settings.backups


def new_backup(settings: Settings, body: Fields) -> Path:
    """The folder to be made, of `{"name"}`. Raises Refusal 400, or 409 where it is there already."""
    body.only(("name",)).required("name")
    name = body.text("name")
    if not _NAME.fullmatch(name):
        raise wrong_input(
            f"the name {name[:100]!r} of a backup is not of 1 to 100 letters, digits, `_`, `-` and `.`, "
            "of which `.` is not the first"
        )
    path = folder_of(settings) / name
    if path.exists():
        raise Refusal(409, f"Wrong input: backup `{name}` already exists!")
    return path


def names(settings: Settings) -> list[str]:
    """The backups that are whole, sorted. Raises Refusal 400 where the settings name no folder."""
    folder = folder_of(settings)
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
