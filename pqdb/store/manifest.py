"""What a store says about itself: a JSON object with the format's name and version."""

import json
from collections.abc import Mapping
from typing import Any

from pqdb.errors import FormatError, NotADatabaseError
from pqdb.store.layout import seal, trailer_holds

FORMAT = "pqdb"
FORMAT_VERSION = 1
TABLES_VERSION = 2  # of a points store with tables: whoever does not know them would leave them behind
SLOTS_VERSION = 3  # of a points store whose vectors have names, with tables or without
SPARSE_VERSION = 4  # the same, some of them sparse
READABLE = {"points": (FORMAT_VERSION, TABLES_VERSION, SLOTS_VERSION, SPARSE_VERSION)}


def to_bytes(kind: str, manifest: Mapping[str, Any], store: Mapping[str, Any]) -> bytes:
    """The sealed manifest of a `kind` of store ("points", "index", "catalog").

    `manifest` is the caller's, given back as it is; `store` is the store's own geometry.
    """
    record = {
        "format": FORMAT,
        "version": _version_of(store),
        "kind": kind,
        "store": dict(store),
        "manifest": dict(manifest),
    }
    return seal(json.dumps(record, separators=(",", ":"), sort_keys=True).encode())


def _version_of(store: Mapping[str, Any]) -> int:
    """The least that a reader has to know."""
    if "slots" in store:
        return SPARSE_VERSION if store.get("sparse") else SLOTS_VERSION
    return TABLES_VERSION if store.get("tables") else FORMAT_VERSION


def from_bytes(
    value: bytes | memoryview | None, kind: str, where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(manifest, store) of a sealed manifest.

    Raises NotADatabaseError where it is none of ours or of another kind, FormatError where its version is not
    the one this library reads.
    """
    if value is None or not trailer_holds(value):
        raise NotADatabaseError(f"{where} is not a pqdb {kind} store: it has no manifest that can be read")
    try:
        record = json.loads(bytes(value[: len(value) - 4]))
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise NotADatabaseError(f"{where} is not a pqdb {kind} store: its manifest is not ours")
    version = record.get("version")
    readable = READABLE.get(kind, (FORMAT_VERSION,))
    if version not in readable:
        raise FormatError(
            f"{where} has format version {version}; this pqdb reads version {_listed(readable)}: "
            "open it with the pqdb that wrote it, or a newer one"
        )
    if record.get("kind") != kind:
        raise NotADatabaseError(f"{where} is a pqdb {record.get('kind')} store, not a {kind} store")
    return record["manifest"], record["store"]


def _listed(versions: tuple[int, ...]) -> str:
    """As a sentence has them: 1, 2 and 3."""
    *others, last = map(str, versions)
    return f"{', '.join(others)} and {last}" if others else last
