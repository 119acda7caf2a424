"""Code blocks and rerank blocks: the bytes of one list, as the scan and the rerank read them.

A code block of `count` rows is G = ceil(count / 32) group records, each codes (see kernels/pack.py), 32
float16 s and, with a bias, 32 float16 B; then 32·G uint32 row numbers. Places past the last row hold row
0xFFFFFFFF, s = 0 and B = −65504.

A row of values is a residual value by value: float32 scale, float32 bias and dim int8 or float16 values, padded to
whole cache lines: whoever looks at a row finds all of it in one place. A rerank block is count such rows. The code
block of scalar codes that are scanned as they are (SQ int8, float16) is count such rows, then row numbers as above.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pqdb.config import VALUE_BYTES, Values
from pqdb.errors import CorruptError, InputError
from pqdb.kernels.pack import GROUP, pack_bytes, pack_nibbles, round_to_int8, unpack_bytes, unpack_nibbles

NO_ROW = np.uint32(0xFFFFFFFF)
LARGEST_FLOAT16 = 65_504.0
RERANK_STEP = 64  # bytes: the values of a row are padded to whole cache lines
RERANK_FACTORS = 8  # bytes before them: scale and bias
TINY = np.float32(1e-30)  # below it 1 / scale would overflow

_FACTORS_BYTES = 2 * GROUP
_ROWS_BYTES = 4 * GROUP


def group_bytes(m: int, nbits: int, with_bias: bool) -> int:
    """Bytes of one group record: codes and factors of 32 vectors."""
    return m * nbits * GROUP // 8 + _FACTORS_BYTES * (2 if with_bias else 1)


def list_bytes(count: int, m: int, nbits: int, with_bias: bool) -> int:
    """Bytes of a code block of count rows."""
    return -(-count // GROUP) * (group_bytes(m, nbits, with_bias) + _ROWS_BYTES)


def pack_list(
    codes: NDArray[np.uint8],  # (count, m)
    s: NDArray[np.float32],  # (count,)
    b: NDArray[np.float32] | None,  # (count,) the bias, where the metric has one
    rows: NDArray[np.uint32],  # (count,)
    nbits: int,
) -> NDArray[np.uint8]:
    """The code block of one list, (list_bytes,) uint8; raises InputError for a factor that is no number.

    Factors past ±65504 are stored as ±65504: such a row lies tens of thousands of units from its centroid,
    its estimate is beyond saving, and the rerank still gives its true score. Refusing it would keep a whole
    list from being indexed.
    """
    count, m = codes.shape
    groups = -(-count // GROUP)
    block = np.zeros(list_bytes(count, m, nbits, b is not None), np.uint8)
    records = _records(block, groups, group_bytes(m, nbits, b is not None))
    (pack_nibbles if nbits == 4 else pack_bytes)(codes, records)
    at = m * nbits * GROUP // 8
    records[:, at : at + _FACTORS_BYTES] = _factors(s, groups, 0.0, "rescale")
    if b is not None:
        records[:, at + _FACTORS_BYTES :] = _factors(b, groups, -LARGEST_FLOAT16, "bias")
    numbers = block[records.size :].view(np.uint32)
    numbers[:count] = rows
    numbers[count:] = NO_ROW
    return block


def unpack_list(
    buffer: NDArray[np.uint8] | bytes | memoryview, count: int, m: int, nbits: int, with_bias: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.uint32]]:
    """(codes, s, b, rows) of a code block: the inverse of pack_list, up to float16. Raises CorruptError."""
    groups = -(-count // GROUP)
    size = list_bytes(count, m, nbits, with_bias)
    block = np.frombuffer(buffer, np.uint8)
    if len(block) < size:
        raise CorruptError(f"a code block of {count} rows has {size} bytes, not {len(block)}")
    records = _records(block, groups, group_bytes(m, nbits, with_bias))
    codes = np.empty((count, m), np.uint8)
    (unpack_nibbles if nbits == 4 else unpack_bytes)(records, codes)
    at = m * nbits * GROUP // 8
    s = _numbers(records[:, at : at + _FACTORS_BYTES], count)
    b = _numbers(records[:, at + _FACTORS_BYTES :], count) if with_bias else None
    rows = block[records.size : size].copy().view(np.uint32)[:count]
    return codes, s, b, rows


def rows_of_list(buffer: NDArray[np.uint8] | bytes | memoryview, count: int) -> NDArray[np.uint32]:
    """The row numbers (count,) at the end of a code block, without unpacking the rest; a view of the buffer."""
    numbers = np.frombuffer(buffer, np.uint8)[-_ROWS_BYTES * -(-count // GROUP) :]
    rows: NDArray[np.uint32] = numbers.view(np.uint32)[:count]
    return rows


def padded_dim(dim: int, form: Values = "int8") -> int:
    """Values of one row of values, padding included."""
    per_line = RERANK_STEP // VALUE_BYTES[form]
    return -(-dim // per_line) * per_line


def value_row_bytes(dim: int, form: Values = "int8") -> int:
    """Bytes of one row of values."""
    return RERANK_FACTORS + padded_dim(dim, form) * VALUE_BYTES[form]


def rerank_bytes(count: int, dim: int, form: Values = "int8") -> int:
    """Bytes of a rerank block of count rows."""
    return count * value_row_bytes(dim, form)


def value_rows(residuals: NDArray[np.float32], bias: NDArray[np.float32], form: Values) -> NDArray[np.uint8]:
    """Residuals (count, dim) with bias (count,) as rows of values (count, value_row_bytes) uint8."""
    count, dim = residuals.shape
    rows = np.zeros((count, value_row_bytes(dim, form)), np.uint8)
    if form == "float16":
        scales = np.ones(count, np.float32)
        halves = np.clip(residuals, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype(np.float16)
        rows[:, RERANK_FACTORS : RERANK_FACTORS + 2 * dim] = halves.view(np.uint8)
    else:
        scales, values = _int8_scales(residuals), np.empty((count, padded_dim(dim)), np.int8)
        round_to_int8(residuals, scales, values)
        rows[:, RERANK_FACTORS:] = values.view(np.uint8)
    rows[:, :RERANK_FACTORS] = np.stack([scales, bias.astype(np.float32)], axis=1).view(np.uint8)
    return rows


def values_of(
    rows: NDArray[np.uint8], dim: int, form: Values
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
    """(values (n, dim), scale (n,), bias (n,)) of rows of values (n, value_row_bytes): residual ≈ scale · values."""
    factors = rows[:, :RERANK_FACTORS].copy().view(np.float32)
    kept = rows[:, RERANK_FACTORS : RERANK_FACTORS + dim * VALUE_BYTES[form]].copy()
    return kept.view(np.int8 if form == "int8" else np.float16), factors[:, 0].copy(), factors[:, 1].copy()


def residuals_of(rows: NDArray[np.uint8], dim: int, form: Values) -> NDArray[np.float32]:
    """(n, dim) what rows of values keep of residuals."""
    values, scales, _ = values_of(rows, dim, form)
    residuals: NDArray[np.float32] = values.astype(np.float32) * scales[:, None]
    return residuals


def pack_rerank(
    residuals: NDArray[np.float32], bias: NDArray[np.float32], form: Values = "int8"
) -> NDArray[np.uint8]:
    """The rerank block of residuals (count, dim) with bias (count,): (rerank_bytes,) uint8.

    Packing what unpack_rerank gives (scale · values) gives the same bytes again.
    """
    return value_rows(residuals, bias, form).reshape(-1)


def unpack_rerank(
    buffer: NDArray[np.uint8] | bytes | memoryview, count: int, dim: int, form: Values = "int8"
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
    """(values (count, dim), scale (count,), bias (count,)) of a rerank block: residual ≈ scale · values."""
    return values_of(rows_of_values(buffer, count, dim, form), dim, form)


def rows_of_values(
    buffer: NDArray[np.uint8] | bytes | memoryview, count: int, dim: int, form: Values
) -> NDArray[np.uint8]:
    """The rows of values (count, value_row_bytes) at the beginning of a block; a view. Raises CorruptError."""
    size = rerank_bytes(count, dim, form)
    block = np.frombuffer(buffer, np.uint8)
    if len(block) < size:
        raise CorruptError(f"a block of {count} rows of {dim} values in {form} has {size} bytes, not {len(block)}")
    return block[:size].reshape(count, value_row_bytes(dim, form))


def value_list_bytes(count: int, dim: int, form: Values) -> int:
    """Bytes of a code block of count rows of values."""
    return rerank_bytes(count, dim, form) + _ROWS_BYTES * -(-count // GROUP)


def pack_values(coded: NDArray[np.uint8], rows: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The code block of rows of values (count, value_row_bytes), with their row numbers (count,)."""
    numbers = np.full(GROUP * -(-len(rows) // GROUP), NO_ROW, np.uint32)
    numbers[: len(rows)] = rows
    return np.concatenate([coded.reshape(-1), numbers.view(np.uint8)])


def _records(block: NDArray[np.uint8], groups: int, size: int) -> NDArray[np.uint8]:
    """The group records at the head of a block: (groups, size), a view."""
    return block[: groups * size].reshape(groups, size)


def _int8_scales(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """A scale (n,) for each of rows (n, d): the largest entry / 127, or 0 for a row of nothing above TINY.

    Cut to 17 significant bits, so that scale · value is exact for every int8 value, and a row that is
    unpacked and packed again finds the same scale.
    """
    largest = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    largest[largest < TINY] = 0.0
    bits = (largest / np.float32(127.0)).view(np.uint32)
    scales: NDArray[np.float32] = (bits & ~np.uint32(127)).view(np.float32)
    return scales


def as_halves(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Factors (count,) as they come back from float16."""
    return np.clip(numbers, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype(np.float16).astype(np.float32)


def _factors(numbers: NDArray[np.float32], groups: int, padding: float, name: str) -> NDArray[np.uint8]:
    """numbers (count,) as float16, padded to whole groups: (groups, 64) bytes."""
    if np.isnan(numbers).any():
        raise InputError(f"a {name} factor is not a number")
    halves = np.full(groups * GROUP, padding, np.float16)
    halves[: len(numbers)] = as_halves(numbers)
    return halves.view(np.uint8).reshape(groups, _FACTORS_BYTES)


def _numbers(factors: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """The first count numbers of factors (groups, 64) bytes."""
    return np.ascontiguousarray(factors).view(np.float16).reshape(-1)[:count].astype(np.float32)
