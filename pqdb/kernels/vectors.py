"""Arithmetic on one pair of vectors at addresses: what every stage needs, inlined where it runs.

The float loops are LLVM IR over vectors of 16 lanes, legal on every CPU: numba's own loops over addresses are not
vectorised (measured: 180 against 15 ns for 384 dimensions).
"""

import numpy as np

from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.intrinsics import load_f16, load_f32, load_i8
from pqdb.kernels.lanes import LANES, LANES_AVAILABLE, distance_lanes, dot_lanes, l1_lanes
from pqdb.kernels.rounding import largest, round_i8

FLOAT32, FLOAT16, INT8 = 0, 1, 2


@kernel_inline
def load_as_f32(kind: Whole, row: Whole, i: Whole) -> Real:
    """Element i of a row of float32, float16 or int8."""
    if kind == FLOAT32:
        return load_f32(row + np.uint64(4 * i))
    if kind == FLOAT16:
        return np.float32(load_f16(row + np.uint64(2 * i)))
    return np.float32(load_i8(row + np.uint64(i)))


@kernel_inline
def dot(kind: Whole, row: Whole, query: Whole, size: Whole) -> Real:
    """⟨query, row⟩ of a float32 query and a row of float32, float16 or int8."""
    whole = size // LANES * LANES if LANES_AVAILABLE else 0
    total = np.float32(0)
    if whole:
        total = dot_lanes(kind, row, query, whole)
    for i in range(whole, size):
        total += load_as_f32(kind, row, i) * load_f32(query + np.uint64(4 * i))
    return total


@kernel_inline
def distance(kind: Whole, row: Whole, query: Whole, size: Whole, scale: Real) -> Real:
    """|query − scale · row|² of a float32 query and a row of float32, float16 or int8."""
    whole = size // LANES * LANES if LANES_AVAILABLE else 0
    total = np.float32(0)
    if whole:
        total = distance_lanes(kind, row, query, whole, scale)
    for i in range(whole, size):
        step = load_f32(query + np.uint64(4 * i)) - scale * load_as_f32(kind, row, i)
        total += step * step
    return total


@kernel_inline
def l1_distance(kind: Whole, row: Whole, query: Whole, size: Whole, scale: Real) -> Real:
    """Σ |query − scale · row| of a float32 query and a row of float32, float16 or int8."""
    whole = size // LANES * LANES if LANES_AVAILABLE else 0
    total = np.float32(0)
    if whole:
        total = l1_lanes(kind, row, query, whole, scale)
    for i in range(whole, size):
        total += abs(load_f32(query + np.uint64(4 * i)) - scale * load_as_f32(kind, row, i))
    return total


@kernel_inline
def quantize_i8(vector: Array, out: Array) -> Real:
    """Round a float32 vector to int8, zeros up to out's length; returns the scale that undoes it, 0 for a zero
    vector.
    """
    dim = vector.shape[0]
    whole = dim // LANES * LANES if LANES_AVAILABLE else 0
    at, out_at = np.uint64(vector.ctypes.data), np.uint64(out.ctypes.data)
    most = np.float32(0)
    if whole:
        most = largest(at, whole)
    for i in range(whole, dim):
        most = max(most, abs(vector[i]))
    inverse = np.float32(127) / most if most > 0 else np.float32(0)
    if whole:
        round_i8(at, whole, inverse, out_at)
    for i in range(whole, dim):
        out[i] = np.int8(np.floor(vector[i] * inverse + np.float32(0.5)))
    for i in range(dim, out.shape[0]):
        out[i] = 0
    return most / np.float32(127)
