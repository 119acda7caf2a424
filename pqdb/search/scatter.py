"""How rows scatter about the centroids of their lists, as queries see it: what tells which lists may hold the nearest
of the rows that a filter lets through, however far from the query these are.

A row's value is its centroid's and the product of the query with its residual. Away from the query that product is
distributed much the same in all lists, in units of the query's length; near it its tails are longer, for there rows are
scattered towards the query. So lists are told apart by belts around it, and how rows scatter in each is measured: no
belt's tails are a Gaussian's (docs/decisions/033).
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pqdb.kernels.cells import BELTS

STEPS = 192


@dataclass(frozen=True)
class Scatter:
    """Shares of rows that lie more than low, low + step, … units above what their centroid tells, in each belt.

    A unit is the query's length, for l2 twice its distance from the centroid, times the length of the list's residuals
    against others'; `shift` is what a row's value is less than its centroid's on the mean, by the square of that.
    """

    shares: np.ndarray  # (belts, n) float32, falling from 1 to 0: cells.BELTS
    low: float
    step: float
    shift: float

    @classmethod
    def measured(
        cls, queries: np.ndarray, place: np.ndarray, others: np.ndarray, residuals: np.ndarray, lists: np.ndarray,
        centroids: np.ndarray, lengths: np.ndarray, l2: bool,
    ) -> Self:  # fmt: skip
        """From queries (q, d) and when each list is probed for them, place (q, n_lists); and from the residuals (n, d)
        of rows in `lists` (n,) of these centroids, all in index space; lengths (n_lists,) as ListedRows has them.
        others (q, n) bool: a row is not the query itself.
        """
        products = queries @ residuals.T
        shift = 0.0
        if l2:
            squares = np.einsum("nd,nd->n", residuals, residuals)
            shift = float((squares / lengths[lists] ** 2).mean()) if len(squares) else 0.0
            products -= np.einsum("nd,nd->n", centroids[lists], residuals) + (squares - shift * lengths[lists] ** 2) / 2
            apart = (queries**2).sum(axis=1)[:, None] + (centroids**2).sum(axis=1) - 2 * queries @ centroids.T
            units = np.sqrt(np.maximum(apart, 0))[:, lists]
        else:
            units = np.broadcast_to(np.linalg.norm(queries, axis=1)[:, None], products.shape)
        units = units * lengths[lists]
        known = others & (units > 0)
        above = np.divide(products, units, out=products, where=known)
        seen = above[known]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
        step = max((high - low) / (STEPS - 1), 1e-9)
        belts = sum(place[:, lists] * part >= place.shape[1] for part in BELTS)
        shares = [_shares_above(above[known & (belts == belt)], low, step) for belt in range(len(BELTS) + 1)]
        return cls(np.array(shares, np.float32), low, step, shift)

    def to_json(self) -> dict[str, Any]:
        """Lists and numbers."""
        return {"shares": self.shares.tolist(), "low": self.low, "step": self.step, "shift": self.shift}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError for what is none."""
        shares = np.asarray(fields["shares"], np.float32)
        if shares.ndim != 2 or len(shares) != len(BELTS) + 1 or shares.shape[1] < 2:
            raise ValueError(f"expected shares of {len(BELTS) + 1} belts, not an array of shape {shares.shape}")
        return cls(shares, float(fields["low"]), float(fields["step"]), float(fields["shift"]))


# Of generations from before it was measured:
NO_SCATTER = Scatter(np.ones((len(BELTS) + 1, 2), np.float32), 0.0, 1.0, 0.0)


def _shares_above(values: np.ndarray, low: float, step: float) -> np.ndarray:
    """(STEPS,) shares of the values above low, low + step, …"""
    first = np.minimum(((values - low) / step).astype(np.int64) + 1, STEPS - 1)  # of the steps a value does not reach
    shares: np.ndarray = 1 - np.cumsum(np.bincount(first, minlength=STEPS)) / max(1, len(values))
    return shares
