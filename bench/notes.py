"""Keeping the numbers of the smaller benches: one JSON file each, beside the runs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
"""Ignored by git; what is quoted is copied to `published/` by hand and by choice."""


def keep(folder: Path, name: str, found: Mapping[str, Any]) -> Path:
    """Write one finding, dated; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return path
