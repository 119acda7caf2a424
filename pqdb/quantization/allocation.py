"""Which dimensions each sub-quantizer owns: equal shares, or shares by energy."""

import numpy as np
from numpy.typing import NDArray

from pqdb.quantization.codebook import padded

# Distortion that 16 codewords leave of a Gaussian of so many dimensions, relative to its energy (measured).
DISTORTION = {1: 0.012, 2: 0.108, 4: 0.350, 6: 0.50, 8: 0.609, 12: 0.70, 16: 0.775}


def equal_bounds(dim: int, m: int) -> NDArray[np.int32]:
    """Bounds (padded(m) + 1,) of m subspaces whose widths differ by at most 1, and empty ones behind them."""
    bounds = np.full(padded(m) + 1, dim, np.int32)
    bounds[: m + 1] = np.arange(m + 1) * dim // m
    return bounds


def energy_bounds(energies: NDArray[np.float64], m: int) -> NDArray[np.int32]:
    """Bounds (padded(m) + 1,) of at most m subspaces that leave the least distortion.

    energies (dim,): mean square of each dimension, descending. Dimensions past the last bound are not coded
    at all; their whole energy is then distortion. Dynamic programming over the widths of DISTORTION.
    """
    dim = len(energies)
    total = np.concatenate([[0.0], np.cumsum(energies)])
    cost = np.full(
        (m + 1, dim + 1), np.inf
    )  # least distortion of the first dimensions with so many subspaces
    cost[0, 0] = 0.0
    width_of = np.zeros((m + 1, dim + 1), np.int32)  # width of the last subspace on the way there
    for j in range(1, m + 1):
        cost[j] = cost[j - 1]  # the subspace stays empty
        for width, distortion in DISTORTION.items():
            if width > dim:
                continue
            reached = cost[j - 1, :-width] + distortion * (total[width:] - total[:-width])
            better = reached < cost[j, width:]
            cost[j, width:][better] = reached[better]
            width_of[j, width:][better] = width
    end = int(np.argmin(cost[m] + (total[-1] - total)))
    widths = _walk_back(width_of, max(end, 1))
    bounds = np.full(padded(m) + 1, sum(widths), np.int32)
    bounds[: len(widths) + 1] = np.concatenate([[0], np.cumsum(widths)])
    return bounds


def _walk_back(width_of: NDArray[np.int32], end: int) -> list[int]:
    """Widths of the subspaces, first to last, that lead to `end` dimensions."""
    widths: list[int] = []
    for j in range(len(width_of) - 1, 0, -1):
        width = int(width_of[j, end])
        if width:
            widths.append(width)
            end -= width
    return widths[::-1]
