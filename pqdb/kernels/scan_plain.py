"""The plain sisters of the SIMD kernels: the same arithmetic for any CPU, and for 8-bit codes."""

import numpy as np

from pqdb.kernels._jit import kernel
from pqdb.kernels.intrinsics import load_f16, load_i8, load_u8

GROUP = 32


@kernel
def group_sums_plain(record: int, table: np.ndarray, m: int, sums: np.ndarray) -> None:
    """sums[v] = Σ_j table[j, code of vector v in sub-quantizer j]; table (m, 16) uint8, sums (32,) uint32."""
    for v in range(GROUP):
        sums[v] = 0
    for j in range(m):
        start = record + np.uint64((j >> 1) * 32 + (j & 1) * 16)
        for i in range(16):
            byte = load_u8(start + np.uint64(i))
            sums[i] += table[j, byte & 15]
            sums[16 + i] += table[j, byte >> 4]


@kernel
def byte_sums_plain(record: int, table: np.ndarray, m: int, sums: np.ndarray) -> None:
    """As `group_sums_plain` for 8-bit codes: a record holds m rows of 32 codes; table (m, 256) uint16, sums (32,) uint32."""
    for v in range(GROUP):
        sums[v] = 0
    for j in range(m):
        start = record + np.uint64(j * GROUP)
        for v in range(GROUP):
            sums[v] += table[j, load_u8(start + np.uint64(v))]


@kernel
def score_sums_plain(
    factors: int,
    sums: np.ndarray,
    with_bias: bool,
    base: np.float32,
    a: np.float32,
    b: np.float32,
    g: np.float32,
    threshold: np.float32,
    values: np.ndarray,
    bounds: np.ndarray,
) -> int:
    """Values and upper bounds of a group from its sums; returns the mask of bounds ≥ threshold."""
    mask = np.uint64(0)
    for v in range(GROUP):
        scale = np.float32(load_f16(factors + np.uint64(2 * v)))
        start = base
        if with_bias:
            start = base + np.float32(load_f16(factors + np.uint64(2 * GROUP + 2 * v)))
        value = start + scale * (b + a * np.float32(sums[v]))
        values[v] = value
        bounds[v] = value + scale * g
        if bounds[v] >= threshold:
            mask |= np.uint64(1) << np.uint64(v)
    return mask


@kernel
def dot_i8_plain(row: int, query: int, size: int) -> int:
    """Dot product of two int8 rows at addresses."""
    total = np.int32(0)
    for i in range(size):
        at = np.uint64(i)
        total += np.int32(load_i8(row + at)) * np.int32(load_i8(query + at))
    return total
