"""A folder of collections: names, lives, and the folders that are something else."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.database.handles import Handles
from pqdb.store import Catalog, gate
from pqdb.store.environment import Environment
from pqdb.store.layout import seal
from tests.conftest import SEED
from tests.data import clustered
from tests.stories.processes import hear, run, talk, tell

DIM = 8


@pytest.fixture
def filled(db_path: Path) -> Path:
    """A database of one trained collection of 300 points, closed."""
    with pqdb.open(db_path, upkeep="manual") as database:
        things = database.create_collection("things", DIM, metadata={"from": "a test"})
        things.upsert(np.arange(300), clustered(300, DIM, seed=SEED), [{"n": n} for n in range(300)])
        things.train()
    return db_path


def tree(path: Path) -> dict[str, int]:
    """Every file and its size."""
    return {str(file.relative_to(path)): file.stat().st_size for file in sorted(path.rglob("*")) if file.is_file()}


# -- collections and their names


def test_collections_are_made_listed_found_and_dropped(db: pqdb.Database) -> None:
    made = db.create_collection("b", 3, "l2", metadata={"any": ["thing"]})
    db.create_collection("a", 4)
    assert db.collections() == list(db) == ["a", "b"]
    assert len(db) == 2
    assert "a" in db
    assert 3 not in db
    assert db["b"] is db.get_collection("b") is made
    assert made.metadata == {"any": ["thing"]}
    assert db.drop_collection("b")
    assert not db.drop_collection("b")
    assert db.collections() == ["a"]
    assert len([p for p in db.path.iterdir() if p.name != "catalog"]) == 1  # its files are gone


@pytest.mark.parametrize("name", ["plain", "with space", "Zürich–Ürümqi 日本", "x" * 255, ".hidden", "a.b", "-"])
def test_names_people_use(db: pqdb.Database, name: str) -> None:
    db.create_collection(name, 2).upsert([1], [1, 2])
    assert name in db
    assert db[name].get(1)[0].id == 1


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../up", "a\\b", "nul\0", "tab\t", "line\n", "a:b", "a*", "a?", '"', "<", "|", "x" * 256],
)
def test_names_with_path_characters_are_refused(db: pqdb.Database, name: str) -> None:
    before = tree(db.path)
    with pytest.raises(pqdb.InputError, match="a collection's name"):
        db.create_collection(name, 2)
    assert db.collections() == []
    assert tree(db.path) == before


@pytest.mark.parametrize("name", [None, 3, b"bytes", "\ud800"])
def test_what_is_not_a_name_is_refused(db: pqdb.Database, name: Any) -> None:
    with pytest.raises(pqdb.InputError):
        db.create_collection(name, 2)
    assert db.collections() == []


def test_long_names_of_many_bytes_are_refused_with_both_numbers(db: pqdb.Database) -> None:
    with pytest.raises(pqdb.InputError, match="1 to 500 bytes of UTF-8, not 765"):
        db.create_collection("日" * 255, 2)
    assert [p.name for p in db.path.iterdir()] == ["catalog"]  # nothing is left behind


@pytest.mark.parametrize("name", ["nowhere", "../things", "", "x" * 600])
def test_an_unknown_collection_is_a_key_error_of_ours(db: pqdb.Database, name: str) -> None:
    for act in (lambda: db[name], lambda: db.get_collection(name)):
        with pytest.raises(pqdb.CollectionNotFoundError) as caught:
            act()
        assert isinstance(caught.value, KeyError)
        assert str(caught.value) == f"there is no collection {name!r} in {db.path}"
    assert name not in db


def test_a_collection_that_exists_is_refused_or_taken_as_it_is(db: pqdb.Database) -> None:
    made = db.create_collection("things", 3)
    made.upsert([1], [1, 2, 3])
    with pytest.raises(pqdb.CollectionExistsError, match="there is a collection 'things'"):
        db.create_collection("things", 3)
    assert db.create_collection("things", 3, exist_ok=True) is made
    with pytest.raises(pqdb.CollectionExistsError, match=r"made otherwise: .*dim=3.*, not .*dim=4"):
        db.create_collection("things", 4, exist_ok=True)
    assert len(made) == 1


def test_a_config_that_cannot_be_leaves_nothing_behind(db: pqdb.Database) -> None:
    before = tree(db.path)
    for options in ({"dim": 0}, {"dim": 3, "metric": "l7"}, {"dim": 3, "source": None, "quantization": pqdb.Flat()}):
        with pytest.raises(pqdb.InputError):
            db.create_collection("things", **options)
    with pytest.raises(pqdb.InputError, match="metadata cannot be stored as JSON"):
        db.create_collection("things", 3, metadata={"a": {1, 2}})
    assert tree(db.path) == before


def test_an_alias_leads_to_its_collection(filled: Path) -> None:
    with Catalog.open(filled / "catalog") as catalog, catalog.write() as batch:
        batch.set_alias("now", "things")
    with pqdb.open(filled, upkeep="manual") as database:
        assert "now" in database
        assert len(database["now"]) == 300
        assert database.collections() == ["things"]
        with pytest.raises(pqdb.CollectionExistsError, match="'now'"):
            database.create_collection("now", 3)
        assert len(database["things"].search(np.ones(DIM))) == 10
        assert database.drop_collection("things")
        assert "now" not in database


# -- lives


def test_everything_is_there_again_after_reopening(filled: Path) -> None:
    with pqdb.open(filled, upkeep="manual") as database:
        things = database["things"]
        vectors = clustered(300, DIM, seed=SEED)
        assert things.config == pqdb.CollectionConfig(DIM)
        assert things.metadata == {"from": "a test"}
        assert (len(things), things.info()["generation"], things.info()["fresh"]) == (300, 1, 0)
        for row in (0, 7, 299):
            hit = things.search(vectors[row], 1)[0]
            assert (hit.id, hit.payload) == (row, {"n": row})
        things.upsert([300], -vectors[0])
    with pqdb.open(filled, upkeep="manual") as database:
        assert database["things"].search(-vectors[0], 1).ids == [300]
        assert database["things"].verify() == []


def test_closed_handles_say_so(filled: Path) -> None:
    database = pqdb.open(filled, upkeep="manual")
    things = database["things"]
    database.close()
    database.close()
    acts: list[Callable[[], object]] = [
        database.collections, lambda: database["things"], lambda: "things" in database, lambda: len(database),
        lambda: database.create_collection("x", 2), lambda: database.drop_collection("things"),
        lambda: len(things), lambda: things.search(np.ones(DIM)), lambda: things.upsert([1], np.ones(DIM)),
        lambda: things.get([1]), lambda: 1 in things, things.info, things.scroll, things.train, things.optimize,
        things.verify, lambda: things.delete([1]), lambda: things.set_payload({}, [1]), things.measure_recall,
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(pqdb.ClosedError, match=r"the database .* is closed"):
            act()


def test_a_temporary_database_is_gone_on_close() -> None:
    database = pqdb.open()
    path = database.path
    database.create_collection("things", 2).upsert([1], [1, 2])
    assert path.is_dir()
    database.close()
    assert not path.exists()


def test_a_dropped_collection_says_so(filled: Path) -> None:
    with pqdb.open(filled, upkeep="manual") as database:
        things = database["things"]
        database.drop_collection("things")
        with pytest.raises(pqdb.ClosedError, match="collection 'things' was dropped"):
            len(things)
        with pytest.raises(pqdb.CollectionNotFoundError):
            database["things"]
        again = database.create_collection("things", 3, "l2")
        assert len(again) == 0
        with pytest.raises(pqdb.ClosedError, match="was dropped"):
            things.search(np.ones(DIM))


def test_upkeep_says_only_what_there_is(db_path: Path) -> None:
    with pytest.raises(pqdb.InputError, match="upkeep='never' is not one of"):
        pqdb.open(db_path, upkeep="never")  # type: ignore[arg-type]
    assert not db_path.exists()


def test_two_handles_in_one_process_see_each_other(filled: Path) -> None:
    with pqdb.open(filled, upkeep="manual") as one, pqdb.open(filled, upkeep="manual") as other:
        vector = np.full(DIM, -3.0)
        one["things"].upsert([5_000], vector)
        assert other["things"].search(vector, 1).ids == [5_000]
        other["things"].train()
        assert one["things"].info()["generation"] == 2
        assert one["things"].search(vector, 1).ids == [5_000]
        one.close()
        assert other["things"].search(vector, 1).ids == [5_000]


# -- other processes


def test_what_another_process_writes_is_seen_at_once(filled: Path) -> None:
    with talk("search_when_told", filled) as child, pqdb.open(filled, upkeep="manual") as database:
        assert hear(child) == "open"
        things = database["things"]
        for n in (301, 302, 303):
            things.upsert([n - 1], clustered(1, DIM, seed=n))
            if n == 302:
                things.train()
            tell(child, "look")
            assert hear(child) == f"{n} True"
        run("upsert", filled, 303, 50)
        assert len(things) == 353
        tell(child, "look")
        assert hear(child) == "353 True"


def test_what_is_dropped_elsewhere_is_let_go_of_when_another_is_opened(filled: Path) -> None:
    """A process that is asked for the new collection only would keep the deleted one's files, maps and thread."""
    with pqdb.open(filled, upkeep="background") as database:
        old = database["things"]
        folder = old._points.path.parent.name
        assert mapped(folder)
        run("drop_and_make_again", filled, 5)
        assert database["things"].dim == 5
        assert not mapped(folder)
        with pytest.raises(pqdb.ClosedError, match="was dropped"):
            len(old)


def mapped(folder: str) -> list[str]:
    """Files of a folder that this process maps."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if folder in line]


def test_a_search_that_takes_long_holds_up_closing_and_no_more(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "DRAIN_SECONDS", 0.05)
    database = pqdb.open(filled, upkeep="manual")
    things, inside, leave = database["things"], threading.Event(), threading.Event()

    def read() -> None:
        with things._points.read():
            inside.set()
            leave.wait(10)

    reader = threading.Thread(target=read)
    reader.start()
    inside.wait(10)
    with pytest.raises(pqdb.StorageError, match="cannot be closed: 1 snapshots of it are still being read"):
        database.close()
    with pytest.raises(pqdb.ClosedError):
        things.search(np.ones(DIM))
    leave.set()
    reader.join()
    folder = things._points.path.parent.name
    assert mapped(folder)
    database.close()
    assert not mapped(folder)


def test_metadata_are_changed_by_several_at_once(filled: Path) -> None:
    """What two read before either writes is not lost: each changes what is there."""
    with pqdb.open(filled, upkeep="manual") as database:
        def note(n: int) -> None:
            database.change_metadata("things", lambda held: {**(held or {}), str(n): n})

        writers = [threading.Thread(target=note, args=(n,)) for n in range(20)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        everything = {"from": "a test", **{str(n): n for n in range(20)}}
        assert database["things"].metadata == everything
        with pytest.raises(pqdb.InputError):
            database.change_metadata("things", lambda _: {"set": {1}})
        with pytest.raises(pqdb.CollectionNotFoundError):
            database.change_metadata("others", lambda held: held)
        assert database["things"].metadata == everything


def test_a_collection_dropped_and_made_again_elsewhere_is_another_one(filled: Path) -> None:
    with pqdb.open(filled, upkeep="manual") as database:
        things = database["things"]
        run("drop_and_make_again", filled, 5)
        with pytest.raises(pqdb.ClosedError, match="was dropped"):
            things.search(np.ones(DIM))
        assert database["things"].dim == 5
        assert database["things"].search(np.ones(5), 1).ids == [1]


def test_a_forked_child_is_refused_and_may_open_its_own(filled: Path) -> None:
    said = run("fork", filled)
    assert len(said) == 8
    assert all(line.startswith("ForkedError: ") for line in said[:6]), said
    assert said[6:] == ["0", "1"]


# -- read-only


def test_read_only_searches_and_refuses_to_write(filled: Path) -> None:
    before = tree(filled)
    with pqdb.open(filled, read_only=True) as database:
        things = database["things"]
        assert things.search(clustered(300, DIM, seed=SEED)[4], 1).ids == [4]
        assert len(things.scroll(10).points) == 10
        assert things.verify() == []
        assert 0.9 < things.measure_recall().recall <= 1
        acts: list[Callable[[], object]] = [
            lambda: things.upsert([1], np.ones(DIM)), lambda: things.delete([1]), lambda: things.set_payload({}, [1]),
            things.train, things.optimize, lambda: database.create_collection("x", 2),
            lambda: database.drop_collection("things"),
        ]  # fmt: skip
        for act in acts:
            with pytest.raises(pqdb.ReadOnlyError, match="was opened read-only"):
                act()
    assert tree(filled) == before


def test_read_only_makes_no_database(db_path: Path) -> None:
    with pytest.raises(pqdb.NotADatabaseError, match="read_only=True makes none"):
        pqdb.open(db_path, read_only=True)
    assert not db_path.exists()


def test_a_folder_one_may_not_write_can_be_read(filled: Path) -> None:
    """As another user: by mode bits where we are root, by them anyway where we are not."""
    for parent in (filled, *filled.parents):
        if parent.stat().st_uid != os.geteuid() or parent == Path("/tmp"):
            break
        parent.chmod(parent.stat().st_mode | 0o055)
    for file in filled.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    filled.chmod(0o555)
    try:
        said = run("read_only", filled)
    finally:
        for file in (filled, *filled.rglob("*")):
            file.chmod(0o755 if file.is_dir() else 0o644)
    assert said[0] == "[3]"
    assert said[1].startswith("ReadOnlyError: ")
    assert said[2].startswith("ReadOnlyError: "), said
    assert "read_only=True" in said[2]


def test_a_read_only_medium_can_be_searched(filled: Path) -> None:
    import subprocess

    try:
        subprocess.run(["mount", "--bind", str(filled), str(filled)], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting is not permitted here: {getattr(error, 'stderr', error)!r}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(filled)], check=True)
        with pqdb.open(filled, read_only=True) as database:
            assert database["things"].search(clustered(300, DIM, seed=SEED)[4], 1).ids == [4]
        with pytest.raises(pqdb.ReadOnlyError, match="read_only=True"):
            pqdb.open(filled)
    finally:
        subprocess.run(["umount", str(filled)], check=True)


# -- folders that are something else


def test_a_file_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(pqdb.NotADatabaseError, match="is a file; a pqdb database is a folder"):
        pqdb.open(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "text"


def test_a_folder_of_other_things_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for read_only in (False, True):
        with pytest.raises(pqdb.NotADatabaseError, match="is not a pqdb database: it holds other files"):
            pqdb.open(tmp_path, read_only=read_only)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_becomes_a_database(tmp_path: Path) -> None:
    with pqdb.open(tmp_path) as database:
        assert database.collections() == []
    with pqdb.open(tmp_path, read_only=True) as database:
        assert database.collections() == []


@pytest.mark.parametrize("part", ["catalog", "points", "index"])
def test_a_newer_format_is_refused_not_misread(filled: Path, part: str) -> None:
    import lmdb

    folder = next(filled.rglob(part))
    with lmdb.open(str(folder), max_dbs=16) as env:
        main = env.open_db(b"main")
        with env.begin(write=True) as txn:
            record = json.loads(bytes(txn.get(b"manifest", db=main))[:-4])
            txn.put(b"manifest", seal(json.dumps({**record, "version": 99}).encode()), db=main)
    with pytest.raises(pqdb.FormatError, match=r"has format version 99; this pqdb reads version 1"):
        use(filled)


def use(path: Path) -> list[Any]:
    with pqdb.open(path, upkeep="manual") as database:
        return list(database["things"].search(clustered(300, DIM, seed=SEED)[4], 1).ids)


@pytest.mark.parametrize("part", ["catalog", "points", "index"])
@pytest.mark.parametrize("left", [0, 100, 5_000, 0.5, 0.9])
def test_a_truncated_file_is_refused_not_a_crash(filled: Path, part: str, left: float) -> None:
    """Mapped, a short file is SIGBUS at the first touch of what is missing."""
    file = next(filled.rglob(part)) / "data.mdb"
    size = file.stat().st_size
    os.truncate(file, int(size * left) if isinstance(left, float) else left)
    with pytest.raises((pqdb.CorruptError, pqdb.NotADatabaseError)) as caught:
        use(filled)
    assert str(file) in str(caught.value) or str(file.parent) in str(caught.value)
    assert any(character.isdigit() for character in str(caught.value))


@pytest.mark.parametrize("part", ["catalog", "points", "index"])
@pytest.mark.parametrize("bytes_", [b"\0", b"\xff", b"not a database at all, "], ids=["zeros", "ones", "text"])
def test_an_overwritten_file_is_refused_not_misread(filled: Path, part: str, bytes_: bytes) -> None:
    file = next(filled.rglob(part)) / "data.mdb"
    size = file.stat().st_size
    file.write_bytes((bytes_ * size)[:size])
    with pytest.raises((pqdb.CorruptError, pqdb.NotADatabaseError)) as caught:
        use(filled)
    assert str(file.parent) in str(caught.value)


@pytest.mark.parametrize("part", ["points", "index"])
def test_a_missing_environment_is_told(filled: Path, part: str) -> None:
    shutil.rmtree(next(filled.rglob(part)))
    with pytest.raises(pqdb.NotADatabaseError, match=part):
        use(filled)


def test_an_index_of_nonsense_is_found_by_verify(filled: Path) -> None:
    """Bytes flipped in the middle of a block are not seen by every query, but verify() names them."""
    file = next(filled.rglob("index")) / "data.mdb"
    data = bytearray(file.read_bytes())
    at = data.find(b"PQB2")
    assert at > 0
    data[at + 200] ^= 0xFF
    file.write_bytes(data)
    with pqdb.open(filled, read_only=True) as database:
        problems = database["things"].verify()
    assert problems
    assert all(problem.startswith("index: ") for problem in problems)


def test_an_alias_moves_in_one_commit(db: pqdb.Database) -> None:
    old, new = db.create_collection("v1", dim=2), db.create_collection("v2", dim=3)
    db.set_alias("docs", "v1")
    assert db["docs"] is old
    db.change_aliases([("docs", "v2"), ("old", "v1")])
    assert db["docs"] is new
    assert db.aliases() == {"docs": "v2", "old": "v1"}
    assert db.drop_alias("old")
    assert not db.drop_alias("old")
    assert "docs" in db
    assert db.collections() == ["v1", "v2"]
    db.drop_collection("v2")
    assert db.aliases() == {}


def drop_as_another_process(db: pqdb.Database, name: str) -> str:
    """Returns the uuid of the collection that nobody gave back in this process."""
    with db._catalog.write() as batch:
        record = batch.remove(name)
    assert record is not None
    shutil.rmtree(db.path / record["uuid"])
    return str(record["uuid"])


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


def test_what_another_process_dropped_is_given_back_with_the_next_call_for_any(db: pqdb.Database) -> None:
    db.create_collection("kept", dim=2)
    db.create_collection("gone", dim=2)
    key = drop_as_another_process(db, "gone")
    assert key in db._handles._open
    assert db["kept"].name == "kept"
    assert eventually(lambda: key not in db._handles._open)
    with pytest.raises(pqdb.CollectionNotFoundError):
        db["gone"]


def test_upkeep_ends_where_another_process_dropped_the_collection(tmp_path: Path) -> None:
    with pqdb.open(tmp_path / "db") as db:
        db.create_collection("gone", dim=2)
        thread = next(iter(db._handles._open.values())).upkeep._thread
        drop_as_another_process(db, "gone")
        assert eventually(lambda: not thread.is_alive())


def test_a_collection_whose_upkeep_gets_no_thread_says_so_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pqdb.open(tmp_path / "db") as db:
        before = len(list(Path("/proc/self/fd").iterdir()))
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(pqdb.StorageError, match="needs a thread of its own: can't start new thread"):
                db.create_collection("things", dim=2)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        db["things"].upsert([1], [[0, 1]])
        assert len(db["things"]) == 1


def test_of_names_only_the_commit_is_kept(db: pqdb.Database) -> None:
    """Else a thousand collections keep a thousand times all names."""
    for number in range(5):
        db.create_collection(f"c{number}", dim=2).upsert([1], [[0, 1]])
    assert {type(each) for each in db._handles._sound.values()} == {int}


def test_an_alias_that_moves_while_its_collection_is_opened_leads_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another process moves it and drops the collection it stood for."""
    with pqdb.open(tmp_path / "db") as db:
        for name in ("first", "second", "third"):
            db.create_collection(name, dim=2)
        db.set_alias("live", "first")
    with pqdb.open(tmp_path / "db") as db:
        open_collection, following = Handles._open_collection, {"first": "second", "second": "third"}

        def open_too_late(handles: Handles, name: str, key: str) -> Any:
            if name in following:
                db.set_alias("live", following[name])
                db.drop_collection(name)
            return open_collection(handles, name, key)

        monkeypatch.setattr(Handles, "_open_collection", open_too_late)
        assert db["live"].name == "third"
        assert db.collections() == ["third"]


def test_aliases_that_cannot_be_change_nothing(db: pqdb.Database) -> None:
    db.create_collection("v1", dim=2)
    for changes in ([("a", "v1"), ("b", "none")], [("a", "v1"), ("v1", "v1")], [("a", "v1"), ("b/c", "v1")]):
        with pytest.raises(pqdb.PqdbError):
            db.change_aliases(changes)
    assert db.aliases() == {}


def test_a_folder_may_be_opened_by_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Catalog.create

    def late(path: Path, **how: Any) -> Catalog:
        make(path).close()  # what another process has done meanwhile
        return make(path, **how)

    monkeypatch.setattr(Catalog, "create", late)
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        assert db.collections() == []


def test_what_a_killed_process_began_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "db" / ".catalog-0123").mkdir(parents=True)
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        db.create_collection("things", 2)
    (tmp_path / "db2" / "other").mkdir(parents=True)
    with pytest.raises(pqdb.NotADatabaseError, match="holds other files and no catalog"):
        pqdb.open(tmp_path / "db2")


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ctrl-C comes right behind the next commit of a catalog, once it is called."""
    armed: list[bool] = []
    committed = Environment.committed

    def then(env: Environment) -> None:
        committed(env)
        if armed and env.path.name == "catalog":
            armed.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(Environment, "committed", then)
    return lambda: armed.append(True)


def test_an_interrupt_behind_a_commit_leaves_what_it_made(tmp_path: Path, interrupt: Callable[[], None]) -> None:
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            db.create_collection("things", 2)
        assert db["things"].upsert([1, 2], np.eye(2)) == 1
        db.backup_collection("things", tmp_path / "things.tar")
        db["things"].delete([1])
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            db.restore_collection("things", tmp_path / "things.tar")
        assert len(db["things"]) == 2
        folders = [each.name for each in (tmp_path / "db").iterdir() if each.name != "catalog"]
        assert folders == [db["things"].folder.name]  # what was there before is gone
        assert db["things"].verify() == []


def test_a_replacement_of_nothing_by_nothing_is_no_commit(tmp_path: Path) -> None:
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        made = db.create_collection("things", 2)
        assert made.upsert([1], np.ones((1, 2))) == 1
        assert made.replace(("file", "none"), [], np.empty((0, 2))) == 0
        assert made.upsert([2], np.ones((1, 2))) == 2
