"""A collection from nothing to 21,000 points, upkeep in the background: no error and no surprise at any size."""

import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import pqdb
from pqdb.partition.train import choose_n_lists
from tests import naive
from tests.conftest import SEED
from tests.data import clustered, queries_near
from tests.stories.processes import run, talk, tell

DIM = 16
STEPS = (0, 1, 2, 31, 33, 500, 2_000, 4_999, 5_000, 5_001, 9_000, 15_000, 20_001, 21_000)


def wait_for(things: pqdb.Collection, word: str, least: int) -> None:
    """Until upkeep came so far by itself; fails only if it never does."""
    for _ in range(6_000):
        if things.info()[word] >= least:
            return
        time.sleep(0.02)
    raise AssertionError(f"{word} did not reach {least}: {things.info()}")


def test_from_nothing_to_twenty_one_thousand(tmp_path: Path) -> None:
    """At every step all is found at once; asked 0.97, found at least 0.95 before, between and after trainings."""
    rows = clustered(STEPS[-1], DIM, seed=SEED)
    queries = queries_near(rows, 50, seed=1)
    with pqdb.open(tmp_path / "database", upkeep_share=1) as database:
        things = database.create_collection("things", DIM, "l2")
        for start, stop in pairwise(STEPS):
            things.upsert(np.arange(start, stop), rows[start:stop])
            assert len(things) == stop
            newest = things.search(rows[stop - 1], 1)
            assert newest.ids == [stop - 1]
            assert newest.scores[0] == 0
            truth, _ = naive.search.nearest(queries.astype(float), rows[:stop].astype(float), "l2", 10)
            found = things.search(queries, 10).scores[:, : truth.shape[1]].astype(float)
            assert naive.search.recall(found, truth, "l2") >= 0.95, stop
            assert things.info()["upkeep"]["error"] is None
            if stop == 5_000:
                wait_for(things, "generation", 1)
        wait_for(things, "generation", 2)  # four times as many as the first was trained for
        things.optimize()
        info = things.info()
        assert (info["points"], info["fresh"], info["indexed"]) == (STEPS[-1], 0, STEPS[-1])
        assert info["lists"] >= choose_n_lists(20_000)  # those of the second generation
        assert things.verify() == []
    with pqdb.open(tmp_path / "database", read_only=True) as database:
        found = database["things"].search(queries, 10).scores.astype(float)
        assert naive.search.recall(found, truth, "l2") >= 0.95


def test_two_processes_write_while_a_third_trains(tmp_path: Path) -> None:
    """Each writes its own ids; nothing is lost, and one index holds all of it."""
    path = tmp_path / "database"
    with pqdb.open(path, upkeep="manual") as database:
        database.create_collection("things", 8)
    with talk("hold_upkeep", path) as keeper, talk("hold_upkeep", path) as other:
        for start in (0, 10_000):
            run("upsert", path, start, 3_000)
        with pqdb.open(path, upkeep="manual") as database:
            things = database["things"]
            wait_for(things, "generation", 1)
            run("upsert", path, 20_000, 2_500)
            wait_for(things, "indexed", 7_000)
            assert len(things) == 8_500
            for start in (0, 10_000, 20_000):
                vector = clustered(3_000 if start < 20_000 else 2_500, 8, seed=start)[77]
                assert things.search(vector, 1, nprobe=999, rerank=9_000).ids == [start + 77]
            assert things.verify() == []
        tell(keeper)
        tell(other)
