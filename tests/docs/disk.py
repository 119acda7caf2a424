"""A database folder read by docs/format.md alone: LMDB for keys and values, `struct` and zlib for the rest."""

import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from tests.docs.layouts import Layout, layouts
from tests.docs.pages import ROOT

LAYOUTS: dict[str, Layout] = layouts(ROOT / "docs" / "format.md")


def unsealed(value: bytes) -> bytes:
    """The record inside a sealed value."""
    record, seal = value[:-4], value[-4:]
    assert struct.pack("<I", zlib.crc32(record)) == seal
    return record


def dump(folder: Path) -> dict[str, dict[bytes, bytes]]:
    """Every named database of an environment as a dict."""
    # A file of its own: LMDB must not open one twice in a process.
    with lmdb.open(str(folder), max_dbs=16, readonly=True, lock=False) as env, env.begin() as txn:
        names = [bytes(key).decode() for key, _ in txn.cursor()]
        return {name: dict(txn.cursor(db=env.open_db(name.encode(), txn=txn))) for name in names}


def collection_folder(database: Path, name: str) -> Path:
    """The folder of a collection."""
    record = unsealed(dump(database / "catalog")["collections"][name.encode()])
    return database / str(json.loads(record)["uuid"])


@dataclass
class Points:
    """A points environment."""

    dbs: dict[str, dict[bytes, bytes]]

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(unsealed(self.dbs["main"][b"manifest"]))
        return found

    def state(self) -> dict[str, Any]:
        record = unsealed(self.dbs["main"][b"state"])
        state = LAYOUTS["state"].read(record)
        assert len(record) == LAYOUTS["state"].size + 8 * (state["pieces"] + state["groups"])
        return state

    def source_row(self, row: int) -> bytes:
        geometry = self.manifest()["store"]
        run, at = divmod(row, geometry["rows_per_run"])
        value = self.dbs["runs"][struct.pack(">HI", 0, run)]
        assert len(value) == geometry["run_pages"] * 4096 - 16
        trailer = LAYOUTS["run trailer"]
        end = trailer.read(value, len(value) - trailer.size)
        assert end["checksum"] == zlib.crc32(value[:-4])
        assert at < end["rows"]
        return value[at * geometry["row_bytes"] : (at + 1) * geometry["row_bytes"]]

    def record(self, row: int) -> dict[str, Any]:
        """Id, version, and whether there is a payload."""
        page, at = divmod(row, 170)
        key = struct.pack(">I", page)
        value = self.dbs["meta"][key]
        assert struct.pack("<I", zlib.crc32(value)) == self.dbs["sums"][key]
        fields = LAYOUTS["row record"].read(value, at * LAYOUTS["row record"].size)
        kind = fields["tail"] >> 56 & 3
        text = self.dbs["texts"].get(struct.pack(">I", row), b"")
        return {
            "id": {0: int.from_bytes(fields["id"][:8], "little"), 1: fields["id"].hex(), 2: text.decode()}[kind],
            "version": fields["tail"] & (1 << 56) - 1,
            "payload": bool(fields["tail"] >> 58 & 1),
        }

    def is_live(self, row: int) -> bool:
        piece, at = divmod(row, 32_576)
        value = self.dbs["live"][struct.pack(">I", piece)]
        fields = LAYOUTS["live piece"].read(value)
        assert len(value) == LAYOUTS["live piece"].size
        assert fields["checksum"] == zlib.crc32(value[:-4])
        return bool(fields["bits"][at >> 3] >> (at & 7) & 1)

    def rows(self) -> dict[Any, int]:
        """Row by id key."""
        return {key: struct.unpack("<I", value)[0] for key, value in self.dbs["ids"].items()}


@dataclass
class Codebook:
    """A codebook's bytes taken apart."""

    fields: dict[str, Any]
    bounds: tuple[int, ...]
    rotation: tuple[float, ...]
    codewords: tuple[float, ...]

    @classmethod
    def read(cls, data: bytes) -> "Codebook":
        layout = LAYOUTS["codebook"]
        fields = layout.read(data)
        m, dim, d_out, ksub = fields["m"], fields["dim"], fields["d_out"], 1 << fields["nbits"]
        rotated = d_out * dim if fields["rotated"] else 0
        form = f"<{m + 1}i{rotated}f{d_out * ksub}f"
        numbers = struct.unpack(form, data[layout.size :])
        return cls(fields, numbers[: m + 1], numbers[m + 1 : m + 1 + rotated], numbers[m + 1 + rotated :])

    def decode(self, code: list[int]) -> list[float]:
        """r̂ of one code."""
        words = [
            self.codewords[i << self.fields["nbits"] | word]
            for j, word in enumerate(code)
            for i in range(self.bounds[j], self.bounds[j + 1])
        ]
        if not self.rotation:
            return words
        dim = self.fields["dim"]
        return [sum(w * self.rotation[i * dim + k] for i, w in enumerate(words)) for k in range(dim)]


@dataclass
class Index:
    """An index environment, its current generation."""

    dbs: dict[str, dict[bytes, bytes]]

    def current(self) -> dict[str, Any]:
        record = unsealed(self.dbs["main"][b"current"])
        assert len(record) == LAYOUTS["current"].size
        return LAYOUTS["current"].read(record)

    def object(self, name: str) -> bytes:
        return unsealed(self.dbs["objects"][struct.pack(">I", self.current()["generation"]) + name.encode()])

    def counts(self) -> list[int]:
        """Rows of every list, by the list table."""
        entry = LAYOUTS["list entry"]
        generation = self.current()["generation"]
        n_lists = struct.unpack("<I", unsealed(self.dbs["generations"][struct.pack(">I", generation)]))[0]
        found = []
        for piece in range(-(-n_lists // 508)):
            table = unsealed(self.dbs["lists"][struct.pack(">II", generation, piece)])
            found += [entry.read(table, at)["count"] for at in range(0, len(table), entry.size)]
        assert len(found) == n_lists
        return found

    def block(self, list_no: int, kind: int) -> tuple[int, bytes]:
        """(count, data) of a block."""
        generation = self.current()["generation"]
        value = self.dbs["blocks"][struct.pack(">IIB", generation, list_no, kind)]
        header = LAYOUTS["block header"]
        fields = header.read(value)
        data = value[header.size : header.size + fields["data_bytes"]]
        assert fields["magic"] == b"PQB2"
        assert (fields["generation"], fields["list"], fields["kind"]) == (generation, list_no, kind)
        assert fields["header_checksum"] == zlib.crc32(value[:36])
        assert fields["data_checksum"] == zlib.crc32(data)
        assert not any(value[header.size + len(data) :])
        assert len(value) == _size_class(header.size + len(data))
        return fields["count"], data

    def codes(self, list_no: int, m: int, nbits: int, bias: bool) -> list[dict[str, Any]]:
        """The rows of a code block: row, code, s and B of each."""
        count, data = self.block(list_no, 0)
        groups = -(-count // 32)
        codes_bytes = (16 if nbits == 4 else 32) * m
        record = codes_bytes + 64 * (2 if bias else 1)
        assert len(data) == groups * (record + 128)
        numbers = struct.unpack_from(f"<{32 * groups}I", data, groups * record)
        assert set(numbers[count:]) <= {0xFFFFFFFF}
        found = []
        for position in range(count):
            group, i = divmod(position, 32)
            at = group * record
            if nbits == 4:
                code = [data[at + 16 * j + i % 16] >> (4 if i >= 16 else 0) & 15 for j in range(m)]
            else:
                code = [data[at + 32 * j + i] for j in range(m)]
            s = struct.unpack_from("<e", data, at + codes_bytes + 2 * i)[0]
            b = struct.unpack_from("<e", data, at + codes_bytes + 64 + 2 * i)[0] if bias else 0.0
            found.append({"row": numbers[position], "code": code, "s": s, "B": b})
        return found

    def residuals(self, list_no: int, dim: int) -> list[tuple[list[float], float]]:
        """(residual, bias) of every row of a rerank block."""
        count, data = self.block(list_no, 1)
        dpad = -(-dim // 64) * 64
        assert len(data) == count * (dpad + 8)
        found = []
        for position in range(count):
            scale, bias, *values = struct.unpack_from(f"<ff{dim}b", data, position * (dpad + 8))
            found.append(([scale * value for value in values], bias))
        return found


def _size_class(data_bytes: int) -> int:
    """As format.md tells it, the long way."""
    pages = -(-(data_bytes + 16) // 4096)
    top = 16
    while top < pages:
        top *= 2
    step = top // 16 if top > 16 else 1
    return -(-pages // step) * step * 4096 - 16


def router(data: bytes) -> tuple[dict[str, Any], tuple[float, ...], list[tuple[float, ...]]]:
    """(fields, mean, centroids) of a router."""
    layout = LAYOUTS["router"]
    fields = layout.read(data)
    n, dim = fields["n_lists"], fields["dim"]
    numbers = struct.unpack(f"<{dim * (n + 1) + n + 1}f", data[layout.size :])
    rows = [numbers[i : i + dim] for i in range(0, dim * (n + 1), dim)]
    fields["spreads"], fields["lead"] = numbers[-n - 1 : -1], numbers[-1]
    return fields, rows[0], rows[1:]
