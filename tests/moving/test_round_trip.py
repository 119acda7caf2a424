"""What is exported and imported again is the same, in every form of file."""

import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pqdb
from pqdb.moving.formats import ENDS

NAMES = ["points.parquet", "points.npy", "points.npz", "points.hdf5", "points.jsonl", "points.jsonl.gz"]
DIM = 3

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
kinds = (st.integers(0, 2**64 - 1), st.uuids().map(str), names)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
payloads = st.none() | st.dictionaries(texts, values, max_size=3)
vectors = st.lists(st.floats(-100, 100, width=32), min_size=DIM, max_size=DIM)


def points_with(ids: Any) -> Any:
    return st.lists(st.tuples(ids, vectors, payloads), min_size=1, max_size=12, unique_by=lambda point: _key(point[0]))


def _key(id_: int | str) -> object:
    try:
        return uuid.UUID(id_) if isinstance(id_, str) and len(id_) in (32, 36, 38, 41, 45) else (type(id_), id_)
    except ValueError:
        return id_


def round_trip(folder: Path, name: str, points: list[Any], batch: int = 5) -> None:
    ids, rows, payloads = zip(*points, strict=True)
    with pqdb.open(folder / "one", upkeep="manual") as one, pqdb.open(folder / "other", upkeep="manual") as other:
        things = one.create_collection("things", DIM, "l2")
        things.upsert(list(ids), np.array(rows, np.float32), list(payloads))
        assert pqdb.export_points(things, folder / name, batch=batch) == len(points)
        beside = folder / "points.jsonl" if name.endswith(".npy") else None
        metric = None if name.endswith(("hdf5", "parquet")) else "l2"
        done = pqdb.import_points(other, "things", folder / name, points=beside, metric=metric, batch=batch)
        assert done == len(points)
        assert other["things"].metric == "l2"
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            ["one", "other", name, *(["points.jsonl"] if beside else [])]
        )
        before, after = (db["things"].scroll(100, with_vector=True).points for db in (one, other))
    assert [(point.id, point.payload) for point in before] == [(point.id, point.payload) for point in after]
    for a, b in zip(before, after, strict=True):
        assert a.vector is not None
        np.testing.assert_array_equal(a.vector, b.vector)


def test_every_known_form_is_tried() -> None:
    assert {ENDS["." + name.partition(".")[2]] for name in NAMES} == set(ENDS.values())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_ids_vectors_and_payloads_come_back(name: str, data: st.DataObject) -> None:
    ids = data.draw(st.sampled_from([*kinds, st.one_of(*kinds)]))
    with TemporaryDirectory() as folder:
        round_trip(Path(folder), name, data.draw(points_with(ids)))


@pytest.mark.parametrize("name", NAMES)
def test_the_hardest_come_back(tmp_path: Path, name: str) -> None:
    ids = [0, 2**64 - 1, "7", 7, "a\nb", "naïve ☃", "0b0a3f3e-1d0e-4c4f-8a75-2b4a7b1c0d1e", "x" * 400]
    payload = {"": None, "n": 2**63 + 1, "deep": [{"a": [[]]}], "text": "line\n☃\0", "none": [], "id": 1, "vector": 2}
    given = [payload, None, {}, {"payload": {}}, None, None, {"f": 0.1}, {"big": "y" * 100_000}]
    rows = np.random.default_rng(0).standard_normal((len(ids), DIM)).astype(np.float32)
    round_trip(tmp_path, name, list(zip(ids, rows, given, strict=True)), batch=3)


@pytest.mark.parametrize("name", NAMES)
def test_without_payloads_there_are_none(tmp_path: Path, name: str) -> None:
    round_trip(tmp_path, name, [(id_, [1, 2, id_], None) for id_ in range(11)], batch=4)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_takes_the_first(tmp_path: Path, name: str) -> None:
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        things = db.create_collection("things", 2, "l2")
        things.upsert(range(30), np.arange(60).reshape(30, 2))
        assert pqdb.export_points(things, tmp_path / name, limit=17, batch=5) == 17
        beside = tmp_path / "points.jsonl" if name.endswith(".npy") else None
        assert pqdb.import_points(db, "few", tmp_path / name, points=beside, batch=4, limit=9, metric="l2") == 9
        assert [point.id for point in db["few"].scroll(100).points] == list(range(9))
        assert pqdb.import_points(db, "all", tmp_path / name, points=beside, batch=4, metric="l2") == 17
        assert len(db["all"]) == 17


def test_numpy_reads_what_is_exported_as_npz(tmp_path: Path) -> None:
    with pqdb.open(upkeep="manual") as db:
        things = db.create_collection("things", 2, "l2")
        things.upsert([3, 1], [[1, 2], [3, 4]], [{"a": 1}, None])
        pqdb.export_points(things, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["ids"].tolist() == [1, 3]
        assert arrays["vectors"].tolist() == [[3, 4], [1, 2]]
        assert arrays["payloads"].tobytes() == b'[null,\n{"a": 1}]'


def test_what_numpy_writes_as_npz_is_imported(tmp_path: Path) -> None:
    rows = np.arange(8, dtype=np.float64).reshape(4, 2)
    np.savez_compressed(tmp_path / "in.npz", vectors=rows, ids=np.array(["a", "bb", "c", "d"]))
    np.savez(tmp_path / "counted.npz", vectors=rows.astype(np.float16))
    with pqdb.open(upkeep="manual") as db:
        pqdb.import_points(db, "named", tmp_path / "in.npz", metric="l2", batch=3)
        assert [point.id for point in db["named"].scroll().points] == ["a", "bb", "c", "d"]
        pqdb.import_points(db, "counted", tmp_path / "counted.npz", metric="l2", batch=3)
        assert db["counted"].get([3], with_vector=True)[0].vector.tolist() == [6, 7]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("distance", "metric"), [("angular", "cosine"), ("euclidean", "l2"), ("dot", "dot"), (None, "cosine")]
)
def test_a_benchmarks_file_gives_its_rows_numbers_and_its_metric(
    tmp_path: Path, distance: str | None, metric: str
) -> None:
    import h5py

    rows = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    with h5py.File(tmp_path / "sift.hdf5", "w") as file:
        file["train"], file["test"], file["neighbors"] = rows, rows[:2], np.zeros((2, 3), np.int32)
        if distance:
            file.attrs["distance"] = distance
    with pqdb.open(upkeep="manual") as db:
        assert pqdb.import_points(db, "sift", tmp_path / "sift.hdf5", batch=4) == 9
        assert db["sift"].metric == metric
        assert [point.id for point in db["sift"].scroll().points] == list(range(9))
        if metric != "cosine":
            np.testing.assert_array_equal(db["sift"].get([7], with_vector=True)[0].vector, rows[7])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["points.jsonl", "points.jsonl.gz"])
def test_vectors_with_names_come_back_as_lines(tmp_path: Path, name: str) -> None:
    vectors = {"title": pqdb.VectorConfig(2, "l2"), "body": pqdb.VectorConfig(3, "l2")}
    given = {"title": [[1, 2], None, [3, 4]], "body": [[1, 2, 3], [4, 5, 6], None]}
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        things = db.create_collection("things", vectors=vectors)
        things.upsert([1, 2, "c"], given, [{"a": 1}, None, None])
        assert pqdb.export_points(things, tmp_path / name, batch=2) == 3
        assert pqdb.import_points(db, "copy", tmp_path / name, metric="l2") == 3
        before, after = (db[each].scroll(with_vector=True).points for each in ("things", "copy"))
        assert [(point.id, point.payload) for point in before] == [(point.id, point.payload) for point in after]
        for one, other in zip(before, after, strict=True):
            assert {key: each.tolist() for key, each in one.vector.items()} == {  # type: ignore[union-attr]
                key: each.tolist() for key, each in other.vector.items()  # type: ignore[union-attr]
            }
        with pytest.raises(pqdb.InputError, match="'things' have names: only JSON lines have a place for those"):
            pqdb.export_points(things, tmp_path / "out.parquet")
        told = things.info()
        assert sum(part["file"] for part in told["disk"].values()) > 0
