"""The body of a change to a collection: what is kept to be given back, and what cannot be changed."""

from __future__ import annotations

from typing import Any

import pqdb

from .creation import check_metadata_keys
from .description import sent_vectors
from .errors import format_error, not_yet, refuse_unknown_vector
from .fields import Fields
from .names import WIRE_KEY
from .quantization import parse_quantization
from .sparse import changed_params
from .tuning import HNSW, PARAMS, PLACEMENT, checked, checked_optimizers, checked_struct

_KEYS = (
    "vectors", "optimizers_config", "params", "hnsw_config", "quantization_config", "sparse_vectors",
    "strict_mode_config", "metadata",
)  # fmt: skip
_VECTOR_KEYS = ("hnsw_config", "quantization_config", "on_disk", "memory")

Metadata = dict[str, Any]


def changed_metadata(body: Fields, collection: pqdb.Collection, held: Metadata | None) -> Metadata:
    """A collection's metadata, those held, after the change asked for. Raises Refusal 400 or 422."""
    body.only(_KEYS).refuse(strict_mode_config="strict mode")
    metadata = dict(held or {})
    echo = dict(metadata.pop(WIRE_KEY, {}))
    for key, new in {
        "hnsw_config": checked_struct(body, "hnsw_config", HNSW),
        "optimizer_config": checked_optimizers(body),
        "params": _params(body),
    }.items():
        if new:
            echo[key] = {**echo.get(key, {}), **new}
    for config in collection.vectors.values():
        _check_quantization(body, config)
    if (vectors := body.fields("vectors")) is not None:
        echo["vectors"] = _vectors(vectors, echo, collection)
    if (sparse := body.fields("sparse_vectors")) is not None and sparse.value:
        echo["sparse_vectors"] = changed_params(sparse, collection, echo)
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
    held = sent_vectors(collection, echo)
    for name in given.value:
        if name not in collection.vectors:
            refuse_unknown_vector(name)
        inner = held.get(name, held)
        changed = _vector(Fields.of(given.value[name], given.path(name)), inner, collection.vectors[name])
        held = {**held, name: changed} if name in held else changed
    return held


def _vector(fields: Fields, held: dict[str, Any], config: pqdb.CollectionConfig) -> dict[str, Any]:
    """The echo of one vector's parameters after the change."""
    _check_quantization(fields.only(_VECTOR_KEYS), config)
    new = checked(fields, {"on_disk": bool} | PLACEMENT)
    if (hnsw := checked_struct(fields, "hnsw_config", HNSW)) is not None:
        new["hnsw_config"] = {**held.get("hnsw_config", {}), **hnsw}
    return {**held, **new}


def _check_quantization(fields: Fields, config: pqdb.CollectionConfig) -> None:
    """Take a quantization that makes the codes there are; refuse another: codes are chosen at creation."""
    if fields.get("quantization_config") is None:
        return
    if fields.get("quantization_config") == "Disabled":
        raise not_yet("taking codes away from a collection")
    if not isinstance(fields.get("quantization_config"), dict):
        raise format_error(f"{fields.path('quantization_config')}: expected an object or `Disabled`")
    quantization, _ = parse_quantization(fields, config.dim)
    if quantization != config.quantization:
        raise not_yet("changing the quantization of a collection: make another and move its alias")
