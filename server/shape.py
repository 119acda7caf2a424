"""The vectors of a collection as bodies are read against them: names, dimensions, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

from .errors import mismatched_vector, refuse_unknown_vector
from .vectors import UNNAMED, Given, literal, matrix, named_vectors, one_given, one_vector, unnamed_vector

Vector = npt.NDArray[np.float32] | pqdb.SparseVector
Columns = dict[str, list[Vector | None]]  # name → the vector of each point, None where it has none
Wanted = bool | list[str]


@dataclass(frozen=True)
class Shape:
    """The vectors there are."""

    dims: dict[str, int]
    metrics: dict[str, str]
    has_names: bool  # else there is one, the unnamed
    sparse: frozenset[str]  # names of those that have no dimensions

    @classmethod
    def of(cls, collection: pqdb.Collection) -> Shape:
        """Of a collection."""
        vectors = collection.vectors
        return cls(
            {name: each.dim for name, each in vectors.items()},
            {name: each.metric for name, each in vectors.items()},
            isinstance(collection.config, pqdb.NamedConfig),
            frozenset(collection.sparse_vectors),
        )

    def dim(self, name: str) -> int:
        """Dimensions of a vector. Raises Refusal 400 for one that is not there, and for a sparse one."""
        if self.is_sparse(name):
            raise mismatched_vector(name, is_sparse=True)
        return self.dims[name]

    def is_sparse(self, name: str) -> bool:
        """Whether a vector is sparse. Raises Refusal 400 for one that is not there."""
        if name in self.dims:
            return False
        if name not in self.sparse:
            refuse_unknown_vector(name)
        return True

    def wanted(self, asked: Wanted) -> Wanted:
        """Which vectors to give back, as the engine takes it. Raises Refusal 400 for names that are not there."""
        for name in asked if isinstance(asked, list) else ():
            self.is_sparse(name)
        return asked if self.has_names else bool(asked)

    def vector(self, name: str, given: Given, place: str) -> Vector:
        """A vector as the engine takes it. Raises Refusal 400 for one of another kind, and as `one_vector` does."""
        if isinstance(given, list):
            return one_vector(given, self.dim(name), place)
        if not self.is_sparse(name):
            raise mismatched_vector(name, is_sparse=False)
        return given

    def column(self, name: str, vectors: list[Any], place: str) -> list[Vector | None]:
        """One vector of several points, each as it was sent, as the engine takes them. Raises as `vector` does."""
        given = [one_given(each, f"{place}[{i}]") for i, each in enumerate(vectors)]
        lists = [each for each in given if isinstance(each, list)]
        if self.is_sparse(name) or len(lists) < len(given):
            return [self.vector(name, each, f"{place}[{i}]") for i, each in enumerate(given)]
        return list(matrix(lists, self.dim(name), literal(place) + "[{}]"))

    def rows(self, vectors: Sequence[Any], place: str) -> npt.NDArray[np.float32] | Columns:
        """Vectors of points, each as it was sent, as the engine takes them; `place` as for `matrix`."""
        if not self.has_names:
            plain = [unnamed_vector(each, place.format(i)) for i, each in enumerate(vectors)]
            return matrix(plain, self.dims[UNNAMED], place)
        columns: Columns = {}
        for i, each in enumerate(vectors):
            for name, vector in named_vectors(each, place.format(i)).items():
                column = columns.setdefault(name, [None] * len(vectors))
                column[i] = self.vector(name, vector, f"{place.format(i)}.{name}")
        return columns
