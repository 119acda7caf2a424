"""Segments: the sparse vectors of 4,096 rows turned round, so that a query reads only the dimensions it names.

A value is whole pages (layout.size_class): LMDB keeps it in pages of its own, so its arrays lie at addresses that are
multiples of 4, and it never moves once written:

    u64 magic, u32 dims (d), u32 pairs (p)
    u32[d]      dimensions that any of the rows names, ascending
    u32[d + 1]  where the pairs of each begin
    f32[d]      the largest magnitude of its weights
    f32[p]      weights
    u16[p]      rows within the segment, ascending for each dimension
    zeros, u32 crc32 of all before
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError
from pqdb.store.layout import size_class, trailer_holds

SEGMENT_ROWS = 4_096
HEADER_BYTES = 16
PAIR_BYTES = 8  # of a stored vector: u32 dimension, float32 weight

_HEADER = struct.Struct("<QII")
_MAGIC = int.from_bytes(b"pqdbsegm", "little")
_CRC = struct.Struct("<I")

_NO_DIMS, _NO_WEIGHTS = np.zeros(0, "<u4"), np.zeros(0, "<f4")

Dims = npt.NDArray[np.uint32]
Weights = npt.NDArray[np.float32]
Places = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Pairs:
    """Rows within a segment, dimensions and weights (p,), of one pair each."""

    rows: Places
    dims: Dims
    weights: Weights

    def in_order(self) -> "Pairs":
        """By dimension, and for each by row, which they are in the order of before."""
        order = np.argsort(self.dims, kind="stable")
        return Pairs(self.rows[order], self.dims[order], self.weights[order])

    def same_as(self, other: "Pairs") -> bool:
        """Whether they are the same, in the same order."""
        sides = (self.rows, other.rows), (self.dims, other.dims), (self.weights.view("<u4"), other.weights.view("<u4"))
        return all(np.array_equal(ours, theirs) for ours, theirs in sides)

    def of(self, which: npt.NDArray[np.bool_]) -> "Pairs":
        """Some of them."""
        return Pairs(self.rows[which], self.dims[which], self.weights[which])


def pairs_of(rows: Sequence[int], vectors: Sequence[bytes | memoryview]) -> Pairs:
    """The pairs of stored vectors, each of a row within the segment, in the order of rows."""
    counts = [len(vector) // PAIR_BYTES for vector in vectors]
    dims = [np.frombuffer(vector, "<u4", n) for vector, n in zip(vectors, counts, strict=True)]
    weights = [np.frombuffer(vector, "<f4", n, 4 * n) for vector, n in zip(vectors, counts, strict=True)]
    rows_each = np.repeat(np.array(rows, np.uint16), counts)
    return Pairs(rows_each, np.concatenate([_NO_DIMS, *dims]), np.concatenate([_NO_WEIGHTS, *weights]))


def to_bytes(pairs: Pairs) -> bytearray:
    """The value of a segment, of pairs in order. It is filled in place: of long vectors there are hundreds of MB."""
    begins = np.ones(len(pairs.dims), np.bool_)
    begins[1:] = pairs.dims[1:] != pairs.dims[:-1]
    starts = np.flatnonzero(begins)
    ends = np.append(starts, len(pairs.dims))
    largest = np.maximum.reduceat(np.abs(pairs.weights), starts) if len(starts) else pairs.weights
    arrays = (pairs.dims[starts], "<u4"), (ends, "<u4"), (largest, "<f4"), (pairs.weights, "<f4"), (pairs.rows, "<u2")
    used = HEADER_BYTES + sum(np.dtype(kind).itemsize * len(array) for array, kind in arrays)
    value = bytearray(size_class(used + _CRC.size))
    _HEADER.pack_into(value, 0, _MAGIC, len(starts), len(pairs.dims))
    at = HEADER_BYTES
    for array, kind in arrays:
        there = np.frombuffer(value, kind, len(array), at)
        there[:] = array
        at += there.nbytes
    _CRC.pack_into(value, len(value) - _CRC.size, zlib.crc32(memoryview(value)[: -_CRC.size]))
    return value


def shape_of(value: bytes | memoryview, what: str) -> tuple[int, int]:
    """How many dimensions and pairs a segment has; its checksum is not looked at. Raises CorruptError where it has not
    room for as many.
    """
    if len(value) < HEADER_BYTES:
        raise CorruptError(f"{what} has {len(value)} bytes, fewer than a segment begins with")
    magic, n_dims, n_pairs = _HEADER.unpack_from(value)
    if magic != _MAGIC or len(value) < HEADER_BYTES + 12 * n_dims + 4 + 6 * n_pairs:
        raise CorruptError(f"{what} ({len(value)} bytes) is not a segment of {n_dims:,} dimensions, {n_pairs:,} pairs")
    return n_dims, n_pairs


def from_bytes(value: bytes | memoryview, what: str) -> Pairs:
    """The pairs of a segment, checked. Raises CorruptError."""
    if not trailer_holds(value):
        raise CorruptError(f"{what} is not what was written: its checksum differs")
    n_dims, n_pairs = shape_of(value, what)
    dims = np.frombuffer(value, "<u4", n_dims, HEADER_BYTES)
    starts: Dims = np.frombuffer(value, np.uint32, n_dims + 1, HEADER_BYTES + 4 * n_dims)
    at = HEADER_BYTES + 12 * n_dims + 4
    weights = np.frombuffer(value, "<f4", n_pairs, at)
    rows = np.frombuffer(value, "<u2", n_pairs, at + 4 * n_pairs)
    return Pairs(rows, np.repeat(dims, (starts[1:] - starts[:-1]).astype(np.int64)), weights)
