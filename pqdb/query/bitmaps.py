"""Sets of rows: as pyroaring's bitmaps for reckoning, as plain bits for the scan, as arrays for scoring one by one.

Between bitmaps and plain bits rows go through the serialized form, that of the Roaring Bitmap specification
(https://github.com/RoaringBitmap/RoaringFormatSpec): a container for every 65,536 rows, of row numbers where there are
at most 4,096, else of bits, or of runs.
"""

import struct
from array import array
from functools import lru_cache
from typing import Any, NamedTuple

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
_FEW = 1_000  # rows: up to so many, bits are set one by one
_MANY = 20_000  # rows: from so many on, a bitmap is made from bits
_EVENS = np.uint8(0x55)  # the bits of even rows


def bitmap_of(rows: npt.NDArray[Any]) -> BitMap:
    """The set of rows (n,) in any order, each once or more often."""
    if len(rows) < _MANY:
        return BitMap(array("I", np.sort(rows).astype(np.uint32).tobytes()))
    each = np.zeros(int(rows.max()) + 1, np.bool_)
    each[rows] = True
    return _from_bits(np.packbits(each, bitorder="little"))


def rows_of(bitmap: BitMap) -> Rows:
    """(n,) uint32, ascending."""
    return np.frombuffer(bitmap.to_array(), np.uint32)


def bitmap_of_bits(bits: Bits, n_rows: int) -> BitMap:
    """The rows below n_rows whose bit is set: bit r & 7 of byte r >> 3."""
    found = _from_bits(bits[: -(-n_rows // 8)])
    found.run_optimize()
    return found


def bits_of(bitmap: BitMap, n_rows: int) -> Bits:
    """(ceil(n_rows / 8) + SPARE_BYTES,) uint8: bit r & 7 of byte r >> 3 says whether row r < n_rows is in the set."""
    n_bytes, chunks = -(-n_rows // 8), -(-n_rows // _CHUNK_ROWS)
    bits = np.zeros(max(chunks * _CHUNK_BYTES, n_bytes + SPARE_BYTES), np.uint8)
    if len(bitmap) <= _FEW:
        rows = rows_of(bitmap)
        np.add.at(bits, rows >> 3, np.uint8(1) << (rows & 7).astype(np.uint8))
        return bits[: n_bytes + SPARE_BYTES]
    raw = bitmap.serialize()
    containers = _containers(raw)
    mixed, places = b"", dict[int, int]()
    if not all(container.of_bits for container in containers):
        # Xor with every other row makes containers of bits of all others: 28,672 to 36,864 rows are in each.
        mixed = (bitmap ^ _every_other(chunks)).serialize()
        places |= {container.chunk: container.at for container in _containers(mixed)}
    for chunk, of_bits, at in containers:
        into = bits[chunk * _CHUNK_BYTES : (chunk + 1) * _CHUNK_BYTES]
        if of_bits:
            into[:] = np.frombuffer(raw, np.uint8, _CHUNK_BYTES, at)
        else:
            np.bitwise_xor(np.frombuffer(mixed, np.uint8, _CHUNK_BYTES, places[chunk]), _EVENS, out=into)
    return bits[: n_bytes + SPARE_BYTES]


class _Container(NamedTuple):
    chunk: int
    of_bits: bool
    at: int  # where its data begin


def _containers(raw: bytes) -> list[_Container]:
    """The containers of a serialized bitmap."""
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
        of_bits = not is_run and last >= _MOST_IN_ARRAY
        found.append(_Container(chunk, of_bits, at))
        if is_run:
            at += 2 + 4 * int(struct.unpack_from("<H", raw, at)[0])
        else:
            at += _CHUNK_BYTES if of_bits else 2 * (last + 1)
    return found


@lru_cache(maxsize=4)
def _every_other(chunks: int) -> BitMap:
    """The even rows of so many chunks."""
    return _from_bits(np.full(chunks * _CHUNK_BYTES, _EVENS))


def _from_bits(bits: Bits) -> BitMap:
    """The rows whose bit is set, by way of the serialized form."""
    heads, bodies = [], []
    for chunk in range(-(-len(bits) // _CHUNK_BYTES)):
        part = bits[chunk * _CHUNK_BYTES : (chunk + 1) * _CHUNK_BYTES]
        count = int(np.bitwise_count(part).sum())
        if count > _MOST_IN_ARRAY:
            bodies.append(part.tobytes().ljust(_CHUNK_BYTES, b"\0"))
        elif count:
            rows = np.flatnonzero(np.unpackbits(part, bitorder="little"))
            bodies.append(rows.astype("<u2").tobytes())
        if count:
            heads.append((chunk, count - 1))
    if not heads:
        return BitMap()
    start = 8 + 8 * len(heads)
    offsets = start + np.cumsum([0, *map(len, bodies[:-1])])
    head = struct.pack("<II", _WITHOUT, len(heads)) + np.array(heads, "<u2").tobytes() + offsets.astype("<u4").tobytes()
    return BitMap.deserialize(head + b"".join(bodies))
