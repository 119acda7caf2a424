"""Products of int8 vectors at addresses, by the kernels this machine has: a row with a query, or 64 rows of a bank."""

import numpy as np

from pqdb.kernels import dot_simd, scan_plain
from pqdb.kernels._cpu import FAMILY, SIMD
from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Address, Whole

dot, dots, nibble_dots = dot_simd.DOT[FAMILY], dot_simd.DOTS[FAMILY], dot_simd.NIBBLE_DOTS[FAMILY]

if SIMD:

    @kernel_inline
    def dot_i8(row: Address, query: Address, size: Whole) -> Whole:
        """Dot product of two int8 rows at addresses; size a multiple of 64."""
        return dot(row, query, np.uint64(size))

    @kernel_inline
    def dots_u8(bank: Address, query: Address, quads: Whole, out: Address) -> None:
        """Products of an int8 query with the 64 rows of a bank; see dot_simd."""
        dots(bank, query, np.uint64(quads), out)

    @kernel_inline
    def dots_u4(bank: Address, query: Address, steps: Whole, out: Address) -> None:
        """The same of a bank of nibbles."""
        nibble_dots(bank, query, np.uint64(steps), out)

else:
    dot_i8, dots_u8, dots_u4 = scan_plain.dot_i8_plain, scan_plain.dots_u8_plain, scan_plain.dots_u4_plain
