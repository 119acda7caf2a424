"""The plain sisters of the SIMD kernels: the same arithmetic for any CPU, and for 8-bit codes. All take addresses."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Real, Whole
from pqdb.kernels.intrinsics import load_f16, load_i8, load_u8, load_u16, load_u32, store_f32, store_u32
from pqdb.kernels.pack import GROUP


@kernel
def group_sums_plain(record: Whole, table: Whole, m: Whole, sums: Whole) -> None:
    """sums[v] = Σ_j table[j, code of vector v in sub-quantizer j]; table (m, 16) uint8, sums (32,) uint32."""
    for v in range(GROUP):
        store_u32(sums + np.uint64(4 * v), np.uint32(0))
    for j in range(m):
        start = record + np.uint64((j >> 1) * 32 + (j & 1) * 16)
        entries = table + np.uint64(16 * j)
        for i in range(16):
            byte = load_u8(start + np.uint64(i))
            low, high = sums + np.uint64(4 * i), sums + np.uint64(64 + 4 * i)
            store_u32(low, np.uint32(load_u32(low) + np.uint32(load_u8(entries + np.uint64(byte & 15)))))
            store_u32(high, np.uint32(load_u32(high) + np.uint32(load_u8(entries + np.uint64(byte >> 4)))))


@kernel
def byte_sums_plain(record: Whole, table: Whole, m: Whole, sums: Whole) -> None:
    """As `group_sums_plain` for 8-bit codes: a record holds m rows of 32 codes; table (m, 256) uint16, sums (32,)
    uint32.
    """
    for v in range(GROUP):
        total = np.uint32(0)
        for j in range(m):
            code = load_u8(record + np.uint64(j * GROUP + v))
            total += np.uint32(load_u16(table + np.uint64(2 * (256 * j + code))))
        store_u32(sums + np.uint64(4 * v), np.uint32(total))


@kernel_inline
def score_sums_plain(
    factors: Whole,
    sums: Whole,
    bias: bool,
    base: Real,
    a: Real,
    b: Real,
    g: Real,
    floor: Real,
    threshold: Real,
    values: Whole,
    bounds: Whole,
) -> Whole:
    """Values and upper bounds of a group from its sums; returns the mask of bounds ≥ threshold."""
    mask = np.uint64(0)
    for v in range(GROUP):
        scale = np.float32(load_f16(factors + np.uint64(2 * v)))
        start = np.float32(base)
        if bias:
            start += np.float32(load_f16(factors + np.uint64(2 * GROUP + 2 * v)))
        value = np.float32(start + scale * (b + a * np.float32(load_u32(sums + np.uint64(4 * v)))))
        bound = np.float32(value + max(scale, np.float32(floor)) * g)
        store_f32(values + np.uint64(4 * v), value)
        store_f32(bounds + np.uint64(4 * v), bound)
        if bound >= threshold:
            mask |= np.uint64(1) << np.uint64(v)
    return mask


@kernel
def dot_i8_plain(row: Whole, query: Whole, size: Whole) -> Whole:
    """Dot product of two int8 rows at addresses."""
    total = np.int32(0)
    for i in range(size):
        at = np.uint64(i)
        total += np.int32(load_i8(row + at)) * np.int32(load_i8(query + at))
    return total


@kernel
def dots_u8_plain(bank: Whole, query: Whole, quads: Whole, out: Whole) -> None:
    """Σ bank[row, i]·query[i] for the 64 rows of a bank (see dot_simd), as 64 int32 at `out`."""
    for row in range(64):
        at = bank + np.uint64(4 * row)
        total = np.int64(0)
        for i in range(4 * quads):
            byte = load_u8(at + np.uint64((i >> 2) * 256 + (i & 3)))
            total += np.int64(byte) * np.int64(load_i8(query + np.uint64(i)))
        store_u32(out + np.uint64(4 * row), np.uint32(total & 0xFFFFFFFF))


@kernel
def dots_u4_plain(bank: Whole, query: Whole, steps: Whole, out: Whole) -> None:
    """The same of a bank of nibbles: 8·steps of them a row."""
    for row in range(64):
        at = bank + np.uint64(4 * row)
        total = np.int64(0)
        for i in range(8 * steps):
            byte = load_u8(at + np.uint64((i >> 3) * 256 + (i & 3)))
            nibble = (np.int64(byte) >> (i & 4)) & 15
            total += nibble * np.int64(load_i8(query + np.uint64(i)))
        store_u32(out + np.uint64(4 * row), np.uint32(total & 0xFFFFFFFF))
