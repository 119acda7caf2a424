"""The principal axes of residuals: the rotation that sorts their energy."""

import numpy as np
from numpy.typing import NDArray

from pqdb.panels import inner_products

ROWS, ROWS_PER_DIM = 4_096, 8  # the moment is taken of: more do not turn the axes


def principal_axes(units: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Orthonormal rows (d, d) and the mean square of units (n, d) along each (d,), descending.

    Of units in random order the first tell enough. The second moment is taken about zero, not about the mean: codewords
    have to carry the mean too. Each axis points where its largest entry is positive, since LAPACK leaves the sign open.
    """
    some = units[: max(ROWS, ROWS_PER_DIM * units.shape[1])]
    moment = inner_products(some.T, some.T).astype(np.float64) / max(len(some), 1)
    energies, axes = np.linalg.eigh(moment)
    axes = axes[:, ::-1].T
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.where(largest < 0.0, -1.0, 1.0)
    return np.ascontiguousarray(axes, np.float32), np.maximum(energies[::-1], 0.0)
