"""Moved to a fresh file: smaller, the same, and followed by everyone who has the old one open."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from pqdb.errors import CorruptError, StorageError
from pqdb.store import BlockStore, PointStore, datafile, moved
from pqdb.store.environment import Environment
from tests.store.processes import hear, run, talk, tell

Maker = Callable[..., np.ndarray]


@pytest.fixture
def half_empty(points: PointStore, rows: Maker) -> PointStore:
    """2,000 points, the first 1,000 of them deleted and their rows taken away."""
    with points.write() as batch:
        batch.upsert(range(2_000), rows(2_000), [b"payload"] * 2_000)
    with points.write() as batch:
        batch.delete(range(1_000))
    with points.read() as view:
        runs, pages = view.kept_runs(), view.kept_pages()
    with points.write() as batch:
        assert batch.drop_dead_runs(runs) == 1_000 // points.rows_per_run
        assert batch.drop_dead_pages(pages) == 1_000 // 170
    return points


def size(store: PointStore | BlockStore) -> int:
    return sum(file.stat().st_size for file in store.path.rglob("*.mdb") if file.name == "data.mdb")


def test_the_disk_gets_back_what_is_free(half_empty: PointStore, rows: Maker) -> None:
    before = size(half_empty)
    assert half_empty.stats()["free"] > 0.4 * before
    for number in (1, 2, 3):
        half_empty.compact()
        assert size(half_empty) < 0.6 * before
        assert half_empty.stats()["free"] < 0.05 * before
        assert half_empty.env.home == half_empty.path / str(number)
        assert sorted(each.name for each in half_empty.path.iterdir()) == [str(number), "data.mdb"]
    with half_empty.read() as view:
        assert view.n_live == 1_000
        assert (view.source_of(np.arange(1_000, 2_000)) == rows(2_000)[1_000:]).all()
    with half_empty.write() as batch:
        batch.upsert([7], rows(1))
    assert half_empty.verify() == []
    half_empty.close()
    with PointStore.open(half_empty.path) as again:
        assert again.verify() == []
        with again.read() as view:
            assert view.n_live == 1_001


def test_an_index_moves_too(blocks: BlockStore, rows: Maker) -> None:
    with blocks.write() as batch:
        batch.begin_generation(1, 20)
        for list_no in range(20):
            batch.put_list(1, list_no, 30, rows(300, list_no), rows(60, list_no))
        batch.set_current(1, 300)
    with blocks.write() as batch:
        batch.begin_generation(2, 3)
        batch.put_list(2, 1, 30, rows(30))
        batch.set_current(2, 300)
    with blocks.read() as view:
        counts = view.counts.tolist()
    with blocks.write() as batch:
        batch.drop_generation(1)
    before = size(blocks)
    blocks.compact()
    assert size(blocks) < before / 10
    with blocks.read() as view:
        assert (view.generation, view.counts.tolist(), view.watermark) == (2, counts, 300)
    assert blocks.verify() == []


def test_another_process_follows(half_empty: PointStore, rows: Maker) -> None:
    """It reads and writes on where the data are now; a view that it holds keeps the old file until it lets go."""
    with talk("read_and_write_when_told", half_empty.path) as child, talk("hold_view", half_empty.path) as holder:
        assert hear(child) == hear(holder) == "1000"
        half_empty.compact()
        with half_empty.write() as batch:
            batch.upsert([7], rows(1))
        tell(child, "read")
        assert hear(child) == "1001"
        half_empty.compact()
        tell(child, "write")
        assert hear(child) == "1002"
        with half_empty.read() as view:
            assert view.n_live == 1_002
        tell(holder)
        assert hear(holder) == "1000"
    assert half_empty.verify() == []


def test_what_another_process_moved_is_verified_where_it_is_now(half_empty: PointStore) -> None:
    """Whose handle has not read since finds the pointer in the file's old place, which is no damage."""
    assert run("compact", half_empty.path) == []
    assert half_empty.verify() == []
    assert half_empty.env.home == half_empty.path / "1"


def test_a_writer_of_another_process_writes_nothing_into_the_old_file(half_empty: PointStore) -> None:
    """Its first act after the move is a write."""
    with talk("read_and_write_when_told", half_empty.path) as child:
        assert hear(child) == "1000"
        half_empty.compact()
        tell(child, "write")
        assert hear(child) == "1001"
    with half_empty.read() as view:
        assert view.n_live == 1_001


def test_writers_meanwhile_lose_nothing(half_empty: PointStore, rows: Maker) -> None:
    """Threads write and read without a break while the store moves five times."""
    done, failures, written = threading.Event(), list[BaseException](), [0, 0]

    def write(which: int) -> None:
        try:
            while not done.is_set():
                number = 10_000 * (which + 1) + written[which]
                with half_empty.write() as batch:
                    batch.upsert([number], rows(1, number))
                written[which] += 1
                with half_empty.read() as view:
                    row = view.row_of(number)
                    assert row is not None
                    assert (view.source_of(np.array([row])) == rows(1, number)).all()
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        half_empty.compact()
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    with half_empty.read() as view:
        assert view.n_live == 1_000 + sum(written)
    assert min(written) > 0
    assert half_empty.verify() == []


def crash(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(where, name, dies)


@pytest.mark.parametrize("at", ["sync", "_follow", "point"])
def test_killed_in_between_it_is_whole(
    half_empty: PointStore, rows: Maker, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Before the mark the old file counts, behind it the new one, pointer or not; the next compaction tidies up."""
    with monkeypatch.context() as patch:
        crash(patch, {"sync": datafile, "_follow": Environment, "point": moved}[at], at)
        with pytest.raises(RuntimeError, match="killed"):
            half_empty.compact()
    marked = at != "sync"
    assert [each.name for each in half_empty.path.iterdir() if each.is_dir()] == ["1"] * marked
    assert run("upsert", half_empty.path, 50_000, 3) == []  # another process, which opens it now
    with half_empty.read() as view:
        assert view.n_live == 1_003
    assert half_empty.env.home == (half_empty.path / "1" if marked else half_empty.path)
    with PointStore.open(half_empty.path) as again:  # one handle a process, whichever file it was opened by
        assert again.env is half_empty.env
    half_empty.compact()
    assert sorted(each.name for each in half_empty.path.iterdir()) == ["2" if marked else "1", "data.mdb"]
    assert half_empty.verify() == []
    half_empty.close()
    with PointStore.open(half_empty.path, readonly=True) as again, again.read() as view:
        assert view.n_live == 1_003


def test_who_reads_a_snapshot_of_this_thread_stays_with_it(half_empty: PointStore, rows: Maker) -> None:
    with half_empty.read() as held:
        run("compact", half_empty.path)
        with half_empty.read() as second:
            assert second.n_live == held.n_live == 1_000
        with pytest.raises(StorageError, match="this thread is reading a snapshot"), half_empty.write():
            pass
    with half_empty.write() as batch:
        batch.upsert([7], rows(1))
    assert half_empty.env.home.name == "1"


def test_a_damaged_pointer_is_told(half_empty: PointStore) -> None:
    half_empty.compact()
    half_empty.close()
    pointer = half_empty.path / "data.mdb"
    whole = pointer.read_bytes()
    for damaged in (whole[:9] + b"\x05" + whole[10:], whole[:12], whole + b"\0"):
        pointer.write_bytes(damaged)
        with pytest.raises(CorruptError, match="a pointer whose checksum differs"):
            PointStore.open(half_empty.path)


def test_no_room_for_a_copy_leaves_everything_as_it_was(half_empty: PointStore) -> None:
    said = run("compact_on_a_full_disk", half_empty.path)
    assert "no room to write" in said[0]
    assert said[1:] == ["1000", "[]"]
    assert [each.name for each in half_empty.path.iterdir() if each.is_dir()] == []
