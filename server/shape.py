"""The vectors of a collection as bodies are read against them: names, dimensions, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

from .errors import refuse_unknown_vector
from .vectors import UNNAMED, matrix, named_vectors, one_vector, unnamed_vector

Vector = npt.NDArray[np.float32]
Columns = dict[str, list[Vector | None]]  # name → the vector of each point, None where it has none
Wanted = bool | list[str]


@dataclass(frozen=True)
class Shape:
    """The vectors there are."""

    dims: dict[str, int]
    metrics: dict[str, str]
    has_names: bool  # else there is one, the unnamed

    @classmethod
    def of(cls, collection: pqdb.Collection) -> Shape:
        """Of a collection."""
        vectors = collection.vectors
        return cls(
            {name: each.dim for name, each in vectors.items()},
            {name: each.metric for name, each in vectors.items()},
            isinstance(collection.config, pqdb.NamedConfig),
        )

    def dim(self, name: str) -> int:
        """Dimensions of a vector. Raises Refusal 400 for one that is not there."""
        if name not in self.dims:
            refuse_unknown_vector(name)
        return self.dims[name]

    def wanted(self, asked: Wanted) -> Wanted:
        """Which vectors to give back, as the engine takes it. Raises Refusal 400 for names that are not there."""
        for name in asked if isinstance(asked, list) else ():
            self.dim(name)
        return asked if self.has_names else bool(asked)

    def rows(self, vectors: Sequence[Any], place: str) -> npt.NDArray[np.float32] | Columns:
        """Vectors of points, each as it was sent, as the engine takes them; `place` as for `matrix`."""
        if not self.has_names:
            plain = [unnamed_vector(each, place.format(i)) for i, each in enumerate(vectors)]
            return matrix(plain, self.dims[UNNAMED], place)
        columns: Columns = {}
        for i, each in enumerate(vectors):
            for name, vector in named_vectors(each, place.format(i)).items():
                column = columns.setdefault(name, [None] * len(vectors))
                column[i] = one_vector(vector, self.dim(name), f"{place.format(i)}.{name}")
        return columns
