"""Points: any sequence of upserts and deletes equals a dict; a view sees one snapshot."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pqdb.errors import ClosedError, IdError, InputError, NotADatabaseError, ReadOnlyError, StorageError
from pqdb.store import PointStore, datafile
from pqdb.store.addresses import BYTES
from pqdb.store.batch import Held
from pqdb.store.ids import id_from_key, id_key
from pqdb.store.layout import META_ROWS, PIECE_ROWS
from tests.store.sources import ROW_BYTES, source_rows

UUID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
Maker = Callable[..., np.ndarray]

some_ids = st.one_of(
    st.integers(0, 30), st.sampled_from(["a", "b", "ä", UUID, UUID.upper(), "x" * 400]), st.just(2**64 - 1)
)
some_payloads = st.none() | st.binary(max_size=20) | st.just(b"p" * 5000)


class LikeADict(RuleBasedStateMachine):
    """A store beside a dict: id → (source byte, payload, version)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = PointStore.create(self.folder / "points", {"n": 0}, ROW_BYTES)
        self.model: dict[int | str, tuple[int, bytes | None, int]] = {}
        self.seq = 0
        self.forgotten = 0

    def teardown(self) -> None:
        assert self.store.verify() == []
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(points=st.lists(st.tuples(some_ids, st.integers(0, 255), some_payloads), max_size=25))
    def upsert(self, points: list[tuple[int | str, int, bytes | None]]) -> None:
        ids, fills, payloads = [p[0] for p in points], [p[1] for p in points], [p[2] for p in points]
        rows = np.repeat(np.array(fills, np.uint8), ROW_BYTES).reshape(len(points), ROW_BYTES)
        with self.store.write() as batch:
            new = batch.upsert(ids, rows, payloads)
            seq = batch.seq
        if points:
            self.seq += 1
            assert seq == self.seq
        for point_id, fill, payload in points:
            self.model[id_from_key(id_key(point_id))] = (fill, payload, seq)
        by_id = dict(zip(map(id_key, ids), new.tolist(), strict=True))
        assert [by_id[id_key(each)] for each in ids] == new.tolist()

    @rule(ids=st.lists(some_ids, max_size=5))
    def delete(self, ids: list[int | str]) -> None:
        there = {id_from_key(id_key(each)) for each in ids} & self.model.keys()
        with self.store.write() as batch:
            assert batch.delete(ids) == len(there)
        self.seq += bool(there)
        for each in there:
            del self.model[each]

    @rule(point_id=some_ids, payload=some_payloads)
    def put_payload(self, point_id: int | str, payload: bytes | None) -> None:
        point_id = id_from_key(id_key(point_id))
        with self.store.write() as batch:
            (_, payload_there, _) = self.model.get(point_id, (0, None, 0))
            there = Held(point_id, payload_there, frozenset([0])) if point_id in self.model else None
            assert batch.held([point_id, "nobody", point_id]) == [there, None, there]
            assert batch.put_payload(point_id, payload) == (point_id in self.model)
            assert batch.held([point_id]) == [there and there._replace(payload=payload)]
            seq = batch.seq
        if point_id in self.model:
            self.seq += 1
            self.model[point_id] = (self.model[point_id][0], payload, seq)

    @rule()
    def fail(self) -> None:
        with suppress(ZeroDivisionError), self.store.write() as batch:
            batch.upsert([1, "a"], source_rows(2))
            batch.delete([2, 3])
            raise ZeroDivisionError

    @precondition(lambda self: self.store is not None)
    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = PointStore.open(self.folder / "points")

    @rule(upto=st.integers(0, 40))
    def forget_source(self, upto: int) -> None:
        with self.store.read() as view:
            n_rows = view.n_rows
        with self.store.write() as batch:
            batch.forget_source(upto)
        per_run = self.store.rows_per_run
        run = min(upto, n_rows) // per_run
        self.seq += run * per_run > self.forgotten
        self.forgotten = max(self.forgotten, run * per_run)

    @rule(keep=st.integers(0, 255), meanwhile=st.sampled_from([[], [3], [3, "a", UUID]]))
    def move(self, keep: int, meanwhile: list[int | str]) -> None:
        """Some points get new rows; those deleted before that is settled stay gone."""
        with self.store.read() as view:
            live = view.live_rows(view.forgotten_rows)
        rows = live[live % 8 != keep % 8]
        with self.store.write() as batch:
            places = batch.reserve(rows)
        self.seq += bool(len(rows))
        self.same()
        self.delete(meanwhile)
        with self.store.read() as view:
            still = int(np.isin(rows, view.live_rows()).sum())
        with self.store.write() as batch:
            assert batch.settle(rows, places) == still
        self.seq += bool(still)

    @rule()
    def drop_dead(self) -> None:
        with self.store.read() as view:
            runs, pages = view.kept_runs(), view.kept_pages()
            dead = (view.alive_each(runs, self.store.rows_per_run) == 0) & (
                (runs + 1) * self.store.rows_per_run <= view.n_rows
            )
            dead_pages = (view.alive_each(pages, META_ROWS) == 0) & ((pages + 1) * META_ROWS <= view.n_rows)
        with self.store.write() as batch:
            assert batch.drop_dead_runs(runs) == dead.sum()
            assert batch.drop_dead_pages(pages) == dead_pages.sum()
        self.seq += bool(dead.any() or dead_pages.any())
        with self.store.read() as view:
            assert view.kept_runs().tolist() == runs[~dead].tolist()
            assert view.kept_rows == sum(
                min(self.store.rows_per_run, view.n_rows - run * self.store.rows_per_run)
                for run in view.kept_runs().tolist()
            )

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule(n=st.integers(1, 1000))
    def set_manifest(self, n: int) -> None:
        with self.store.write() as batch:
            batch.set_manifest({"n": n})
        self.seq += 1
        assert self.store.manifest == {"n": n}

    @invariant()
    def the_file_is_as_long_as_its_last_commit_says(self) -> None:
        found = datafile.inspect(self.store.env.home)
        assert found.file_bytes >= found.expected_bytes

    @invariant()
    def same(self) -> None:
        with self.store.read() as view:
            assert view.seq == self.seq
            assert view.n_live == len(self.model)
            assert view.forgotten_rows == self.forgotten
            live = view.live_rows(0, view.n_rows)
            assert len(view.live) == -(-view.n_rows // 8) + 8
            ids, versions, payloads = view.ids_of(live), view.versions_of(live), view.payloads_of(live)
            assert set(ids) == self.model.keys()
            assert [self.model[each][2] for each in ids] == versions.tolist()
            assert [self.model[each][1] for each in ids] == payloads
            assert [view.row_of(each) for each in ids] == live.tolist()
            kept = live >= self.forgotten
            source = view.source_of(live[kept])
            assert (source == source[:, :1]).all()
            there = [each for each, keep in zip(ids, kept, strict=True) if keep]
            assert source[:, 0].tolist() == [self.model[each][0] for each in there]
            in_order = sorted(self.model, key=id_key)
            assert [each for each, _ in view.scan_ids(limit=1000)] == in_order
            if in_order:
                middle = in_order[len(in_order) // 2]
                assert view.scan_ids(middle, 1) == [(middle, view.row_of(middle))]


TestLikeADict = LikeADict.TestCase
TestLikeADict.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_ids_of_many_rows_are_those_of_few(points: PointStore, rows: Maker) -> None:
    ids = [UUID[:-3] + f"{n:03x}" if n % 3 == 0 else n if n % 3 == 1 else f"id {n}" for n in range(700)]
    with points.write() as batch:
        new = batch.upsert(ids, rows(700), [b"%d" % n if n % 2 else None for n in range(700)])
    with points.read() as view:
        assert view.ids_of(new) == ids
        assert [view.ids_of(new[n : n + 1])[0] for n in range(700)] == ids
        assert view.payloads_of(new) == [view.payloads_of(new[n : n + 1])[0] for n in range(700)]
        assert view.payloads_of(new)[:4] == [None, b"1", None, b"3"]
        assert set(view.versions_of(new).tolist()) == {1}


def test_a_row_lies_where_the_view_says(points: PointStore, rows: Maker) -> None:
    source = rows(1000)
    with points.write() as batch:
        batch.upsert(range(1000), source)
    with points.read() as view:
        for row in (0, 7, 8, 500, 999):
            run, at = divmod(row, points.rows_per_run)
            address = int(view.runs[run]) + at * ROW_BYTES
            assert bytes(BYTES[address : address + ROW_BYTES]) == source[row].tobytes()
            page, at = divmod(row, META_ROWS)
            address = int(view.meta[page]) + at * 24
            assert int.from_bytes(BYTES[address : address + 8], "little") == row


def test_of_duplicates_in_a_batch_the_last_wins(points: PointStore, rows: Maker) -> None:
    source = rows(5)
    with points.write() as batch:
        new = batch.upsert([1, UUID, 1, UUID.upper(), 2], source, [b"0", b"1", b"2", b"3", b"4"])
    assert new.tolist() == [0, 1, 0, 1, 2]
    with points.read() as view:
        assert view.n_live == view.n_rows == 3
        assert view.payloads_of(new) == [b"2", b"3", b"2", b"3", b"4"]
        assert (view.source_of(new) == source[[2, 3, 2, 3, 4]]).all()


def test_several_upserts_of_one_batch_are_one_commit(points: PointStore, rows: Maker) -> None:
    with points.write() as batch:
        for n in range(30):
            batch.upsert([n, 1000], rows(2, n))
        batch.delete([5])
    with points.read() as view:
        assert (view.seq, view.n_live, view.n_rows) == (1, 30, 60)
        assert (view.source_of(np.array([view.row_of(1000)])) == rows(2, 29)[1]).all()
    assert points.verify() == []


def test_a_view_keeps_its_snapshot_while_others_commit(points: PointStore, rows: Maker) -> None:
    first = rows(20)
    with points.write() as batch:
        batch.upsert(range(20), first, [b"first"] * 20)

    def change() -> None:
        with points.write() as batch:
            batch.upsert(range(10, 40), rows(30, 1), [b"second"] * 30)
            batch.delete(range(5))
            batch.put_payload(7, b"third")
            batch.forget_source(16)

    with points.read() as view:
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        with points.read() as newer:
            assert (newer.n_live, newer.n_rows, newer.payloads_of(np.array([7]))) == (35, 50, [b"third"])
            assert newer.runs[:2].tolist() == [0, 0]
        # The older view resolves its addresses only now, after the newer one: they are its own all the same.
        assert (view.n_live, view.n_rows, view.seq) == (20, 20, 1)
        assert (view.source_of(np.arange(20)) == first).all()
        assert view.payloads_of(np.arange(20)) == [b"first"] * 20
        assert view.live_rows(0, 100).tolist() == list(range(20))
        assert view.row_of(3) == 3
    with points.read() as view:
        assert view.row_of(3) is None


def test_an_older_snapshot_may_be_made_from_a_newer_one(points: PointStore, rows: Maker) -> None:
    """Between a view's beginning and its look at the cache, another thread may have put a newer snapshot there."""
    source = rows(400)
    with points.write() as batch:
        batch.upsert(range(400), source, [b"old"] * 400)

    def change() -> None:
        with points.write() as batch:
            batch.upsert(range(1000, 1400), rows(400, 1))
            batch.put_payload(399, None)
            batch.delete(range(50))
            batch.forget_source(200)

    with points.read() as view:
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        with points.read() as newer:
            assert newer.runs[0] == 0
            assert newer.payloads_of(np.array([399])) == [None]
            view._snapshot = points._snapshots.take(view._txn, view.txn_id, newer._snapshot)
        assert (view.source_of(np.arange(400)) == source).all()
        assert view.payloads_of(np.arange(400)) == [b"old"] * 400
        assert view.ids_of(np.arange(400)) == list(range(400))
        assert len(view.live_rows()) == view.n_live == 400


def test_addresses_stay_right_over_commits(points: PointStore, rows: Maker) -> None:
    """Each view carries over what the last one resolved: full runs stay, tails and changed pages are new."""
    expected: list[np.ndarray] = []
    seen: set[int] = set()
    rng = np.random.default_rng(5)
    for n in range(40):
        some = rows(int(rng.integers(1, 40)), n)
        with points.write() as batch:
            new = batch.upsert(range(10_000 * n, 10_000 * n + len(some)), some)
            if n % 3 == 0 and n:
                batch.put_payload(10_000 * (n - 1), b"changed")
        expected.append(some)
        with points.read() as view:
            everything = np.arange(view.n_rows)
            assert (view.source_of(everything) == np.concatenate(expected)).all()
            assert view.ids_of(new)[0] == 10_000 * n
            assert len(view.versions_of(everything)) == view.n_rows
            if n % 3 == 0 and n:
                assert view.payloads_of(np.array([view.row_of(10_000 * (n - 1))])) == [b"changed"]
            full = view.n_rows // points.rows_per_run
            assert seen <= set(view.runs[:full].tolist())  # a full run does not move
            seen = set(view.runs[:full].tolist())


def test_live_bits_of_several_pieces(tmp_path: Path) -> None:
    n = PIECE_ROWS + 5000
    with PointStore.create(tmp_path / "p", {}, 4) as store:
        with store.write() as batch:
            batch.upsert(np.arange(n, dtype=np.uint64), np.zeros((n, 4), np.uint8))
        with store.read() as view:
            before = view.live
            assert len(view.live_rows()) == n
        with store.write() as batch:
            assert batch.delete([0, PIECE_ROWS - 1, PIECE_ROWS, n - 1]) == 4
        with store.read() as view:
            assert view.n_live == n - 4
            assert np.setdiff1d(np.arange(n), view.live_rows()).tolist() == [
                0,
                PIECE_ROWS - 1,
                PIECE_ROWS,
                n - 1,
            ]
            assert view.live_rows(PIECE_ROWS - 3, PIECE_ROWS + 3).tolist() == [
                PIECE_ROWS - 3, PIECE_ROWS - 2, PIECE_ROWS + 1, PIECE_ROWS + 2,
            ]  # fmt: skip
            assert view.live_rows(n, n + 10).tolist() == []
        assert np.unpackbits(before).sum() == n  # the array of the older view is as it was
        assert store.verify() == []


def test_there_is_no_bitmap_of_what_may_be_found_as_long_as_every_row_is_alive(
    points: PointStore, rows: Maker
) -> None:
    with points.write() as batch:
        batch.upsert(range(20), rows(20))
    with points.read() as view:
        assert len(view.findable) == 0
    with points.write() as batch:
        batch.upsert([7], rows(1))  # its old row is dead
    with points.read() as view:
        assert view.findable is view.live
        assert view.live_rows(0, 21).tolist() == [*range(7), *range(8, 21)]


def test_bad_input_changes_nothing(points: PointStore, rows: Maker) -> None:
    with points.write() as batch:
        batch.upsert([1], rows(1))
    good = rows(2)
    bad = [
        ([1, -1], good, None, IdError, "not -1"),
        ([1, 2, 3], good, None, InputError, r"\(3, 500\), not uint8 of \(2, 500\)"),
        ([1, 2], good[:, :499], None, InputError, r"not uint8 of \(2, 499\)"),
        ([1, 2], good.astype(np.int8), None, InputError, "not int8"),
        ([1, 2], np.asfortranarray(rows(2)), None, InputError, "C-contiguous"),
        ([1, 2], good, [b""], InputError, "expected 2 payloads, one an id, not 1"),
    ]
    for ids, source, payloads, error, says in bad:
        with pytest.raises(error, match=says), points.write() as batch:
            batch.upsert(ids, source, payloads)
    with pytest.raises(IdError), points.write() as batch:
        batch.delete([1, True])
    with points.read() as view:
        assert (view.seq, view.n_rows, view.n_live) == (1, 1, 1)
        with pytest.raises(InputError, match="rows are 0 to 0, not 1"):
            view.source_of(np.array([1]))
        with pytest.raises(InputError, match="rows are 0 to 0, not 0 to 99"):
            view.versions_of(np.arange(100))


def test_refused_input_does_not_end_a_batch(points: PointStore, rows: Maker) -> None:
    with points.write() as batch:
        with pytest.raises(IdError):
            batch.upsert([None], rows(1))
        batch.upsert([1], rows(1))
    assert points.read().__enter__ is not None
    with points.read() as view:
        assert view.n_live == 1


def test_a_batch_that_changes_nothing_commits_nothing(points: PointStore, rows: Maker) -> None:
    with points.read() as view:
        txn_id = view.txn_id
    with points.write() as batch:
        batch.upsert([], rows(0))
        assert batch.delete([1, 2]) == 0
        assert not batch.put_payload(1, b"x")
        batch.forget_source(100)
    with points.read() as view:
        assert (view.txn_id, view.seq) == (txn_id, 0)


def test_one_thread_does_not_wait_for_itself(points: PointStore, rows: Maker) -> None:
    with points.write() as batch:
        batch.upsert([1], rows(1))
        with pytest.raises(StorageError, match="this thread is writing"), points.write():
            pass
        with pytest.raises(StorageError, match="inside a batch"):
            points.close()
    with points.read() as view:
        assert view.n_live == 1


def test_writers_of_several_threads_take_turns(points: PointStore, rows: Maker) -> None:
    def write(thread: int) -> None:
        for n in range(10):
            with points.write() as batch:
                batch.upsert([thread * 100 + n], rows(1))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with points.read() as view:
        assert (view.n_live, view.seq) == (40, 40)
    assert points.verify() == []


def test_readers_see_whole_commits_while_a_thread_writes(points: PointStore, rows: Maker) -> None:
    """Every commit replaces all ten points by ones whose source bytes, payloads and versions agree."""
    stop, wrong = threading.Event(), []

    def fill(n: int) -> None:
        with points.write() as batch:
            source = np.full((10, ROW_BYTES), n % 251, np.uint8)
            batch.upsert(range(10), source, [b"%d" % (n % 251)] * 10)

    def read() -> None:
        while not stop.is_set():
            with points.read() as view:
                live = view.live_rows()
                first = {int(byte) for byte in view.source_of(live).ravel()}
                payloads = set(view.payloads_of(live))
                versions = set(view.versions_of(live).tolist())
                if len(live) != 10 or payloads != {b"%d" % byte for byte in first} or versions != {view.seq}:
                    wrong.append((live, first, payloads, versions))

    fill(0)
    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(1, 60):
        fill(n)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_closed_store_refuses(points: PointStore) -> None:
    again = PointStore.open(points.path)
    again.close()
    again.close()
    with pytest.raises(ClosedError, match="is closed"):
        again.read()
    with pytest.raises(ClosedError, match="is closed"):
        again.write()
    with points.read() as view:  # the other handle of the same folder lives on
        assert view.n_live == 0
    points.close()
    with pytest.raises(ClosedError), points.read():
        pass


def test_handles_of_one_folder_see_each_other(points: PointStore, rows: Maker, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(points.path)
    with PointStore.open(tmp_path / "link") as other:
        with points.write() as batch:
            batch.upsert([1], rows(1))
        with other.read() as view:
            assert view.row_of(1) == 0


def test_a_handle_opened_to_read_refuses_writes_even_beside_a_writer(points: PointStore, rows: Maker) -> None:
    with PointStore.open(points.path, readonly=True) as reader:
        with pytest.raises(ReadOnlyError, match="read-only"):
            reader.write()
        with points.write() as batch:
            batch.upsert([1], rows(1))
        with reader.read() as view:
            assert view.n_live == 1


def test_a_reader_may_be_there_before_the_writer(points: PointStore, rows: Maker) -> None:
    points.close()
    with PointStore.open(points.path, readonly=True) as reader:
        with reader.read() as view:
            assert view.n_live == 0
        with PointStore.open(points.path) as writer:
            with writer.write() as batch:
                batch.upsert([1], rows(1))
            with reader.read() as view:
                assert view.ids_of(np.array([0])) == [1]
        with pytest.raises(ReadOnlyError):
            reader.write()


def test_create_refuses_a_folder_with_something_in_it(points: PointStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds something already"):
        PointStore.create(points.path, {}, ROW_BYTES)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="holds something already"):
        PointStore.create(tmp_path / "file", {}, ROW_BYTES)
    with pytest.raises(InputError, match="not 0"):
        PointStore.create(tmp_path / "none", {}, 0)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "points"]


def upsert_elsewhere(points: PointStore, source: np.ndarray) -> None:
    with points.write() as batch:
        batch.upsert(range(50, 50 + len(source)), source)
        batch.delete([3])


def test_a_copy_is_a_store(points: PointStore, rows: Maker, tmp_path: Path) -> None:
    with points.write() as batch:
        batch.upsert(range(100), rows(100), [b"p"] * 100)
    with points.read() as view:
        thread = threading.Thread(target=upsert_elsewhere, args=(points, rows(50)))
        thread.start()
        thread.join()
        view.copy(tmp_path / "copy")
        with pytest.raises(StorageError, match="already"):
            view.copy(tmp_path / "copy")
    with PointStore.open(tmp_path / "copy") as copy:
        with copy.read() as view:
            assert view.ids_of(view.live_rows()) == list(range(100))  # as the view saw it
            assert copy.manifest == {"name": "test"}
            assert (view.source_of(np.arange(100)) == rows(100)).all()
        assert copy.verify() == []
        with copy.write() as batch:
            batch.upsert([100], rows(1))
        assert copy.verify() == []


def test_stats_account_for_the_file(points: PointStore, rows: Maker) -> None:
    with points.write() as batch:
        batch.upsert(range(1000), rows(1000), [b"p" * 100] * 1000)
    stats = points.stats()
    assert stats["databases"]["runs"] == 125 * 4096 + 4096 * (stats["databases"]["runs"] // 4096 - 125)
    assert stats["databases"]["runs"] >= 125 * 4096
    assert (
        sum(stats["databases"].values()) + stats["free"]
        < stats["file"]
        <= stats["free"] + 1.2 * sum(stats["databases"].values())
    )


@pytest.mark.parametrize("kind", ["nothing", "empty", "file"])
def test_what_is_not_a_store_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("hello")
    with pytest.raises(NotADatabaseError, match="not a pqdb database"):
        PointStore.open(path)
    assert [each.name for each in tmp_path.iterdir()] == ([] if kind == "nothing" else ["x"])
