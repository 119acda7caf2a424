"""The body of a change to a collection: what is kept to be given back, and what cannot be changed."""

from __future__ import annotations

from typing import Any

import pqdb

from .creation import DISTANCES, check_metadata_keys
from .errors import format_error, not_yet, refuse_unknown_vector
from .fields import Fields
from .names import WIRE_KEY
from .quantization import parse_quantization
from .tuning import HNSW, PARAMS, PLACEMENT, checked, checked_optimizers, checked_struct
from .vectors import UNNAMED

_KEYS = (
    "vectors", "optimizers_config", "params", "hnsw_config", "quantization_config", "sparse_vectors",
    "strict_mode_config", "metadata",
)  # fmt: skip
_VECTOR_KEYS = ("hnsw_config", "quantization_config", "on_disk", "memory")

Metadata = dict[str, Any]


def changed_metadata(body: Fields, collection: pqdb.Collection) -> Metadata:
    """A collection's metadata after the change asked for. Raises Refusal 400 or 422."""
    body.only(_KEYS).refuse(sparse_vectors="sparse vectors", strict_mode_config="strict mode")
    metadata = dict(collection.metadata or {})
    echo = dict(metadata.pop(WIRE_KEY, {}))
    for key, new in {
        "hnsw_config": checked_struct(body, "hnsw_config", HNSW),
        "optimizer_config": checked_optimizers(body),
        "params": _params(body),
    }.items():
        if new:
            echo[key] = {**echo.get(key, {}), **new}
    _check_quantization(body, collection)
    if (vectors := body.fields("vectors")) is not None:
        echo["vectors"] = _vectors(vectors, echo, collection)
    if (given := body.fields("metadata")) is not None:
        check_metadata_keys(given)
        echo["has_metadata"] = True
        metadata |= given.value
        metadata = {key: value for key, value in metadata.items() if value is not None}
    return {**metadata, WIRE_KEY: echo}


def _params(body: Fields) -> dict[str, Any] | None:
    fields = body.fields("params")
    if fields is None:
        return None
    fields.only((*PARAMS, "read_fan_out_factor", "read_fan_out_delay_ms"))
    return checked(fields, PARAMS)


def _vectors(given: Fields, echo: dict[str, Any], collection: pqdb.Collection) -> dict[str, Any]:
    """The echo of the vectors' parameters after the change."""
    for name in given.value:
        if name != UNNAMED:
            refuse_unknown_vector(name)
    held: dict[str, Any] = echo.get("vectors") or {"size": collection.dim, "distance": DISTANCES[collection.metric]}
    if UNNAMED not in given.value:
        return held
    fields = Fields.of(given.value[UNNAMED], given.path(UNNAMED)).only(_VECTOR_KEYS)
    _check_quantization(fields, collection)
    new = checked(fields, {"on_disk": bool} | PLACEMENT)
    inner = held.get(UNNAMED, held)
    if (hnsw := checked_struct(fields, "hnsw_config", HNSW)) is not None:
        new["hnsw_config"] = {**inner.get("hnsw_config", {}), **hnsw}
    return {UNNAMED: {**inner, **new}} if UNNAMED in held else {**inner, **new}


def _check_quantization(fields: Fields, collection: pqdb.Collection) -> None:
    """Take a quantization that makes the codes there are; refuse another: codes are chosen at creation."""
    if fields.get("quantization_config") is None:
        return
    if fields.get("quantization_config") == "Disabled":
        raise not_yet("taking codes away from a collection")
    if not isinstance(fields.get("quantization_config"), dict):
        raise format_error(f"{fields.path('quantization_config')}: expected an object or `Disabled`")
    quantization, _ = parse_quantization(fields, collection.dim)
    if quantization != collection.config.quantization:
        raise not_yet("changing the quantization of a collection: make another and move its alias")
