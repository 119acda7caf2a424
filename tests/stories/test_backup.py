"""Backups: taken while others write, each is what there was at one moment, and a database; restored, it is the same."""

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb import backup, checking
from tests.processes import Child, Children
from tests.stories import damage, workload
from tests.stories.workload import Model, Operation

Figure = Callable[[str, object], None]


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks fork their process here, as importing pqdb anew costs a second."""
    monkeypatch.setattr(checking, "start_child", damage.ForkedCheck)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of two collections, never changed."""
    path = tmp_path_factory.mktemp("backup") / "whole"
    damage.make(path)
    return path


class Listener:
    """Takes down what a child says, while it says it."""

    def __init__(self, child: Child) -> None:
        self.lines: list[str] = []
        self._child = child
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while line := self._child.hear():
            self.lines.append(line)

    def wait_for(self, n: int) -> None:
        """Until the child has said so many lines more."""
        aim, deadline = len(self.lines) + n, time.monotonic() + 60
        while len(self.lines) < aim:
            assert time.monotonic() < deadline, self._child.complaint()
            time.sleep(0.005)

    def join(self) -> None:
        self._thread.join()


def moments(lines: list[str]) -> list[Model]:
    """The model before the first operation, and after each that was announced."""
    models = [Model()]
    for line in lines:
        if line.startswith("begin"):
            models.append(models[-1].after(Operation.from_line(line)))
    return models


@pytest.mark.parametrize("mode", ["manual", "background"])
def test_a_backup_of_a_busy_database_is_one_moment_of_it(tmp_path: Path, mode: str, figure: Figure) -> None:
    """Another process writes, trains, makes and drops collections; in each backup every collection is as it was at one
    moment meanwhile.
    """
    path = tmp_path / "database"
    workload.prepare(path)
    with Children("tests.stories.workload").talk("write_until_killed", path, 5, mode) as child:
        listener = Listener(child)
        try:
            spans = []
            with pqdb.open(path, read_only=True, upkeep="manual") as database:
                for number in range(3):
                    listener.wait_for(12)
                    done = sum(line.startswith("done") for line in listener.lines)
                    database.backup(tmp_path / f"backup-{number}")
                    spans.append((done, sum(line.startswith("begin") for line in listener.lines)))
        finally:
            child.kill()
            listener.join()
    models = moments(listener.lines)
    for number, (first, last) in enumerate(spans):
        assert pqdb.check(tmp_path / f"backup-{number}").problems == []
        with workload.reopened(tmp_path / f"backup-{number}") as copy:
            found, span = workload.found_in(copy), models[first : last + 1]
            # Each collection by itself: their snapshots begin one after the other, and a busy machine may put the
            # copying process aside in between.
            assert found.points in [model.points for model in span]
            assert found.second in [model.second for model in span]
            assert found.pairs in [model.pairs for model in span]
            copy["things"].upsert([0], workload.vector_of(1))
    figure(f"operations during three backups, upkeep {mode}", sum(last - first for first, last in spans))


def test_a_collection_dropped_while_it_is_copied_is_in_the_backup(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, open_one = Path(shutil.copytree(whole, tmp_path / "database")), backup._open

    def open_and_drop(folder: Path, stack: ExitStack) -> Any:
        found = open_one(folder, stack)
        shutil.rmtree(folder)
        return found

    monkeypatch.setattr(backup, "_open", open_and_drop)
    backup.copy(path, tmp_path / "backup", lambda name, share: None)
    assert damage.contents(tmp_path / "backup") == damage.contents(whole)


def test_what_is_restored_answers_the_same(whole: Path, tmp_path: Path) -> None:
    with pqdb.open(whole, upkeep="manual") as database:
        seen: list[tuple[str, float]] = []
        database.backup(tmp_path / "backup", progress=lambda *how: seen.append(how))
    assert sorted(name for name, _ in seen) == ["catalog", "flat", "moved", "things"]
    assert [share for _, share in seen] == sorted(share for _, share in seen)
    assert seen[-1][1] == 1.0
    pqdb.restore(tmp_path / "backup", tmp_path / "deep" / "er" / "restored")
    assert damage.contents(tmp_path / "deep" / "er" / "restored") == damage.contents(whole)
    assert damage.contents(tmp_path / "backup") == damage.contents(whole)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup", "deep"]  # nothing half made is left


def test_aliases_and_all_kinds_of_collections_come_along(tmp_path: Path) -> None:
    vectors = np.random.default_rng(2).standard_normal((500, 16)).astype(np.float32)
    with pqdb.open(tmp_path / "db", upkeep="manual") as database:
        for name, how in (("none", {"source": None}), ("int8", {"source": "int8"}), ("l2", {"metric": "l2"})):
            collection = database.create_collection(name, 16, metadata={"name": name}, **how)  # type: ignore[arg-type]
            collection.upsert(np.arange(500), vectors)
            collection.train()
        from pqdb.store import Catalog

        with Catalog.open(tmp_path / "db" / "catalog") as catalog, catalog.write() as batch:
            batch.set_alias("other", "l2")
        database.backup(tmp_path / "backup")
        with pqdb.open(tmp_path / "backup", upkeep="manual") as copy:
            assert copy.collections() == database.collections()
            for name in [*copy, "other"]:
                assert copy[name].metadata == database[name].metadata
                assert copy[name].search(vectors[3], 5).ids == database[name].search(vectors[3], 5).ids
                assert copy[name].verify() == []


def test_a_damaged_backup_is_not_restored(whole: Path, tmp_path: Path) -> None:
    with pqdb.open(whole, read_only=True, upkeep="manual") as database:
        database.backup(tmp_path / "backup")
    vector = np.random.default_rng(0).standard_normal(8).astype(np.float32)
    with pqdb.open(tmp_path / "backup", upkeep="manual") as copy:
        copy["things"].upsert([77], vector)
    (file,) = (each for each in tmp_path.glob("backup/*/points/data.mdb") if vector.tobytes() in each.read_bytes())
    raw = file.read_bytes()
    at = raw.rindex(vector.tobytes())
    file.write_bytes(raw[:at] + b"?" + raw[at + 1 :])
    with pytest.raises(pqdb.CorruptError, match="is damaged and not restored: things: points: "):
        pqdb.restore(tmp_path / "backup", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_a_place_that_is_taken_or_inside_is_refused(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    (tmp_path / "empty").mkdir()
    with pqdb.open(whole, upkeep="manual") as database:
        with pytest.raises(pqdb.StorageError, match="holds something already"):
            database.backup(tmp_path / "taken")
        with pytest.raises(pqdb.StorageError, match="lies inside of"):
            database.backup(whole / "backup")
        database.backup(tmp_path / "empty")
    with pytest.raises(pqdb.StorageError, match="holds something already"):
        pqdb.restore(tmp_path / "empty", tmp_path / "taken")
    with pytest.raises(pqdb.NotADatabaseError):
        pqdb.restore(tmp_path / "taken", tmp_path / "new")
    assert [each.name for each in (tmp_path / "taken").iterdir()] == ["file"]


def test_a_backup_without_room_leaves_nothing_behind(whole: Path, tmp_path: Path) -> None:
    said = Children("tests.stories.children").run("backup_without_room", whole, tmp_path / "backup")
    assert said[0].startswith("DiskFullError: "), said
    assert "no room to write" in said[0]
    assert said[1:] == ["[]", "[]"]
