"""Parquet as other tools write it: kinds of vectors, names of columns, columns that become fields."""

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pqdb

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)
LISTS = {
    "list of float": pa.list_(pa.float32()),
    "list of double": pa.list_(pa.float64()),
    "list of halffloat": pa.list_(pa.float16()),
    "large list": pa.large_list(pa.float32()),
    "fixed-size list of double": pa.list_(pa.float64(), 2),
    "list of integers": pa.list_(pa.int16()),
}


def imported(tmp_path: Path, columns: dict[str, Any], **given: Any) -> list[pqdb.Point]:
    pq.write_table(pa.table(columns), tmp_path / "in.parquet", row_group_size=4)
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        pqdb.import_points(db, "things", tmp_path / "in.parquet", metric="l2", batch=3, **given)
        return db["things"].scroll(with_vector=True).points


def column(kind: pa.DataType) -> pa.Array:
    rows = ROWS.astype(np.float16).tolist() if kind == LISTS["list of halffloat"] else ROWS.astype(int).tolist()
    if kind == LISTS["list of halffloat"]:
        return pa.array([[np.float16(x) for x in row] for row in rows], kind)
    return pa.array(rows, kind)


@pytest.mark.parametrize("kind", LISTS)
def test_every_kind_of_list_is_a_vector(tmp_path: Path, kind: str) -> None:
    points = imported(tmp_path, {"id": range(6), "vector": column(LISTS[kind])})
    np.testing.assert_array_equal([point.vector for point in points], ROWS)


def test_other_columns_become_fields(tmp_path: Path) -> None:
    when = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    columns = {
        "id": ["a", "b", "c", "d", "e", "f"],
        "vector": column(LISTS["list of float"]),
        "year": [2024, None, 2**62 + 1, 4, 5, 6],
        "tags": [["x"], [], None, ["y", "z"], [], []],
        "when": [when] * 6,
        "price": pa.array([decimal.Decimal("1.50")] * 6),
        "who": [{"name": "Ada"}] * 6,
        "payload": ['{"text": "☃"}', None, "{}", None, None, None],
    }
    points = imported(tmp_path, columns)
    rest = {"when": "2024-05-01T12:00:00+00:00", "price": 1.5, "who": {"name": "Ada"}}
    assert points[0].payload == {"text": "☃", "year": 2024, "tags": ["x"], **rest}
    assert points[1].payload == {"year": None, "tags": [], **rest}
    assert points[2].payload == {"year": 2**62 + 1, "tags": None, **rest}


def test_columns_may_have_other_names_and_be_left_out(tmp_path: Path) -> None:
    vectors = column(LISTS["list of float"])
    columns = {"key": range(10, 16), "emb": vectors, "meta": ['{"a": 1}'] * 6, "x": range(6), "y": range(6)}
    given = {"id_column": "key", "vector_column": "emb", "payload_column": "meta"}
    assert imported(tmp_path, columns, fields=("y",), **given)[2].payload == {"a": 1, "y": 2}
    assert imported(tmp_path, columns, fields=(), **given)[2].id == 12
    given["id_column"] = None  # type: ignore[assignment]
    assert [point.id for point in imported(tmp_path, columns, fields=(), **given)][:3] == [0, 1, 2]


def test_a_field_that_the_payload_has_too_is_refused(tmp_path: Path) -> None:
    columns = {"id": range(6), "vector": column(LISTS["list of float"]), "a": range(6), "payload": ['{"a": 1}'] * 6}
    with pytest.raises(pqdb.InputError, match="point 0: 'a' stands inside 'payload' and beside it"):
        imported(tmp_path, columns)


def test_what_is_exported_is_what_others_expect(tmp_path: Path) -> None:
    with pqdb.open(upkeep="manual") as db:
        things = db.create_collection("things", 2, "dot")
        things.upsert([1, 2], [[1, 2], [3, 4]], [{"year": 2024}, None])
        pqdb.export_points(things, tmp_path / "out.parquet", id_column="key")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("key").type == pa.uint64()
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 2)
    assert table.to_pydict() == {"key": [1, 2], "vector": [[1, 2], [3, 4]], "payload": ['{"year": 2024}', None]}
