"""Killed at any instant, through the front door: what was acknowledged is whole, nothing else is half there."""

import random
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import pqdb
from tests.conftest import SEED
from tests.data import clustered
from tests.stories.children import DIM, vector_of
from tests.stories.processes import hear, talk

Model = dict[int, int]  # id → number of the batch that wrote it


def after(model: Model, line: str) -> Model:
    """The model after one announced batch."""
    _, verb, number, *ids = line.split()
    changed = dict(model)
    for each in map(int, ids):
        if verb == "delete":
            changed.pop(each, None)
        else:
            changed[each] = int(number)
    return changed


def found_in(things: pqdb.Collection) -> Model:
    """id → batch; that vector and payload agree on it; that a search finds each of its points."""
    points = things.scroll(10_000, with_vector=True).points
    assert len(points) == len(things)
    model: Model = {}
    for point in points:
        assert isinstance(point.id, int)
        assert point.payload is not None
        model[point.id] = point.payload["batch"]
        assert point.vector is not None
        assert np.array_equal(point.vector, vector_of(model[point.id]))
    for batch in list(dict.fromkeys(model.values()))[:3]:
        mine = {i for i, each in model.items() if each == batch}
        assert set(things.search(vector_of(batch), len(mine), exact=True).ids) == mine
        assert set(things.search(vector_of(batch), len(mine), nprobe=99, rerank=10_000).ids) == mine
    return model


def kill_once(path: Path, round_: int, model: Model, upkeep: Literal["background", "manual"]) -> Model:
    """Let a child write, kill it after a random while. -> what must be there now (or one batch more)."""
    with talk("write_for_ever", path, round_, upkeep) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(random.Random(round_).uniform(0, 0.15))
        child.kill()
        lines = [first, *child.stdout.readlines()]
    pending = None
    for line in (line for line in lines if line.endswith("\n")):
        if line == "done\n":
            assert pending is not None
            model, pending = after(model, pending), None
        else:
            pending = line
    with pqdb.open(path, upkeep="manual") as database:
        things = database["things"]
        found = found_in(things)
        assert things.verify() == []
        if round_ % 4 == 0:
            things.train()
            assert found_in(things) == found
    assert found in ([model] if pending is None else [model, after(model, pending)])
    return found


def kill_often(path: Path, rounds: int) -> None:
    with pqdb.open(path, upkeep="manual") as database:
        database.create_collection("things", DIM, "l2")
    model: Model = {}
    for round_ in range(1, rounds + 1):
        model = kill_once(path, round_, model, "background" if round_ % 2 else "manual")
    assert model
    with pqdb.open(path, upkeep="manual") as database:  # and it can still be written
        database["things"].upsert([1_000], np.ones(DIM))
        assert database["things"].search(np.ones(DIM), 1).ids == [1_000]


def test_killed_ten_times(tmp_path: Path) -> None:
    kill_often(tmp_path / "database", 10)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_killed_a_hundred_times(tmp_path: Path) -> None:
    kill_often(tmp_path / "database", 100)


def kill_training(path: Path, rounds: int) -> None:
    """A child trains again and again and is killed in each of its stages; the last whole generation answers on."""
    rows = clustered(3_000, DIM, seed=SEED)
    with pqdb.open(path, upkeep="manual") as database:
        things = database.create_collection("things", DIM, "l2")
        things.upsert(np.arange(3_000), rows)
        things.train()
    stages = ("centroids", "codebook", "assign", "encode", "trained")
    for round_ in range(rounds):
        generation = last_generation(path)
        with talk("train_for_ever", path) as child:
            while (said := hear(child)) != stages[round_ % len(stages)]:
                assert said, "the child ended by itself"
            time.sleep(random.Random(round_).uniform(0, 0.03))
            child.kill()
        with pqdb.open(path, upkeep="manual") as database:
            things = database["things"]
            assert len(things) == 3_000
            assert things.info()["generation"] >= generation
            for row in (0, 1_234, 2_999):
                assert things.search(rows[row], 1, nprobe=99, rerank=3_000).ids == [row]
            assert things.verify() == []
    with pqdb.open(path, upkeep="manual") as database:  # what the dead left half built is no trouble to the living
        things = database["things"]
        generation = things.info()["generation"]
        things.train()
        assert things.info()["generation"] == generation + 1
        assert things.search(rows[77], 1, nprobe=99, rerank=3_000).ids == [77]
        assert things.verify() == []


def last_generation(path: Path) -> int:
    with pqdb.open(path, read_only=True) as database:
        return int(database["things"].info()["generation"])


def test_killed_in_every_stage_of_training(tmp_path: Path) -> None:
    kill_training(tmp_path / "database", 5)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_killed_in_training_fifty_times(tmp_path: Path) -> None:
    kill_training(tmp_path / "database", 50)
