"""Sets of rows: as pyroaring's bitmaps for reckoning, as plain bits for the scan, as arrays for scoring one by one.

Rows come out of a bitmap through its serialized form, which is that of the Roaring Bitmap specification
(https://github.com/RoaringBitmap/RoaringFormatSpec): a container for every 65,536 rows, of row numbers (array), of
bits, or of runs.
"""

import struct
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

Bits = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.uint32]

SPARE_BYTES = 8  # behind the bits, as the store's live bits have them
_WITH_RUNS, _WITHOUT = 12_347, 12_346
_OFFSETS_FROM = 4  # containers: with runs among them, fewer have no offsets
_MOST_IN_ARRAY = 4_096
_CHUNK_ROWS = 1 << 16
_CHUNK_BYTES = _CHUNK_ROWS // 8
_FEW = 1_000  # rows of a chunk: below, bits are set one by one
_FEW_RUNS = 200


def bitmap_of(rows: npt.NDArray[Any]) -> BitMap:
    """The set of rows (n,) in any order, each once or more often."""
    return BitMap(array("I", np.sort(rows).astype(np.uint32).tobytes()))


def rows_of(bitmap: BitMap) -> Rows:
    """(n,) uint32, ascending."""
    return np.frombuffer(bitmap.to_array(), np.uint32)


def bitmap_of_bits(bits: Bits, n_rows: int) -> BitMap:
    """The rows below n_rows whose bit is set: bit r & 7 of byte r >> 3. Made for bits that mostly are."""
    unset = np.flatnonzero(np.unpackbits(bits, count=n_rows, bitorder="little") == 0)
    bitmap = BitMap()
    bitmap.add_range(0, n_rows)
    if len(unset):
        bitmap -= BitMap(array("I", unset.astype(np.uint32).tobytes()))
    return bitmap


def bits_of(bitmap: BitMap, n_rows: int) -> Bits:
    """(ceil(n_rows / 8) + SPARE_BYTES,) uint8: bit r & 7 of byte r >> 3 says whether row r < n_rows is in the set."""
    n_bytes = -(-n_rows // 8)
    chunks = -(-n_rows // _CHUNK_ROWS)
    bits = np.zeros(max(chunks * _CHUNK_BYTES, n_bytes + SPARE_BYTES), np.uint8)
    raw = bitmap.serialize()
    for chunk, count, is_run, at in _containers(raw):
        _fill(bits[chunk * _CHUNK_BYTES : (chunk + 1) * _CHUNK_BYTES], raw, count, is_run, at)
    return bits[: n_bytes + SPARE_BYTES]


def _containers(raw: bytes) -> list[tuple[int, int, bool, int]]:
    """(chunk, rows in it, whether it is of runs, where its data begin) of every container."""
    cookie, second = struct.unpack_from("<II", raw.ljust(8, b"\0"))
    if cookie & 0xFFFF == _WITH_RUNS:
        n, at = (cookie >> 16) + 1, 4
        runs = np.unpackbits(np.frombuffer(raw, np.uint8, -(-n // 8), at), count=n, bitorder="little").tolist()
        at += -(-n // 8)
        offsets = 4 * n if n >= _OFFSETS_FROM else 0
    else:
        assert cookie == _WITHOUT
        n, at, runs = second, 8, [0] * second
        offsets = 4 * n
    heads = np.frombuffer(raw, "<u2", 2 * n, at).reshape(n, 2).tolist()
    at += 4 * n + offsets
    found = []
    for (chunk, last), is_run in zip(heads, runs, strict=True):
        found.append((chunk, last + 1, bool(is_run), at))
        if is_run:
            at += 2 + 4 * int(struct.unpack_from("<H", raw, at)[0])
        else:
            at += 2 * (last + 1) if last < _MOST_IN_ARRAY else _CHUNK_BYTES
    return found


def _fill(bits: Bits, raw: bytes, count: int, is_run: bool, at: int) -> None:
    """Set the bits (_CHUNK_BYTES,) of one container."""
    if is_run:
        n = struct.unpack_from("<H", raw, at)[0]
        runs = np.frombuffer(raw, "<u2", 2 * n, at + 2).reshape(n, 2).astype(np.int64)
        if n <= _FEW_RUNS:
            each = np.zeros(_CHUNK_ROWS, np.bool_)
            for start, more in runs.tolist():
                each[start : start + more + 1] = True
        else:
            edges = np.zeros(_CHUNK_ROWS + 1, np.int8)
            edges[runs[:, 0]] = 1
            edges[runs[:, 0] + runs[:, 1] + 1] -= 1
            each = np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)
        bits[:] = np.packbits(each, bitorder="little")
    elif count > _MOST_IN_ARRAY:
        bits[:] = np.frombuffer(raw, np.uint8, _CHUNK_BYTES, at)
    else:
        rows = np.frombuffer(raw, "<u2", count, at)
        if count < _FEW:
            np.add.at(bits, rows >> 3, np.uint8(1) << (rows & 7).astype(np.uint8))
        else:
            each = np.zeros(_CHUNK_ROWS, np.bool_)
            each[rows] = True
            bits[:] = np.packbits(each, bitorder="little")
