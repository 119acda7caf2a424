"""The record layouts that docs/format.md draws, as decoders: the page itself reads the bytes."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```layout\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^(\d+) +(\w+) +(\w+)(?: {2,}.*)?$")
_KINDS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f32": "f"}


@dataclass(frozen=True)
class Layout:
    """One record: a name, and fields one behind the other."""

    name: str
    fields: tuple[str, ...]
    format: struct.Struct

    def read(self, data: bytes, offset: int = 0) -> dict[str, Any]:
        """The fields of the record at an offset."""
        return dict(zip(self.fields, self.format.unpack_from(data, offset), strict=True))

    @property
    def size(self) -> int:
        """Bytes of the record."""
        return self.format.size


def layouts(page: Path) -> dict[str, Layout]:
    """Every `layout` block of a page; its first line is "name, byte order", each other "offset type field"."""
    found = [_layout(block) for block in _BLOCK.findall(page.read_text())]
    return {layout.name: layout for layout in found}


def _layout(block: str) -> Layout:
    title, *lines = block.splitlines()
    name, order = title.split(", ")
    form, fields = {"little-endian": "<", "big-endian": ">"}[order], []
    for line in lines:
        match = _FIELD.match(line)
        assert match, f"layout {name!r}: {line!r} is not `offset type field`"
        offset, kind, field = match.groups()
        assert int(offset) == struct.calcsize(form), f"layout {name!r}: {field} is not at {offset}"
        form += _KINDS.get(kind) or kind.removeprefix("bytes") + "s"
        fields.append(field)
    return Layout(name, tuple(fields), struct.Struct(form))
