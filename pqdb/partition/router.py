"""The coarse half of an index: centroids, and what a query needs to rank them."""

import struct
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pqdb.errors import CorruptError, FormatError
from pqdb.panels import inner_products

_HEAD = struct.Struct("<4sIII f")
_MAGIC = b"PQRT"
_VERSION = 1
GAP_SAMPLE = 256
PAD = 64  # int8 rows are padded to whole cache lines


def padded(dim: int) -> int:
    """Bytes of an int8 row of `dim` dimensions."""
    return -(-dim // PAD) * PAD


def int8_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, d) float32 rounded to int8 and padded with zeros, (n, dpad), and the scales (n,) float32 that undo it.
    """
    scales = np.abs(matrix).max(axis=1) / np.float32(127)
    rows = np.zeros((len(matrix), padded(matrix.shape[1])), np.int8)
    rows[:, : matrix.shape[1]] = np.rint(matrix / np.where(scales == 0, np.float32(1), scales)[:, None])
    return rows, scales.astype(np.float32)


def banked(rows: np.ndarray) -> np.ndarray:
    """int8 rows (n, d) as kernels.dot_simd takes them 64 at a time: (banks, 4, quads, 16, 4) uint8, rows of nothing
    at the end.
    """
    n, dim = rows.shape
    banks, quads = -(-n // 64), -(-dim // 4)
    padded_rows = np.zeros((64 * banks, 4 * quads), np.int16)
    padded_rows[:n, :dim] = rows
    quartets = (padded_rows + 128).astype(np.uint8).reshape(banks, 4, 16, quads, 4)
    return np.ascontiguousarray(quartets.transpose(0, 1, 3, 2, 4))


@dataclass(frozen=True)
class Router:
    """Centroids of a generation's lists, in the space the index works in: x' = (x − mean) / unit.

    Inner products keep mean 0, and unit 1 unless residuals are very long or very short. For l2 the mean centres the
    data and the unit brings residuals to length 1, so that the float16 factors of the codes neither overflow nor lose
    digits.
    """

    l2: bool
    mean: np.ndarray  # (d,) float32
    unit: float
    centroids: np.ndarray  # (n_lists, d) float32, in index space
    center: np.ndarray = field(init=False)  # (d,) float32 mean of the centroids
    banks: np.ndarray = field(init=False)  # (n, 4, quads, 16, 4) uint8 centroids less the center: see `banked`
    scales: np.ndarray = field(init=False)  # (n_lists,) float32
    weights: np.ndarray = field(init=False)  # (n_lists,) float32
    offsets: np.ndarray = field(init=False)  # (n_lists,) float32

    def __post_init__(self) -> None:
        center = self.centroids.mean(axis=0, dtype=np.float64).astype(np.float32)
        moved = self.centroids - center
        rows, scales = int8_rows(moved)
        lengths = np.sqrt(np.einsum("nd,nd->n", self.centroids, self.centroids))
        lengths[lengths < np.float32(1e-6)] = 1
        ones = np.ones(len(moved), np.float32)
        values = {
            "center": center,
            "banks": banked(rows[:, : moved.shape[1]]),
            "scales": scales,
            "weights": ones if self.l2 else (1 / lengths).astype(np.float32),
            "offsets": np.einsum("nd,nd->n", moved, moved) if self.l2 else 0 * ones,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def n_lists(self) -> int:
        """How many lists there are."""
        return len(self.centroids)

    @cached_property
    def dpad(self) -> int:
        """Bytes of an int8 row of this dimension."""
        return padded(self.centroids.shape[1])

    def gap(self) -> float:
        """The usual distance from a centroid to the nearest other one; 0 where there is no other."""
        if self.n_lists < 2:
            return 0.0
        some = np.random.default_rng(0).choice(self.n_lists, min(self.n_lists, GAP_SAMPLE), replace=False)
        moved = self.centroids - self.center
        squares = np.einsum("nd,nd->n", moved, moved)
        apart = squares[some, None] + squares - 2 * inner_products(moved[some], moved)
        apart[np.arange(len(some)), some] = np.inf
        return float(np.sqrt(np.median(np.maximum(apart.min(axis=1), 0))))

    def reach(self) -> float:
        """The usual length of a centroid."""
        return float(np.sqrt(np.einsum("nd,nd->", self.centroids, self.centroids) / self.n_lists))

    def rounding(self) -> float:
        """σ of ⟨q, c⟩ of a centroid and a query about as long, both rounded to int8."""
        moved = self.centroids - self.center
        length = np.sqrt(np.einsum("nd,nd->", moved, moved) / self.n_lists)
        return float(length * np.sqrt(np.square(self.scales).mean() / 6))

    def to_index_space(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) float32 prepared vectors, or queries, as the index compares them."""
        if not self.l2 and self.unit == 1:
            return vectors
        return np.ascontiguousarray((vectors - self.mean) * np.float32(1 / self.unit), dtype=np.float32)

    def bias(self, lists: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """(n,) float32: what the exact value of a row holds besides A and β⟨q, r⟩: −(|r|² + 2⟨c, r⟩) for l2, else 0."""
        if not self.l2:
            return np.zeros(len(residuals), np.float32)
        inner = 2 * np.einsum("nd,nd->n", self.centroids[lists], residuals) + np.einsum(
            "nd,nd->n", residuals, residuals
        )
        negated: np.ndarray = -inner.astype(np.float32)
        return negated

    def to_bytes(self) -> bytes:
        """Header, mean, centroids; what is derived is derived again."""
        n, d = self.centroids.shape
        head = _HEAD.pack(_MAGIC, _VERSION | int(self.l2) << 16, n, d, self.unit)
        return head + self.mean.astype("<f4").tobytes() + self.centroids.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Router":
        """Raises CorruptError if the bytes are not a router's, FormatError if a newer pqdb wrote them."""
        magic, version, n, d, unit = _HEAD.unpack_from(data)
        if magic == _MAGIC and version & 0xFFFF > _VERSION:
            raise FormatError(f"centroids of version {version & 0xFFFF}; this pqdb reads up to version {_VERSION}")
        if magic != _MAGIC or len(data) != _HEAD.size + 4 * d * (n + 1):
            raise CorruptError(f"the centroids are damaged: {len(data)} bytes that begin with {magic!r}")
        numbers = np.frombuffer(data, "<f4", offset=_HEAD.size)
        return cls(bool(version >> 16), numbers[:d].copy(), unit, numbers[d:].reshape(n, d).copy())
