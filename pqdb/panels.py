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

    def improve(self, rows: Floats, best: Floats, labels: NDArray[np.int32]) -> None:
        """Move each of rows (n, d) to the name of the one that offers more than its best (n,), ⟨x, c⟩ − ‖c‖²/2, of
        labels (n,).
        """
        nearest_of_panels(_aligned(rows), self.columns, self.half_norms, self.names, best, labels)

    def nearest(self, rows: Floats) -> NDArray[np.int32]:
        """Name (n,) of the nearest to each of rows (n, d); the first of equals."""
        best, labels = np.full(len(rows), -np.inf, np.float32), np.zeros(len(rows), np.int32)

        def improve(part: slice) -> None:
            self.improve(rows[part], best[part], labels[part])

        share_rows(improve, len(rows), _part_of(len(rows)))
        return labels

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


def half_squares(rows: Floats) -> Floats:
    """‖v‖²/2 of each row (n,)."""
    squares: Floats = np.einsum("ij,ij->i", rows, rows) / np.float32(2.0)
    return squares


def _aligned(rows: Floats) -> Floats:
    return np.ascontiguousarray(rows, np.float32)


def _part_of(n: int) -> int:
    """How many of n rows a thread takes at a time: whole tiles."""
    return min(_PART_ROWS, -(-n // cores() // TILE) * TILE or TILE)
