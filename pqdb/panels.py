"""Rows side by side, so that many others are multiplied with many of them at a time: what training, assigning and
calibrating compare.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels.panels import nearest_of_panels, products_of_panels
from pqdb.kernels.panels_simd import TILE, WIDTH
from pqdb.threads import cores, share_rows

Floats = NDArray[np.float32]
_PART_ROWS = 256 * TILE  # at most, that a thread takes at a time
_QUERIES_AT_ONCE = 64  # likewise: of each there are distances to all rows


@dataclass(frozen=True, eq=False, slots=True)
class Near:
    """What each of n rows is nearest to, of all it was compared with so far; and what comes next to that, or arrays
    without elements where nobody asks.
    """

    best: Floats  # (n,) ⟨x, c⟩ − ‖c‖²/2
    labels: NDArray[np.int32]  # (n,) the name of c
    next_best: Floats
    next_labels: NDArray[np.int32]

    @classmethod
    def nothing(cls, n: int, *, two: bool = False) -> Self:
        """Nothing yet, for n rows; `two`: of the next, too."""
        size = n if two else 0
        bests = np.full(n, -np.inf, np.float32), np.full(size, -np.inf, np.float32)
        return cls(bests[0], np.zeros(n, np.int32), bests[1], np.zeros(size, np.int32))

    def of(self, rows: slice | NDArray[np.int64]) -> Self:
        """Of some of the rows: of a slice the same memory."""
        size = slice(0) if len(self.next_best) < len(self.best) else rows
        return type(self)(self.best[rows], self.labels[rows], self.next_best[size], self.next_labels[size])

    def put(self, rows: NDArray[np.int64], found: Self) -> None:
        """Some of the rows are near to that."""
        self.best[rows], self.labels[rows] = found.best, found.labels
        if len(self.next_best):
            self.next_best[rows], self.next_labels[rows] = found.next_best, found.next_labels


@dataclass(frozen=True, eq=False, slots=True)
class Panels:
    """Rows (k, d), WIDTH side by side."""

    columns: Floats  # (p, d, WIDTH)
    half_norms: Floats  # (p, WIDTH) ‖c‖²/2, inf where there is no row
    names: NDArray[np.int32]  # (k,) what each is called

    @classmethod
    def of(cls, rows: Floats, names: NDArray[np.int32] | None = None) -> Self:
        """Lay out rows (k, d), called 0 … k − 1 if they have no other names (k,)."""
        k, dim = rows.shape
        count = -(-k // WIDTH)
        padded, half_norms = np.zeros((count * WIDTH, dim), np.float32), np.full(count * WIDTH, np.inf, np.float32)
        padded[:k], half_norms[:k] = rows, half_squares(rows)
        columns = np.ascontiguousarray(padded.reshape(count, WIDTH, dim).transpose(0, 2, 1))
        if names is None:
            names = np.arange(k, dtype=np.int32)
        return cls(columns, half_norms.reshape(count, WIDTH), names)

    def improve(self, rows: Floats, near: Near) -> None:
        """Compare rows (n, d), which are near to what they were compared with before, with these."""
        nearest_of_panels(
            _aligned(rows), self.columns, self.half_norms, self.names, near.best, near.labels, near.next_best,
            near.next_labels,
        )  # fmt: skip

    def nearest(self, rows: Floats, *, two: bool = False) -> Near:
        """What each of rows (n, d) is nearest to; the first of equals. `two`: and what comes next, as the kernel has
        it: for one row in WIDTH the second is passed over.
        """
        near = Near.nothing(len(rows), two=two)
        share_rows(lambda part: self.improve(rows[part], near.of(part)), len(rows), _part_of(len(rows)))
        return near

    def products(self, rows: Floats) -> Floats:
        """(n, k) inner products of rows (n, d) with each."""
        out = np.empty((len(rows), self.half_norms.size), np.float32)

        def multiply(part: slice) -> None:
            products_of_panels(_aligned(rows[part]), self.columns, out[part])

        share_rows(multiply, len(rows), _part_of(len(rows)))
        return out[:, : len(self.names)]


def inner_products(rows: Floats, others: Floats) -> Floats:
    """(n, k) inner products of rows (n, d) with others (k, d)."""
    return Panels.of(others).products(rows)


def nearest_rows(queries: Floats, rows: Floats, known: Floats, count: int) -> NDArray[np.int64]:
    """(q, count) of queries (q, d): the rows (n, d) of the least known − 2⟨q, row⟩, in any order; of few rows all.
    known (n,).
    """
    count = min(count, len(rows))
    best = np.empty((len(queries), count), np.int64)

    def rank(part: slice) -> None:
        distances = known - np.float32(2) * inner_products(rows, queries[part]).T
        best[part] = np.argpartition(distances, count - 1, axis=1)[:, :count]

    share_rows(rank, len(queries), _QUERIES_AT_ONCE)
    return best


def half_squares(rows: Floats) -> Floats:
    """‖v‖²/2 of each row (n,)."""
    squares: Floats = np.einsum("ij,ij->i", rows, rows) / np.float32(2.0)
    return squares


def _aligned(rows: Floats) -> Floats:
    return np.ascontiguousarray(rows, np.float32)


def _part_of(n: int) -> int:
    """How many of n rows a thread takes at a time: whole tiles."""
    return min(_PART_ROWS, -(-n // cores() // TILE) * TILE or TILE)
