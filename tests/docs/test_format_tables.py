"""What docs/format.md says of payload indexes is true: a real one is taken apart with the page's own layouts."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

import pqdb
from tests.docs.disk import LAYOUTS, Points, collection_folder, dump, unsealed

UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
LONG = "ä" * 300
PAYLOADS: list[Any] = [
    {"k": "red", "i": 5, "f": 1.5, "b": True, "d": "2024-01-01T00:00:00.25Z", "u": UUID, "g": {"lat": 0, "lon": -180}},
    {"k": ["blue", 7, None], "i": [-3, 2**70], "f": -1.5, "b": [False, 1], "d": "1969-12-31", "u": "no UUID"},
    {"k": LONG, "i": [], "f": 2**53 + 1, "g": {"lat": -45, "lon": 90}, "t": ["Deep Blue, sea", "blue"]},
    None,
]
KINDS = {
    "k": "keyword",
    "i": "integer",
    "f": "float",
    "b": "bool",
    "d": "datetime",
    "u": "uuid",
    "g": "geo",
    "t": "text",
}


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Points:
    folder = tmp_path_factory.mktemp("format") / "db"
    with pqdb.open(folder, upkeep="manual") as db:
        things = db.create_collection("things", 2)
        things.upsert(range(4), np.ones((4, 2)), PAYLOADS)
        for key, kind in KINDS.items():
            things.create_payload_index(key, kind)
        many = db.create_collection("many", 2)
        many.create_payload_index("n", "integer")
        many.upsert(range(1_000), np.ones((1_000, 2)), [{"n": row // 2} for row in range(1_000)])
    return Points(dump(collection_folder(folder, "things") / "points"))


def tables(points: Points) -> dict[str, dict[Any, list[int]]]:
    """By the key of the payload index: its keys, and the rows under them."""
    named = {record["table"]: record["key"] for record in points.manifest()["manifest"]["indexes"]}
    found: dict[str, dict[Any, list[int]]] = {key: {} for key in named.values()}
    for name, value in points.dbs["postings"].items():
        table = LAYOUTS["posting key"].read(name)["table"]
        key, chunk = name[LAYOUTS["posting key"].size : -2], struct.unpack(">H", name[-2:])[0]
        assert chunk == 0
        found[named[table]][key] = list(BitMap.deserialize(unsealed(value)))
    for name, value in points.dbs["orders"].items():
        record, leaf = unsealed(value), LAYOUTS["leaf key"].read(name)
        n = len(record) // 12
        pairs = zip(struct.unpack(f"<{n}Q", record[: 8 * n]), struct.unpack(f"<{n}I", record[8 * n :]), strict=True)
        for key, row in pairs:
            assert (key, row) >= (leaf["key"], leaf["row"])
            found[named[leaf["table"]]].setdefault(key, []).append(row)
    return found


def test_the_manifest_names_them(points: Points) -> None:
    manifest = points.manifest()
    assert (manifest["version"], manifest["store"]["tables"]) == (2, True)
    assert [(each["key"], each["kind"]) for each in manifest["manifest"]["indexes"]] == list(KINDS.items())


def test_strings(points: Points) -> None:
    raw = LONG.encode()
    cut = raw[:384] + hashlib.blake2b(raw, digest_size=16).digest()
    assert tables(points)["k"] == {
        b"=red": [0], b"=blue": [1], b"=" + cut: [2], b"p": [0, 1, 2], b"e": [0, 1, 2], b"n": [1], b"s": [1], b"o": [1],
    }  # fmt: skip
    assert tables(points)["u"] == {
        b"=" + bytes.fromhex(UUID.replace("-", "")): [0],
        b"x": [1],
        b"p": [0, 1],
        b"e": [0, 1],
    }
    assert tables(points)["t"] == {b"=deep": [2], b"=blue": [2], b"=sea": [2], b"s": [2], b"p": [2], b"e": [2]}


def test_numbers_and_flags(points: Points) -> None:
    assert tables(points)["i"] == {
        5 + 2**63: [0], -3 + 2**63: [1], b"x": [1], b"o": [1], b"s": [1], b"p": [0, 1], b"e": [0, 1],
    }  # fmt: skip

    def key(number: float) -> int:
        [bits] = struct.unpack("<Q", struct.pack("<d", number))
        return int(bits ^ (2**64 - 1)) if bits >> 63 else int(bits | 2**63)

    assert tables(points)["f"] == {key(1.5): [0], key(-1.5): [1], b"x": [2], b"p": [0, 1, 2], b"e": [0, 1, 2]}
    assert key(-1.5) < key(0.0) < key(1.5)
    assert tables(points)["b"] == {b"=1": [0], b"=0": [1], b"o": [1], b"s": [1], b"p": [0, 1], b"e": [0, 1]}


def test_times_and_places(points: Points) -> None:
    first, second = 1_704_067_200_250_000, -86_400_000_000
    assert tables(points)["d"] == {first + 2**63: [0], second + 2**63: [1], b"p": [0, 1], b"e": [0, 1]}

    def woven(lat: int, lon: int) -> int:
        bits = "".join(a + b for a, b in zip(f"{lat:032b}", f"{lon:032b}", strict=True))
        return int(bits, 2)

    places = {woven(2**31, 0): [0], woven(2**30, 3 * 2**30): [2]}
    assert tables(points)["g"] == {**places, b"p": [0, 2], b"e": [0, 2]}


def test_leaves_are_of_a_page_at_most(points: Points, tmp_path: Path) -> None:
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        many = db.create_collection("many", 2)
        many.create_payload_index("n", "integer")
        many.upsert(range(1_000), np.ones((1_000, 2)), [{"n": row // 2} for row in range(1_000)])
    leaves = Points(dump(collection_folder(tmp_path / "db", "many") / "points")).dbs["orders"]
    names = [LAYOUTS["leaf key"].read(name) for name in leaves]
    assert names[0] == {"table": 1, "key": 0, "row": 0}
    assert all((len(value) - 4) // 12 <= 339 for value in leaves.values())
    assert len(names) == 4
    assert json.dumps(names[1:]) == json.dumps(
        [{"table": 1, "key": 2**63 + row // 2, "row": row} for row in (250, 500, 750)]
    )
