"""docs/format.md is true: a real database is decoded with the page's own layouts and compared with what pqdb says."""

import json
import math
import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from tests.compiled import compiled
from tests.data import clustered
from tests.docs.disk import LAYOUTS, Codebook, Index, Points, collection_folder, dump, router

ROWS, DIM = 5_200, 24
UUID = str(uuid.UUID(int=77))
CASES: dict[str, dict[str, Any]] = {
    "cosine": {},
    "l2": {"metric": "l2", "source": "float16"},
    "8-bit": {"metric": "dot", "quantization": pqdb.PQ(m=6, nbits=8), "source": "int8"},
}


@dataclass
class Written:
    """A collection, and its bytes after it was closed."""

    metric: str
    points: Points
    index: Index
    said: list[pqdb.Point]
    info: dict[str, Any]
    counts: list[int]


def written(folder: Path, settings: dict[str, Any]) -> Written:
    """Points of all three kinds of ids, some with payloads, some replaced, some deleted; indexed, and some fresh."""
    ids: list[int | str] = [*range(ROWS - 2), UUID, "ein Wort"]
    vectors = clustered(ROWS, DIM, seed=5)
    payloads = [{"row": row} if row % 3 == 0 else None for row in range(ROWS)]
    with pqdb.open(folder, upkeep="manual") as db:
        things = db.create_collection("things", DIM, metadata={"for": "format.md"}, **settings)
        things.upsert(ids, vectors, payloads)
        things.optimize()
        things.upsert([3, 5], vectors[:2])
        things.delete([4, 7])
        said = things.get([*range(12), UUID, "ein Wort"], with_vector=True)
        info = things.info()
    home = collection_folder(folder, "things")
    index = Index(dump(home / "index"))
    return Written(settings.get("metric", "cosine"), Points(dump(home / "points")), index, said, info, index.counts())


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("format") / "db", CASES[request.param])


pytestmark = compiled


def key_of(id: int | str) -> bytes:
    if isinstance(id, int):
        return b"\0" + struct.pack(">Q", id)
    return b"\1" + uuid.UUID(id).bytes if id == UUID else b"\2" + id.encode()


def vector_of(row: bytes, source: str) -> tuple[float, ...]:
    if source == "int8":
        scale = struct.unpack_from("<f", row)[0]
        return tuple(scale * value for value in struct.unpack_from(f"<{DIM}b", row, 4))
    return struct.unpack(f"<{DIM}{'e' if source == 'float16' else 'f'}", row)


def indexed_form(case: Written, row: int) -> list[float]:
    """A row's vector in the space of the index."""
    fields, mean, _ = router(case.index.object("router"))
    source = case.points.manifest()["manifest"]["config"]["source"]
    vector = vector_of(case.points.source_row(row), source)
    return [(v - o) / fields["unit"] for v, o in zip(vector, mean, strict=True)]


def test_manifest(case: Written) -> None:
    manifest = case.points.manifest()
    assert (manifest["format"], manifest["version"], manifest["kind"]) == ("pqdb", 1, "points")
    assert manifest["manifest"] == {"config": case.info["config"], "metadata": {"for": "format.md"}}


def test_state(case: Written) -> None:
    state = case.points.state()
    assert state["magic"] == b"pqdbstat"
    assert (state["rows"], state["live"], state["sequence"]) == (ROWS + 2, ROWS - 2, 3)


def test_ids_vectors_payloads_and_versions(case: Written) -> None:
    rows = case.points.rows()
    assert len(rows) == ROWS - 2
    source = case.points.manifest()["manifest"]["config"]["source"]
    for point in case.said:
        row = rows[key_of(point.id)]
        record = case.points.record(row)
        assert record["id"] == (point.id.replace("-", "") if point.id == UUID else point.id)
        assert record["version"] == point.version
        assert vector_of(case.points.source_row(row), source) == pytest.approx(point.vector, rel=1e-6)
        stored = case.points.dbs["payloads"].get(struct.pack(">I", row))
        assert record["payload"] == (stored is not None) == (point.payload is not None)
        assert stored is None or json.loads(stored[:-4]) == point.payload


def test_live_bits(case: Written) -> None:
    dead = {row for row in range(ROWS + 2) if not case.points.is_live(row)}
    assert dead == {3, 4, 5, 7}


def test_keys_are_as_drawn(case: Written) -> None:
    run, block = LAYOUTS["run key"], LAYOUTS["block key"]
    runs = [run.read(key) for key in case.points.dbs["runs"]]
    assert [key["run"] for key in runs] == list(range(len(runs)))
    assert {key["slot"] for key in runs} == {0}
    keys = [block.read(key) for key in case.index.dbs["blocks"]]
    assert {(key["generation"], key["kind"]) for key in keys} == {(1, 0), (1, 1)}


def test_lists_hold_every_indexed_row_once(case: Written) -> None:
    book = Codebook.read(case.index.object("codebook"))
    assert case.index.current()["watermark"] == ROWS
    rows = [
        entry["row"]
        for number in range(len(case.counts))
        if case.counts[number]
        for entry in case.index.codes(number, book.fields["m"], book.fields["nbits"], case.metric == "l2")
    ]
    assert sorted(rows) == list(range(ROWS))
    assert len(rows) == sum(case.counts)


def test_codes_and_rerank_rows_stand_for_their_vectors(case: Written) -> None:
    book = Codebook.read(case.index.object("codebook"))
    fields, _, centroids = router(case.index.object("router"))
    assert (fields["magic"], fields["version"], fields["dim"]) == (b"PQRT", 2, DIM)
    assert fields["n_lists"] == len(fields["spreads"]) == len(case.counts)
    assert 0 <= fields["lead"] <= 8
    overlaps = []
    for number in range(6):
        c, squares = centroids[number], []
        coded = case.index.codes(number, book.fields["m"], book.fields["nbits"], case.metric == "l2")
        for entry, (small, bias) in zip(coded, case.index.residuals(number, DIM), strict=True):
            x = indexed_form(case, entry["row"])
            r = [a - b for a, b in zip(x, c, strict=True)]
            step = max(map(abs, r)) / 127
            assert np.allclose(small, r, atol=0.51 * step + 1e-6)
            guess = [entry["s"] * w for w in book.decode(entry["code"])]
            length = math.fsum(v * v for v in r)
            squares.append(length)
            overlaps.append(math.fsum(a * b for a, b in zip(r, guess, strict=True)) / length)
            if case.metric == "l2":
                assert bias == pytest.approx(-(length + 2 * _dot(c, r)), rel=0.01, abs=0.01)
                assert entry["B"] == pytest.approx(-(length + 2 * _dot(c, guess)), rel=0.01, abs=0.01)
            else:
                assert (bias, entry["B"]) == (0, 0)
        assert fields["spreads"][number] == pytest.approx(np.mean(squares), rel=0.01)
    # The rescale makes ⟨r, s·r̂⟩ = |r|² for every row that its code holds at all.
    assert np.median(overlaps) == pytest.approx(1, abs=0.01)
    assert np.percentile(overlaps, 5) > 0.97


def _dot(a: Any, b: Any) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def test_calibration_and_about(case: Written) -> None:
    calibration = json.loads(case.index.object("calibration"))
    names = {"noise", "spare", "ks", "knots", "widths", "scatter", "losses", "alike", "scale", "within"}
    assert calibration.keys() == names
    losses = np.array(calibration["losses"])
    assert losses.shape == (2, 3)
    assert ((losses > 0) & (losses <= 1)).all()
    shares = np.array(calibration["scatter"]["shares"])
    assert shares.shape[0] == 3
    assert (np.diff(shares, axis=1) <= 0).all()
    widths = np.array(calibration["widths"])
    assert widths.shape == (len(calibration["ks"]), 10, len(calibration["knots"]))
    assert np.all((widths >= 1) & (widths <= len(case.counts)))
    about = json.loads(case.index.object("about"))
    assert (about["trained_rows"], about["n_lists"]) == (ROWS, len(case.counts))
    assert about.keys() == {"trained_rows", "n_lists", "error", "code_error", "reach", "list_rows"}
    assert "inserted" in json.loads(case.index.object("watch"))


def test_a_compacted_collection_is_where_its_pointers_say(tmp_path: Path) -> None:
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        things = db.create_collection("things", DIM)
        things.upsert(np.arange(ROWS), clustered(ROWS, DIM, seed=5))
        things.delete(np.arange(0, ROWS, 2))
        things.compact()
        said = things.get([1, 5_001], with_vector=True)
    home = collection_folder(tmp_path / "db", "things")
    moved = {}
    for part in ("points", "index"):
        head = (home / part / "data.mdb").read_bytes()
        pointer = LAYOUTS["pointer"].read(head)
        assert (pointer["magic"], len(head)) == (b"pqdbmovd", LAYOUTS["pointer"].size)
        assert pointer["checksum"] == zlib.crc32(head[:12])
        moved[part] = dump(home / part / str(pointer["number"]))
    points = Points(moved["points"])
    runs = [LAYOUTS["run key"].read(key)["run"] for key in moved["points"]["runs"]]
    per_run = points.manifest()["store"]["rows_per_run"]
    live = {row for row in range(points.state()["rows"]) if points.is_live(row)}
    assert len(live) == points.state()["live"] == ROWS // 2
    assert {row // per_run for row in live} <= set(runs)
    assert len(runs) <= 1.1 * ROWS / 2 / per_run + 1
    rows = points.rows()
    for point in said:
        assert vector_of(points.source_row(rows[key_of(point.id)]), "float32") == pytest.approx(point.vector, rel=1e-6)
        assert points.record(rows[key_of(point.id)])["version"] == point.version


def test_every_named_database_has_its_place_on_the_page(case: Written) -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    for name in {*case.points.dbs, *case.index.dbs, "collections", "aliases"}:
        assert f"| `{name}` |" in page
