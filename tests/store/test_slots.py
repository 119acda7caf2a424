"""Vectors with names in a points store: every slot keeps its own source, and knows which rows have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pqdb.errors import InputError
from pqdb.store import layout, slots, state
from pqdb.store.points import PointStore
from pqdb.store.slots import Given

SIZES = (900, 2_000)  # bytes of a row: 4 rows a run, and 2 or more
Model = dict[int, dict[int, bytes]]  # id → slot → source


def given(rows: np.ndarray, has: np.ndarray) -> Given:
    """Rows (n, bytes), zero where a point lacks the vector."""
    return Given(np.ascontiguousarray(np.where(has[:, None], rows, 0).astype(np.uint8)), has)


def found(store: PointStore) -> Model:
    """All that is there, by each slot's own view."""
    there: Model = {}
    with store.read() as view:
        ids = {int(row): view.ids_of(np.array([row]))[0] for row in view.live_rows()}
    there = {int(id_): {} for id_ in ids.values()}
    for slot in slots.indexed(store.geometry):
        with store.slot(slot).read() as view:
            rows = view.live_rows()
            assert len(rows) == view.n_live
            for row, held in zip(rows.tolist(), view.source_of(rows), strict=True):
                there[int(ids[row])][slot] = held.tobytes()
    return there


def test_slots_say_where_each_vector_lies() -> None:
    named = slots.geometry(SIZES)
    assert list(named) == [0, 1, 2]
    assert slots.indexed(named) == [1, 2]
    assert slots.from_record(slots.to_record(named)) == named
    plain = slots.geometry(900)
    assert slots.indexed(plain) == [0]
    assert slots.from_record(slots.to_record(plain)) == plain
    assert [slots.index_folder(slot) for slot in (0, 1, 64)] == ["index", "index-1", "index-64"]
    assert state.key_of(0) == state.KEY != state.key_of(1)
    assert layout.piece_key(7) == layout.row_key(7)
    assert layout.piece_key(7, 1) == layout.run_key(7, 1)
    bare = slots.geometry(())
    assert slots.indexed(bare) == []
    assert slots.from_record(slots.to_record(bare)) == bare
    for wrong in ((4,) * 65, (0,)):
        with pytest.raises(InputError):
            slots.geometry(wrong)


def test_any_writes_leave_what_a_dict_would_hold(tmp_path: Path, rng: np.random.Generator) -> None:
    model: Model = {}
    store = PointStore.create(tmp_path / "p", {}, SIZES, map_size=1 << 20)
    for turn in range(60):
        ids = rng.choice(40, int(rng.integers(1, 12)), replace=False).tolist()
        kind = rng.choice(["upsert", "upsert", "delete", "drop", "move"])
        with store.write() as batch:
            if kind == "upsert":
                parts = {
                    slot: given(rng.integers(1, 255, (len(ids), size)), rng.random(len(ids)) < (0.5, 0.9)[slot - 1])
                    for slot, size in enumerate(SIZES, 1)
                }
                batch.upsert(ids, parts)
                for at, id_ in enumerate(ids):
                    model[id_] = {slot: each.rows[at].tobytes() for slot, each in parts.items() if each.has[at]}
            elif kind == "delete":
                assert batch.delete(ids) == sum(id_ in model for id_ in ids)
                model = {id_: held for id_, held in model.items() if id_ not in ids}
            elif kind == "drop":
                assert batch.drop_vectors(ids, [1]) == sum(id_ in model for id_ in ids)
                for id_ in model.keys() & set(ids):
                    model[id_].pop(1, None)
            else:
                with store.read() as view:
                    rows = view.live_rows()[:20]
                assert batch.settle(rows, batch.reserve(rows)) == len(rows)
        if turn % 10 == 9:
            drop_dead(store)
            assert store.verify() == []
            store.close()
            store = PointStore.open(tmp_path / "p")
        assert found(store) == model
    with store.write() as batch:
        some = list(model)[:5]
        held = batch.sources_of(some)
    for at, id_ in enumerate(some):
        assert {slot: each.rows[at].tobytes() for slot, each in held.items() if each.has[at]} == model[id_]
    store.close()


def drop_dead(store: PointStore) -> None:
    """Delete the runs that nobody needs."""
    for slot in slots.indexed(store.geometry):
        with store.slot(slot).read() as view:
            numbers = view.kept_runs()
        with store.write() as batch:
            batch.drop_dead_runs(numbers, slot)


def test_a_batch_takes_what_every_slot_is_given(tmp_path: Path) -> None:
    one = np.ones((1, 900), np.uint8)
    short = Given(one, np.ones(1, bool))
    with PointStore.create(tmp_path / "p", {}, SIZES) as store:
        for wrong in (one, {1: short}, {1: short, 2: short}):
            with pytest.raises(InputError, match="expected source rows"), store.write() as batch:
                batch.upsert([1], wrong)
        assert found(store) == {}


def test_damage_in_a_slot_is_told(tmp_path: Path) -> None:
    has = np.array([True, False, True])
    rows = np.full((3, 900), 7, np.uint8)
    with PointStore.create(tmp_path / "p", {}, [900]) as store:
        with store.write() as batch:
            batch.upsert([1, 2, 3], {1: given(rows, has)})
        env = store.env
        cases: list[tuple[str, bytes, Callable[[bytes], bytes | None], str]] = [
            ("runs", layout.run_key(0, 1), lambda _: None, "source run 0 of slot 1 is missing"),
            ("runs", layout.run_key(0, 1), lambda value: value[:-1] + b"?", "source run 0 of slot 1 of 3 rows is not"),
            ("live", layout.piece_key(0, 1), lambda _: None, "live bits of slot 1 of piece 0 are missing"),
        ]
        for name, key, damage, said in cases:
            with env.read() as txn:
                whole = bytes(txn.get(key, db=env.dbs[name]))
            put(store, name, key, damage(whole))
            assert any(said in problem for problem in store.verify()), said
            put(store, name, key, whole)
            assert store.verify() == []


def put(store: PointStore, name: str, key: bytes, value: bytes | None) -> None:
    """Change a value behind the store's back."""
    env = store.env
    txn = env.begin_write()
    try:
        if value is None:
            txn.delete(key, db=env.dbs[name])
        else:
            txn.put(key, value, db=env.dbs[name])
        txn.commit()
    finally:
        env.end_write()
