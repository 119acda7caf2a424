"""What a database is asked for, checked: names, metadata, and what vectors with names are made with."""

import json
from typing import Any

from pqdb.config import MAX_NAME
from pqdb.errors import InputError

FORBIDDEN = frozenset('<>:"/\\|?*') | frozenset(map(chr, range(32)))
Metadata = dict[str, Any] | None


def check_name(name: object) -> None:
    """Raise InputError for what is not to be the name of a collection, or an alias."""
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
        raise InputError(f"a collection's name has 1 to {MAX_NAME} characters, not {name!r}")
    if not name.isprintable() and any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"a collection's name is valid Unicode, not {name!r}")
    bad = FORBIDDEN.intersection(name)
    if bad or name in (".", ".."):
        raise InputError(f"a collection's name cannot hold {sorted(bad) or name!r}: {name!r}")


def check_metadata(metadata: object) -> None:
    """Raise InputError for what would not come back from the manifest."""
    if metadata is not None and not isinstance(metadata, dict):
        raise InputError(f"metadata are a JSON object (dict), not {type(metadata).__name__}")
    try:
        json.dumps(metadata, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InputError(f"metadata cannot be stored as JSON: {problem}") from None


def refuse_beside_names(**given: object) -> None:
    """Raise InputError for what belongs into the configuration of each vector."""
    usual = {"dim": None, "metric": "cosine", "quantization": None, "rerank": "auto", "source": "float32"}
    odd = [name for name, value in given.items() if value != usual[name]]
    if odd:
        raise InputError(f"vectors= gives each vector a VectorConfig of its own: {', '.join(odd)} belongs there")
