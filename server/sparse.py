"""Sparse vectors on the wire: `{"indices", "values"}`, and the parameters a collection's are made with."""

from __future__ import annotations

from typing import Any

import pqdb

from .errors import format_error, not_yet, refuse_unknown_vector, validation_error, wrong_input
from .fields import Fields, kind_of
from .tuning import SPARSE_INDEX, checked_struct

INDEX_END = 2**32  # an index is an unsigned 32-bit integer
IDF = "idf"
MODIFIERS = ("none", IDF)

_NUMBERS = {int, float}
_KEYS = ("index", "modifier")

Params = dict[str, Any]  # one sparse vector's parameters as they were sent


def is_sparse(value: object) -> bool:
    """Whether a value has the form of a sparse vector."""
    return isinstance(value, dict) and "indices" in value and "values" in value


def sparse_vector(value: object, place: str) -> pqdb.SparseVector:
    """`{"indices": […], "values": […]}` in any order. Raises Refusal 400, or 422 where the two do not fit together."""
    fields = Fields.of(value, place).only(("indices", "values"))
    indices, values = fields.array("indices"), fields.array("values")
    _check_indices(indices, fields.path("indices"))
    _check_values(values, fields.path("values"))
    if len(values) != len(indices):
        said = f"must be the same length as indices ({len(values)} != {len(indices)})"
        raise validation_error(fields.path("values"), said)
    if len(set(indices)) != len(indices):
        raise validation_error(fields.path("indices"), "must be unique")
    try:
        return pqdb.SparseVector(indices, values)
    except pqdb.InputError as error:
        raise wrong_input(f"{error} (`{place}`)") from None


def parse_params(body: Fields) -> dict[str, Params]:
    """`sparse_vectors` of a creation: every vector's parameters by its name. Raises Refusal 400."""
    given = body.fields("sparse_vectors") or Fields({}, "")
    return {name: _params(Fields.of(given.get(name), given.path(name))) for name in given.value}


def config_of(params: Params) -> pqdb.SparseConfig:
    """What the engine makes a sparse vector with."""
    return pqdb.SparseConfig(idf=params.get("modifier") == IDF)


def sent_params(collection: pqdb.Collection, echo: dict[str, Any]) -> dict[str, Params] | None:
    """The parameters as they were sent, None where there were none; of a collection made by the library, what they
    would have been.
    """
    if "sparse_vectors" in echo:
        sent: dict[str, Params] = echo["sparse_vectors"]
        return sent
    made = {name: {"modifier": IDF} if config.idf else {} for name, config in collection.sparse_vectors.items()}
    return made or None


def changed_params(given: Fields, collection: pqdb.Collection, echo: dict[str, Any]) -> dict[str, Params]:
    """The parameters after a change: knobs of the index are merged. Raises Refusal 400 for another modifier."""
    held = dict(sent_params(collection, echo) or {})
    for name in given.value:
        if name not in collection.sparse_vectors:
            refuse_unknown_vector(name)
        new = _params(Fields.of(given.get(name), given.path(name)))
        if "modifier" in new and config_of(new) != collection.sparse_vectors[name]:
            raise not_yet("changing the modifier of a sparse vector: make another collection and move its alias")
        merged = {"index": {**held[name].get("index", {}), **new["index"]}} if "index" in new else {}
        held[name] = {**held[name], **new, **merged}
    return held


def _params(fields: Fields) -> Params:
    """One vector's parameters, nothing but known ones in them."""
    fields.only(_KEYS)
    index = checked_struct(fields, "index", SPARSE_INDEX)
    if index is not None and index.get("datatype", "float32") != "float32":
        raise not_yet(f"the datatype {index['datatype']}")
    params = {"index": index, "modifier": fields.variant("modifier", MODIFIERS)}
    return {key: value for key, value in params.items() if value is not None}


def _check_indices(indices: list[Any], place: str) -> None:
    """Refuse anything but unsigned 32-bit integers. Raises Refusal 400."""
    if set(map(type, indices)) <= {int} and (not indices or (min(indices) >= 0 and max(indices) < INDEX_END)):
        return
    at = next(i for i, each in enumerate(indices) if type(each) is not int or not 0 <= each < INDEX_END)
    said = f"invalid type or value: {kind_of(indices[at])}, expected an unsigned 32-bit integer"
    raise format_error(f"{place}[{at}]: {said}")


def _check_values(values: list[Any], place: str) -> None:
    """Refuse anything but numbers. Raises Refusal 400."""
    if not set(map(type, values)) <= _NUMBERS:
        at = next(i for i, each in enumerate(values) if type(each) not in _NUMBERS)
        raise format_error(f"{place}[{at}]: invalid type: {kind_of(values[at])}, expected a number")
