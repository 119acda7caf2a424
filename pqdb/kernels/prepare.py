"""A query brought into the forms it is compared in: as the source has it, and as the index has it."""

import numpy as np

from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.vectors import FLOAT32, dot


@kernel_inline
def prepare_queries(
    queries: Array,  # (q, d) float32
    normalise: bool,  # to length 1
    least: Real,  # squared lengths outside least … largest are not for this kernel
    largest: Real,
    mean: Array,  # (d,) float32
    scale: Real,  # one over the index's unit
    prepared: Array,  # (q, d) float32 out
    moved: Array,  # (q, d) float32 out: in index space
) -> Whole:
    """1, or 0, with the outputs undefined, if a query's squared length lies outside the limits or is no number."""
    dim = queries.shape[1]
    for q in range(queries.shape[0]):
        at = np.uint64(queries.ctypes.data) + np.uint64(4 * q * dim)
        square = dot(FLOAT32, at, at, dim)
        if not (square >= least and square <= largest):
            return 0
        factor = np.float32(1) / np.sqrt(square) if normalise else np.float32(1)
        for i in range(dim):
            x = queries[q, i] * factor
            prepared[q, i] = x
            moved[q, i] = (x - mean[i]) * np.float32(scale)
    return 1
