"""Vectors on the wire: the four spellings of the unnamed one, and those with names, straight into float32 arrays.
Sparse ones are read in sparse.py."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

from .errors import Refusal, format_error, not_offered, not_yet, refuse_unknown_vector, wrong_input
from .fields import kind_of
from .sparse import is_sparse, sparse_vector

Matrix = npt.NDArray[np.float32]
Given = list[Any] | pqdb.SparseVector  # a vector as it was sent: a list of numbers, or a sparse one

UNNAMED = ""
_NUMBERS = {int, float}


def unnamed_vector(value: object, place: str) -> list[Any]:
    """The list of numbers of a point's vector, given plain or as `{"": [...]}`.

    Raises Refusal 400 for other names, sparse vectors, multivectors, texts to embed and no vector at all.
    """
    if type(value) is list:
        return value
    if not isinstance(value, dict):
        raise format_error(f"{place}: invalid type: {kind_of(value)}, expected a vector")
    _refuse_other_kinds(value, place)
    for name in value:
        if name != UNNAMED:
            refuse_unknown_vector(name)
    if UNNAMED not in value:
        raise not_yet(f"points without a vector (`{place}`)")
    inner = value[UNNAMED]
    return unnamed_vector(inner, place) if isinstance(inner, list) else _refuse_inner(inner, place)


def named_vectors(value: object, place: str) -> dict[str, Given]:
    """A point's vectors, by their names; a plain list is the unnamed one. Raises Refusal 400 or 422 as `one_given`."""
    if type(value) is list:
        return {UNNAMED: value}
    if not isinstance(value, dict):
        raise format_error(f"{place}: invalid type: {kind_of(value)}, expected a vector or vectors by their names")
    _refuse_other_kinds(value, place)
    return {name: one_given(vector, f"{place}.{name}") for name, vector in value.items()}


def one_given(value: object, place: str) -> Given:
    """A vector whose name is known: a list of numbers, or a sparse one.

    Raises Refusal 400 for texts to embed and for what is no vector, and as `sparse_vector` does.
    """
    if type(value) is list:
        return value
    return sparse_vector(value, place) if is_sparse(value) else _refuse_inner(value, place)


def query_vector(value: object, place: str) -> Given:
    """A vector to search by, whose name is said elsewhere. Raises Refusal 400 or 422."""
    return sparse_vector(value, place) if is_sparse(value) else unnamed_vector(value, place)


def unnamed_vectors(value: object, place: str) -> list[Any]:
    """The list of vectors of a batch, given plain or as `{"": [[...], ...]}`."""
    vectors = unnamed_vector(value, place)
    return [
        vector if type(vector) is list else unnamed_vector(vector, f"{place}[{i}]") for i, vector in enumerate(vectors)
    ]


def one_vector(vector: list[Any], dim: int, place: str) -> Matrix:
    """One vector as an array.  → (dim,) float32. Raises Refusal 400 as `matrix` does."""
    if len(vector) == dim and set(map(type, vector)) <= _NUMBERS:
        with np.errstate(over="ignore"):
            array: Matrix = np.array(vector, np.float32)
            squares = float(array.dot(array))
        if math.isfinite(squares):  # not so either where only the sum is beyond float32: `matrix` looks closer
            return array
    found: Matrix = matrix([vector], dim, literal(place))[0]
    return found


def literal(place: str) -> str:
    """A place as a pattern for itself, whatever names of the client's stand in it."""
    return place.replace("{", "{{").replace("}", "}}")


def matrix(vectors: list[list[Any]], dim: int, place: str) -> Matrix:
    """Vectors as one array.  → (n, dim) float32

    `place` names vector `i` in errors by `place.format(i)`. Raises Refusal 400 for another number of
    dimensions, for anything but numbers, and for numbers beyond float32.
    """
    for i, vector in enumerate(vectors):
        if len(vector) != dim:
            raise _misfit(vector, dim, place.format(i))
    # numpy would read "1.5" and true as numbers without a word
    if not set(map(type, chain.from_iterable(vectors))) <= _NUMBERS:
        raise _not_numbers(vectors, place)
    with np.errstate(over="ignore"):  # told apart below, with the vector's place
        array = np.fromiter(chain.from_iterable(vectors), np.float32, len(vectors) * dim)
    array = array.reshape(len(vectors), dim)
    if not np.isfinite(array).all():
        at = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise format_error(f"{place.format(at)}: a number is beyond float32")
    return array


def _misfit(vector: list[Any], dim: int, place: str) -> Refusal:
    if vector and isinstance(vector[0], list):
        return not_offered(f"multivectors (`{place}`)")
    return wrong_input(f"Vector dimension error: expected dim: {dim}, got {len(vector)}")


def _not_numbers(vectors: list[list[Any]], place: str) -> Refusal:
    for i, vector in enumerate(vectors):
        for j, value in enumerate(vector):
            if isinstance(value, list):
                return not_offered(f"multivectors (`{place.format(i)}`)")
            if type(value) not in _NUMBERS:
                return format_error(f"{place.format(i)}[{j}]: invalid type: {kind_of(value)}, expected a number")
    raise AssertionError("every value is a number")


def _refuse_other_kinds(value: dict[str, Any], place: str) -> None:
    if is_sparse(value):
        raise wrong_input(f"sparse vectors have names: send {{name: {{indices, values}}}} (`{place}`)")
    if "model" in value and not isinstance(value["model"], list):
        raise not_offered(f"embedding on the server (`{place}`); send the vector itself")


def _refuse_inner(inner: object, place: str) -> list[Any]:
    if isinstance(inner, dict):
        _refuse_other_kinds(inner, place)
    raise format_error(f"{place}: invalid type: {kind_of(inner)}, expected a vector")
