"""Sparse vectors in a points store: each under its row, in segments once 4,096 rows are full, told where damaged."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pqdb.errors import CorruptError, FormatError, InputError
from pqdb.store import layout, manifest, segments, slots, sparse
from pqdb.store.environment import Environment
from pqdb.store.points import PointStore
from pqdb.store.salvage import PointSalvage
from pqdb.store.segments import SEGMENT_ROWS, Pairs
from pqdb.store.slots import Given, SparseGiven

DENSE = 900  # bytes of a source row
Vector = dict[int, float]
Model = dict[int, dict[int, bytes]]  # id → slot → what it was given


def stored(vector: Vector) -> bytes:
    """As the store is given it."""
    dims = sorted(vector)
    return np.array(dims, "<u4").tobytes() + np.array([vector[dim] for dim in dims], "<f4").tobytes()


def vector_of(number: int) -> Vector:
    """A small one that says whose it is; every seventh names nothing."""
    return {number % 50: 1.0, 1_000 + number: float(number)} if number % 7 else {}


def given(vectors: list[Vector | None]) -> SparseGiven:
    return SparseGiven([None if vector is None else stored(vector) for vector in vectors])


def fill(store: PointStore, ids: range, slot: int = 1) -> None:
    """Each point with its vector, in one commit."""
    with store.write() as batch:
        batch.upsert(list(ids), {slot: given([vector_of(each) for each in ids])})


def held(store: PointStore, slot: int = 1) -> dict[int, bytes]:
    """row → vector, of those that are alive."""
    with store.slot(slot).read() as view:
        rows = view.live_rows()
        assert len(rows) == view.n_live
        return {row: view.sparse.vector(row) for row in rows.tolist()}


def turned(store: PointStore, slot: int = 1) -> dict[int, Pairs]:
    """The segments there are; their addresses are those of the same bytes."""
    with store.slot(slot).read() as view:
        kept = {number: bytes(value) for number, value in view.sparse.kept()}
        addresses = view.sparse.addresses(view.n_rows)
        assert np.flatnonzero(addresses).tolist() == sorted(kept)
        for number, value in kept.items():
            assert addresses[number] % 4 == 0
            assert len(value) == layout.size_class(len(value))
        return {number: segments.from_bytes(value, "it") for number, value in kept.items()}


def said(vectors: dict[int, bytes], number: int) -> list[tuple[int, int, float]]:
    """(dimension, row, weight) of the vectors of a segment's rows, in its order."""
    found = []
    for row, vector in vectors.items():
        if row // SEGMENT_ROWS == number:
            n = len(vector) // 8
            dims, weights = np.frombuffer(vector, "<u4", n), np.frombuffer(vector, "<f4", n, 4 * n)
            found += [(dim, row % SEGMENT_ROWS, weight) for dim, weight in zip(dims.tolist(), weights, strict=True)]
    return sorted(found, key=lambda each: each[:2])


def listed(pairs: Pairs) -> list[tuple[int, int, float]]:
    return list(zip(pairs.dims.tolist(), pairs.rows.tolist(), pairs.weights.tolist(), strict=True))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with PointStore.create(tmp_path / "points", {}, [], 1) as made:
        yield made


# -- what the store is made of


def test_slots_of_sparse_vectors_come_behind_the_others() -> None:
    both = slots.geometry([900, 2_000], 2)
    assert list(both) == [0, 1, 2, 3, 4]
    assert slots.indexed(both) == [1, 2]
    assert slots.sparse(both) == [3, 4]
    assert slots.with_vectors(both) == [1, 2, 3, 4]
    only = slots.geometry([], 64)
    assert slots.indexed(only) == []
    assert slots.sparse(only) == slots.with_vectors(only) == list(range(1, 65))
    for each in (both, only, slots.geometry([900]), slots.geometry([]), slots.geometry(900)):
        assert slots.from_record(slots.to_record(each)) == each
    assert "sparse" not in slots.to_record(slots.geometry([900]))
    assert slots.sparse(slots.geometry(900)) == []
    with pytest.raises(InputError, match="at most 64 sparse vectors with names, not 65"):
        slots.geometry([], 65)


def test_stores_without_sparse_vectors_are_of_the_versions_they_were(tmp_path: Path) -> None:
    made: list[tuple[Any, int, int]] = [(900, 0, 1), ([900], 0, 3), ([], 0, 1), ([900], 1, 4), ([], 2, 4)]
    for number, (row_bytes, n_sparse, version) in enumerate(made):
        path = tmp_path / str(number)
        with PointStore.create(path, {"mine": 1}, row_bytes, n_sparse) as store:
            geometry = store.geometry
            with store.env.read() as txn:
                raw = bytes(txn.get(b"manifest", db=store.env.dbs["main"]))
            assert f'"version":{version}'.encode() in raw
            assert all((name in store.env.dbs) == (n_sparse > 0) for name in sparse.DATABASES)
            if isinstance(row_bytes, list):
                continue
            store.provide_tables()
            with store.write() as batch:
                batch.set_manifest({"mine": 2}, tables=True)
            assert not set(sparse.DATABASES) & store.env.dbs.keys()
        with PointStore.open(path) as store:
            assert store.geometry == geometry
            assert store.verify() == []
    with PointStore.open(tmp_path / "3") as store:  # payload indexes take nothing away from it
        store.provide_tables()
        with store.write() as batch:
            batch.set_manifest({"mine": 2}, tables=True)
        assert slots.sparse(store.geometry) == [2]
    with PointStore.open(tmp_path / "3", readonly=True) as store:
        assert slots.sparse(store.geometry) == [2]
    with pytest.raises(FormatError):
        manifest.from_bytes(layout.seal(b'{"format":"pqdb","version":5,"kind":"points"}'), "points", "here")


def test_a_batch_takes_what_a_slot_of_sparse_vectors_is_given(tmp_path: Path) -> None:
    row = np.ones((1, DENSE), np.uint8)
    dense, one = Given(row, np.ones(1, bool)), given([{1: 1.0}])
    wrong: list[tuple[Any, str]] = [
        ({1: dense}, r"slots \[1, 2\], not of \[1\]"),
        ({1: dense, 2: dense}, "expected sparse vectors of 1 points for slot 2"),
        ({1: one, 2: one}, "expected source rows of slot 1, not SparseGiven"),
        ({1: dense, 2: given([None, None])}, "expected sparse vectors of 1 points"),
    ]
    with PointStore.create(tmp_path / "p", {}, [DENSE], 1) as store:
        for parts, sentence in wrong:
            with pytest.raises(InputError, match=sentence), store.write() as batch:
                batch.upsert([1], parts)
        assert held(store, 2) == {}


# -- segments


@pytest.mark.parametrize("parts", [[4_095, 1, 1], [4_096], [4_097], [9_000], [1_000] * 9, [5_000, 3_191, 1, 4_096]])
@pytest.mark.parametrize("together", [False, True])
def test_a_segment_is_written_when_its_last_row_is(store: PointStore, parts: list[int], together: bool) -> None:
    first = 0
    if together:
        with store.write() as batch:
            for n in parts:
                batch.upsert(list(range(first, first + n)), {1: given([vector_of(i) for i in range(first, first + n)])})
                first += n
    for n in () if together else parts:
        fill(store, range(first, first + n))
        first += n
        assert sorted(turned(store)) == list(range(first // SEGMENT_ROWS))
    vectors = held(store)
    assert vectors == {each: stored(vector_of(each)) for each in range(first)}
    found = turned(store)
    assert sorted(found) == list(range(first // SEGMENT_ROWS))
    for number, pairs in found.items():
        assert listed(pairs) == said(vectors, number)
    assert store.verify() == []


def test_rows_without_a_vector_need_no_segment(store: PointStore) -> None:
    n = 3 * SEGMENT_ROWS
    vectors: list[Vector | None] = [None] * n
    vectors[SEGMENT_ROWS], vectors[-1] = {}, {2**32 - 1: -0.0}  # (one that names nothing needs none, either)
    with store.write() as batch:
        batch.upsert(list(range(n)), {1: given(vectors)})
    assert sorted(held(store)) == [SEGMENT_ROWS, n - 1]
    [(number, pairs)] = turned(store).items()
    assert number == 2
    assert listed(pairs) == [(2**32 - 1, SEGMENT_ROWS - 1, 0.0)]
    assert np.signbit(pairs.weights).all()
    assert store.verify() == []


def test_what_is_replaced_deleted_or_taken_away_leaves_no_vector(store: PointStore) -> None:
    fill(store, range(5_000))
    before = turned(store)
    with store.write() as batch:
        batch.upsert([0, 1, 4_500], {1: given([{5: 5.0}, None, {}])})
        assert batch.delete([2, 4_600]) == 2
        assert batch.drop_vectors([3, 4_700, 1], [1]) == 3
    gone = {0, 1, 2, 3, 4_500, 4_600, 4_700}
    kept = {row: stored(vector_of(row)) for row in range(5_000) if row not in gone}
    assert held(store) == {**kept, 5_000: stored({5: 5.0}), 5_002: b""}
    assert listed(turned(store)[0]) == listed(before[0])  # never changed: the live bits tell
    with store.slot(1).read() as view:
        assert {row for row, _ in view.sparse.sealed()} == set(held(store))
        with pytest.raises(CorruptError, match="the sparse vector of row 0, slot 1, is missing"):
            view.sparse.vector(0)
    assert store.verify() == []
    with store.read() as view:
        assert view.row_of(3) == 3
        assert view.versions_of(np.array([3])) == view.seq


def test_a_segment_goes_with_its_last_row(store: PointStore) -> None:
    fill(store, range(2 * SEGMENT_ROWS))
    with store.write() as batch:
        batch.delete(list(range(SEGMENT_ROWS - 1)))
    assert sorted(turned(store)) == [0, 1]
    with store.write() as batch:
        batch.drop_vectors([SEGMENT_ROWS - 1], [1])
    assert sorted(turned(store)) == [1]
    assert store.verify() == []
    with store.write() as batch:  # two in one commit: one that is full, and the one that is being filled
        batch.upsert(list(range(9_000, 9_000 + 2 * SEGMENT_ROWS)), {1: given([{1: 1.0}] * 2 * SEGMENT_ROWS)})
        batch.delete(list(range(SEGMENT_ROWS, 2 * SEGMENT_ROWS)))
        batch.delete(list(range(9_000, 9_000 + SEGMENT_ROWS)))
    assert sorted(turned(store)) == [3]
    assert store.verify() == []


def test_one_point_written_over_and_over(store: PointStore) -> None:
    """Segment after segment is filled by the same point: only the one that holds its last row is kept."""
    for _ in range(5):
        with store.write() as batch:
            for number in range(1_000):
                batch.upsert([7], {1: given([{number: 1.0}])})
    assert held(store) == {4_999: stored({999: 1.0})}
    assert turned(store) == {}
    assert store.verify() == []


def move(store: PointStore, rows: list[int]) -> np.ndarray:
    """Points move to rows behind all others, as upkeep has it."""
    with store.write() as batch:
        places = batch.reserve(np.array(rows, np.uint32))
        assert batch.settle(np.array(rows, np.uint32), places) == len(rows)
    return places


def test_points_that_move_take_their_vectors_along(store: PointStore) -> None:
    fill(store, range(5_000))
    with store.write() as batch:
        batch.drop_vectors([10], [1])
    rows = [*range(0, 4_096, 4), 4_999]
    had = held(store)
    places = move(store, rows).tolist()
    pairs = zip(places, rows, strict=True)
    assert held(store) == {
        **{row: vector for row, vector in had.items() if row not in rows},
        **{place: had[row] for place, row in pairs if row in had},
    }
    assert sorted(turned(store)) == [0]
    assert store.verify() == []


def test_points_move_within_the_segment_that_is_filled_by_it(store: PointStore) -> None:
    fill(store, range(4_000))
    with store.write() as batch:
        batch.delete(list(range(3_904)))
    places = move(store, list(range(3_904, 4_000)))  # all that live there die there, and live on there
    assert places.tolist() == list(range(4_000, 4_096))
    assert held(store) == {4_000 + at: stored(vector_of(3_904 + at)) for at in range(96)}
    assert sorted(turned(store)) == [0]
    assert store.verify() == []
    move(store, places.tolist())
    assert turned(store) == {}
    assert len(held(store)) == 96
    assert store.verify() == []


def test_the_map_grows_in_the_middle_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = []
    through = Environment.grow

    def grow(env: Environment) -> None:
        grown.append(1)
        through(env)

    monkeypatch.setattr(Environment, "grow", grow)
    wide = dict.fromkeys(range(0, 2_000, 20), 1.0)
    with PointStore.create(tmp_path / "p", {}, [], 1, map_size=1 << 20) as store:
        fill(store, range(100))
        with store.write() as batch:
            batch.delete(list(range(50)))
            for first in range(100, 9_100, 1_500):
                batch.upsert(list(range(first, first + 1_500)), {1: given([wide] * 1_500)})
            batch.delete(list(range(100, 4_100)))
            places = batch.reserve(np.arange(60, 100, dtype=np.uint32))
            assert batch.settle(np.arange(60, 100, dtype=np.uint32), places) == 40
        assert len(grown) > 2
        vectors = held(store)
        assert len(vectors) == 5_050
        assert {row: vectors[row] for row in places.tolist()} == {
            place: stored(vector_of(each)) for place, each in zip(places.tolist(), range(60, 100), strict=True)
        }
        found = turned(store)
        assert sorted(found) == [0, 1]
        assert set(found[1].rows.tolist()) == set(range(SEGMENT_ROWS))
        assert store.verify() == []


@pytest.mark.parametrize("names", ["dense and sparse", "only sparse"])
def test_any_writes_leave_what_a_dict_would_hold(tmp_path: Path, rng: np.random.Generator, names: str) -> None:
    dense = [DENSE] if names == "dense and sparse" else []
    ours = [len(dense) + 1, len(dense) + 2]
    model: Model = {}
    store = PointStore.create(tmp_path / "p", {}, dense, 2, map_size=1 << 20)
    for turn in range(40):
        ids = rng.choice(2_000, int(rng.integers(1, 900)), replace=False).tolist()
        kind = rng.choice(["upsert", "upsert", "upsert", "delete", "drop", "move"])
        with store.write() as batch:
            if kind == "upsert":
                has = rng.random((len(ids), 2)) < (0.9, 0.3)
                vectors = [{int(dim): float(turn) for dim in rng.integers(0, 300, 4)} for _ in ids]
                parts: dict[int, Any] = {
                    slot: given([vector if has[at, n] else None for at, vector in enumerate(vectors)])
                    for n, slot in enumerate(ours)
                }
                if dense:
                    parts[1] = Given(np.full((len(ids), DENSE), 1 + turn, np.uint8), np.ones(len(ids), bool))
                batch.upsert(ids, parts)
                for at, id_ in enumerate(ids):
                    model[id_] = {slot: stored(vectors[at]) for n, slot in enumerate(ours) if has[at, n]}
            elif kind == "delete":
                assert batch.delete(ids) == sum(id_ in model for id_ in ids)
                model = {id_: there for id_, there in model.items() if id_ not in ids}
            elif kind == "drop":
                assert batch.drop_vectors(ids, [ours[0]]) == sum(id_ in model for id_ in ids)
                for id_ in model.keys() & set(ids):
                    model[id_].pop(ours[0], None)
            else:
                with store.read() as view:
                    rows = view.live_rows()[:500]
                assert batch.settle(rows, batch.reserve(rows)) == len(rows)
        if turn % 10 == 9:
            assert store.verify() == []
            store.close()
            store = PointStore.open(tmp_path / "p")
        with store.read() as view:
            ids_of = dict(zip(view.live_rows().tolist(), view.ids_of(view.live_rows()), strict=True))
        assert set(ids_of.values()) == set(model)
        for slot in ours:
            vectors_now = held(store, slot)
            assert {ids_of[row]: vector for row, vector in vectors_now.items()} == {
                id_: there[slot] for id_, there in model.items() if slot in there
            }
            for number, pairs in turned(store, slot).items():
                with store.slot(slot).read() as view:
                    living = layout.bits_at(view.live, number * SEGMENT_ROWS + pairs.rows.astype(np.int64))
                assert listed(pairs.of(living)) == said(vectors_now, number)
    with store.write() as batch:
        some = list(model)[:50]
        sources = batch.sources_of(some)
    for slot in ours:
        values = sources[slot].values
        assert {id_: value for id_, value in zip(some, values, strict=True) if value is not None} == {
            id_: model[id_][slot] for id_ in some if slot in model[id_]
        }
    assert store.verify() == []
    store.close()


# -- damage


def put(store: PointStore, name: str, key: bytes, value: bytes | None) -> None:
    """Change a value behind the store's back."""
    env = store.env
    txn = env.begin_write()
    try:
        txn.delete(key, db=env.dbs[name])
        if value is not None:
            txn.put(key, value, db=env.dbs[name])
        txn.commit()
    finally:
        env.end_write()


def other_weight(value: bytes) -> bytes:
    """A segment whose checksum holds, and one of whose pairs is another."""
    pairs = segments.from_bytes(value, "it")
    weights = pairs.weights.copy()
    weights[3] += 1
    return segments.to_bytes(Pairs(pairs.rows, pairs.dims, weights))


def other_magic(value: bytes) -> bytes:
    body = b"x" + value[1:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


HARMED = "is not what was written"
DAMAGE: list[tuple[str, int, Callable[[bytes], bytes | None], str]] = [
    ("sparse", 8, lambda _: None, "the sparse vector of slot 1 of row 8 is missing"),
    ("sparse", 8, lambda value: value[:-1] + b"?", f"the sparse vector of slot 1 of row 8 {HARMED}"),
    ("sparse", 8, lambda value: b"?" + value[1:], f"the sparse vector of slot 1 of row 8 {HARMED}"),
    ("sparse", 8, lambda value: value[:-6], f"the sparse vector of slot 1 of row 8 {HARMED}"),
    ("sparse", 8, lambda _: b"", f"the sparse vector of slot 1 of row 8 {HARMED}"),
    ("sparse", 8, lambda _: layout.seal(b"four"), f"the sparse vector of slot 1 of row 8 {HARMED}"),
    ("sparse", 8, lambda _: layout.seal(stored({9: 1.0})), "segment 0 of slot 1 holds other pairs"),
    ("sparse", 9, lambda _: layout.seal(b""), "a sparse vector of slot 1 is that of row 9, which has none"),
    ("sparse", 9_000, lambda _: layout.seal(b""), "a sparse vector of slot 1 is that of row 9000, which has none"),
    ("segments", 0, lambda _: None, "segment 0 of slot 1 is missing"),
    ("segments", 0, lambda value: b"?" + value[1:], "segment 0 of slot 1 is not what was written"),
    ("segments", 0, other_weight, "segment 0 of slot 1 holds other pairs than the vectors of its rows"),
    ("segments", 0, other_magic, "is not a segment of"),
    ("segments", 1, lambda _: segments.to_bytes(Pairs(*[np.zeros(0)] * 3)), "segment 1 of slot 1 lies behind the last"),
]


@pytest.mark.parametrize(("name", "number", "damage", "sentence"), DAMAGE, ids=range(len(DAMAGE)))
def test_damage_is_told(
    store: PointStore, name: str, number: int, damage: Callable[[bytes], bytes | None], sentence: str
) -> None:
    fill(store, range(5_000))
    with store.write() as batch:
        batch.delete([9])
    key = layout.run_key(number, 1)
    with store.env.read() as txn:
        found = txn.get(key, db=store.env.dbs[name])
        whole = None if found is None else bytes(found)
    assert store.verify() == []
    put(store, name, key, damage(whole or b""))
    problems = store.verify()
    assert any(sentence in problem for problem in problems), problems
    put(store, name, key, whole)
    assert store.verify() == []


def test_a_damaged_vector_is_never_shown(store: PointStore) -> None:
    fill(store, range(1, 20))
    key = layout.run_key(3, 1)
    with store.env.read() as txn:
        whole = bytes(txn.get(key, db=store.env.dbs["sparse"]))
    put(store, "sparse", key, whole[:4] + b"?" + whole[5:])
    with store.slot(1).read() as view, pytest.raises(CorruptError, match="row 3, slot 1"):
        view.sparse.vector(3)


SHORT = {
    "of another kind": other_magic,
    "of more pairs": lambda value: value[:12] + b"\xff" * 4 + value[16:],
    "cut short": lambda _: b"few",
}


@pytest.mark.parametrize("damage", SHORT.values(), ids=SHORT)
def test_a_segment_shorter_than_it_says_has_no_address(
    store: PointStore, damage: Callable[[bytes], bytes | None]
) -> None:
    fill(store, range(5_000))
    key = layout.run_key(0, 1)
    with store.env.read() as txn:
        whole = bytes(txn.get(key, db=store.env.dbs["segments"]))
    put(store, "segments", key, damage(whole))
    with store.slot(1).read() as view, pytest.raises(CorruptError, match="segment 0 of the sparse vectors, slot 1"):
        view.sparse.addresses(view.n_rows)


def test_what_can_be_read_of_a_damaged_store_is_saved(tmp_path: Path) -> None:
    with PointStore.create(tmp_path / "p", {}, [DENSE], 2) as store:
        row = np.full((4, DENSE), 7, np.uint8)
        with store.write() as batch:
            batch.upsert(
                [1, 2, 3, 4],
                {
                    1: Given(row, np.ones(4, bool)),
                    2: given([{1: 1.0}, {2: 2.0}, None, {}]),
                    3: given([None, {5: 5.0}, {6: 6.0}, None]),
                },
                [b"{}"] * 4,
            )
        said_of: list[tuple[tuple[str, bytes] | None, dict[int, dict[int, Vector]], list[int]]] = [
            (None, {1: {2: {1: 1.0}}, 2: {2: {2: 2.0}, 3: {5: 5.0}}, 3: {3: {6: 6.0}}, 4: {2: {}}}, []),
            (
                ("sparse", layout.run_key(1, 3)),  # the vector of a point: the point is lost, and named
                {1: {2: {1: 1.0}}, 3: {3: {6: 6.0}}, 4: {2: {}}},
                [2],
            ),
            (
                ("live", layout.piece_key(0, 2)),  # which rows have one: then those whose vector is there
                {1: {2: {1: 1.0}}, 3: {3: {6: 6.0}}, 4: {2: {}}},
                [2],
            ),
        ]
        for where, points, lost in said_of:
            if where is not None:
                with store.env.read() as txn:
                    whole = bytes(txn.get(where[1], db=store.env.dbs[where[0]]))
                put(store, *where, b"?" + whole[1:])
            with PointSalvage(tmp_path / "p") as salvage:
                found = {point.id: point.sources for point in salvage.points()}
                assert salvage.lost == lost
            as_bytes = {id_: {slot: each.tobytes() for slot, each in held.items()} for id_, held in found.items()}
            assert as_bytes == {
                id_: {1: row[0].tobytes(), **{slot: stored(each) for slot, each in vectors.items()}}
                for id_, vectors in points.items()
            }
