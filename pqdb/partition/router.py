"""The coarse half of an index: centroids, and what a query needs to rank them."""

import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pqdb.errors import CorruptError, FormatError
from pqdb.kernels.route import list_keys
from pqdb.panels import inner_products
from pqdb.partition.middle import capped, middle, usual

_HEAD = struct.Struct("<4sIII f")
_MAGIC = b"PQRT"
_LEAD = struct.Struct("<f")
_VERSION, _WITHOUT_SPREADS = 2, 1
GAP_SAMPLE = 64
PAD = 64  # int8 rows are padded to whole cache lines
REACH = 2.6  # of nibbles, times the length of a row's coordinates: what lies beyond is as far as this
MANY, WIDE = 1 << 20, 64  # so many int8 in all, of rows so wide at least, and nibbles do …
BLUR = 0.1  # … if they are wrong by so much of what lists are apart at most
WIDEST = 0.9  # of lists are no wider than the one that tells what rows are off: the longest are few, and near to all


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
    """int8 rows (n, d) as kernels.dot_simd takes them 64 at a time: (banks, quads, 64, 4) uint8, rows of nothing
    at the end.
    """
    n, dim = rows.shape
    banks, quads = -(-n // 64), -(-dim // 4)
    padded_rows = np.zeros((64 * banks, 4 * quads), np.int16)
    padded_rows[:n, :dim] = rows
    quartets = (padded_rows + 128).astype(np.uint8).reshape(banks, 64, quads, 4)
    return np.ascontiguousarray(quartets.transpose(0, 2, 1, 3))


def nibble_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, d) float32 rounded to nibbles 0 … 15 that stand for 2·u − 15, (n, d) uint8, and the scales (n,) float32
    that undo it: such that a row's product with itself is right.
    """
    squares = np.einsum("nd,nd->n", matrix, matrix)
    steps = np.sqrt(squares / matrix.shape[1]) * np.float32(REACH / 8)
    levels = matrix / np.where(steps == 0, np.float32(1), steps)[:, None]
    np.floor(levels, out=levels)
    levels += 8
    np.clip(levels, 0, 15, out=levels)
    rows = levels.astype(np.uint8)
    levels *= 2
    levels -= 15
    products = np.einsum("nd,nd->n", levels, matrix)
    return rows, squares / np.where(products == 0, np.float32(1), products)


def nibble_banked(rows: np.ndarray) -> np.ndarray:
    """Nibbles (n, d) uint8 as kernels.dot_simd takes them 64 rows at a time: (banks, steps, 64, 4) uint8."""
    n, dim = rows.shape
    banks, steps = -(-n // 64), -(-dim // 8)
    padded_rows = np.zeros((64 * banks, 8 * steps), np.uint8)
    padded_rows[:n, :dim] = rows
    quartets = padded_rows.reshape(banks, 64, steps, 2, 4)
    packed = quartets[..., 0, :] | quartets[..., 1, :] << 4
    return np.ascontiguousarray(packed.transpose(0, 2, 1, 3))


def mean_squares(residuals: np.ndarray, lists: np.ndarray, n_lists: int, l2: bool) -> np.ndarray:
    """(n_lists,) float32 of the lengths of residuals (n, d) of rows in lists (n,); of a list without rows, of all. For
    l2 a row that lies far from its centroid counts as one that does not: it would put its whole list last.
    """
    squares = np.einsum("nd,nd->n", residuals, residuals)
    if l2:
        squares = capped(squares)
    sums, counts = np.bincount(lists, squares, n_lists), np.bincount(lists, minlength=n_lists)
    usual = float(squares.mean()) if len(squares) else 0.0
    found: np.ndarray = np.where(counts > 0, sums / np.maximum(counts, 1), usual).astype(np.float32)
    return found


def _gap(moved: np.ndarray, squares: np.ndarray) -> float:
    """From rows (n, d) of such squared lengths (n,) to the nearest other, the median of some; 0 for one row."""
    if len(moved) < 2:
        return 0.0
    some = np.random.default_rng(0).choice(len(moved), min(len(moved), GAP_SAMPLE), replace=False)
    apart = squares[some, None] + squares - 2 * inner_products(moved[some], moved)
    apart[np.arange(len(some)), some] = np.inf
    return float(np.sqrt(np.median(np.maximum(apart.min(axis=1), 0))))


@dataclass(frozen=True)
class Router:
    """Centroids of a generation's lists, in the space the index works in: x' = (x − mean) / unit.

    Inner products keep mean 0, and unit 1 unless residuals are very long or very short. For l2 the mean centres the
    data and the unit brings residuals to length 1, so that the float16 factors of the codes neither overflow nor lose
    digits.

    Lists are not ranked by their centroids alone: of two that are as near, the one whose rows lie farther apart has
    more of them that are nearer. What that is worth was measured when the generation was built (upkeep/lead.py).
    """

    l2: bool
    mean: np.ndarray  # (d,) float32
    unit: float
    centroids: np.ndarray  # (n_lists, d) float32, in index space
    spreads: np.ndarray | None = None  # (n_lists,) float32 mean square of residuals; None in generations of before
    lead: float = 0.0  # how much of them counts where lists are ranked
    center: np.ndarray = field(init=False)  # (d,) float32 middle of the centroids
    banks: np.ndarray = field(init=False)  # (n, steps, 64, 4) uint8 centroids less the center: see `banked`
    scales: np.ndarray = field(init=False)  # (n_lists,) float32
    fine: np.ndarray = field(init=False)  # (n_lists, dpad) int8 the same as bytes, where banks are of nibbles; or none
    fine_scales: np.ndarray = field(init=False)  # (n_lists,) float32 of the bytes
    gap: float = field(init=False)  # from centroid to centroid, usually; 0 for one list
    breadth: float = field(init=False)  # length of a centroid less the center, root mean square of the usual
    weights: np.ndarray = field(init=False)  # (n_lists,) float32
    leads: np.ndarray = field(init=False)  # (n_lists,) float32; none where spreads are not known
    offsets: np.ndarray = field(init=False)  # (n_lists,) float32

    def __post_init__(self) -> None:
        center = middle(self.centroids)
        object.__setattr__(self, "center", center)
        moved = self.centroids - center
        squares = np.einsum("nd,nd->n", moved, moved)
        object.__setattr__(self, "gap", _gap(moved, squares))
        object.__setattr__(self, "breadth", float(np.sqrt(usual(squares))))
        rows, scales = int8_rows(moved)
        nibbles = self._as_nibbles(moved)
        values: dict[str, Any] = {
            "banks": banked(rows[:, : moved.shape[1]]) if nibbles is None else nibble_banked(nibbles[0]),
            "scales": scales if nibbles is None else nibbles[1],
            "fine": rows if nibbles is not None else np.empty((0, rows.shape[1]), np.int8),
            "fine_scales": scales,
            "weights": self._weights(),
            "leads": self.leads_of(self.lead),
            "offsets": squares if self.l2 else moved @ -center,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _as_nibbles(self, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """nibble_rows of centroids less their center, where there is much to read and they tell lists apart."""
        n, dim = moved.shape
        if n * dim < MANY or dim < WIDE:
            return None
        rows, scales = nibble_rows(moved)
        some = slice(0, None, max(1, n // GAP_SAMPLE))
        wrong = (2.0 * rows[some] - 15) * scales[some, None] - moved[some]
        error, length = (float(np.sqrt(np.square(each).sum(axis=1).mean())) for each in (wrong, moved[some]))
        blurred = error * length / dim**0.5 * (2 if self.l2 else 1)
        return (rows, scales) if blurred < BLUR * self.gap * (self.gap if self.l2 else self.breadth) else None

    def _weights(self) -> np.ndarray:
        """(n_lists,) float32. Where spreads are not known, an inner product is divided by the centroid's length."""
        if self.l2 or self.spreads is not None:
            return np.ones(self.n_lists, np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", self.centroids, self.centroids))
        return (1 / np.where(lengths < np.float32(1e-6), np.float32(1), lengths)).astype(np.float32)

    def leads_of(self, lead: float) -> np.ndarray:
        """(n_lists,) float32 what spreads are worth if `lead` of them counts; none where they are not known.

        For inner products `lead` standard deviations of a row's value, for a query of length 1. For l2 a share of what
        the square of a row's distance exceeds the centroid's by, on the mean: the wider a list, the farther its rows.
        """
        if self.spreads is None:
            return np.zeros(0, np.float32)
        leads = -self.spreads if self.l2 else np.sqrt(self.spreads / np.float32(self.centroids.shape[1]))
        return (np.float32(lead) * leads).astype(np.float32)

    def keys_of(
        self, moved: np.ndarray, left_out: np.ndarray | None = None, within: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """(q, n_lists) float32: what lists are ranked by for queries (q, d), in index space, −inf for the list (q,)
        that is left out, −1 for none; and (q,) float32 how easy each is, by lists `within` so much of the best.
        """
        queries = np.ascontiguousarray(moved, np.float32)
        keys, easy = np.empty((len(queries), self.n_lists), np.float32), np.empty(len(queries), np.float32)
        none = np.full(len(queries), -1, np.int32) if left_out is None else left_out
        list_keys(
            queries, self.l2, self.center, self.banks, self.scales, self.weights, self.leads, self.offsets,
            np.float32(within), none, keys, easy,
        )  # fmt: skip
        return keys, easy

    @property
    def row_sigma(self) -> float:
        """Standard deviation of what a row's value, for a query of length 1, is off that of its centroid, in all but
        the widest lists; 0 where it is not known.
        """
        if self.spreads is None:
            return 0.0
        return float(np.sqrt(np.quantile(self.spreads, WIDEST) / self.centroids.shape[1]))

    @property
    def nibbles(self) -> bool:
        """Whether centroids are ranked by nibbles (docs/decisions/018)."""
        return len(self.fine) > 0

    @property
    def n_lists(self) -> int:
        """How many lists there are."""
        return len(self.centroids)

    @cached_property
    def dpad(self) -> int:
        """Bytes of an int8 row of this dimension."""
        return padded(self.centroids.shape[1])

    @property
    def apart(self) -> float:
        """How far the values of neighbouring lists usually are apart, for a query about as long as centroids; 0 for one
        list.
        """
        return self.gap * (self.gap if self.l2 else float(np.hypot(self.breadth, np.linalg.norm(self.center))))

    def rounding(self) -> float:
        """σ of ⟨q, c⟩ of a centroid and a query about as long, both rounded to int8."""
        return float(self.breadth * np.sqrt(usual(np.square(self.fine_scales)) / 6))

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
        """Header, mean, centroids, and spreads if they are known; what is derived is derived again."""
        n, d = self.centroids.shape
        version = _WITHOUT_SPREADS if self.spreads is None else _VERSION
        head = _HEAD.pack(_MAGIC, version | int(self.l2) << 16, n, d, self.unit)
        body = head + self.mean.astype("<f4").tobytes() + self.centroids.astype("<f4").tobytes()
        if self.spreads is None:
            return body
        return body + self.spreads.astype("<f4").tobytes() + _LEAD.pack(self.lead)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Router":
        """Raises CorruptError if the bytes are not a router's, FormatError if a newer pqdb wrote them."""
        magic, version, n, d, unit = _HEAD.unpack_from(data)
        if magic == _MAGIC and version & 0xFFFF > _VERSION:
            raise FormatError(f"centroids of version {version & 0xFFFF}; this pqdb reads up to version {_VERSION}")
        spread = version & 0xFFFF != _WITHOUT_SPREADS
        if magic != _MAGIC or len(data) != _HEAD.size + 4 * d * (n + 1) + (4 * (n + 1) if spread else 0):
            raise CorruptError(f"the centroids are damaged: {len(data)} bytes that begin with {magic!r}")
        mean, centroids, rest = np.split(np.frombuffer(data, "<f4", offset=_HEAD.size).copy(), [d, d * (n + 1)])
        known = (rest[:n], float(rest[n])) if spread else ()
        return cls(bool(version >> 16), mean, unit, centroids.reshape(n, d), *known)
