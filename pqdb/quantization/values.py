"""Codes that are scanned value by value: residuals as int8 with a scale a vector, or as float16."""

import struct
from dataclasses import dataclass
from typing import Self

from pqdb.config import VALUE_BYTES, Values
from pqdb.errors import CorruptError, FormatError
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.pack import value_row_bytes

MAGIC = b"PQVC"
VERSION = 1
_HEADER = struct.Struct("<4sHHI")


@dataclass(frozen=True)
class ValueCode:
    """Residuals value by value, int8 with a scale a vector or float16: see pack.value_rows."""

    dim: int
    form: Values

    @property
    def code_bytes(self) -> int:
        """Bytes of one code, its factors and padding included."""
        return value_row_bytes(self.dim, self.form)

    def to_bytes(self) -> bytes:
        """Little-endian: magic "PQVC", u16 version, u16 bytes a value, u32 dim."""
        return _HEADER.pack(MAGIC, VERSION, VALUE_BYTES[self.form], self.dim)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Self:
        """Raises FormatError (newer version), CorruptError (anything else)."""
        if len(data) != _HEADER.size:
            raise CorruptError(f"a code of values is described in {_HEADER.size} bytes, not {len(data)}")
        magic, version, size, dim = _HEADER.unpack(bytes(data))
        if magic != MAGIC or dim < 1:
            raise CorruptError(f"a code of values begins with {MAGIC!r} and has dimensions, not {magic!r} and {dim}")
        if version > VERSION:
            raise FormatError(f"a code of values of version {version}; this pqdb reads up to version {VERSION}")
        forms: dict[int, Values] = {1: "int8", 2: "float16"}
        if size not in forms:
            raise CorruptError(f"a code of values has 1 or 2 bytes a value, not {size}")
        return cls(dim, forms[size])


Code = Codebook | ValueCode


def code_from_bytes(data: bytes | memoryview) -> Code:
    """What codes mean, from the bytes of a generation's object. Raises FormatError, CorruptError."""
    if bytes(data[:4]) == MAGIC:
        return ValueCode.from_bytes(data)
    return Codebook.from_bytes(data)
