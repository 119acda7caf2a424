"""Runs and pages of dead rows, taken away behind the back of who knew where they were."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pqdb.store.points import PointStore
from pqdb.store.state import DROPPED
from pqdb.upkeep.compact import drop_dead_pages, drop_dead_runs

N, ROW = 40_000, 16  # more rows than a live piece has
SOURCE = np.random.default_rng(0).integers(0, 255, (N, ROW), dtype=np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = PointStore.create(tmp_path / "points", {}, ROW)
    with made.write() as batch:
        batch.upsert(list(range(N)), SOURCE)
    yield made
    made.close()


def known(store: PointStore) -> tuple[np.ndarray, np.ndarray]:
    """Which runs and pages there are, by the addresses this process has."""
    with store.read() as view:
        return np.flatnonzero(view.runs), np.flatnonzero(view.meta)


def on_disk(store: PointStore) -> tuple[np.ndarray, np.ndarray]:
    with store.read() as view:
        return view.kept_runs(), view.kept_pages()


def same(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("gone", [range(5_000), range(20_000, 35_000), range(30_000, 34_000), range(N - 1)])
def test_addresses_of_what_was_taken_away_go(store: PointStore, gone: range) -> None:
    before = known(store)
    assert same(before, on_disk(store))
    with store.write() as batch:
        batch.delete(list(gone))
    assert same(known(store), before)  # dead, and there
    assert drop_dead_runs(store)
    assert drop_dead_pages(store)
    left = on_disk(store)
    assert len(left[0]) < len(before[0])
    assert len(left[1]) < len(before[1])
    for number in range(3):  # and after commits on top
        assert same(known(store), on_disk(store)), number
        with store.write() as batch:
            batch.upsert([N + number], SOURCE[:1])
    assert len(known(store)[0]) >= len(left[0])


def test_a_damaged_record_of_it_is_told(store: PointStore) -> None:
    with store.write() as batch:
        batch.delete(list(range(5_000)))
    assert drop_dead_runs(store)
    assert store.verify() == []
    txn = store.env.begin_write()
    txn.put(DROPPED, b"twelve bytes", db=store.env.dbs["main"])
    txn.commit()
    store.env.end_write()
    assert "the record of dropped runs of" in store.verify()[0]


def test_a_commit_before_has_what_a_later_one_has_not(store: PointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader whose transaction has begun is held up, and another one learns of what was taken away since."""
    enter, held_up = store.env.enter, []

    def others() -> None:
        with store.write() as batch:
            batch.delete(list(range(N - 1)))
        assert drop_dead_runs(store)
        assert drop_dead_pages(store)
        assert same(known(store), on_disk(store))

    def slowly(reader: object) -> Any:
        txn = enter(reader)
        if not held_up:
            held_up.append(True)
            other = threading.Thread(target=others)
            other.start()
            other.join()
        return txn

    monkeypatch.setattr(store.env, "enter", slowly)
    with store.read() as view:
        assert view.n_live == N
        rows = np.array([5, 33_000])
        assert np.count_nonzero(view.runs == 0) == np.count_nonzero(view.meta == 0) == 0
        assert view.ids_of(rows) == rows.tolist()
        assert np.array_equal(view.source_of(rows), SOURCE[rows])
