"""The environment's bad days: other processes, damaged and foreign files, full disks, full maps, forks."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from pqdb.errors import (
    CorruptError,
    DiskFullError,
    FormatError,
    LockedError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
)
from pqdb.store import BlockStore, Catalog, PointStore, environment, lockfile
from pqdb.store import manifest as manifest_record
from tests.store.processes import hear, run, talk, tell
from tests.store.sources import ROW_BYTES

Maker = Callable[..., np.ndarray]
MIB = 1 << 20


@pytest.fixture
def filled(points: PointStore, rows: Maker) -> Path:
    """The folder of a closed store of 1,000 points."""
    with points.write() as batch:
        batch.upsert(range(1000), rows(1000), [b"payload"] * 1000)
    points.close()
    return points.path


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """A file system mounted on a folder, where this machine lets us."""
    folder.mkdir(exist_ok=True)
    try:
        subprocess.run(["mount", *arguments, str(folder)], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting is not permitted here: {getattr(error, 'stderr', error)!r}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# -- other processes -----------------------------------------------------------------------------------


def test_two_processes_see_each_other(points: PointStore, rows: Maker) -> None:
    with points.read() as view:
        assert view.n_live == 0
    run("upsert", points.path, 0, 20)
    with points.read() as view:
        assert view.n_live == 20
        assert (view.source_of(np.arange(20)) == rows(20, 0)).all()
    with points.write() as batch:
        batch.upsert(range(10, 30), rows(20, 5))
    run("upsert", points.path, 25, 10)
    with points.read() as view:
        assert (view.n_live, view.n_rows, view.seq) == (35, 50, 3)
        assert (view.source_of(np.array([view.row_of(24)])) == rows(20, 5)[14]).all()
        assert (view.source_of(np.array([view.row_of(26)])) == rows(10, 25)[1]).all()
    assert points.verify() == []


def test_a_view_of_another_process_keeps_its_snapshot(points: PointStore, rows: Maker) -> None:
    with points.write() as batch:
        batch.upsert(range(10), rows(10))
    with talk("hold_view", points.path) as child:
        assert hear(child) == "10"
        with points.write() as batch:
            batch.delete(range(10))
        tell(child)
        assert hear(child) == "10"


def test_a_map_that_another_process_grew_is_adopted(tmp_path: Path, rows: Maker) -> None:
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB) as store:
        with store.write() as batch:
            batch.upsert([0], rows(1))
        with store.read() as view:
            assert view.ids_of(np.array([0])) == [0]
        epoch = store.env.epoch
        run("upsert_much", store.path, 20_000, MIB)
        with store.read() as view:
            assert view.n_live == 20_000
            assert (view.source_of(np.arange(1, 20_001)) == rows(20_000)).all()
            assert view.ids_of(np.array([0, 20_000])) == [0, 19_999]
        assert store.env.epoch > epoch
        with store.write() as batch:
            batch.upsert([7], rows(1))
        assert store.verify() == []


def test_a_writer_adopts_a_map_that_another_process_grew(tmp_path: Path, rows: Maker) -> None:
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB) as store:
        run("upsert_much", store.path, 20_000, MIB)
        with store.write() as batch:
            batch.upsert([20_000], rows(1))
        with store.read() as view:
            assert view.n_live == 20_001


@pytest.mark.parametrize("readonly", [False, True])
def test_a_map_that_grows_while_it_is_being_opened_is_adopted(
    tmp_path: Path, rows: Maker, monkeypatch: pytest.MonkeyPatch, readonly: bool
) -> None:
    """Another process may grow the file between any two steps of ours."""
    path = tmp_path / "p"
    PointStore.create(path, {}, ROW_BYTES, map_size=MIB).close()
    mapped = environment.lmdb.open

    def overtaken(*arguments: Any, **options: Any) -> Any:
        raw = mapped(*arguments, **options)
        run("upsert_much", path, 20_000, MIB)
        return raw

    monkeypatch.setattr(environment.lmdb, "open", overtaken)
    with PointStore.open(path, readonly, map_size=MIB) as store, store.read() as view:
        assert view.n_live == 20_000
        assert (view.source_of(np.arange(20_000)) == rows(20_000)).all()


def test_a_map_that_grows_again_while_it_is_being_adopted_is_adopted_again(
    tmp_path: Path, rows: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB) as store:
        adopt = store.env._adopt_map
        lots = iter([6_000, 12_000, 24_000])

        def overtaken() -> None:
            adopt()
            if lot := next(lots, 0):
                run("upsert_much", store.path, lot, MIB)

        monkeypatch.setattr(store.env, "_adopt_map", overtaken)
        run("upsert_much", store.path, 3_000, MIB)
        with store.read() as view:
            assert view.n_live == 24_000
        lots = iter([100_000])
        run("upsert_much", store.path, 50_000, MIB)
        with store.write() as batch:
            batch.upsert([10**6], rows(1))
        with store.read() as view:
            assert view.n_live == 100_001


def test_a_fork_poisons_the_handle_but_not_the_folder(filled: Path) -> None:
    said = run("fork", filled)
    assert "opened before a fork" in said[0]
    assert said[1:] == ["refused", "0", "1"]


def test_a_child_that_leaves_its_parents_view_does_no_harm(filled: Path) -> None:
    said = run("fork_inside_a_view", filled)
    assert said[1].startswith("while it was forked, another thread of its parent read or wrote there; fork before")
    assert [said[0], *said[2:]] == ["refused", "0", "0", "1", "2", "True"]


def test_when_all_reader_slots_are_taken_a_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockfile, "MAX_READERS", 2)
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES) as store:
        third = store.read()
        with store.read(), store.read(), pytest.raises(LockedError, match="all 2 reader slots"):
            third.__enter__()
        with store.read() as view:  # and it was only this once
            assert view.n_live == 0


def test_there_is_room_for_far_more_readers_than_lmdb_gives_by_itself(points: PointStore) -> None:
    """126, if nothing is said."""
    with ExitStack() as stack:
        views = [stack.enter_context(points.read()) for _ in range(400)]
        assert {view.n_live for view in views} == {0}


def test_slots_of_readers_that_died_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockfile, "MAX_READERS", 1)
    PointStore.create(tmp_path / "p", {}, ROW_BYTES).close()
    with PointStore.open(tmp_path / "p") as store:
        with talk("hold_view", store.path) as child:
            assert hear(child) == "0"
            with pytest.raises(LockedError), store.read():
                pass
        with store.read() as view:
            assert view.n_live == 0


# -- a full map ----------------------------------------------------------------------------------------


def test_a_batch_grows_the_map_as_often_as_it_takes(tmp_path: Path, rows: Maker) -> None:
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB) as store:
        for n in range(20):
            with store.write() as batch:
                first = batch.upsert(range(n * 500, n * 500 + 200), rows(200, n), [b"p" * 50] * 200)
                again = batch.upsert(range(n * 500 + 100, n * 500 + 300), rows(200, n + 100))
                assert batch.delete([n * 500, 10**9]) == 1
            assert (first[0], again[0]) == (n * 400, n * 400 + 200)
            with store.read() as view:
                assert (view.seq, view.n_live) == (n + 1, 299 * (n + 1))
                assert (view.source_of(again) == rows(200, n + 100)).all()
        assert store.env.epoch >= 3
        with store.write() as batch:  # several doublings at once
            batch.upsert(range(10**6, 10**6 + 100_000), rows(100_000))
        assert store.verify() == []


def test_readers_of_other_threads_are_let_out_before_the_map_grows(tmp_path: Path, rows: Maker) -> None:
    stop, wrong = threading.Event(), []

    def read(store: PointStore) -> None:
        while not stop.is_set():
            with store.read() as view:
                live = view.live_rows()
                ids = np.array(view.ids_of(live), np.uint64)
                source = view.source_of(live)
                with store.read() as nested:  # a thread that is inside may come in again
                    if nested.seq < view.seq:
                        wrong.append("older")
                if len(live) and not (source[:, 0] == (ids % 251).astype(np.uint8)).all():
                    wrong.append("bytes")

    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB // 2) as store:
        threads = [threading.Thread(target=read, args=(store,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for n in range(0, 12_000, 400):
                ids = np.arange(n, n + 400)
                with store.write() as batch:
                    batch.upsert(
                        ids.astype(np.uint64),
                        np.repeat((ids % 251).astype(np.uint8), ROW_BYTES).reshape(400, -1),
                    )
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert store.env.epoch >= 3
        assert wrong == []


def test_growing_under_ones_own_view_is_refused(tmp_path: Path, rows: Maker) -> None:
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB) as store:
        with store.read() as view:
            with pytest.raises(StorageError, match="this thread is reading"), store.write() as batch:
                batch.upsert(range(5000), rows(5000))
            assert view.n_live == 0
        with store.write() as batch:
            batch.upsert(range(5000), rows(5000))
        with store.read() as view:
            assert view.n_live == 5000


def test_the_same_commit_lies_elsewhere_once_the_map_has_grown(points: PointStore, rows: Maker) -> None:
    """What was resolved is known by the commit's number and the map's, for the commit's alone does not tell."""
    with points.write() as batch:
        batch.upsert(range(500), rows(500))
    seen = []
    for _ in range(3):
        with points.read() as view:
            assert (view.source_of(np.arange(500)) == rows(500)).all()
            seen.append((view.txn_id, points.env.epoch, int(view.runs[0])))
        points.env.grow()
    commits, epochs, addresses = zip(*seen, strict=True)
    assert len(set(commits)) == 1
    assert len(set(epochs)) == 3
    assert len(set(addresses)) > 1


def test_a_stray_write_into_the_map_is_a_fault_and_changes_nothing(filled: Path) -> None:
    """The map is never writable: a kernel gone wild ends its process, not the data."""
    before = (filled / "data.mdb").read_bytes()
    with talk("write_into_the_map", filled) as child:
        assert child.hear_all() == ["resolved"]
        assert child.wait() == -signal.SIGSEGV
    assert (filled / "data.mdb").read_bytes() == before


def test_blocks_and_names_grow_too(tmp_path: Path) -> None:
    with BlockStore.create(tmp_path / "b", map_size=MIB) as store:
        with store.write() as batch:
            batch.begin_generation(1, 50)
            for list_no in range(50):
                batch.put_list(1, list_no, 1, bytes([list_no]) * 100_000)
            batch.set_current(1, 9)
            assert batch.read_list(1, 3)[0] == 1
        assert store.env.epoch >= 2
        assert store.verify() == []
        with store.read() as view:
            assert (view.watermark, view.counts.sum()) == (9, 50)
    with Catalog.create(tmp_path / "c", map_size=MIB) as catalog:
        with catalog.write() as names:
            for n in range(400):
                names.add(f"name {n}", {"much": "x" * 5000})
        assert len(catalog.names().collections) == 400


# -- files that are not what they should be ------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.99])
def test_a_truncated_file_is_refused_with_its_sizes(filled: Path, keep: float) -> None:
    data = filled / "data.mdb"
    size = data.stat().st_size
    os.truncate(data, int(size * keep))
    with pytest.raises(CorruptError, match=rf"truncated: it has {int(size * keep):,} bytes"):
        PointStore.open(filled)


def test_a_file_that_ends_before_its_free_pages_is_whole(blocks: BlockStore) -> None:
    """LMDB leaves pages unwritten that one commit took and gave back: such a file is short and sound."""
    with blocks.write() as batch:
        batch.begin_generation(1, 2)
        batch.put_list(1, 0, 1, b"x" * 400_000)
    for n in range(3):  # frees the large block, then moves what came after it to its place
        with blocks.write() as batch:
            batch.put_list(1, 0, n % 2, b"small")
    blocks.close()
    data = blocks.path / "data.mdb"
    expected = data.stat().st_size
    os.truncate(data, expected - 4096)
    with BlockStore.open(blocks.path, readonly=True) as store:
        assert store.verify() == []
    with BlockStore.open(blocks.path) as store, store.write() as batch:
        batch.put_list(1, 0, 1, b"small")
    assert data.stat().st_size == expected
    os.truncate(data, expected // 10)
    with pytest.raises(CorruptError, match=f"its newest commit needs {expected:,}"):
        BlockStore.open(blocks.path)


@pytest.mark.parametrize("where", [0, 4096])
@pytest.mark.parametrize("with_what", [b"\0" * 200, b"SQLite format 3\0" * 20])
def test_an_overwritten_file_is_refused(filled: Path, where: int, with_what: bytes) -> None:
    with (filled / "data.mdb").open("r+b") as file:
        file.seek(where)
        file.write(with_what)
    with pytest.raises(CorruptError, match="overwritten"):
        PointStore.open(filled)


def test_noise_instead_of_a_file_is_refused(filled: Path) -> None:
    (filled / "data.mdb").write_bytes(os.urandom(100_000))
    with pytest.raises(CorruptError, match="overwritten"):
        PointStore.open(filled)


def test_another_lmdb_database_is_refused(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "other"), lib_version=0) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    before = (tmp_path / "other" / "data.mdb").read_bytes()
    for kind in (PointStore, BlockStore, Catalog):
        with pytest.raises(NotADatabaseError, match="not one of pqdb's"):
            kind.open(tmp_path / "other")
    assert (tmp_path / "other" / "data.mdb").read_bytes() == before


def test_an_lmdb_1_database_is_refused(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path / "newer"), lib_version=1).close()
    with pytest.raises(CorruptError, match=r"overwritten|version"):
        PointStore.open(tmp_path / "newer")


def test_another_kind_of_store_is_refused(filled: Path, blocks: BlockStore) -> None:
    blocks.close()
    with pytest.raises(NotADatabaseError, match="not one of pqdb's"):
        PointStore.open(blocks.path)
    with pytest.raises(NotADatabaseError, match="not one of pqdb's"):
        BlockStore.open(filled)
    with PointStore.open(filled), pytest.raises(NotADatabaseError, match="points store, not a index store"):
        BlockStore.open(filled)


@pytest.mark.parametrize(("kind", "store"), [("points", PointStore), ("index", BlockStore), ("catalog", Catalog)])
def test_a_newer_format_is_refused_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, store: type
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(manifest_record, "FORMAT_VERSION", 5)
        (store.create(tmp_path / "x", {}, ROW_BYTES) if kind == "points" else store.create(tmp_path / "x")).close()
    before = (tmp_path / "x" / "data.mdb").read_bytes()
    with pytest.raises(FormatError, match="format version 5; this pqdb reads version 1"):
        store.open(tmp_path / "x")
    assert (tmp_path / "x" / "data.mdb").read_bytes() == before


def test_a_refused_store_can_be_opened_once_it_is_mended(filled: Path) -> None:
    """A refusal leaves nothing open behind."""
    whole = (filled / "data.mdb").read_bytes()
    os.truncate(filled / "data.mdb", 10_000)
    with pytest.raises(CorruptError):
        PointStore.open(filled)
    (filled / "data.mdb").write_bytes(whole)
    with PointStore.open(filled) as store:
        assert store.verify() == []


# -- read-only -----------------------------------------------------------------------------------------


def test_a_read_only_medium_is_read_and_not_written(filled: Path, rows: Maker) -> None:
    with mounted(filled, "--bind", str(filled)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(filled)], check=True)
        with pytest.raises(ReadOnlyError, match="cannot be written"):
            PointStore.open(filled)
        with PointStore.open(filled, readonly=True) as store:
            with store.read() as view:
                assert (view.source_of(np.arange(1000)) == rows(1000)).all()
                assert view.row_of(5) == 5
            with pytest.raises(ReadOnlyError, match="read-only"):
                store.write()
            assert store.verify() == []
        with pytest.raises(ReadOnlyError, match="cannot be written"):
            PointStore.create(filled / "inside", {}, ROW_BYTES)


def _anyone_may_enter(folder: Path) -> bool:
    return all(each.stat().st_mode & 0o005 == 0o005 for each in (folder, *folder.parents))


@pytest.mark.parametrize("lock_file", [True, False])
def test_a_folder_of_somebody_else_is_read_and_not_written(filled: Path, lock_file: bool) -> None:
    if not _anyone_may_enter(Path(np.__file__).parent):
        pytest.skip("another user cannot enter the folder this Python's packages are in")
    if not lock_file:
        (filled / "lock.mdb").unlink()
    for folder in filled.parents:  # pytest keeps others out of all of its own
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    filled.chmod(0o555)
    for each in filled.iterdir():
        each.chmod(0o444)
    try:
        said = run("open_read_only", filled)
    finally:
        filled.chmod(0o755)
    assert said[0] == "1000"
    assert said[1].startswith("ReadOnlyError: ")


# -- disk full -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["points", "index"])
def test_a_file_size_limit_is_a_full_disk(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    (PointStore.create(path, {}, ROW_BYTES) if kind == "points" else BlockStore.create(path)).close()
    said = run("fill_disk", path, 3 * MIB, kind)
    assert "no room to write" in said[0]
    assert said[1:] == ["True", "True", "[]"]


@pytest.mark.parametrize("kind", ["points", "index"])
def test_a_full_disk_keeps_what_was_acknowledged(tmp_path: Path, kind: str) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=3m", "none"):
        path = tmp_path / "disk" / "x"
        (PointStore.create(path, {}, ROW_BYTES) if kind == "points" else BlockStore.create(path)).close()
        said = run("fill_disk", path, 0, kind)
    assert "no room to write" in said[0]
    assert said[1:] == ["True", "True", "[]"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_commit_without_room_for_its_last_page_is_not_the_end(filled: Path) -> None:
    """LMDB gives an environment up then, until it is opened anew."""
    said = run("no_room_for_a_meta_page", filled)
    assert "no room to write" in said[0]
    assert said[1:] == ["None", "(None, True)", "[]"]


def test_no_room_for_a_new_store_leaves_nothing_behind(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8k", "none"):
        with pytest.raises(DiskFullError, match="no room"):
            PointStore.create(tmp_path / "disk" / "x", {}, ROW_BYTES)
        assert list((tmp_path / "disk").iterdir()) == []


def test_less_address_space_than_wished_is_made_do_with(filled: Path) -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))\n"
        "from pqdb.store import PointStore\n"
        f"with PointStore.open({str(filled)!r}) as store, store.read() as view: print(view.n_live)"
    )
    done = subprocess.run(
        ["python" if not shutil.which("python3") else os.sys.executable, "-c", code],  # type: ignore[attr-defined]
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1000\n", done.stderr


def test_a_deleted_folder_may_be_made_anew_beside_its_old_handle(points: PointStore, rows: Maker) -> None:
    with points.write() as batch:
        batch.upsert([1], rows(1))
    shutil.rmtree(points.path)
    with PointStore.create(points.path, {"name": "new"}, ROW_BYTES) as new:
        with points.read() as view:
            assert view.n_live == 1
        with new.read() as view:
            assert view.n_live == 0
        with points.write() as batch:  # nobody will ever read it, but it does no harm
            batch.upsert([2], rows(1))
        assert new.manifest == {"name": "new"}


def test_of_two_who_create_one_wins(tmp_path: Path) -> None:
    won, lost = [], []

    def create(number: int) -> None:
        try:
            won.append(PointStore.create(tmp_path / "p", {"number": number}, ROW_BYTES))
        except StorageError as error:
            lost.append(str(error))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 5)
    assert all("holds something already" in each for each in lost)
    won[0].close()
    assert [each.name for each in tmp_path.iterdir()] == ["p"]
