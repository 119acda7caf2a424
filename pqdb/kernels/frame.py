"""What stays the same from query to query, handed to the road in one piece: numbers, and the addresses of arrays.

Fifty arguments cost a call 2 µs, and as many cold cache lines; the address of one record costs what a number costs, a
record itself three times that.
"""

import ctypes
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from pqdb.kernels._cpu import JIT_OFF
from pqdb.kernels._jit import kernel_inline_with_arrays
from pqdb.kernels._types import Address, Array, Whole

# Of a generation, of a plan, of a snapshot. Names as the kernels have them; an `_at` is the address of an array.
FRAME = np.dtype(
    [
        ("dim", "<i8"),
        ("l2", "<i8"),
        ("beta", "<f4"),
        ("unit", "<f4"),
        ("mean_at", "<u8"),  # (dim,) float32
        ("n_lists", "<i8"),
        ("n_banks", "<i8"),
        ("bank_steps", "<i8"),
        ("center_at", "<u8"),  # (dim,) float32
        ("banks_at", "<u8"),  # (n_banks, bank_steps, 64, 4) uint8
        ("scales_at", "<u8"),  # (n_lists,) float32
        ("weights_at", "<u8"),  # (n_lists,) float32
        ("n_leads", "<i8"),  # n_lists, or 0
        ("leads_at", "<u8"),  # (n_leads,) float32
        ("offsets_at", "<u8"),  # (n_lists,) float32
        ("n_usual", "<i8"),  # n_lists, or 0
        ("usual_at", "<u8"),  # (n_usual,) float32
        ("n_fine", "<i8"),  # n_lists, or 0
        ("fine_at", "<u8"),  # (n_fine, dpad) int8
        ("fine_scales_at", "<u8"),  # (n_fine,) float32
        ("n_centroids", "<i8"),  # n_lists, or 0
        ("centroids_at", "<u8"),  # (n_centroids, dim) float32
        ("axis_banks", "<i8"),  # 0 without a rotation
        ("d_out", "<i8"),
        ("axes_at", "<u8"),  # (axis_banks, ceil(dim / 4), 64, 4) uint8
        ("axis_scales_at", "<u8"),  # (d_out,) float32
        ("m", "<i8"),
        ("ksub", "<i8"),
        ("nbits", "<i8"),
        ("record_bytes", "<i8"),
        ("dpad", "<i8"),
        ("top", "<i8"),
        ("codewords_at", "<u8"),  # (d_out, ksub) float32
        ("word_bounds_at", "<u8"),  # (m + 1,) int32
        ("margin", "<f4"),
        ("within", "<f4"),  # as route.ease has it
        ("least", "<f4"),  # squared lengths of a raw query outside least … largest are refused
        ("largest", "<f4"),
        ("normalise", "<i4"),
        ("n_knots", "<i8"),
        ("knots_at", "<u8"),  # (n_knots,) float32
        ("widths_at", "<u8"),  # (n_knots,) float32
        ("most", "<i8"),
        ("depth", "<i8"),
        ("k", "<i8"),
        ("keep", "<i8"),
        ("codes_at", "<u8"),  # (n_lists,) uint64
        ("counts_at", "<u8"),  # (n_lists,) uint32
        ("rerank_at", "<u8"),  # (n_lists,) uint64
        ("kind", "<i8"),
        ("by", "<i8"),  # what exact values are made of: see exact.row_value
        ("n_runs", "<i8"),
        ("runs_at", "<u8"),  # (n_runs,) uint64
        ("rows_per_run", "<i8"),
        ("row_bytes", "<i8"),
        ("rescore", "<i8"),
        ("watermark", "<i8"),  # rows from here on are in no list
        ("n_coded", "<i8"),  # rows that are in no list but have codes
        ("coded_at", "<u8"),  # (ceil(n_coded / 32), record_bytes) uint8, in the order of the lists they are going to
        ("coded_rows_at", "<u8"),  # (n_coded,) uint32
        ("coded_starts_at", "<u8"),  # (n_lists + 1,) int64 where those of each list begin
        ("fresh", "<i8"),  # rows from here on have no codes either
        ("n_rows", "<i8"),
        ("n_pages", "<i8"),
        ("meta_at", "<u8"),  # (n_pages,) uint64
        ("rows_per_page", "<i8"),
        ("record_size", "<i8"),
        ("record_last", "<i8"),
        ("n_shares", "<i8"),
        ("shares_at", "<u8"),  # (belts, n_shares) float32: this and the rest as choose.choose_queries has it
        ("low", "<f4"),
        ("step", "<f4"),
        ("shift", "<f4"),
        ("aim", "<f4"),  # 0: lists are not chosen
        ("mean_groups", "<f4"),
        ("limit", "<f4"),
        ("most_missed", "<f4"),  # as scan_lists has it
        ("kinds_at", "<u8"),  # (n_lists,) uint8
        ("lengths_at", "<u8"),  # (KINDS,) float32
        ("passing_at", "<u8"),  # (n_lists,) int32
        ("groups_at", "<u8"),  # (n_lists,) int32
        ("n_words", "<i8"),  # 0: no filter
        ("words_at", "<u8"),  # (n_words,) uint32
        ("firsts_at", "<u8"),  # (n_lists + 1,) int64
    ]
)

# One place of an answer: what a hit is made of. Empty places have value −inf and row 0. An array of three words a place
# is made in half the time, and handed to a kernel in less.
ANSWER = np.dtype([("id", "<u8"), ("tail", "<u8"), ("value", "<f4"), ("row", "<u4")])
WORDS = ANSWER.itemsize // 8


def named(words: np.ndarray) -> np.ndarray:
    """(…, k) ANSWER of (…, k, WORDS) uint64, the same memory; answers_of is for kernels."""
    answers: np.ndarray = words.view(ANSWER)[..., 0]
    return answers


if JIT_OFF:

    def pointer(address: Any) -> Any:
        """The address itself."""
        return int(address)

    def carray(pointer: Any, shape: Any, dtype: Any) -> Any:
        """The array at an address."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size == 0:
            return np.empty(shape, dtype)
        return np.frombuffer((ctypes.c_uint8 * size).from_address(pointer), dtype).reshape(shape)

else:
    carray = numba.carray  # type: ignore[assignment, attr-defined]

    @intrinsic
    def pointer(typingctx: Any, address: Any) -> Any:
        """An address as a pointer."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

        return types.voidptr(types.uint64), codegen


@kernel_inline_with_arrays
def f32_at(address: Address, n: Whole) -> Any:
    """(n,) float32 at an address."""
    return carray(pointer(address), (n,), np.float32)


@kernel_inline_with_arrays
def i32_at(address: Address, n: Whole) -> Any:
    """(n,) int32 at an address."""
    return carray(pointer(address), (n,), np.int32)


@kernel_inline_with_arrays
def i8_at(address: Address, n: Whole) -> Any:
    """(n,) int8 at an address."""
    return carray(pointer(address), (n,), np.int8)


@kernel_inline_with_arrays
def u8_at(address: Address, n: Whole) -> Any:
    """(n,) uint8 at an address."""
    return carray(pointer(address), (n,), np.uint8)


@kernel_inline_with_arrays
def u16_at(address: Address, n: Whole) -> Any:
    """(n,) uint16 at an address."""
    return carray(pointer(address), (n,), np.uint16)


@kernel_inline_with_arrays
def u32_at(address: Address, n: Whole) -> Any:
    """(n,) uint32 at an address."""
    return carray(pointer(address), (n,), np.uint32)


@kernel_inline_with_arrays
def i64_at(address: Address, n: Whole) -> Any:
    """(n,) int64 at an address."""
    return carray(pointer(address), (n,), np.int64)


@kernel_inline_with_arrays
def u64_at(address: Address, n: Whole) -> Any:
    """(n,) uint64 at an address."""
    return carray(pointer(address), (n,), np.uint64)


@kernel_inline_with_arrays
def matrix_at(address: Address, n: Whole, d: Whole) -> Any:
    """(n, d) float32 at an address."""
    return carray(pointer(address), (n, d), np.float32)


@kernel_inline_with_arrays
def i8_matrix_at(address: Address, n: Whole, d: Whole) -> Any:
    """(n, d) int8 at an address."""
    return carray(pointer(address), (n, d), np.int8)


@kernel_inline_with_arrays
def i32_matrix_at(address: Address, n: Whole, d: Whole) -> Any:
    """(n, d) int32 at an address."""
    return carray(pointer(address), (n, d), np.int32)


@kernel_inline_with_arrays
def u32_matrix_at(address: Address, n: Whole, d: Whole) -> Any:
    """(n, d) uint32 at an address."""
    return carray(pointer(address), (n, d), np.uint32)


@kernel_inline_with_arrays
def cells_at(address: Address, n: Whole, d: Whole) -> Any:
    """(n, d, 4) float32 at an address: see choose.choose_lists."""
    return carray(pointer(address), (n, d, 4), np.float32)


@kernel_inline_with_arrays
def banks_at(address: Address, banks: Whole, steps: Whole) -> Any:
    """(banks, steps, 64, 4) uint8 at an address: see kernels.banks."""
    return carray(pointer(address), (banks, steps, 64, 4), np.uint8)


@kernel_inline_with_arrays
def frame_at(address: Address) -> Any:
    """The record of FRAME at an address."""
    return carray(pointer(address), (1,), FRAME)[0]


@kernel_inline_with_arrays
def answers_of(words: Array) -> Any:
    """(q, k) ANSWER in an array (q, k, WORDS) uint64."""
    return carray(pointer(np.uint64(words.ctypes.data)), words.shape[:2], ANSWER)
