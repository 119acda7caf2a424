"""A collection whose points have payloads only: everything but the search for what is near."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import pqdb


@pytest.fixture
def notes(db_path: Path) -> Iterator[pqdb.Collection]:
    with pqdb.open(db_path) as database:
        notes = database.create_collection("notes", vectors={})
        notes.upsert(["a", "b", 3], {}, [{"n": 1}, {"n": 2}, None])
        yield notes


def test_points_are_written_read_filtered_and_deleted(notes: pqdb.Collection) -> None:
    assert notes.vectors == {}
    assert repr(notes) == "Collection('notes', vectors={})"
    assert notes.get("a")[0].payload == {"n": 1}
    assert notes.get("a", with_vector=True)[0].vector == {}
    notes.create_payload_index("n", "integer")
    assert notes.count(filter={"must": [{"key": "n", "range": {"gte": 2}}]}) == 1
    assert notes.facet("n") == [(1, 1), (2, 1)]
    notes.set_payload({"n": 4}, [3])
    assert [point.id for point in notes.scroll(5, order_by="n").points] == ["a", "b", 3]
    assert notes.delete(["b"]) == 1
    told = notes.info()
    assert (told["points"], told["indexed"], told["fresh"], told["vectors"]) == (2, 0, 0, {})


def test_there_is_nothing_to_search(notes: pqdb.Collection) -> None:
    for using, said in ((None, "has no vectors to search by"), ("title", "no vectors; there is none named")):
        with pytest.raises(pqdb.InputError, match=said):
            notes.search([1.0, 2.0], 3, using=using)
    for vectors in ([[1.0, 2.0]], {"title": [[1.0, 2.0]]}):
        with pytest.raises(pqdb.InputError, match="has no vectors"):
            notes.upsert([9], vectors)
    assert notes.count() == 3


def test_it_is_kept_checked_compacted_and_backed_up(db_path: Path, tmp_path: Path) -> None:
    with pqdb.open(db_path, upkeep="manual") as database:
        notes = database.create_collection("notes", vectors={})
        notes.upsert(range(5_000), {}, [{"n": n} for n in range(5_000)])
        notes.delete(range(4_500))
        notes.optimize()
        notes.compact()
        assert notes.info()["dead_rows"] < 4_500
        database.backup(tmp_path / "copy")
        with pytest.raises(pqdb.CollectionExistsError):
            database.create_collection("notes", 3)
        assert database.create_collection("notes", vectors={}, exist_ok=True) is notes
    for path in (db_path, tmp_path / "copy"):
        with pqdb.open(path) as database:
            assert database["notes"].count() == 500
            assert database["notes"].get(4_999)[0].payload == {"n": 4_999}
            assert database["notes"].verify() == []
