"""Killed at any instant, and at every named one: what was acknowledged is whole, nothing else is half there.

A child writes, trains, indexes, makes and drops collections; SIGKILL ends it; the test opens what it left behind and
compares it with a model of all that was acknowledged.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.processes import Children
from tests.stories import workload
from tests.stories.kill_points import POINTS
from tests.stories.workload import MODES, Model

Figure = Callable[[str, object], None]
LONGEST_LIFE = 0.15  # seconds of a child that is killed at a random instant
CYCLES_OF_ONE = 100  # database
LONGEST_REOPENING = 1_000  # ms
children = Children("tests.stories.workload")


class Crashes:
    """One database, crashed again and again, and what came of it."""

    def __init__(self, path: Path) -> None:
        self._home = path
        self.ends: Counter[str] = Counter()
        self.acknowledged = 0
        self.in_flight = 0
        self.reopening: list[float] = []  # seconds, and of them those at work
        self.working: list[float] = []
        self.start_anew()

    def start_anew(self) -> None:
        """Go on with an empty database: verifying one that grows for ever would take ever longer."""
        self.path = self._home.with_name(f"{self._home.name}-{sum(self.ends.values())}")
        self.model = Model()
        workload.prepare(self.path)

    def at_random(self, seed: int, mode: str) -> None:
        """Kill a child after a random while."""
        with children.talk("write_until_killed", self.path, seed, mode) as child:
            lines = [child.hear()]
            time.sleep(random.Random(seed).uniform(0, LONGEST_LIFE))
            child.kill()
            lines += child.hear_all()
            assert child.was_killed(), child.complaint()
        self.ends[f"at random, {mode}"] += 1
        self._look(lines)

    def at(self, point: str, seed: int) -> None:
        """Let a child kill itself at a named point."""
        nth = random.Random(seed).randint(1, POINTS[point].nth)
        with children.talk("write_until_killed", self.path, seed, POINTS[point].mode, point, nth) as child:
            lines = child.hear_all()
            assert child.was_killed(), child.complaint()
        assert f"at {point}" in lines
        self.ends[point] += 1
        self._look([line for line in lines if not line.startswith("at ")])

    def _look(self, lines: list[str]) -> None:
        self.acknowledged += sum(line.startswith("done") for line in lines)
        model, pending = workload.told(self.model, lines)
        self.in_flight += len(pending)
        began, worked = time.perf_counter(), time.process_time()
        with workload.reopened(self.path) as database:
            len(database["things"])
            self.reopening.append(time.perf_counter() - began)
            self.working.append(time.process_time() - worked)
            self.model = workload.found_in(database)
            assert workload.agrees(self.model, model, pending), (lines[-1], pending)
            assert database["things"].verify() == []


def crash_often(path: Path, cycles: int, figure: Figure, every: int = 2) -> None:
    """Every other cycle, or each so many, ends at a random instant; the rest at the named points in turn."""
    crashes = Crashes(path)
    names = list(POINTS)
    for cycle in range(cycles):
        if cycle and cycle % CYCLES_OF_ONE == 0:
            crashes.start_anew()
        if cycle % every:
            crashes.at(names[(cycle - cycle // every - 1) % len(names)], cycle + 1)
        else:
            crashes.at_random(cycle + 1, MODES[cycle // every % len(MODES)])
    assert all(crashes.ends[name] for name in names[: cycles - -(-cycles // every)])
    with workload.reopened(crashes.path) as database:  # and it can still be trained and written
        database["things"].train()
        assert workload.found_in(database) == crashes.model
        database["things"].upsert([10**6], workload.vector_of(1))
        assert database["things"].search(workload.vector_of(1), 1).ids == [10**6]
    figure("cycles", cycles)
    figure("named points hit", f"{sum(name in POINTS for name in crashes.ends)} of {len(POINTS)}")
    figure("acknowledged operations", crashes.acknowledged)
    figure("in flight at the kill", crashes.in_flight)
    figure("lost, half applied, unsound", "0, 0, 0")
    times, work = 1e3 * np.array(crashes.reopening), 1e3 * max(crashes.working)
    figure("reopening, median", f"{np.median(times):.1f} ms")
    figure("reopening, longest", f"{times.max():.0f} ms by the clock, {work:.0f} ms of work")
    # By the clock all but the slowest in a hundred: the machine may stop us for a while, whatever we do.
    assert work <= LONGEST_REOPENING
    assert np.percentile(times, 99) <= LONGEST_REOPENING


def test_what_is_lost_or_half_there_would_be_noticed() -> None:
    lines = ["begin 0 1 upsert 1 2 3", "done 0", "begin 1 2 upsert 200 201", "begin 0 3 delete 1 2"]
    model, pending = workload.told(Model(), lines)
    whole = {1: {"batch": 1}, 2: {"batch": 1}, 3: {"batch": 1}}
    other = {200: {"batch": 2}, 201: {"batch": 2}}
    last = {3: {"batch": 1}}
    assert all(workload.agrees(Model(found), model, pending) for found in (whole, last, whole | other, last | other))
    lost = {1: {"batch": 1}, 2: {"batch": 1}}
    half_applied = {2: {"batch": 1}, 3: {"batch": 1}}
    half_written = {**whole, 200: {"batch": 2}}
    made_up = {**whole, 4: {"batch": 1}}
    for found in ({}, lost, half_applied, half_written, made_up, {**whole, 3: {"batch": 0}}):
        assert not workload.agrees(Model(found), model, pending), found
    assert not workload.agrees(Model(whole, second=True), model, pending)
    assert workload.agrees(Model(whole, second=True), model, [*pending, workload.Operation(0, 4, "make", ())])


def test_killed_at_every_point_and_now_and_then_at_random(tmp_path: Path, figure: Figure) -> None:
    crash_often(tmp_path / "database", -(-4 * len(POINTS) // 3), figure, every=4)


@pytest.mark.long
@pytest.mark.timeout(5_400)
def test_killed_two_thousand_times(tmp_path: Path, figure: Figure) -> None:
    crash_often(tmp_path / "database", 2_000, figure)
