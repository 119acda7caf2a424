"""Qdrant's words for quantization → ours: codes of the same kind where there are such, else of the same size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pqdb

from .errors import format_error
from .fields import Fields
from .tuning import BINARY, PRODUCT, SCALAR, TURBO, Kind, checked

# Dimensions a sub-quantizer of 256 centroids (one byte) covers at each compression of float32.
_DIMS_PER_BYTE = {"x4": 1, "x8": 2, "x16": 4, "x32": 8, "x64": 16}
_BINARY_BITS = {"one_bit": 1.0, "one_and_half_bits": 1.5, "two_bits": 2.0}
_TURBO_BITS = {"bits1": 1.0, "bits1_5": 1.5, "bits2": 2.0, "bits4": 4.0, "bits8": 8.0}


Codes = pqdb.PQ | pqdb.SQ


@dataclass(frozen=True)
class Method:
    """One of Qdrant's methods: its knobs, and the code of ours that takes as many bytes."""

    knobs: dict[str, Kind]
    code: Callable[[dict[str, Any], int], Codes]


def parse_quantization(body: Fields, dim: int) -> tuple[Codes | None, dict[str, Any] | None]:
    """`quantization_config` → (our quantization, what was sent); (None, None) when nothing was.

    Raises Refusal 400 for a method that is not known or a wrong knob.
    """
    sent = body.fields("quantization_config")
    if sent is None:
        return None, None
    sent.only(METHODS)
    given = [name for name in METHODS if sent.get(name) is not None]
    if len(given) != 1:
        raise format_error(f"{sent.place}: expected one of {', '.join(f'`{name}`' for name in METHODS)}")
    method = METHODS[given[0]]
    fields = Fields.of(sent.value[given[0]], sent.path(given[0])).only(method.knobs)
    knobs = checked(fields, method.knobs)
    if method is _PRODUCT:
        fields.required("compression")
    return method.code(knobs, dim), {given[0]: knobs}


def _product(knobs: dict[str, Any], dim: int) -> pqdb.PQ:
    return _bytes_code(dim, _DIMS_PER_BYTE[knobs.get("compression", "x4")])


def _scalar(knobs: dict[str, Any], dim: int) -> pqdb.SQ:  # noqa: ARG001 (one signature for all methods)
    return pqdb.SQ("int8")


def _binary(knobs: dict[str, Any], dim: int) -> pqdb.PQ:
    return _bits_code(dim, _BINARY_BITS[knobs.get("encoding", "one_bit")])


def _turbo(knobs: dict[str, Any], dim: int) -> pqdb.PQ:
    return _bits_code(dim, _TURBO_BITS[knobs.get("bits", "bits4")])


def _bytes_code(dim: int, dims_per_byte: int) -> pqdb.PQ:
    return pqdb.PQ(m=-(-dim // dims_per_byte), nbits=8)


def _bits_code(dim: int, bits_per_dim: float) -> pqdb.PQ:
    """4-bit codes, which scan fastest; where that were more of them than dimensions, 8-bit ones of the size."""
    nibbles = max(1, round(dim * bits_per_dim / 4))
    if nibbles <= dim:
        return pqdb.PQ(m=nibbles, nbits=4)
    return pqdb.PQ(m=min(dim, max(1, round(dim * bits_per_dim / 8))), nbits=8)


_PRODUCT = Method(PRODUCT, _product)
METHODS = {
    "scalar": Method(SCALAR, _scalar),
    "product": _PRODUCT,
    "binary": Method(BINARY, _binary),
    "turbo": Method(TURBO, _turbo),
}
