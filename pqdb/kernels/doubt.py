"""Whether the k nearest that a search found can be the k nearest there are."""

import numpy as np

from pqdb.kernels._jit import kernel
from pqdb.kernels._types import Array, Real, Whole

USUAL = np.float32(1.25 / 3)  # margins (of 3 σ, as filters have them) below the cut: of 100 queries' k-th 99 lie higher


@kernel
def find_doubtful(
    cuts: Array,  # (q,) float32 estimates that the scan's cuts were by
    margins: Array,  # (q, p) float32 g of each list scanned, as scan_lists has them
    floors: Array,  # (q,) float32 as least_scales has them
    values: Array,  # (q, k) float32 exact values of what was found, nearest first
    unit: Real,  # what turns an estimate into such a value
    doubtful: Array,  # (q,) uint8 out
) -> Whole:
    """Mark the queries whose k-th value lies further below the cut than it usually does; returns how many.

    The k best estimates are those with the luckiest errors. Where thousands of rows are about as near as the k-th, as
    behind the edge of a filter, the cut by them is so much too high that most of the nearest are below it.
    """
    n: Whole = 0
    for q in range(values.shape[0]):
        margin, reached = margins[q, 0] * floors[q], values[q, values.shape[1] - 1] / unit
        doubtful[q] = margin > 0 and -1e30 < reached < cuts[q] - USUAL * margin
        n += doubtful[q]
    return n
