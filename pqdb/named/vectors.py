"""The vectors of points, by their names: as they are given, and as they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pqdb.config import NamedConfig, SparseConfig, VectorConfig
from pqdb.errors import InputError
from pqdb.metric import prepare
from pqdb.quantization.source import decode_source, encode_source, row_bytes
from pqdb.sparse import SparseVector
from pqdb.store.layout import bits_at
from pqdb.store.slots import Given, SparseGiven
from pqdb.store.view import PointView


@dataclass(frozen=True)
class Vectors:
    """What each vector is made with, and its slot."""

    configs: Mapping[str, VectorConfig | SparseConfig]
    slots: Mapping[str, int]

    @classmethod
    def of(cls, config: NamedConfig) -> "Vectors":
        """Slots count from 1, in the order of the names, those of sparse vectors last."""
        configs: dict[str, VectorConfig | SparseConfig] = {**config.vectors, **config.sparse}
        return cls(configs, {name: slot for slot, name in enumerate(configs, 1)})

    def shown(self, points: PointView, rows: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
        """What each of rows (n,) has of these: name → (dim,) float32, or a SparseVector."""
        shown: list[dict[str, Any]] = [{} for _ in rows]
        for name in names:
            view = points.of_slot(self.slots[name])
            there = np.flatnonzero(bits_at(view.live, rows))
            found = _vectors(view, rows[there], self.configs[name])
            for place, vector in zip(there.tolist(), found, strict=True):
                shown[place][name] = vector
        return shown

    def given(self, n: int, vectors: Mapping[str, Any]) -> dict[int, Given | SparseGiven]:
        """What every slot is given for n points, each of which may lack any vector. Raises InputError and kin."""
        return {self.slots[name]: _given(n, vectors.get(name), name, each) for name, each in self.configs.items()}


def _vectors(view: PointView, rows: np.ndarray, config: VectorConfig | SparseConfig) -> Sequence[Any]:
    if isinstance(config, SparseConfig):
        return [SparseVector.from_bytes(view.sparse.vector(row)) for row in rows.tolist()]
    found: Sequence[Any] = decode_source(view.source_of(rows), config.dim, config.kept_source)  # type: ignore[assignment]  # an array is one, too
    return found


def _given(n: int, vectors: Any, name: str, config: VectorConfig | SparseConfig) -> Given | SparseGiven:
    if isinstance(config, SparseConfig):
        return _sparse_given(n, vectors, name)
    has, rows = np.zeros(n, bool), np.zeros((n, row_bytes(config.dim, config.kept_source)), np.uint8)
    if vectors is None or not n:
        return Given(rows, has)
    held = vectors
    if isinstance(vectors, np.ndarray) and vectors.dtype != object:
        has[:] = True
    else:
        listed = _one_a_point(n, vectors, name)
        has[:] = [each is not None for each in listed]
        held = [each for each in listed if each is not None]
    prepared = prepare(held, config.dim, config.metric) if has.any() else np.zeros((0, config.dim), np.float32)
    if len(prepared) != int(has.sum()):
        raise InputError(f"{n} ids for {len(prepared)} vectors {name!r}")
    rows[has] = encode_source(prepared, config.kept_source)
    return Given(rows, has)


def _sparse_given(n: int, vectors: Any, name: str) -> SparseGiven:
    if vectors is None:
        return SparseGiven([None] * n)
    if n == 1 and (isinstance(vectors, SparseVector | Mapping) or _is_pair(vectors)):
        vectors = [vectors]
    listed = _one_a_point(n, vectors, name)
    try:
        return SparseGiven([None if each is None else SparseVector.of(each).to_bytes() for each in listed])
    except InputError as error:
        raise InputError(f"vectors {name!r}: {error}") from None


def _is_pair(vectors: Any) -> bool:
    """Whether these are indices and values, and not the vectors of two points."""
    if not isinstance(vectors, list | tuple) or len(vectors) != 2:
        return False
    return not any(each is None or isinstance(each, SparseVector | Mapping) for each in vectors)


def _one_a_point(n: int, vectors: Any, name: str) -> list[Any]:
    """A vector or None for each of n points; a single point's may stand alone."""
    if not isinstance(vectors, Sequence | np.ndarray) or isinstance(vectors, str):
        raise InputError(f"vectors {name!r} must be a sequence, one a point, not {type(vectors).__name__}")
    listed = list(vectors)
    if n == 1 and listed and isinstance(listed[0], int | float | np.number):
        listed = [listed]
    if len(listed) != n:
        raise InputError(f"{n} ids for {len(listed)} vectors {name!r}")
    return listed
