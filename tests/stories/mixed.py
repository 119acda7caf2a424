"""Several processes at work on one collection, each answer held against what was written and acknowledged by then.

The points come in groups of eight, each group the property of one process; one upsert or delete concerns a whole group.
A shared file tells of every group the version that was begun last and the one that was acknowledged last: odd versions
are there, even ones deleted (0: never written). A reader looks at what was acknowledged, asks, and looks at what was
begun: the answer must lie in between, and a group must be whole.
"""

import json
import time
from pathlib import Path

import numpy as np

import pqdb
from pqdb.upkeep import steps
from tests.processes import say

DIM = 16
GROUPS, GROUP = 64, 8  # of each owner
OWNERS = 2
SMALL_MAP = 1 << 20  # every process makes it grow, and meets what others grew


def make(path: Path) -> None:
    """The database, and the file of versions beside it."""
    with pqdb.open(path, upkeep="manual", map_size=SMALL_MAP) as database:
        database.create_collection("things", DIM, "l2")
    np.zeros((2, OWNERS * GROUPS), np.int64).tofile(versions_of(path))


def versions_of(path: Path) -> Path:
    return path.with_suffix(".versions")


def vector_of(group: int, version: int) -> np.ndarray:
    """Tells group and version; the same for all points of a group."""
    return np.random.default_rng([group, version]).standard_normal(DIM).astype(np.float32)


class Witness:
    """What this process knows of all groups, and how often an answer was held against it."""

    def __init__(self, path: Path, things: pqdb.Collection, seed: int) -> None:
        versions = np.memmap(versions_of(path), np.int64, "r+", shape=(2, OWNERS * GROUPS))
        self.begun, self.acknowledged = versions
        self.things = things
        self.rng = np.random.default_rng(seed)
        self.counts = dict.fromkeys(("writes", "reads", "searches", "counts"), 0)

    def write(self, group: int) -> None:
        """The next version of a group of one's own."""
        version = int(self.begun[group]) + (1 if self.begun[group] % 2 == 0 or self.rng.random() < 0.3 else 2)
        ids = np.arange(group * GROUP, (group + 1) * GROUP)
        self.begun[group] = version
        if version % 2:
            rows = np.tile(vector_of(group, version), (GROUP, 1))
            self.things.upsert(ids, rows, [{"version": version}] * GROUP)
        else:
            self.things.delete(ids)
        self.acknowledged[group] = version
        self.counts["writes"] += 1

    def recover(self, groups: range) -> None:
        """After the death of their owner: what it began and did not acknowledge happened or not; go on from there."""
        for group in groups:
            began, acknowledged = int(self.begun[group]), int(self.acknowledged[group])
            if began != acknowledged:
                found = self._version_of(group)
                assert found in {version * (version % 2) for version in (began, acknowledged)}, (group, found)
                self.write(group)

    def read(self, group: int) -> None:
        """A group is whole, and as new as what was acknowledged before we asked."""
        before = int(self.acknowledged[group])
        found = self._version_of(group)
        after = int(self.begun[group])
        self._check(group, before, found, after)
        self.counts["reads"] += 1

    def search(self, group: int, exact: bool) -> None:
        """Its vector finds the group, if it stayed as it was meanwhile."""
        before = int(self.acknowledged[group])
        how = {"exact": True} if exact else {"nprobe": 999, "rerank": 10_000}
        hits = self.things.search(vector_of(group, before | 1), GROUP, **how)
        if self.begun[group] == before and before % 2:
            assert set(hits.ids) == set(range(group * GROUP, (group + 1) * GROUP)), (group, before, hits.ids)
            assert [hit.payload for hit in hits] == [{"version": before}] * GROUP
        self.counts["searches"] += 1

    def count(self) -> None:
        """The number of points lies between what the groups that may be in motion allow."""
        before = self.acknowledged.copy()
        found = len(self.things)
        moving = self.begun != before
        least = int((before[~moving] % 2).sum()) * GROUP
        assert least <= found <= least + int(moving.sum()) * GROUP, (least, found, int(moving.sum()))
        assert found % GROUP == 0, found
        self.counts["counts"] += 1

    def some_check(self) -> None:
        """One of them."""
        group = int(self.rng.integers(0, OWNERS * GROUPS))
        kind = self.rng.integers(0, 10)
        if kind < 5:
            self.read(group)
        elif kind < 8:
            self.search(group, exact=kind < 6)
        else:
            self.count()

    def _version_of(self, group: int) -> int:
        """The version that is there, 0 for none."""
        points = self.things.get(np.arange(group * GROUP, (group + 1) * GROUP), with_vector=True)
        assert len(points) in (0, GROUP), (group, len(points))
        if not points:
            return 0
        found = {point.payload["version"] for point in points if point.payload is not None}
        assert len(found) == 1, (group, found)
        (version,) = found
        for point in points:
            assert point.vector is not None
            assert np.array_equal(point.vector, vector_of(group, version))
        return int(version)

    def _check(self, group: int, before: int, found: int, after: int) -> None:
        if found:
            assert before <= found <= after, (group, before, found, after)
        else:  # deleted, or never there
            assert before % 2 == 0 or after != before, (group, before, after)


# -- verbs of children


def own(path: str, owner: str, seconds: str, seed: str) -> None:
    """Write one's own groups, check all."""
    with pqdb.open(path, upkeep="manual", map_size=SMALL_MAP) as database:
        witness = Witness(Path(path), database["things"], int(seed))
        groups = range(int(owner) * GROUPS, (int(owner) + 1) * GROUPS)
        witness.recover(groups)
        say("ready")
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline:
            witness.write(int(witness.rng.choice(groups)))
            witness.some_check()
    say(json.dumps(witness.counts))


def keep(path: str, seconds: str, seed: str) -> None:
    """Train, index and compact in the background; check all."""
    steps.TRAIN_ROWS, steps.FRESH_ROWS, steps.RETRAIN_GROWTH = 100, 100, 2  # type: ignore[assignment]
    with pqdb.open(path, upkeep="background", map_size=SMALL_MAP) as database:
        witness = Witness(Path(path), database["things"], int(seed))
        say("ready")
        deadline = time.monotonic() + float(seconds)
        rounds = 0
        while time.monotonic() < deadline:
            witness.some_check()
            rounds += 1
            if rounds % 200 == 0:
                database["things"].compact()
        say(json.dumps(witness.counts))
        info = database["things"].info()
        say(f"{info['generation']} {info['upkeep']['error']}")


def watch(path: str, seconds: str, seed: str) -> None:
    """Read only: check all."""
    with pqdb.open(path, read_only=True, map_size=SMALL_MAP) as database:
        witness = Witness(Path(path), database["things"], int(seed))
        say("ready")
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline:
            witness.some_check()
    say(json.dumps(witness.counts))
