"""The middle of rows and how far they usually lie from it, as most of them have it, whatever the others are.

One row that is ten thousand times as long as all others carries a mean away from them, and what is then counted from
there loses its digits: such a row came with another model, or was never made of unit length.
"""

import numpy as np
from numpy.typing import NDArray

from pqdb.metric import LARGEST
from pqdb.threads import share_rows

FAR = 100.0  # times the median of squared distances: what lies beyond has no say
_ROUNDS, _SOME = 8, 64
_ROWS_AT_ONCE = 2_048


def middle(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(d,) float32: the mean of rows (n, d), n ≥ 1, that do not lie far from it. First from the median of some, which
    half of them may be far from.
    """
    center = np.median(rows[:: -(-len(rows) // _SOME)], axis=0)
    told = np.zeros(len(rows), np.bool_)
    for _ in range(_ROUNDS):
        squares = _squares(rows, center)
        near = squares <= _limit(squares)
        if near.all():
            return _mean(rows)
        if (near == told).all():
            break
        told, center = near, _mean(rows[near])
    return center


def usual(squares: NDArray[np.float32]) -> float:
    """The mean of squares (n,), n ≥ 1, that are not far beyond most of them."""
    return float(squares[squares <= _limit(squares)].mean(dtype=np.float64))


def capped(squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squares (n,), those that are far beyond most of them no larger than that takes."""
    return np.minimum(squares, _limit(squares))


def _mean(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _squares(rows: NDArray[np.float32], origin: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) squared distances of rows (n, d) from an origin (d,)."""
    squares = np.empty(len(rows), np.float32)

    def fill(part: slice) -> None:
        moved = rows[part] - origin
        np.einsum("nd,nd->n", moved, moved, out=squares[part])

    share_rows(fill, len(rows), _ROWS_AT_ONCE)
    return squares


def _limit(squares: NDArray[np.float32]) -> np.float32:
    """Beyond which squared distances are far beyond most of them: nowhere, if most are 0."""
    most = FAR * float(np.median(squares)) if len(squares) else 0.0
    return np.float32(min(most, LARGEST)) if most > 0 else np.float32(np.inf)
