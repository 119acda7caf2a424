"""Recall as ann-benchmarks counts it: by distance, so that ties and equal rows are all right answers."""

import numpy as np
import numpy.typing as npt

ANN_BENCHMARKS_EPSILON = 1e-3
"""The slack ann-benchmarks adds to the k-th true distance; the strict recall takes float32 rounding alone."""

_ROUNDING = 1e-6


def recalls(
    found: npt.NDArray[np.int64],
    found_distances: npt.NDArray[np.float64],
    true_distances: npt.NDArray[np.float64],
    k: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Recall of each query, (ann-benchmarks', strict), each (q,).

    found (q, k) row numbers, -1 where the answer was short; a row given twice counts once.
    """
    first = _first_mention(found)
    kth = true_distances[:, k - 1 : k]
    loose = (found_distances <= kth + ANN_BENCHMARKS_EPSILON) & first
    strict = (found_distances <= kth + _ROUNDING * np.maximum(1.0, kth)) & first
    return loose.sum(axis=1) / k, strict.sum(axis=1) / k


def _first_mention(found: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(q, k) true where a row number stands for the first time in its answer, and is one."""
    first = found >= 0
    for i, answer in enumerate(found):
        kept = np.zeros(len(answer), dtype=bool)
        kept[np.unique(answer, return_index=True)[1]] = True
        first[i] &= kept
    return first
