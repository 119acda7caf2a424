"""Small records of how far a move has come: JSON, replaced whole, so that a kill at any instant leaves one or none."""

import json
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any


def load(path: Path) -> dict[str, Any] | None:
    """A record; None where there is none that can be read."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def save(path: Path, record: dict[str, Any]) -> None:
    """Put a record in the place of the one before."""
    aside = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        aside.write_text(json.dumps(record))
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def forget(path: Path) -> None:
    """Remove a record."""
    path.unlink(missing_ok=True)
