"""Full disks: an error of ours, nothing lost, and life goes on when there is room again."""

from pathlib import Path

import numpy as np
import pytest

import pqdb
from tests.conftest import SEED
from tests.data import clustered
from tests.stories.children import DIM
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
