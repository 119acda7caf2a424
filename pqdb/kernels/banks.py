"""One int8 vector against many rows, 64 of them at a time: centroids, and the axes of a rotation.

What there is is either int8, or nibbles, which are half as much to read.
"""

import numpy as np

from pqdb.kernels._jit import kernel_inline
from pqdb.kernels._types import Array
from pqdb.kernels.scan import dots_u4, dots_u8


@kernel_inline
def bank_products(banks: Array, small: Array, products: Array) -> None:
    """products[i] = ⟨row i, small⟩ for every row of the banks, exact.

    banks (n, quads, 64, 4) uint8, int8 rows + 128 as kernels.dot_simd takes them; small (≥ 4·quads,) int8;
    products (64·n,) int32.
    """
    quads = banks.shape[1]
    bank_at, small_at = np.uint64(banks.ctypes.data), np.uint64(small.ctypes.data)
    products_at = np.uint64(products.ctypes.data)
    for _ in range(banks.shape[0]):
        dots_u8(bank_at, small_at, quads, products_at)
        bank_at += np.uint64(256 * quads)
        products_at += np.uint64(256)
    total = np.int32(0)
    for i in range(4 * quads):
        total += np.int32(small[i])
    for i in range(products.shape[0]):
        products[i] -= np.int32(128) * total


@kernel_inline
def nibble_products(banks: Array, small: Array, products: Array) -> None:
    """products[i] = Σ (2·u − 15)·small over the nibbles u of row i, exact.

    banks (n, steps, 64, 4) uint8, two nibbles each, as kernels.dot_simd takes them; small (≥ 8·steps,) int8;
    products (64·n,) int32.
    """
    steps = banks.shape[1]
    bank_at, small_at = np.uint64(banks.ctypes.data), np.uint64(small.ctypes.data)
    products_at = np.uint64(products.ctypes.data)
    for _ in range(banks.shape[0]):
        dots_u4(bank_at, small_at, steps, products_at)
        bank_at += np.uint64(256 * steps)
        products_at += np.uint64(256)
    total = np.int32(0)
    for i in range(8 * steps):
        total += np.int32(small[i])
    for i in range(products.shape[0]):
        products[i] = np.int32(2) * products[i] - np.int32(15) * total
