"""Codes of one list into groups of 32 vectors, the order the scan reads, and back.

A 4-bit group holds, for each pair of sub-quantizers (2p, 2p + 1), 32 bytes: byte i < 16 has vector i's code
of 2p in its low nibble and vector 16 + i's in its high one; bytes 16 … 31 the same for 2p + 1. An 8-bit
group holds 32 bytes a sub-quantizer. Factors follow the codes of their group as float16 bits.
"""

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels._jit import kernel

GROUP = 32  # vectors of a group
HALF = 16


@kernel
def pack_nibbles(codes: NDArray[np.uint8], groups: NDArray[np.uint8]) -> None:
    """codes (count, m), m even, into groups (G, ≥ 16·m) bytes, which must be zero where no vector is."""
    for i in range(codes.shape[0]):
        g, v = i // GROUP, i % GROUP
        shift = np.uint8(4 * (v // HALF))
        for j in range(codes.shape[1]):
            groups[g, j * HALF + v % HALF] |= np.uint8(codes[i, j] << shift)


@kernel
def unpack_nibbles(groups: NDArray[np.uint8], codes: NDArray[np.uint8]) -> None:
    """The inverse of pack_nibbles, into codes (count, m)."""
    for i in range(codes.shape[0]):
        g, v = i // GROUP, i % GROUP
        shift = np.uint8(4 * (v // HALF))
        for j in range(codes.shape[1]):
            codes[i, j] = (groups[g, j * HALF + v % HALF] >> shift) & np.uint8(15)


@kernel
def pack_bytes(codes: NDArray[np.uint8], groups: NDArray[np.uint8]) -> None:
    """codes (count, m) into groups (G, ≥ 32·m) bytes."""
    for i in range(codes.shape[0]):
        g, v = i // GROUP, i % GROUP
        for j in range(codes.shape[1]):
            groups[g, j * GROUP + v] = codes[i, j]


@kernel
def unpack_bytes(groups: NDArray[np.uint8], codes: NDArray[np.uint8]) -> None:
    """The inverse of pack_bytes, into codes (count, m)."""
    for i in range(codes.shape[0]):
        g, v = i // GROUP, i % GROUP
        for j in range(codes.shape[1]):
            codes[i, j] = groups[g, j * GROUP + v]


@kernel
def round_to_int8(
    rows: NDArray[np.float32],  # (n, d)
    scales: NDArray[np.float32],  # (n,) the largest entry of a row / 127, or nearly; 0 for a row of zeros
    values: NDArray[np.int8],  # (n, dpad) out
) -> None:
    """Rows as whole steps of their scale, row ≈ scale · value; columns past d become zero."""
    for i in range(rows.shape[0]):
        row, value = rows[i], values[i]
        inverse = np.float32(1.0) / scales[i] if scales[i] > 0.0 else np.float32(0.0)
        for k in range(row.shape[0]):
            value[k] = np.int8(np.rint(row[k] * inverse))
        value[row.shape[0] :] = 0
