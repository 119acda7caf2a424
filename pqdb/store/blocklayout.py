"""Keys, headers and records of the index environment; blocks.py describes them."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError
from pqdb.store.layout import seal, size_class, unseal

CURRENT = b"current"
CODES, RERANK = 0, 1
KINDS = (CODES, RERANK)

HEADER_BYTES = 48
MAGIC = b"PQB2"
_HEADER = struct.Struct("<4sHHIIIIQI")
_CRC = struct.Struct("<I")
_CURRENT = struct.Struct("<IIQQQ")
_GENERATION_KEY = struct.Struct(">I")
_PIECE_KEY = struct.Struct(">II")
_BLOCK_KEY = struct.Struct(">IIB")

LISTS_A_PIECE = 508  # 8 bytes a list: a sealed piece fits one page

LIST_ENTRY = np.dtype([("version", "<u4"), ("count", "<u4")])
ListTable = npt.NDArray[np.void]  # (n_lists,) LIST_ENTRY


@dataclass(frozen=True)
class Current:
    """Which generation is searched, and the row below which everything is in its blocks."""

    generation: int
    watermark: int
    seq: int
    objects_version: int

    @classmethod
    def from_bytes(cls, value: bytes | memoryview | None, where: str) -> "Current":
        """Read the record; CorruptError where it is not one."""
        if value is None:
            raise CorruptError(f"{where} has no current record")
        generation, _, watermark, seq, objects = _CURRENT.unpack(
            unseal(value, f"the current record of {where}")
        )
        return cls(generation, watermark, seq, objects)

    def to_bytes(self) -> bytes:
        """The sealed record."""
        return seal(_CURRENT.pack(self.generation, 0, self.watermark, self.seq, self.objects_version))


@dataclass(frozen=True)
class BlockHeader:
    """What a block says about itself."""

    kind: int
    generation: int
    list_no: int
    count: int
    version: int
    data_bytes: int
    data_crc: int

    @classmethod
    def from_bytes(cls, value: memoryview, what: str) -> "BlockHeader":
        """Read and check a header; CorruptError where it is damaged."""
        if len(value) < HEADER_BYTES:
            raise CorruptError(f"{what} has {len(value)} bytes, less than its header")
        magic, kind, _, generation, list_no, count, version, data_bytes, crc = _HEADER.unpack_from(value)
        own = _CRC.unpack_from(value, _HEADER.size)[0]
        if (
            magic != MAGIC
            or own != zlib.crc32(value[: _HEADER.size])
            or data_bytes > len(value) - HEADER_BYTES
        ):
            raise CorruptError(f"{what} is not what was written: its header is damaged")
        return cls(kind, generation, list_no, count, version, data_bytes, crc)

    def place(self) -> tuple[int, int, int, int, int]:
        """What must agree with the key and the list table."""
        return self.kind, self.generation, self.list_no, self.version, self.count

    def to_bytes(self) -> bytes:
        """HEADER_BYTES bytes."""
        head = _HEADER.pack(
            MAGIC, self.kind, 0, self.generation, self.list_no, self.count, self.version, self.data_bytes,
            self.data_crc,
        )  # fmt: skip
        return (head + _CRC.pack(zlib.crc32(head))).ljust(HEADER_BYTES, b"\0")


def block_value(
    kind: int, generation: int, list_no: int, count: int, version: int, data: memoryview
) -> bytearray:
    """A block: header, data, zeros up to its size class."""
    header = BlockHeader(kind, generation, list_no, count, version, len(data), zlib.crc32(data))
    value = bytearray(size_class(HEADER_BYTES + len(data)))
    value[:HEADER_BYTES] = header.to_bytes()
    value[HEADER_BYTES : HEADER_BYTES + len(data)] = data
    return value


def generation_key(generation: int) -> bytes:
    """u32 big-endian."""
    return _GENERATION_KEY.pack(generation)


def read_generation_key(key: bytes | memoryview) -> int:
    """The generation of a `generation_key`."""
    generation: int = _GENERATION_KEY.unpack(key)[0]
    return generation


def object_key(generation: int, name: str) -> bytes:
    """u32 generation, UTF-8 name."""
    return _GENERATION_KEY.pack(generation) + name.encode()


def piece_key(generation: int, piece: int) -> bytes:
    """u32 generation, u32 piece of the list table."""
    return _PIECE_KEY.pack(generation, piece)


def block_key(generation: int, list_no: int, kind: int) -> bytes:
    """u32 generation, u32 list, u8 kind."""
    return _BLOCK_KEY.pack(generation, list_no, kind)


def read_block_key(key: bytes | memoryview) -> tuple[int, int, int]:
    """(generation, list, kind) of a `block_key`."""
    generation, list_no, kind = _BLOCK_KEY.unpack(key)
    return generation, list_no, kind
