"""The geometry of what lies on disk: runs of source rows, pages of row records, pieces of the live bitmap.

LMDB keeps a value larger than half a page in whole pages of its own, 16 bytes after the start of the first
(LMDB 0.9). Everything large here is sized so that those pages are full:

run         `rows_per_run` source rows one after the other, zeros, then u32 rows filled, u32 crc32 of all
            before. The value is always `pages * 4096 - 16` bytes, filled or not.
meta page   170 row records of 24 bytes (4,080 bytes = one page); its crc32 is in the database ``sums``.
            A record is 16 bytes of id and a u64 tail word. Id: u64 in the first 8 bytes (kind 0) | 16 bytes
            of UUID (kind 1) | zeros (kind 2: the text is in the database ``texts``). Tail word: bits 0..55
            version (sequence of the commit that last wrote the point), 56..57 kind, 58 "has a payload".
live piece  4,072 bytes of bitmap (32,576 rows), u32 zero, u32 crc32 of all before: one page.
sealed      any small record: its bytes, then u32 crc32 of them.

All integers are little-endian, except in keys, where big-endian makes byte order number order.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError, InputError

PAGE = 4096
PAGE_HEADER = 16  # of the first page of an overflow value, LMDB 0.9
MAX_WASTE = 0.05
RUN_TRAILER = struct.Struct("<II")  # rows filled, crc32

META_ROWS = 170
META_BYTES = 24
META_PAGE = META_ROWS * META_BYTES
META_GROUP = 64  # meta pages that share one version in the state record

PIECE_BYTES = 4072
PIECE_ROWS = PIECE_BYTES * 8

VERSION_MASK = (1 << 56) - 1
KIND_SHIFT = 56
KIND_INT, KIND_UUID, KIND_TEXT = 0, 1, 2
PAYLOAD_FLAG = 1 << 58

MAX_ROWS = (1 << 32) - 1

_CRC = struct.Struct("<I")
_ROW_KEY = struct.Struct(">I")
ROW_BYTES = 4  # of a row, as key or value
_RUN_KEY = struct.Struct(">HI")
UNNAMED_SLOT = 0  # named vectors count from 1 (slots.py)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Runs:
    """The geometry of a store's source runs."""

    row_bytes: int
    rows_per_run: int
    pages: int

    @classmethod
    def of(cls, row_bytes: int) -> "Runs":
        """The smallest run of whole pages with at most 5 % of them wasted. Raises InputError."""
        if row_bytes < 1:
            raise InputError(f"a source row has at least 1 byte, not {row_bytes}")
        pages = 1
        while True:
            rows = (run_size(pages) - RUN_TRAILER.size) // row_bytes
            if rows * row_bytes >= (1.0 - MAX_WASTE) * pages * PAGE:
                return cls(row_bytes, rows, pages)
            pages += 1

    @property
    def run_bytes(self) -> int:
        """Bytes of the value of a run."""
        return run_size(self.pages)

    def to_dict(self) -> dict[str, int]:
        """For the manifest."""
        return {"row_bytes": self.row_bytes, "rows_per_run": self.rows_per_run, "run_pages": self.pages}

    @classmethod
    def from_dict(cls, record: Mapping[str, int]) -> "Runs":
        """From the manifest."""
        return cls(record["row_bytes"], record["rows_per_run"], record["run_pages"])


def run_size(pages: int) -> int:
    """Bytes of the value that fills so many pages."""
    return pages * PAGE - PAGE_HEADER


def close_run(run: Bytes, rows: int) -> None:
    """Write the trailer of a run (run_size,) uint8 of which `rows` rows are filled."""
    body = len(run) - 4
    run[body - 4 : body] = np.frombuffer(_CRC.pack(rows), np.uint8)
    run[body:] = np.frombuffer(_CRC.pack(zlib.crc32(run[:body].data)), np.uint8)


def close_piece(bits: Bytes) -> bytes:
    """The value of one live piece from its (PIECE_BYTES,) bitmap."""
    body = bits.tobytes() + b"\0\0\0\0"
    return body + _CRC.pack(zlib.crc32(body))


def closed_run(value: bytes | memoryview) -> int | None:
    """How many rows a run says are filled; None where its checksum differs."""
    return RUN_TRAILER.unpack_from(value, len(value) - RUN_TRAILER.size)[0] if trailer_holds(value) else None


def trailer_holds(value: bytes | memoryview) -> bool:
    """Whether the crc32 in the last four bytes of a value is that of the bytes before it."""
    body = len(value) - 4
    return body >= 0 and _CRC.pack(zlib.crc32(value[:body])) == bytes(value[body:])


def bits_at(bits: Bytes, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
    """(n,) which of rows (n,) have their bit set: bit r & 7 of byte r >> 3."""
    found: npt.NDArray[np.bool_] = (bits[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).astype(bool)
    return found


def seal(record: bytes) -> bytes:
    """A small record with its crc32 behind it."""
    return record + _CRC.pack(zlib.crc32(record))


def unseal(value: bytes | memoryview, what: str) -> bytes:
    """The record inside a sealed value; `what` names it in the CorruptError."""
    if not trailer_holds(value):
        raise CorruptError(f"{what} ({len(value)} bytes) is not what was written: its checksum differs")
    return bytes(value[: len(value) - 4])


def crc_bytes(value: bytes | memoryview) -> bytes:
    """The crc32 of a value, as the four bytes kept beside it."""
    return _CRC.pack(zlib.crc32(value))


def row_key(row: int) -> bytes:
    """Key of a row (payloads, texts), a meta page or a live piece: u32 big-endian."""
    return _ROW_KEY.pack(row)


def run_key(run: int, slot: int = UNNAMED_SLOT) -> bytes:
    """Key of a source run: u16 vector slot, u32 run number, big-endian."""
    return _RUN_KEY.pack(slot, run)


def piece_key(piece: int, slot: int = UNNAMED_SLOT) -> bytes:
    """Key of a live piece: u32 big-endian, behind the u16 slot of a named vector."""
    return _ROW_KEY.pack(piece) if slot == UNNAMED_SLOT else _RUN_KEY.pack(slot, piece)


def row_of_key(key: bytes | memoryview) -> int:
    """The row of a `row_key`."""
    row: int = _ROW_KEY.unpack(key)[0]
    return row


def run_of_key(key: bytes | memoryview) -> tuple[int, int]:
    """(slot, run) of a `run_key`."""
    slot, run = _RUN_KEY.unpack(key)
    return slot, run


def value_pages(data_bytes: int) -> int:
    """Bytes of the pages that a value of a size class takes in the file."""
    return size_class(data_bytes) + PAGE_HEADER


def size_class(data_bytes: int) -> int:
    """Bytes of the value that holds `data_bytes`, rounded up to a few classes of whole pages.

    Every count up to 16 pages is a class, then eight a doubling: at most an eighth is wasted, and blocks that
    grow and shrink find pages that others left.
    """
    pages = -(-(data_bytes + PAGE_HEADER) // PAGE)
    step = 1 << max(0, (pages - 1).bit_length() - 4)
    return run_size(-(-pages // step) * step)
