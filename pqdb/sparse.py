"""Sparse vectors: a few numbers, each at one of four billion dimensions, as word weights are."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from pqdb.errors import InputError

MAX_INDEX = (1 << 32) - 1
MAX_NONZERO = 16_384  # dimensions that one vector names: 4,096 vectors are turned round in memory (store/segments.py)
_PAIR_BYTES = 8  # an index and a value


class SparseVector:
    """SparseVector(indices, values): numbers at some dimensions; at all others there is 0. Never changed once made.

    indices (n,): whole numbers from 0 to 4,294,967,295 in any order, none twice; values (n,): a number for each.
    `.indices` (n,) uint32 are ascending, `.values` (n,) float32. Raises InputError.
    """

    __slots__ = ("indices", "values")

    indices: np.ndarray
    """(n,) uint32, ascending."""
    values: np.ndarray
    """(n,) float32."""

    def __init__(self, indices: object = (), values: object = ()) -> None:
        """As the class says."""
        self._set(_indices(indices), _values(values))

    @classmethod
    def of(cls, given: object) -> Self:
        """Of what people write: one of these, {"indices": …, "values": …}, {index: value}, a pair of sequences, or
        anything else that has indices and values. Raises InputError.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            if given.keys() & {"indices", "values"}:
                if given.keys() != {"indices", "values"}:
                    raise InputError(f"a sparse vector has indices and values and no more, not {list(given)!r:.60}")
                return cls(given["indices"], given["values"])
            return cls(list(given.keys()), list(given.values()))
        if isinstance(given, list | tuple) and len(given) == 2:
            return cls(*given)
        if hasattr(given, "indices") and hasattr(given, "values") and not hasattr(given, "shape"):
            return cls(given.indices, given.values)  # as models give them (fastembed's, and Qdrant's client's)
        raise InputError(f"a sparse vector is SparseVector(indices, values) or {{index: value}}, not {given!r:.60}")

    def _set(self, indices: np.ndarray, values: np.ndarray) -> None:
        if len(indices) != len(values):
            raise InputError(f"a sparse vector has a value for each index, not {len(values)} for {len(indices)}")
        if len(indices) > MAX_NONZERO:
            raise InputError(f"a sparse vector names at most {MAX_NONZERO:,} dimensions, not {len(indices):,}")
        order = np.argsort(indices, kind="stable")
        self.indices, self.values = indices[order], values[order]
        twice = np.flatnonzero(self.indices[1:] == self.indices[:-1])
        if len(twice):
            raise InputError(f"a sparse vector names each dimension once, and this one {self.indices[twice[0]]} twice")
        self.indices.flags.writeable = self.values.flags.writeable = False

    def to_bytes(self) -> bytes:
        """As it is stored: u32 indices, then float32 values, little-endian."""
        return self.indices.astype("<u4").tobytes() + self.values.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, stored: bytes | memoryview) -> Self:
        """From what `to_bytes` gave."""
        made, n = cls.__new__(cls), len(stored) // _PAIR_BYTES
        made.indices, made.values = np.frombuffer(stored, "<u4", n), np.frombuffer(stored, "<f4", n, 4 * n)
        return made

    def to_dict(self) -> dict[str, list[Any]]:
        """As JSON: {"indices": [...], "values": [...]}."""
        return {"indices": self.indices.tolist(), "values": self.values.tolist()}

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseVector):
            return NotImplemented
        return np.array_equal(self.indices, other.indices) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.indices.tobytes(), (self.values + 0.0).tobytes()))  # (−0 and 0 are equal, and so are these)

    def __repr__(self) -> str:
        shown = ", ".join(f"{i}: {v:.4g}" for i, v in zip(self.indices[:5].tolist(), self.values, strict=False))
        return f"SparseVector.of({{{shown}{', …' if len(self) > 5 else ''}}})"


def _indices(given: object) -> np.ndarray:
    """(n,) uint32. Raises InputError."""
    found = _numbers(given, "indices")
    if found.size and found.dtype.kind not in "iu":
        raise InputError(f"indices of a sparse vector are whole numbers, not {given!r:.60}")
    if found.size and not 0 <= int(found.min()) <= int(found.max()) <= MAX_INDEX:
        beyond = int(found.min()) if found.min() < 0 else int(found.max())
        raise InputError(f"indices of a sparse vector are 0 to {MAX_INDEX:,}, not {beyond:,}")
    return found.astype(np.uint32)


def _values(given: object) -> np.ndarray:
    """(n,) float32. Raises InputError."""
    found = _numbers(given, "values")
    if found.size and found.dtype.kind not in "iuf":
        raise InputError(f"values of a sparse vector are numbers, not {given!r:.60}")
    with np.errstate(over="ignore"):
        values = found.astype(np.float32)
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        raise InputError(f"values of a sparse vector are finite float32 numbers, and values[{at}] is {found[at]}")
    return values


def _numbers(given: object, what: str) -> np.ndarray:
    try:
        found = np.asarray(given)
    except ValueError:
        found = np.zeros((0, 0))
    if found.ndim != 1:
        raise InputError(f"{what} of a sparse vector are a list of numbers, not {given!r:.60}")
    return found
