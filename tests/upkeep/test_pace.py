"""Background work takes its share of a core, on average, and none of the rest."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

import pqdb
from pqdb.upkeep import pace
from pqdb.upkeep.pace import Pace
from tests.data import clustered


class Clock:
    """Time that passes only when a test says so, and what was waited for."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cpu = 0.0
        self.rested = 0.0

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.cpu += seconds

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        self.rested += seconds
        return False

    def is_set(self) -> bool:
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pace.time, "thread_time", lambda: made.cpu)
    monkeypatch.setattr(pace.time, "monotonic", lambda: made.now)
    return made


@pytest.mark.parametrize(("share", "rest"), [(1.0, 0), (0.5, 1), (0.25, 3), (0.1, 9)])
def test_it_rests_in_proportion(clock: Clock, share: float, rest: float) -> None:
    paced = Pace(share)
    paced.begin()
    for _ in range(10):
        clock.work(0.1)
        paced.rest(clock)  # type: ignore[arg-type]
    assert clock.rested == pytest.approx(rest, abs=0.02)


def test_nobody_rests_while_somebody_waits(clock: Clock) -> None:
    paced = Pace(0.1)
    paced.begin()
    clock.work(0.3)
    paced.hurry()
    paced.rest(clock)  # type: ignore[arg-type]
    assert clock.rested == 0
    clock.now += 1
    clock.work(0.1)
    paced.rest(clock)  # type: ignore[arg-type]
    assert 0 <= clock.rested < 1


def test_a_rest_ends_when_upkeep_stops() -> None:
    paced, stopping = Pace(0.01), threading.Event()
    paced.begin()
    busy = time.thread_time()
    while time.thread_time() < busy + 0.1:
        pass
    stopping.set()
    paced.rest(stopping)  # ten seconds otherwise


def test_a_rest_ends_when_somebody_wants_to_work(clock: Clock) -> None:
    paced = Pace(0.1)
    paced.begin()
    clock.work(0.3)
    paced.rest(clock, lambda: clock.rested > 0.5)  # type: ignore[arg-type]
    assert 0.5 < clock.rested < 0.6


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_cannot_be_is_refused(db_path: Path, share: float) -> None:
    with pytest.raises(pqdb.InputError, match="upkeep_share must be above 0 and at most 1, not "):
        pqdb.open(db_path, upkeep_share=share)
    assert not db_path.exists()


def test_with_a_small_share_it_is_done_too(db_path: Path) -> None:
    with pqdb.open(db_path, upkeep_share=0.3) as database:
        things = database.create_collection("things", 8)
        things.upsert(np.arange(5_000), clustered(5_000, 8, seed=1))
        for _ in range(3_000):
            if things.info()["generation"]:
                break
            time.sleep(0.02)
        assert things.info()["generation"] == 1
