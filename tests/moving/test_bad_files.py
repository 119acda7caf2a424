"""Files that cannot be taken: sentences with numbers in them, and nothing written, or it is said what was."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pqdb
from pqdb.moving import extras

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)
BAD = np.where(np.arange(12).reshape(6, 2) == 9, np.nan, ROWS)


def lines(path: Path, rows: Any, **keys: Any) -> None:
    records = [{"id": i, "vector": list(map(float, row)), **keys} for i, row in enumerate(rows)]
    raw = "\n".join(map(json.dumps, records)).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def parquet(path: Path, rows: Any) -> None:
    pq.write_table(pa.table({"id": range(len(rows)), "vector": [list(row) for row in rows]}), path, row_group_size=2)


def hdf5(path: Path, rows: Any) -> None:
    with h5py.File(path, "w") as file:
        file["train"] = np.array(rows)


WRITERS: dict[str, Callable[[Path, Any], None]] = {
    "in.parquet": parquet,
    "in.npy": np.save,
    "in.npz": lambda path, rows: np.savez(path, vectors=rows),
    "in.hdf5": hdf5,
    "in.jsonl": lines,
    "in.jsonl.gz": lines,
}


def refused(path: Path, **given: Any) -> tuple[str, int]:
    """The sentence an import is refused with, and how many points there are afterwards."""
    given = {"batch": 2, **given}
    with pqdb.open(path.parent / "db", upkeep="manual") as db:
        with pytest.raises(pqdb.InputError) as caught:
            pqdb.import_points(db, "things", path, **given)
        return str(caught.value), len(db["things"]) if "things" in db else 0


@pytest.mark.parametrize("name", WRITERS)
def test_what_came_before_a_bad_number_is_kept_and_said(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, BAD)
    sentence, kept = refused(tmp_path / name, metric="l2")
    assert kept == 4
    assert sentence.startswith(f"{name}, points 4 to 5: vector 0 holds nan at dimension 1")
    assert sentence.endswith("; the 4 points before are in 'things'")


@pytest.mark.parametrize("name", WRITERS)
def test_of_a_first_batch_that_is_bad_nothing_stays(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, BAD[4:])
    sentence, _ = refused(tmp_path / name)
    assert "points 0 to 1: vector 0 holds nan" in sentence
    with pqdb.open(tmp_path / "db", read_only=True) as db:
        assert db.collections() == []


@pytest.mark.parametrize("name", WRITERS)
def test_another_dimension_is_refused(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        db.create_collection("things", 3)
    sentence, kept = refused(tmp_path / name)
    assert (sentence, kept) == (f"{name}, points 0 to 1: expected 3 dimensions, not 2", 0)


@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet"])
def test_rows_of_several_lengths_are_refused(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [1.0]])
    sentence, kept = refused(tmp_path / name, metric="l2", batch=4)
    assert "expected 2 dimensions" in sentence
    assert "not 1" in sentence
    assert kept == 0
    sentence, kept = refused(tmp_path / name, metric="l2", batch=3)
    assert "points 3 to 3: expected 2 dimensions, not 1; the 3 points before are in 'things'" in sentence
    assert kept == 3


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    WRITERS[name](file, np.random.default_rng(0).standard_normal((4_000, 2)))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    sentence, kept = refused(file, batch=500)
    assert name in sentence
    assert not kept or sentence.endswith(f"; the {kept:,} points before are in 'things'")
    assert kept == 0 or name.startswith("in.jsonl")


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    sentence, kept = refused(tmp_path / name)
    assert name in sentence
    assert kept == 0


@pytest.mark.parametrize("name", ["in.parquet", "in.npy", "in.npz", "in.hdf5"])
def test_a_file_without_points_is_refused(tmp_path: Path, name: str) -> None:
    if name == "in.parquet":
        vectors = pa.array([], pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": pa.array([], pa.int64()), "vector": vectors}), tmp_path / name)
    else:
        WRITERS[name](tmp_path / name, ROWS[:0])
    assert refused(tmp_path / name) == (f"{name} holds no points", 0)


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": [1], "emb": [[1.0]]}), tmp_path / "in.parquet")
    assert refused(tmp_path / "in.parquet")[0] == "in.parquet has no column 'vector'; it has key, emb"
    np.savez(tmp_path / "in.npz", emb=ROWS, ids=[1])
    assert refused(tmp_path / "in.npz")[0] == "in.npz has no array 'vectors'; it has emb, ids"
    with h5py.File(tmp_path / "in.hdf5", "w") as file:
        file["test"] = ROWS
    assert refused(tmp_path / "in.hdf5")[0] == "in.hdf5 has no data set 'train'; it has test"
    (tmp_path / "in.jsonl").write_text('{"id": 1, "emb": [1]}')
    assert "line 1, must be an object with id and vector" in refused(tmp_path / "in.jsonl")[0]


PARQUET = {
    "holds string; expected lists of numbers": {"id": [1, 2], "vector": ["a", "b"]},
    "is empty at point 1": {"id": [1, 2], "vector": [[1.0], None]},
    "lists with 1 empty places": {"id": [1, 2], "vector": [[1.0], [None]]},
    "an id is an unsigned 64-bit integer or a string": {"id": [1.5, 2.5], "vector": [[1.0], [2.0]]},
    "between 0 and 18446744073709551615, not -1": {"id": [-1, 2], "vector": [[1.0], [2.0]]},
    "point 1: 'payload' is not JSON": {"id": [1, 2], "vector": [[1.0], [2.0]], "payload": ["{}", "{"]},
    "point 1: 'payload' must be an object, not list": {"id": [1, 2], "vector": [[1.0], [2.0]], "payload": ["{}", "[]"]},
    "point 0: a payload cannot hold bytes": {"id": [1, 2], "vector": [[1.0], [2.0]], "raw": [b"a", b"b"]},
}


@pytest.mark.parametrize("sentence", PARQUET)
def test_parquet_that_is_no_points_is_refused(tmp_path: Path, sentence: str) -> None:
    pq.write_table(pa.table(PARQUET[sentence]), tmp_path / "in.parquet")
    said, kept = refused(tmp_path / "in.parquet")
    assert sentence in said
    assert kept == 0


ARRAYS = {
    "'vectors' has shape (6,)": {"vectors": ROWS[:, 0]},
    "6 vectors, but 'ids' has shape (5,)": {"vectors": ROWS, "ids": range(5)},
    "cannot be read row by row": {"vectors": np.asfortranarray(ROWS)},
    "uint8, not int64": {"vectors": ROWS, "payloads": [1, 2]},
    "6 vectors, but 2 payloads": {"vectors": ROWS, "payloads": np.frombuffer(b"[{}, null]", np.uint8)},
    "what follows 1 elements is not JSON, or no end": {"vectors": ROWS, "payloads": np.frombuffer(b"[{},{", np.uint8)},
    "element 0 of 'payloads' is neither": {"vectors": ROWS, "payloads": np.frombuffer(b"[1]", np.uint8)},
    "no '[' before element 0": {"vectors": ROWS, "payloads": np.frombuffer(b"{}", np.uint8)},
    "'payloads' is not UTF-8": {"vectors": ROWS, "payloads": np.frombuffer(b'["\xff"]', np.uint8)},
}


@pytest.mark.parametrize("sentence", ARRAYS)
def test_arrays_that_are_no_points_are_refused(tmp_path: Path, sentence: str) -> None:
    np.savez(tmp_path / "in.npz", **ARRAYS[sentence])  # type: ignore[arg-type]
    said, kept = refused(tmp_path / "in.npz", batch=6)
    assert sentence in said
    assert kept == 0


def test_a_damaged_zip_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "in.npz"
    np.savez(file, vectors=np.random.default_rng(0).standard_normal((4_000, 2)))
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    assert "is damaged: Bad CRC-32" in refused(file, batch=4_000)[0]


def test_an_unknown_distance_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "in.hdf5", "w") as file:
        file["train"] = ROWS
        file.attrs["distance"] = "jaccard"
    assert "asks for the distance 'jaccard', which is none of angular" in refused(tmp_path / "in.hdf5")[0]


def test_ids_that_a_form_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pqdb.open(upkeep="manual") as db:
        things = db.create_collection("things", 2)
        things.upsert(["a\0"], [[1, 2]])
        for name in ("out.npz", "out.hdf5"):
            with pytest.raises(pqdb.InputError, match=r"the id 'a\\x00' (ends with|holds) a zero character"):
                pqdb.export_points(things, tmp_path / name)
            assert not (tmp_path / name).exists()


def test_codes_only_cannot_be_exported(tmp_path: Path) -> None:
    with pqdb.open(upkeep="manual") as db:
        things = db.create_collection("things", 16, source=None)
        things.upsert(range(6_000), np.random.default_rng(0).standard_normal((6_000, 16)))
        things.optimize()
        with pytest.raises(pqdb.InputError, match="source=None keeps no source vectors"):
            pqdb.export_points(things, tmp_path / "out.npy")


def test_other_ends_of_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("1,2")
    assert refused(tmp_path / "in.csv")[0].startswith("in.csv ends with none of .parquet, .pq, .npy")


@pytest.mark.parametrize(("name", "library"), [("in.parquet", "pyarrow"), ("in.hdf5", "h5py")])
def test_a_missing_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    WRITERS[name](tmp_path / name, ROWS)
    monkeypatch.setattr(extras, "import_module", missing)
    assert refused(tmp_path / name)[0] == (
        f'this file needs {library}, which is not installed: pip install "pqdb[transfer]"'
    )
