"""One int8 vector against many rows, 64 of them at a time: centroids, and the axes of a rotation.

What there is is either int8, or nibbles, which are half as much to read.
"""

import numpy as np

from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Array
from pqdb.kernels.dots import dots_u4, dots_u8


@kernel_inline
def bank_products(banks: Array, nibbles: bool, small: Array, products: Array) -> None:
    """products[i] = ⟨row i, small⟩ for every row of the banks, exact.

    banks (n, steps, 64, 4) uint8 as kernels.dot_simd takes them: int8 rows + 128, or nibbles u that stand for 2·u − 15,
    two a byte; small (≥ 4·steps,) int8, or ≥ 8·steps for nibbles; products (64·n,) int32.
    """
    steps = banks.shape[1]
    bank_at, small_at = np.uint64(banks.ctypes.data), np.uint64(small.ctypes.data)
    products_at = np.uint64(products.ctypes.data)
    for _ in range(banks.shape[0]):
        if nibbles:
            dots_u4(bank_at, small_at, steps, products_at)
        else:
            dots_u8(bank_at, small_at, steps, products_at)
        bank_at += np.uint64(256 * steps)
        products_at += np.uint64(256)
    total = np.int32(0)
    for i in range(8 * steps if nibbles else 4 * steps):
        total += np.int32(small[i])
    times, less = (np.int32(2), np.int32(15)) if nibbles else (np.int32(1), np.int32(128))
    for i in range(products.shape[0]):
        products[i] = times * products[i] - less * total
