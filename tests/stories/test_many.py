"""One folder, many processes: every answer is held against a model, upkeep is taken over, names change under us."""

import json
import select
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.store import places
from tests.processes import Child, Children
from tests.stories import mixed

Figure = Callable[[str, object], None]
workers = Children("tests.stories.mixed")
children = Children("tests.stories.children")


def mixed_load(path: Path, seconds: float, figure: Figure) -> None:
    """Two writers, one that keeps the index, one that only reads; a writer is killed and replaced on the way."""
    mixed.make(path)
    with ExitStack() as stack:

        def start(verb: str, *arguments: object) -> Child:
            child = stack.enter_context(workers.talk(verb, path, *arguments))
            assert child.hear() == "ready", child.complaint()
            return child

        keeper = start("keep", seconds, 1)
        doomed = start("own", 0, 10 * seconds, 2)
        writer = start("own", 1, seconds, 3)
        watcher = start("watch", seconds, 4)
        time.sleep(seconds / 2)
        doomed.kill()
        assert doomed.was_killed(), doomed.complaint()
        heir = start("own", 0, seconds / 2, 5)
        total: Counter[str] = Counter()
        for child in (keeper, writer, watcher, heir):
            said = child.hear_all()
            assert child.wait() == 0, child.complaint()
            total.update(json.loads(said[0]))
            if child is keeper:
                generation, _, error = said[1].partition(" ")
                assert int(generation) >= 1
                assert error == "None"
    with pqdb.open(path, upkeep="manual", map_size=mixed.SMALL_MAP) as database:
        things = database["things"]
        witness = mixed.Witness(path, things, 6)
        for group in range(mixed.OWNERS * mixed.GROUPS):
            witness.read(group)
            witness.search(group, exact=group % 2 == 0)
        witness.count()
        assert things.verify() == []
    assert pqdb.check(path).problems == []
    assert all(total[kind] for kind in ("writes", "reads", "searches", "counts"))
    for kind, times in total.items():
        figure(kind, times)
    figure("answers that were wrong", 0)


def test_four_processes_agree_for_three_seconds(tmp_path: Path, figure: Figure) -> None:
    mixed_load(tmp_path / "database", 3, figure)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_four_processes_agree_for_a_minute(tmp_path: Path, figure: Figure) -> None:
    mixed_load(tmp_path / "database", 60, figure)


def test_the_witness_notices_what_is_wrong(tmp_path: Path) -> None:
    mixed.make(tmp_path / "database")
    with pqdb.open(tmp_path / "database", upkeep="manual") as database:
        things = database["things"]
        witness = mixed.Witness(tmp_path / "database", things, 1)
        witness.write(3)
        witness.read(3)
        witness.search(3, exact=True)
        witness.count()
        wrongs: list[Callable[[], Any]] = [
            lambda: things.delete([3 * mixed.GROUP]),
            lambda: things.upsert([3 * mixed.GROUP], mixed.vector_of(3, 3), [{"version": 3}]),
            lambda: things.delete(np.arange(3 * mixed.GROUP, 4 * mixed.GROUP)),
        ]
        for wrong in wrongs:
            wrong()
            with pytest.raises(AssertionError):
                witness.read(3)
            with pytest.raises(AssertionError):
                witness.search(3, exact=True)
        with pytest.raises(AssertionError):
            witness.count()


# -- upkeep


def test_upkeep_is_taken_over_from_a_process_that_is_killed_in_the_middle_of_it(tmp_path: Path) -> None:
    """Two processes are ready to train; the one whose turn it is dies training, and the other begins anew."""
    path = tmp_path / "database"
    with pqdb.open(path, upkeep="manual") as database:
        database.create_collection("things", 8).upsert(
            np.arange(500), np.random.default_rng(1).standard_normal((500, 8))
        )
    with children.talk("train_when_due", path) as one, children.talk("train_when_due", path) as other:
        spoke, _, _ = select.select([one, other], [], [], 60)
        assert len(spoke) == 1
        first, second = (one, other) if spoke[0] is one else (other, one)
        assert first.hear() == "training"
        assert select.select([second], [], [], 1.5)[0] == []  # it looks every second, and finds the lock taken
        first.kill()
        assert first.was_killed()
        assert second.hear() == "training"
        second.tell("go on")
        assert second.hear() == "trained"
        with pqdb.open(path, read_only=True) as database:
            info = database["things"].info()
            assert (info["generation"], info["fresh"]) == (1, 0)
            assert database["things"].verify() == []


# -- names


def test_a_collection_renamed_elsewhere_is_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "database"
    with pqdb.open(path, upkeep="manual") as database:
        things = database.create_collection("things", 4, metadata={"a": 1})
        things.upsert([1], np.ones(4))
        database.set_alias("now", "things")
        children.run("rename", path, "things", "thoughts")
        assert len(things) == 1
        assert things.name == "thoughts"
        assert things.metadata == {"a": 1}
        things.upsert([2], np.ones(4))
        assert database["thoughts"] is things
        assert database["now"] is things
        assert database.collections() == ["thoughts"]
        with pytest.raises(pqdb.CollectionNotFoundError, match="'things'"):
            database["things"]
        again = database.create_collection("things", 2)
        assert len(again) == 0
        children.run("rename", path, "things", "others")
        with pytest.raises(pqdb.CollectionExistsError):
            database.rename_collection("others", "thoughts")
        with pytest.raises(pqdb.CollectionNotFoundError):
            database.rename_collection("nothing", "something")
        with pytest.raises(pqdb.InputError, match="a collection's name"):
            database.rename_collection("others", "a/b")
        assert database.collections() == ["others", "thoughts"]
        assert (again.name, things.name) == ("others", "thoughts") or len(again) == 0
    with pqdb.open(path, read_only=True) as database, pytest.raises(pqdb.ReadOnlyError):
        database.rename_collection("others", "more")


def test_a_collection_dropped_elsewhere_and_made_again_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "database"
    with pqdb.open(path, upkeep="manual") as database:
        first = database.create_collection("things", 4)
        for dim in (5, 6):
            children.run("drop_and_make_again", path, dim)
            with pytest.raises(pqdb.ClosedError, match="was dropped"):
                first.get([1])
            first = database["things"]
            assert first.dim == dim
            assert first.search(np.ones(dim), 1).ids == [1]


def test_two_processes_that_make_and_drop_the_same_names_meet_only_our_errors(tmp_path: Path) -> None:
    path = tmp_path / "database"
    pqdb.open(path, upkeep="manual").close()
    with children.talk("make_and_drop", path, 1, 3) as one, children.talk("make_and_drop", path, 2, 3) as other:
        for child in (one, other):
            said = child.hear_all()
            assert child.wait() == 0, child.complaint()
            assert set(said) <= {"made", "exists", "dropped", "gone", "written"}, set(said)
            assert {"made", "dropped", "written"} <= set(said)
    assert pqdb.check(path).problems == []


# -- places


def test_a_network_file_system_is_refused_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    there = tmp_path / "on the net"
    escaped = str(there).replace(" ", r"\040")
    table.write_text(
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"40 21 0:44 / {escaped} rw,relatime shared:7 - nfs4 server:/export rw,vers=4.2\n"
        f"41 40 0:45 / {escaped}/scratch rw - tmpfs none rw\n"
        "broken line\n"
    )
    monkeypatch.setattr(places, "MOUNTS", table)
    for path in (there, there / "deep" / "er"):
        for read_only in (False, True):
            with pytest.raises(pqdb.StorageError, match=rf"network file system \(nfs4, mounted at {there}\)"):
                pqdb.open(path, read_only=read_only)
        assert not path.exists()
    pqdb.open(there / "scratch" / "db", upkeep="manual").close()
    pqdb.open(tmp_path / "on the nether world", upkeep="manual").close()
    monkeypatch.setattr(places, "MOUNTS", tmp_path / "nowhere")
    pqdb.open(tmp_path / "db", upkeep="manual").close()


def test_this_machine_tells_its_file_systems(tmp_path: Path) -> None:
    if not places.MOUNTS.exists():
        pytest.skip("no table of mounts here")
    found = places.filesystem_of(tmp_path)
    assert found is not None
    assert found[0] not in places.NETWORK
