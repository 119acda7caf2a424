"""What docs/format.md says of sparse vectors is true: real ones are taken apart with the page's own layouts."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest

import pqdb
from tests.docs.disk import LAYOUTS, Points, collection_folder, dump, unsealed

ROWS = 4_100
DEAD = 77
SLOT = 2  # behind that of the dense one


def vector(row: int) -> dict[int, float]:
    """A few dimensions, none of the last two rows."""
    return {} if row >= ROWS - 2 else {row % 50: 1.5, 100 + row % 7: -0.25, (1 << 32) - 1: float(row)}


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Points:
    folder = tmp_path_factory.mktemp("format") / "db"
    vectors = {"": pqdb.VectorConfig(2), "words": pqdb.SparseConfig(idf=True)}
    with pqdb.open(folder, upkeep="manual") as db:
        things = db.create_collection("things", vectors=vectors)
        words = [vector(row) if row % 10 else None for row in range(ROWS)]
        things.upsert(range(ROWS), {"": np.ones((ROWS, 2)), "words": words})
        things.delete([DEAD])
    return Points(dump(collection_folder(folder, "things") / "points"))


def pairs(value: bytes) -> tuple[dict[int, list[tuple[int, float]]], int]:
    """Of a segment: dimension → (row, weight) of each pair, and the bytes that are neither zeros nor checksum."""
    layout = LAYOUTS["segment"]
    head = layout.read(value[: layout.size])
    d, p, at = head["dimensions"], head["pairs"], layout.size
    assert head["magic"] == b"pqdbsegm"
    dims = struct.unpack_from(f"<{d}I", value, at)
    starts = struct.unpack_from(f"<{d + 1}I", value, at + 4 * d)
    largest = struct.unpack_from(f"<{d}f", value, at + 8 * d + 4)
    weights = struct.unpack_from(f"<{p}f", value, at + 12 * d + 4)
    rows = struct.unpack_from(f"<{p}H", value, at + 12 * d + 4 + 4 * p)
    assert (list(dims), starts[-1]) == (sorted(dims), p)
    found = {
        dim: list(zip(rows[starts[i] : starts[i + 1]], weights[starts[i] : starts[i + 1]], strict=True))
        for i, dim in enumerate(dims)
    }
    assert largest == tuple(max(abs(weight) for _, weight in each) for each in found.values())
    return found, at + 12 * d + 4 + 6 * p


def test_the_manifest_counts_their_slots(points: Points) -> None:
    manifest: dict[str, Any] = points.manifest()
    assert (manifest["version"], manifest["store"]["sparse"], len(manifest["store"]["slots"])) == (4, 1, 1)
    assert manifest["manifest"]["config"]["sparse"] == [{"name": "words", "idf": True}]


def test_vectors_lie_under_their_rows(points: Points) -> None:
    found = {struct.unpack(">HI", key): unsealed(value) for key, value in points.dbs["sparse"].items()}
    assert found.keys() == {(SLOT, row) for row in range(ROWS) if row % 10 and row != DEAD}
    for (_, row), record in found.items():
        n = len(record) // 8
        dims, weights = struct.unpack_from(f"<{n}I", record), struct.unpack_from(f"<{n}f", record, 4 * n)
        assert dict(zip(dims, weights, strict=True)) == vector(row)
        assert list(dims) == sorted(dims)


def test_the_segment_has_them_by_dimension(points: Points) -> None:
    [(key, value)] = points.dbs["segments"].items()
    assert struct.unpack(">HI", key) == (SLOT, 0)
    expected: dict[int, list[tuple[int, float]]] = {}
    for row in range(4_096):
        for dim, weight in vector(row).items() if row % 10 else ():
            expected.setdefault(dim, []).append((row, weight))
    found, size = pairs(value)
    assert found == expected
    assert not any(value[size:-4])
    assert struct.pack("<I", zlib.crc32(value[:-4])) == value[-4:]
    assert len(value) % 4096 == 4080
    assert DEAD in {row for row, _ in found[DEAD % 50]}
