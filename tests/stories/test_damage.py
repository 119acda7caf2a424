"""Bit rot: what matters is caught by the check and named, what is not caught does not matter; indexes heal."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb import checking
from tests.processes import Child, Children
from tests.stories import damage
from tests.stories.damage import Damage, ForkedCheck

Figure = Callable[[str, object], None]
children = Children("tests.stories.damage")


REAL = checking.start_child


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks here fork their process, as importing pqdb anew costs a second; where REAL is set they do not."""
    monkeypatch.setattr(checking, "start_child", ForkedCheck)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound database, never changed."""
    path = tmp_path_factory.mktemp("damage") / "whole"
    damage.make(path)
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def rot(whole: Path, tmp_path: Path, seeds: range, figure: Figure) -> None:
    """Damage a fresh copy again and again; each time the check names it, or nothing at all is different."""
    names, truth, ends = damage.files(whole), damage.contents(whole), Counter[str]()
    for seed in seeds:
        path = Path(shutil.copytree(whole, tmp_path / "rotten"))
        harm = Damage.random(whole, seed)
        harm.do(path)
        try:
            found = pqdb.check(path).problems
        except pqdb.FormatError as error:
            found = [f"{names[harm.file]}{error}"]
        if found:
            assert any(problem.startswith(names[harm.file]) for problem in found), (seed, harm, found)
            ends["caught"] += 1
            ends["caught, the reader died"] += any("ended the process" in problem for problem in found)
        else:
            with children.talk("read_and_write", path) as child:
                said = child.hear_all()
                assert child.wait() == 0, (seed, harm, child.complaint())
            assert said == [truth, "written"], (seed, harm)
            ends["of no consequence"] += 1
        shutil.rmtree(path)
    assert ends["caught"] > len(seeds) // 4, ends
    for what, times in ends.items():
        figure(what, f"{times} of {len(seeds)}")
    figure("missed", 0)


def test_every_flip_and_cut_that_matters_is_named(whole: Path, tmp_path: Path, figure: Figure) -> None:
    rot(whole, tmp_path, range(24), figure)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_every_one_of_a_thousand_flips_and_cuts_that_matters_is_named(
    whole: Path, tmp_path: Path, figure: Figure
) -> None:
    rot(whole, tmp_path, range(1_000), figure)


# -- healing


def key_of(path: Path, name: str) -> str:
    """The folder of a collection."""
    with pqdb.open(path, read_only=True, upkeep="manual") as database:
        return database[name]._points.path.parent.name


def spoil(file: Path, *, keep: int = 8, every: int = 3) -> None:
    """Flip a bit in the middle of every third page but the first ones."""
    raw = bytearray(file.read_bytes())
    for page in range(keep, len(raw) // 4096, every):
        raw[page * 4096 + 2_000] ^= 1
    file.write_bytes(raw)


def files_of(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.rglob("data.mdb")}


def test_a_damaged_index_is_built_again_from_its_points(
    whole: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "start_child", REAL)
    before = damage.contents(whole)
    index = copy / key_of(copy, "things") / "index" / "data.mdb"
    spoil(index)
    found = pqdb.check(copy)
    assert found.problems
    assert all(problem.startswith("things: index: ") for problem in found.problems)
    report = pqdb.repair(copy)
    assert report.found.problems == found.problems
    assert report.refused == []
    assert report.done == ["things: its index is built again from its 944 points"]
    assert pqdb.check(copy).problems == []
    assert pqdb.repair(copy).done == []
    with pqdb.open(copy, upkeep="manual") as database:
        things = database["things"]
        things.train()
        assert len(things) == 944
        assert damage.contents(whole) == before


@pytest.mark.parametrize("end", [0, 100, 9_000, None])
def test_an_index_cut_off_or_gone_is_built_again(copy: Path, end: int | None) -> None:
    folder = copy / key_of(copy, "things") / "index"
    if end is None:
        shutil.rmtree(folder)  # as a repair that was cut off may leave it
    else:
        (folder / "data.mdb").write_bytes((folder / "data.mdb").read_bytes()[:end])
    report = pqdb.repair(copy)
    assert (len(report.done), report.refused) == (1, [])
    with pqdb.open(copy, upkeep="manual") as database:
        things = database["things"]
        assert len(things) == 944
        assert things.search(things.get([8], with_vector=True)[0].vector, 1).ids == [8]


def saved(folder: Path) -> dict[int | str, dict[str, Any]]:
    return {record["id"]: record for record in map(json.loads, (folder / "things.jsonl").read_text().splitlines())}


@pytest.mark.parametrize("harm", ["bits", "a cut"])
def test_damaged_points_are_refused_and_what_can_be_read_is_saved(copy: Path, tmp_path: Path, harm: str) -> None:
    with pqdb.open(copy, read_only=True, upkeep="manual") as database:
        truth = {point.id: point for point in database["things"].scroll(10_000, with_vector=True).points}
    file = copy / key_of(copy, "things") / "points" / "data.mdb"
    if harm == "bits":
        spoil(file, every=6)
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    before = files_of(copy)
    report = pqdb.repair(copy, save=tmp_path / "saved")
    assert files_of(copy) == before
    assert report.done == []
    (sentence,) = report.refused
    assert sentence.startswith("things: its points are damaged; ")
    lines = saved(tmp_path / "saved")
    assert f" {len(lines):,} can be read whole" in sentence
    assert len(lines) > 100
    assert len(lines) < len(truth)
    for name, record in lines.items():
        vector = truth[name].vector
        assert vector is not None
        assert np.array_equal(np.array(record["vector"], np.float32), vector)
        assert record["payload"] == truth[name].payload or (record["payload"] is None and "their payload" in sentence)
    assert "save= writes them to a folder" in pqdb.repair(copy).refused[0]


def test_nothing_that_is_sound_is_lost_when_a_sound_store_is_saved(copy: Path, tmp_path: Path) -> None:
    """Salvage reads what is whole in full: one unreadable page of texts away from it, nothing else is missing."""
    from pqdb.store.salvage import PointSalvage

    with pqdb.open(copy, read_only=True, upkeep="manual") as database:
        truth = {point.id: point for point in database["things"].scroll(10_000, with_vector=True).points}
    with PointSalvage(copy / key_of(copy, "things") / "points") as salvage:
        found = {point.id: point for point in salvage.points()}
        assert (salvage.lost, salvage.unknown) == ([], 0)
    assert found.keys() == truth.keys()
    for name, point in found.items():
        assert (None if point.payload is None else json.loads(point.payload)) == truth[name].payload
        assert not point.payload_lost
        assert set(point.sources) == {0}
        assert point.sources[0].tobytes() == truth[name].vector.tobytes()  # type: ignore[union-attr]


def test_points_without_a_manifest_cannot_be_saved(copy: Path) -> None:
    file = copy / key_of(copy, "things") / "points" / "data.mdb"
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b'"format":"pqdb"', b'"format":"pqdc"'))
    (sentence,) = pqdb.repair(copy).refused
    assert "nothing of" in sentence
    assert "has no manifest that can be read" in sentence


def test_a_damaged_catalog_is_built_again_of_the_names_it_still_tells(copy: Path) -> None:
    with pqdb.open(copy, upkeep="manual") as database:
        database.set_metadata("things", {"given": "later"})
    before = damage.contents(copy)
    file = copy / "catalog" / "data.mdb"
    raw = bytearray(file.read_bytes())
    commits = [int.from_bytes(raw[page + 144 : page + 152], "little") for page in (0, 4096)]
    raw[4096 * int(commits[1] < commits[0]) + 16 + 4] ^= 1  # the version in the older one of the two meta pages
    file.write_bytes(raw)
    assert pqdb.check(copy).catalog
    report = pqdb.repair(copy)
    assert "the catalog is built again, of 3 collections (" in report.done[0]
    assert pqdb.check(copy).problems == []
    assert damage.contents(copy) == before
    with pqdb.open(copy, read_only=True) as database:
        assert database["things"].metadata == {"given": "later"}


def test_collections_no_name_leads_to_any_more_get_one(copy: Path) -> None:
    key = key_of(copy, "flat")
    (copy / "catalog" / "data.mdb").write_bytes(b"x" * 10_000)
    pqdb.repair(copy)
    with pqdb.open(copy, upkeep="manual") as database:
        assert sorted(len(database[name]) for name in database) == [20, 150, 944]
        assert f"recovered-{key[:8]}" in database


def test_what_a_cut_off_create_left_behind_is_removed(copy: Path) -> None:
    left = copy / ("0" * 32)
    (left / "points").mkdir(parents=True)
    assert pqdb.check(copy).leftovers == ["0" * 32]
    assert pqdb.check(copy).problems == []
    assert pqdb.repair(copy).done == [f"{'0' * 32}, which no collection led to, is removed"]
    assert not left.exists()


def test_a_database_that_is_open_is_not_repaired(copy: Path) -> None:
    with pqdb.open(copy, upkeep="manual"), pytest.raises(pqdb.LockedError, match="is open in process"):
        pqdb.repair(copy)
    with Children("tests.stories.children").talk("search_when_told", copy) as child:
        assert child.hear() == "open"
        with pytest.raises(pqdb.LockedError, match=f"is open in process {child.pid}"):
            pqdb.repair(copy)
    assert pqdb.repair(copy).refused == []


def test_an_index_that_was_the_only_copy_of_its_vectors_is_refused(tmp_path: Path) -> None:
    with pqdb.open(tmp_path / "db", upkeep="manual") as database:
        things = database.create_collection("things", 8, source=None)
        things.upsert(np.arange(1_000), np.random.default_rng(1).standard_normal((1_000, 8)))
        things.train()
    spoil(next(tmp_path.glob("db/*/index/data.mdb")))
    before = files_of(tmp_path)
    (sentence,) = pqdb.repair(tmp_path / "db").refused
    assert "source=None keeps no vectors" in sentence
    assert files_of(tmp_path) == before


def test_what_is_no_database_is_not_checked(tmp_path: Path) -> None:
    with pytest.raises(pqdb.NotADatabaseError, match="there is no catalog in it"):
        pqdb.check(tmp_path)


def test_a_reader_that_dies_of_damage_is_survived_and_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check's child is killed by what it reads: here by a sound store that we say is deadly."""

    class Deadly(ForkedCheck):
        def __init__(self, module: str, arguments: list[str]) -> None:
            self._child = Child("tests.stories.damage", "look_and_die", tuple(arguments))
            self.stdout = iter(self._child.hear_all())
            self.returncode = self._child.wait()

    monkeypatch.setattr(checking, "start_child", Deadly)
    report = pqdb.check(copy)
    assert report.problems == ["things: index: reading it ended the process with SIGBUS"]
    assert report.collections["flat"] == pqdb.Findings(20, [])
    assert report.collections["things"].points == 944
