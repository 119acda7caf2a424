"""Tables derived from payloads: whatever is written, they say what a dict would."""

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pqdb.errors import CorruptError, FormatError, IdError, StorageError
from pqdb.store import PointStore, tables
from pqdb.store import manifest as manifest_record
from pqdb.store.tables import Derive, Entry
from pqdb.store.view import PointView
from tests.store.sources import ROW_BYTES, source_rows

WORDS, NUMBERS = 1, 7


def maker(manifest: Mapping[str, Any]) -> Derive | None:
    """Payloads are {"w": […], "n": […]}: words into a table of postings, numbers into one of pairs."""
    wanted = set(manifest.get("tables", ()))
    return (lambda payload: derived(payload, wanted)) if wanted else None


def derived(payload: bytes, wanted: Iterable[int] = (WORDS, NUMBERS)) -> frozenset[Entry]:
    given = json.loads(payload)
    words: list[Entry] = [(WORDS, word.encode()) for word in given.get("w", ())]
    numbers: list[Entry] = [(NUMBERS, number) for number in given.get("n", ())]
    return frozenset(entry for entry in words + numbers if entry[0] in wanted)


def made(path: Path, **how: Any) -> PointStore:
    """A store with both tables."""
    PointStore.create(path, {}, ROW_BYTES, **how).close()
    store = PointStore.open(path, maker=maker, **how)
    index(store, WORDS, NUMBERS)
    return store


def index(store: PointStore, *wanted: int) -> None:
    store.provide_tables()
    with store.write() as batch:
        batch.set_manifest({"tables": wanted}, tables=True)
        batch.fill_table(lambda payload: derived(payload, wanted))


def payload(words: Iterable[str] = (), numbers: Iterable[int] = ()) -> bytes:
    return json.dumps({"w": list(words), "n": list(numbers)}).encode()


def rows_under(view: PointView, key: bytes) -> list[int]:
    """Of the table of words."""
    pieces = view.tables.posting(WORDS, key)
    assert sum(map(len, pieces)) == len(set().union(*pieces))
    return sorted(set().union(*pieces))


def entries(store: PointStore) -> set[tuple[int, Any, int]]:
    with store.env.read() as txn:
        found = [(t, key, row) for t, key, rows in tables.entries_of(txn, store.env.dbs) for row in rows]
    assert len(found) == len(set(found))
    return set(found)


def expected(store: PointStore) -> set[tuple[int, Any, int]]:
    with store.read() as view:
        rows = view.live_rows()
        payloads = zip(rows.tolist(), view.payloads_of(rows), strict=True)
        return {(*entry, row) for row, raw in payloads if raw is not None for entry in derived(raw)}


numbers = st.integers(0, 2**64 - 1) | st.integers(0, 3)
payloads = st.none() | st.builds(
    payload, st.lists(st.sampled_from(["", "a", "a\0", "a\0\0", "ab", "b"])), st.lists(numbers, max_size=3)
)
ids = st.integers(0, 8)
steps = st.one_of(
    st.tuples(st.just("upsert"), st.lists(st.tuples(ids, payloads), min_size=1, max_size=6)),
    st.tuples(st.just("delete"), st.lists(ids, max_size=4)),
    st.tuples(st.just("payload"), st.lists(st.tuples(ids, payloads), min_size=1, max_size=4)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(steps, min_size=1, max_size=4), min_size=1, max_size=5))
def test_any_batches_leave_what_the_payloads_say(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, Any]]]
) -> None:
    with made(tmp_path_factory.mktemp("tables") / "x") as store:
        for batch_steps in batches:
            with store.write() as batch:
                for verb, given_ in batch_steps:
                    if verb == "upsert":
                        names, raw = [name for name, _ in given_], [each for _, each in given_]
                        batch.upsert(names, source_rows(len(names)), raw)
                    elif verb == "delete":
                        batch.delete(given_)
                    else:
                        for name, each in given_:
                            batch.put_payload(name, each)
            there = expected(store)
            assert entries(store) == there
            with store.read() as view:
                for word in ("", "a", "a\0", "a\0\0", "ab"):
                    under = sorted(row for table, key, row in there if (table, key) == (WORDS, word.encode()))
                    assert rows_under(view, word.encode()) == under
        assert store.verify() == []


def write_and_fail(store: PointStore) -> None:
    with store.write() as batch:
        batch.upsert([1, 2], source_rows(2), [payload(["b"], [6]), payload(["a"], [5])])
        batch.delete([-1])


def test_a_batch_that_fails_leaves_the_tables_alone(tmp_path: Path) -> None:
    with made(tmp_path / "x") as store:
        with store.write() as batch:
            batch.upsert([1], source_rows(1), [payload(["a"], [5])])
        before = entries(store)
        with pytest.raises(IdError):
            write_and_fail(store)
        assert entries(store) == before == expected(store)


def test_many_pairs_are_found_by_span(tmp_path: Path, rng: np.random.Generator) -> None:
    keys = rng.integers(0, 2**64, 5_000, dtype=np.uint64)
    keys[::7] = keys[0]  # one key under many rows, over several leaves
    with made(tmp_path / "x") as store:
        for part in np.array_split(np.arange(5_000), 7):
            with store.write() as batch:
                raw = [payload([], [int(keys[row])]) for row in part]
                batch.upsert(part, source_rows(len(part)), raw)
        with store.write() as batch:
            batch.delete(range(0, 5_000, 3))
        alive = np.array([row for row in range(5_000) if row % 3])
        ordered = np.sort(keys[alive])
        ends = [0, 2**64 - 1, int(keys[0]), int(keys[0]) - 1, int(keys[0]) + 1, *map(int, ordered[::700])]
        with store.read() as view:
            for low in ends:
                for high in ends:
                    found, rows = view.tables.span(NUMBERS, low, high)
                    inside = alive[(keys[alive] >= low) & (keys[alive] <= high)]
                    assert sorted(rows.tolist()) == inside.tolist()
                    assert found.tolist() == sorted(keys[inside].tolist())
            leaves = [len(value) for _, value in view.tables.leaves(NUMBERS)]
        assert max(leaves) <= 12 * tables.LEAF_PAIRS + 4
        assert store.verify() == []


def test_postings_over_several_chunks(tmp_path: Path) -> None:
    n = 70_000
    with made(tmp_path / "x") as store:
        with store.write() as batch:
            batch.upsert(range(n), source_rows(n), [payload(["even"] if row % 2 == 0 else ["odd"]) for row in range(n)])
        with store.read() as view:
            assert rows_under(view, b"even") == list(range(0, n, 2))
            assert not view.tables.posting(WORDS, b"eve")
            pieces = [(key, len(rows)) for key, rows in view.tables.postings(WORDS)]
            assert [key for key, _ in pieces] == [b"even", b"even", b"odd", b"odd"]
            assert [key for key, _ in view.tables.postings(WORDS, b"o")] == [b"odd", b"odd"]
        assert sum(size for _, size in pieces) == n


def test_the_map_grows_under_a_batch_and_nothing_is_lost(tmp_path: Path) -> None:
    with made(tmp_path / "x", map_size=1 << 20) as store:
        with store.write() as batch:
            for first in range(0, 4_000, 1_000):
                raw = [payload([f"w{row % 50}"], [row * row]) for row in range(first, first + 1_000)]
                batch.upsert(range(first, first + 1_000), source_rows(1_000, first), raw)
                batch.delete(range(first, first + 10))
        assert entries(store) == expected(store)
        assert len(entries(store)) == 2 * 3_960


def test_entries_move_with_their_points(tmp_path: Path) -> None:
    with made(tmp_path / "x") as store:
        with store.write() as batch:
            batch.upsert(range(20), source_rows(20), [payload([f"w{row % 3}"], [row]) for row in range(20)])
        moving = np.arange(3, 9, dtype=np.uint32)
        with store.write() as batch:
            places = batch.reserve(moving)
        with store.write() as batch:
            batch.put_payload(4, payload(["changed"]))
            batch.delete([5])
            assert batch.settle(moving, places) == 5
        assert entries(store) == expected(store)
        assert (WORDS, b"changed", 21) in entries(store)
        assert store.verify() == []


def test_changes_of_several_threads_in_one_commit(tmp_path: Path) -> None:
    """Group commit: changes run one after the other in one batch, and one may take away what another has added."""
    with made(tmp_path / "x") as store:

        def work(number: int) -> None:
            for step in range(20):
                raw = [payload([f"w{number}"], [step])]
                store.commit(lambda batch, raw=raw: batch.upsert([number % 3], source_rows(1), raw))
                if step % 4 == 3:
                    store.commit(lambda batch: batch.delete([number % 3]))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert entries(store) == expected(store)
        assert store.verify() == []


def test_tables_are_made_later_and_dropped(tmp_path: Path) -> None:
    PointStore.create(tmp_path / "x", {}, ROW_BYTES).close()
    with PointStore.open(tmp_path / "x", maker=maker) as store:
        with store.write() as batch:
            batch.upsert(range(100), source_rows(100), [payload([str(row % 3)], [row]) for row in range(100)])
        assert tables.POSTINGS not in store.env.dbs
        index(store, WORDS)
        assert entries(store) == {entry for entry in expected(store) if entry[0] == WORDS}
        index(store, NUMBERS)
        with store.write() as batch:
            batch.drop_table(WORDS)
        assert entries(store) == {entry for entry in expected(store) if entry[0] == NUMBERS}
        assert store.verify() == []


def test_one_who_opened_before_there_were_tables_takes_them_up(tmp_path: Path) -> None:
    """As a process does that opened the store before another one made tables: its handle lacks their databases."""
    with made(tmp_path / "x") as store:
        with store.write() as batch:
            batch.upsert([1], source_rows(1), [payload(["a"])])
        for late in ("read", "write"):
            store.env.dbs = {name: db for name, db in store.env.dbs.items() if name not in tables.DATABASES}
            store._deriving._known = store._snapshots.newest = None
            if late == "read":
                with store.read() as view:
                    assert rows_under(view, b"a") == [0]
            else:
                with store.write() as batch:
                    batch.upsert([2], source_rows(1), [payload(["a"])])
        assert entries(store) == expected(store) == {(WORDS, b"a", 0), (WORDS, b"a", 1)}


def test_whoever_cannot_keep_tables_up_does_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "x").close()
    with (
        PointStore.open(tmp_path / "x") as store,
        pytest.raises(StorageError, match="has payload indexes"),
        store.write() as batch,
    ):
        batch.upsert([1], source_rows(1), [payload(["a"])])
    monkeypatch.setitem(manifest_record.READABLE, "points", (1,))  # the pqdb before this one
    with pytest.raises(FormatError, match="version 2; this pqdb reads version 1:"):
        PointStore.open(tmp_path / "x")


def test_verify_finds_lost_false_and_broken_entries(tmp_path: Path) -> None:
    with made(tmp_path / "x") as store:
        with store.write() as batch:
            batch.upsert(range(9), source_rows(9), [payload([str(row % 3)], [row]) for row in range(9)])
        assert store.verify() == []
        txn = store.env.begin_write()
        tables.change_pairs(
            txn, store.env.dbs[tables.ORDERS], NUMBERS,
            (np.array([4], np.uint64), np.array([7], np.uint32)), (np.array([4], np.uint64), np.array([4], np.uint32)),
        )  # fmt: skip
        txn.commit()
        store.env.end_write()
        assert store.verify() == [f"table {NUMBERS} has 9 entries, not the 9 that payloads say, or others than those"]
        txn = store.env.begin_write()
        name, value = next(iter(txn.cursor(db=store.env.dbs[tables.POSTINGS])))
        txn.put(bytes(name), bytes(value[:-1]) + b"\0", db=store.env.dbs[tables.POSTINGS])
        txn.commit()
        store.env.end_write()
        [problem] = store.verify()
        assert "a posting of table 1 is not what was written" in problem
        with pytest.raises(CorruptError, match="not what was written"):
            tables.read_posting(memoryview(b"no bitmap at all"))
