"""What people get wrong, and what they are told: a sentence that says where, and what would be right."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

import pqdb

N, DIM = 6, 4
VECTORS = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)
PAYLOADS = [{"lang": "de" if i % 2 else "en", "at": f"2024-03-0{i + 1}T00:00:00Z"} for i in range(N)]


@pytest.fixture
def notes() -> Iterator[pqdb.Collection]:
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("notes", DIM)
        made.upsert(range(N), VECTORS, PAYLOADS)
        yield made


COLUMN = np.empty(2, object)
COLUMN[:] = [VECTORS[0], VECTORS[1]]

Call = Callable[[pqdb.Collection], object]
MISTAKES: list[tuple[Call, type[Exception], str]] = [
    (lambda c: c.delete({"must": []}), pqdb.InputError, "not dict; a filter is given by name: filter="),
    (lambda c: c.delete(filter={"must": None}), pqdb.FilterError, "every point passes .*: to change all of them, say"),
    (lambda c: c.delete(filter={"must": []}), pqdb.FilterError, "every point passes"),
    (lambda c: c.delete(filter={"must": [{"must": []}]}), pqdb.FilterError, "every point passes"),
    (lambda c: c.delete(filter={"should": [("lang", "de"), {}]}), pqdb.FilterError, "every point passes|object"),
    (lambda c: c.clear_payload(filter={"should": None}), pqdb.FilterError, "every point passes"),
    (lambda c: c.replace({"must": None}, [9], VECTORS[:1]), pqdb.FilterError, "every point passes"),
    (
        lambda c: c.delete([1, 2.5]),
        pqdb.IdError,
        r"ids\[1\]: an id is an unsigned 64-bit integer or a string, not float",
    ),
    (lambda c: [5] in c, pqdb.IdError, "not list"),
    (
        lambda c: c.upsert([7, 8], VECTORS[:2], [{}, {"n": {1}}]),
        pqdb.PayloadError,
        r"payloads\[1\], of point 8: .*at 'n'",
    ),
    (
        lambda c: c.upsert([7], VECTORS[:1], [{"n": float("nan")}]),
        pqdb.PayloadError,
        r"payloads\[0\].*JSON compliant.*\(at 'n'\)",
    ),
    (
        lambda c: c.upsert([7], VECTORS[:1], {"a": 1}),
        pqdb.InputError,
        "payloads are a list, one for each point, not dict",
    ),
    (lambda c: c.upsert([7], VECTORS[:1], iter([{}, {}])), pqdb.InputError, "2 payloads for 1 points"),
    (lambda c: c.upsert([7, 8], COLUMN), pqdb.InputError, "array of object is not numbers; np.stack makes rows"),
    (lambda c: c.upsert([7], [[1e300] * DIM]), pqdb.InputError, "holds inf .* finite numbers that fit float32"),
    (lambda c: c.search([float("nan")] * DIM), pqdb.InputError, "holds nan at dimension 0; vectors are finite"),
    (
        lambda c: c.search(None),
        pqdb.InputError,
        "a query is 4 numbers, rows of so many, or the id of a point, not None",
    ),
    (
        lambda c: c.search(VECTORS[0], with_payload=["lang"]),
        pqdb.InputError,
        r"with_payload is True or False, not \['lang",
    ),
    (lambda c: c.get([1], with_payload="no"), pqdb.InputError, "with_payload is True or False, not 'no'"),
    (lambda c: c.search(VECTORS[0], recall=0.9, nprobe=3), pqdb.InputError, "recall=0.9 and nprobe=3: either says"),
    (lambda c: c.search(VECTORS[0], filter={"lang": "de"}), pqdb.FilterError, "A value at a key is asked for by"),
    (lambda c: c.search(VECTORS[0], filter={"key": "lang"}), pqdb.FilterError, "a condition by itself, and conditions"),
    (lambda c: c.search(VECTORS[0], filter={"has_id": [1]}), pqdb.FilterError, "a condition by itself, and conditions"),
    (lambda c: c.replace(("lang", "de"), [9], VECTORS[:1], if_version="1"), pqdb.InputError, "a whole number, not '1'"),
    (lambda _: pqdb.PQ(bits_per_dim=1, m=4), pqdb.InputError, "either says how long a code is"),
    (lambda _: pqdb.open(":memory:"), pqdb.NotADatabaseError, "without a path, open\\(\\) makes a temporary database"),
    (lambda _: pqdb.open("http://localhost:6333"), pqdb.NotADatabaseError, "is an address"),
]


def nested(levels: int) -> dict[str, object]:
    made: dict[str, object] = {}
    for _ in range(levels - 1):
        made = {"a": made}
    return made


def test_payloads_have_a_depth_that_can_be_read_again(notes: pqdb.Collection) -> None:
    notes.upsert([7], VECTORS[:1], [nested(256)])
    for deep in (nested(257), {"a": [nested(255)]}, nested(900), nested(100_000)):
        with pytest.raises(pqdb.PayloadError, match=r"nested at most 256 levels deep|recursion"):
            notes.upsert([8], VECTORS[:1], [deep])
    wide = {str(i): {"a": [i]} for i in range(300)}
    notes.upsert([8], VECTORS[:1], [wide])
    assert [point.payload for point in notes.get([7, 8])] == [nested(256), wide]


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_what_is_wrong_is_said_and_nothing_changed(notes: pqdb.Collection, number: int) -> None:
    call, error, sentence = MISTAKES[number]
    with pytest.raises(error, match=sentence):
        call(notes)
    assert [point.payload for point in notes] == PAYLOADS


def test_every_point_goes_where_that_is_said(notes: pqdb.Collection) -> None:
    assert notes.delete(filter={}) == N


def test_a_filter_may_be_a_key_and_its_value(notes: pqdb.Collection) -> None:
    assert notes.count(filter=("lang", "de")) == N // 2
    assert {hit.payload["lang"] for hit in notes.search(VECTORS[0], filter=("lang", "de"))} == {"de"}


def test_points_in_time_may_be_python_s(notes: pqdb.Collection) -> None:
    for start in ("2024-03-03", date(2024, 3, 3), datetime(2024, 3, 3), datetime(2024, 3, 3, tzinfo=UTC)):  # noqa: DTZ001
        assert notes.count(filter={"must": {"key": "at", "range": {"gte": start}}}) == 4


def test_payloads_may_come_one_by_one(notes: pqdb.Collection) -> None:
    notes.upsert([7, 8], VECTORS[:2], ({"n": n} for n in range(2)))
    assert [point.payload for point in notes.get([7, 8])] == [{"n": 0}, {"n": 1}]


def test_numbers_of_numpy_are_numbers() -> None:
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("notes", np.int64(DIM), quantization=pqdb.PQ(m=np.int32(2)))  # type: ignore[arg-type]
        assert (made.dim, made.config.to_dict()["quantization"]["m"]) == (DIM, 2)


def test_points_are_walked_through_in_order(notes: pqdb.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    name = uuid.uuid4()
    notes.upsert([name], VECTORS[:1])
    monkeypatch.setattr("pqdb.verbs.reading.PAGE", 2)
    assert [point.id for point in notes] == [*range(N), str(name)]
    assert name in notes
    assert -1 not in notes
    assert "" not in notes


def test_hits_of_a_batch_say_what_they_are(notes: pqdb.Collection) -> None:
    assert repr(notes.search(VECTORS, k=2)) == f"BatchHits({N} queries, k=2)"


def test_metadata_are_an_object() -> None:
    with pqdb.open(upkeep="manual") as db:
        with pytest.raises(pqdb.InputError, match="metadata are a JSON object"):
            db.create_collection("notes", DIM, metadata="hello")  # type: ignore[arg-type]
        assert db.collections() == []


def test_an_import_keeps_to_the_metric_that_is_there(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", VECTORS)
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("notes", DIM)
        with pytest.raises(pqdb.InputError, match="'notes' is there already, with metric cosine, not l2"):
            pqdb.import_points(db, "notes", tmp_path / "rows.npy", metric="l2")
        assert len(made) == 0
        assert pqdb.import_points(db, "notes", tmp_path / "rows.npy", metric="cosine") == N


def test_what_took_a_name_is_told_to_old_handles() -> None:
    with pqdb.open(upkeep="manual") as db:
        first = db.create_collection("notes", DIM)
        db.drop_collection("notes")
        second = db.create_collection("notes", DIM)
        with pytest.raises(pqdb.ClosedError, match="was dropped; another has its name now: get it again"):
            first.count()
        assert second.count() == 0
        db.drop_collection("notes")
        with pytest.raises(pqdb.ClosedError, match=r"'notes' was dropped$"):
            second.count()
