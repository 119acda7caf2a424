"""Numbers at addresses: the memory map read in place, without a database look-up per number.

Only addresses that a view resolved, inside its transaction, may be read through these windows: anything else
is a segmentation fault, not an exception. Both windows are read-only.
"""

import ctypes

import numpy as np
import numpy.typing as npt

_ADDRESS_SPACE = 1 << 47  # user half of the 48-bit address space of x86-64 and aarch64

BYTES: memoryview = memoryview((ctypes.c_ubyte * _ADDRESS_SPACE).from_address(0)).cast("B").toreadonly()
"""``BYTES[address]``: the byte there; slices copy with ``bytes(BYTES[a:b])``."""

WORDS: memoryview = BYTES.cast("Q")
"""``WORDS[address >> 3]``: the u64 at an address that is a multiple of 8."""

# numpy takes a null pointer for "allocate", so its window starts one word later.
_WORDS_FROM_8: npt.NDArray[np.uint64] = np.frombuffer(
    memoryview((ctypes.c_ubyte * (_ADDRESS_SPACE - 8)).from_address(8)), dtype=np.uint64
)
_WORDS_FROM_8.flags.writeable = False


def address_of(buffer: memoryview) -> int:
    """The address of the first byte of a value that LMDB handed out."""
    return int(np.frombuffer(buffer, dtype=np.uint8).ctypes.data)


def rows_at(addresses: npt.NDArray[np.uint64], n_bytes: int) -> npt.NDArray[np.uint8]:
    """The `n_bytes` at each address (n,), copied: (n, n_bytes) uint8."""
    items = np.dtype((np.void, n_bytes))  # one at every byte, so that taking an item is one memcpy
    window = np.ndarray((_ADDRESS_SPACE - 8 - n_bytes,), items, _WORDS_FROM_8, strides=(1,))
    rows: npt.NDArray[np.uint8] = window[addresses - np.uint64(8)].view(np.uint8).reshape(len(addresses), n_bytes)
    return rows


def words_at(addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The u64 at each address (any shape, multiples of 8), copied."""
    words: npt.NDArray[np.uint64] = _WORDS_FROM_8[(addresses >> np.uint64(3)) - np.uint64(1)]
    return words
