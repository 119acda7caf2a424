"""Full disks and folders that may not be written: an error of ours, nothing lost, and life goes on when it is over."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import pqdb
from tests.conftest import SEED
from tests.data import clustered
from tests.store.test_environment import _anyone_may_enter, mounted
from tests.stories import damage
from tests.stories.children import DIM, VERBS
from tests.stories.processes import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of one trained collection, closed."""
    with pqdb.open(tmp_path / "database", upkeep="manual") as database:
        things = database.create_collection("things", DIM, "l2")
        things.upsert(np.arange(2_000), clustered(2_000, DIM, seed=SEED))
        things.train()
    return tmp_path / "database"


@pytest.mark.parametrize("spare", [0, 20_000, 100_000])
def test_a_disk_that_fills_up_during_training_leaves_searches_working(path: Path, spare: int) -> None:
    """The file-size limit stands for the disk. 100,000 bytes are room for a part of the new generation."""
    said = run("train_on_a_full_disk", path, spare)
    assert said[0].startswith("DiskFullError: "), said
    assert said[1:] == ["True", "True", "[]"]


def test_a_disk_that_fills_up_during_upserts_keeps_what_was_acknowledged(path: Path) -> None:
    said = run("upsert_until_full", path, 1 << 20)
    assert said[0].startswith("DiskFullError: "), said
    assert "nothing of this write was kept" in said[0]
    assert said[1:] == ["True", "True", "[]"]


def test_upkeep_without_room_says_so_and_the_rest_goes_on(tmp_path: Path) -> None:
    """6,000 points are due to be trained in the background, but no file may grow past 300 kB."""
    rows = clustered(6_000, 64, seed=SEED)
    with pqdb.open(tmp_path / "database", upkeep="manual") as database:
        database.create_collection("things", 64, "l2").upsert(np.arange(6_000), rows)
    said = run("background_on_a_full_disk", tmp_path / "database")
    assert said[0].startswith("DiskFullError: "), said
    assert said[1:] == ["[3]", "[3]", "1"]


# -- every verb


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of three collections, never changed."""
    path = tmp_path_factory.mktemp("bad-days") / "whole"
    damage.make(path)
    return path


def goes_on(said: list[str], fails: bool | None) -> None:
    """What a child said of one verb on a bad day and after it; `fails`: whether it must have failed."""
    result, unhurt, problems, again, found, problems_again = said
    kind, _, sentence = result.partition(": ")
    assert kind in ("done", "DiskFullError", "ReadOnlyError", "StorageError"), said
    assert fails is None or fails == (kind != "done"), said
    assert kind == "done" or len(sentence) > 20, said
    assert unhurt == "True", said
    assert again == "done" or again.startswith("done before: "), said
    assert kind == "done" or again == "done", said
    assert (problems, found, problems_again) == ("[]", "[9999]", "[]"), said


@pytest.mark.parametrize(("verb", "spare"), [*((verb, 0) for verb in VERBS), ("upsert", 20_000), ("replace", 20_000)])
def test_no_room_in_the_middle_of_a_verb(whole: Path, tmp_path: Path, verb: str, spare: int) -> None:
    """No file may grow beyond the largest one there is: what needs more says so."""
    shutil.copytree(whole, tmp_path / "database")
    goes_on(run("without_room", tmp_path / "database", verb, spare), True if verb in ("upsert", "replace") else None)


@pytest.mark.parametrize("verb", VERBS)
def test_hardly_a_byte_in_the_middle_of_a_verb(whole: Path, tmp_path: Path, verb: str) -> None:
    """No file may be written behind its first pages: nothing at all can be done."""
    shutil.copytree(whole, tmp_path / "database")
    goes_on(run("without_room", tmp_path / "database", verb, -(10**9)), True)


@pytest.mark.parametrize("verb", ["create", "upsert", "train", "compact", "drop"])
def test_a_disk_that_is_full_in_the_middle_of_a_verb(whole: Path, tmp_path: Path, verb: str) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=4m", "none"):
        shutil.copytree(whole, tmp_path / "disk" / "database")
        goes_on(run("on_a_full_disk", tmp_path / "disk" / "database", verb), None if verb == "drop" else True)


@pytest.mark.parametrize("verb", ["create", "upsert", "train", "compact", "rename", "drop"])
def test_folders_that_become_read_only_in_the_middle_of_a_verb(whole: Path, tmp_path: Path, verb: str) -> None:
    if not _anyone_may_enter(Path(np.__file__).parent):
        pytest.skip("another user cannot enter the folder this Python's packages are in")
    path = Path(shutil.copytree(whole, tmp_path / "database"))
    for folder in (path, *path.parents):
        if folder == Path("/tmp") or folder.stat().st_uid != os.geteuid():
            break
        folder.chmod(0o755)
    if os.geteuid() == 0:
        for each in (path, *path.rglob("*")):
            os.chown(each, 65534, 65534)
    goes_on(run("without_permission", path, verb), True if verb in ("create", "compact") else None)
