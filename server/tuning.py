"""Qdrant's knobs that pqdb has no use for: their types are checked, their values kept and given back.

They tune an HNSW graph, segments, a write-ahead log and where bytes are cached: they change how fast Qdrant
answers, never what. Anything that would change answers is refused elsewhere.
"""

from __future__ import annotations

from typing import Any

from .errors import format_error
from .fields import Fields, kind_of

Kind = type | tuple[str, ...]  # bool, int, float, or the words allowed

_MEMORY: Kind = ("cold", "cached", "pinned")

HNSW: dict[str, Kind] = {
    "m": int,
    "ef_construct": int,
    "full_scan_threshold": int,
    "max_indexing_threads": int,
    "on_disk": bool,
    "memory": _MEMORY,
    "payload_m": int,
    "inline_storage": bool,
}
OPTIMIZERS: dict[str, Kind] = {
    "deleted_threshold": float,
    "vacuum_min_vector_number": int,
    "default_segment_number": int,
    "max_segment_size": int,
    "memmap_threshold": int,
    "indexing_threshold": int,
    "flush_interval_sec": int,
    "max_optimization_threads": int,
    "prevent_unoptimized": bool,
}
WAL: dict[str, Kind] = {"wal_capacity_mb": int, "wal_segments_ahead": int, "wal_retain_closed": int}
PLACEMENT: dict[str, Kind] = {"memory": _MEMORY}
SPARSE_INDEX: dict[str, Kind] = {
    "full_scan_threshold": int,
    "on_disk": bool,
    "memory": _MEMORY,
    "datatype": ("float32", "float16", "uint8"),
}
PARAMS: dict[str, Kind] = {
    "shard_number": int,
    "replication_factor": int,
    "write_consistency_factor": int,
    "on_disk_payload": bool,
}
SCALAR: dict[str, Kind] = {"type": ("int8",), "quantile": float, "always_ram": bool, "memory": _MEMORY}
PRODUCT: dict[str, Kind] = {
    "compression": ("x4", "x8", "x16", "x32", "x64"),
    "always_ram": bool,
    "memory": _MEMORY,
}
BINARY: dict[str, Kind] = {
    "encoding": ("one_bit", "two_bits", "one_and_half_bits"),
    "query_encoding": ("default", "binary", "scalar4bits", "scalar8bits"),
    "always_ram": bool,
    "memory": _MEMORY,
}
TURBO: dict[str, Kind] = {
    "bits": ("bits1", "bits1_5", "bits2", "bits4", "bits8"),
    "always_ram": bool,
    "memory": _MEMORY,
}


def checked(fields: Fields, kinds: dict[str, Kind]) -> dict[str, Any]:
    """The keys of `kinds` that were sent, each of its kind. Raises Refusal 400 for others."""
    return {key: _checked(fields, key, kind) for key, kind in kinds.items() if fields.get(key) is not None}


def checked_struct(body: Fields, key: str, kinds: dict[str, Kind]) -> dict[str, Any] | None:
    """The object under a key with nothing but known knobs in it, or None when it was not sent."""
    fields = body.fields(key)
    return None if fields is None else checked(fields.only(kinds), kinds)


def checked_optimizers(body: Fields) -> dict[str, Any] | None:
    """The optimizers' knobs. "auto" means the default, so it is not kept."""
    fields = body.fields("optimizers_config")
    if fields is not None and fields.get("max_optimization_threads") == "auto":
        rest = {key: value for key, value in fields.value.items() if key != "max_optimization_threads"}
        return checked(Fields(rest, fields.place).only(OPTIMIZERS), OPTIMIZERS)
    return checked_struct(body, "optimizers_config", OPTIMIZERS)


def _checked(fields: Fields, key: str, kind: Kind) -> Any:
    if isinstance(kind, tuple):
        return fields.variant(key, kind)
    if kind is bool:
        return fields.boolean(key)
    if kind is int:
        return fields.unsigned(key, 0)
    number = fields.number(key)
    if number is not None and number < 0:
        raise format_error(f"{fields.path(key)}: {kind_of(number)} is below 0")
    return number
