"""A database to be damaged, ways to damage it, and what can be read of it: by a child, as damage may end a process."""

import hashlib
import json
import os
import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

import pqdb
from pqdb import checking
from tests.data import clustered
from tests.processes import Child, say

DIM = 8
UUIDS = [f"{n:08x}-58cc-4372-a567-0e02b2c3d479" for n in range(100)]
IDS: list[Any] = [*range(900), *UUIDS, *map("name {}".format, range(100))]


def make(path: Path) -> None:
    """Points with ids of all kinds, some replaced, some gone; two generations, fresh rows; and a flat collection."""
    rows = clustered(len(IDS), DIM, seed=9)
    with pqdb.open(path, upkeep="manual") as database:
        things = database.create_collection("things", DIM, "l2", metadata={"a": "b"})
        things.upsert(IDS, rows, [{"n": n} if n % 3 else None for n in range(len(IDS))])
        things.train()
        things.upsert(IDS[::10], rows[::-10] + 0.5, [{"again": n} for n in range(0, len(IDS), 10)])
        things.delete(IDS[::7])
        things.train()
        things.set_payload({"mark": 1}, IDS[1:40])
        moved = database.create_collection("moved", 4, "l2")
        moved.upsert(range(300), rows[:300, :4])
        moved.delete(range(0, 300, 2))
        moved.train()
        moved.compact()  # from here on its files are somewhere else
        things.upsert([5_000, "fresh"], rows[:2] + 1)
        flat = database.create_collection("flat", 3, quantization=pqdb.Flat())
        flat.upsert(range(20), np.arange(60).reshape(20, 3) + 1.0)


def files(path: Path) -> dict[Path, str]:
    """Every data file, relative, and how problems in it begin."""
    with pqdb.open(path, read_only=True, upkeep="manual") as database:
        names = {database[name]._points.path.parent.name: name for name in database.collections()}
    found = {}
    for file in sorted(path.rglob("data.mdb")):
        key, part = file.relative_to(path).parts[:2]
        found[file.relative_to(path)] = f"{key}: " if key == "catalog" else f"{names[key]}: {part}: "
    return found


@dataclass(frozen=True)
class Damage:
    """One bit of a file flipped, or its end cut off."""

    file: Path
    at: int
    bit: int | None  # None: cut off here

    @classmethod
    def random(cls, path: Path, seed: int) -> "Damage":
        """Any bit of a file, which is chosen by its size, or, every third time, at random; every tenth time a cut."""
        rng = random.Random(seed)
        sizes = {file.relative_to(path): file.stat().st_size for file in sorted(path.rglob("data.mdb"))}
        (file,) = rng.choices(list(sizes), weights=None if seed % 3 == 0 else list(sizes.values()))
        return cls(file, rng.randrange(sizes[file]), None if seed % 10 == 0 else rng.randrange(8))

    def do(self, path: Path) -> None:
        """Damage the file in a copy of the database."""
        if self.bit is None:
            os.truncate(path / self.file, self.at)
            return
        with (path / self.file).open("r+b") as file:
            file.seek(self.at)
            (byte,) = file.read(1)
            file.seek(self.at)
            file.write(bytes([byte ^ 1 << self.bit]))


def contents(path: Path, by_codes: bool = True) -> str:
    """A hash of all that the database answers; without searches by codes, whose answers upkeep may change."""
    digest = hashlib.sha256()

    def take(*what: object) -> None:
        digest.update(repr(what).encode())

    with pqdb.open(path, read_only=True, upkeep="manual") as database:
        for name in database.collections():
            collection = database[name]
            points = collection.scroll(10_000, with_vector=True).points
            take(name, collection.config, collection.metadata, len(collection), len(points))
            for point in points:
                assert point.vector is not None
                take(point.id, point.payload, point.vector.tobytes(), point.version)
            for point in points[:: max(1, len(points) // 20)]:
                for how in ({"exact": True}, {}, {"nprobe": 3, "rerank": 30})[: 3 if by_codes else 1]:
                    hits = collection.search(point.vector, 5, **how)
                    take(hits.ids, np.asarray(hits.scores).tobytes(), [hit.payload for hit in hits])
    return digest.hexdigest()


class ForkedCheck:
    """Stands for the process of a check: forked, so that a thousand of them take no hour."""

    def __init__(self, module: str, arguments: list[str]) -> None:
        self._child = Child("tests.stories.damage", "look", tuple(arguments))
        self.stdout = iter(self._child.hear_all())
        self.returncode = self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._child.end()


# -- verbs of children


def look(path: str, *checked: str) -> None:
    """What the child of a check does."""
    for line in checking.look(Path(path), frozenset(checked)):
        say(json.dumps(line))


def look_and_die(path: str, *checked: str) -> None:
    """As `look`, but the index of things is deadly."""
    for line in checking.look(Path(path), frozenset(checked)):
        say(json.dumps(line))
        if line[0] == "store" and line[2:] == ("index", "things"):
            os.kill(os.getpid(), signal.SIGBUS)


def read_and_write(path: str) -> None:
    """Say what is there; then write, and say what is wrong afterwards."""
    say(contents(Path(path)))
    with pqdb.open(path, upkeep="manual") as database:
        for name in database.collections():
            collection = database[name]
            for n in range(3):
                ids = np.arange(n * 50, n * 50 + 100)
                collection.upsert(ids, np.full((100, collection.dim), n + 1.0), [{"written": n}] * 100)
            collection.delete(np.arange(10, 60))
            collection.optimize()
            assert collection.verify() == [], collection.verify()
            assert len(collection.get([10, 149])) == 1
    say("written")
