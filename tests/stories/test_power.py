"""The power fails, and the disk forgets what was not synchronised: what was acknowledged is there, all of it."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import pqdb
from tests.docs.pages import ROOT
from tests.stories import power, workload
from tests.stories.workload import Model

Figure = Callable[[str, object], None]


def cut_often(folder: Path, cuts: int, seed: int, operations: int) -> Counter[str]:
    """Let a process work, cut its power at so many instants, and look at what is left each time."""
    there = folder / "there"
    there.mkdir()
    workload.prepare(there / "database")
    log, chance = folder / "log", random.Random(seed)
    disk = power.Disk(there)
    power.traced(log, ROOT, "tests.stories.workload", "write_some", there / "database", seed, operations)
    every = power.calls(log, there)
    seen, lines, copied = Counter[str](), list[str](), None
    instants = sorted(chance.sample(range(len(every)), cuts))
    for number, call in enumerate(every):
        disk.take(call)
        if call.says():
            lines += [line for text in power.texts(call.arguments) for line in text.decode().splitlines()]
            if lines[-1] == "backed up":
                copied = workload.told(Model(), lines[1:-1])[0]
        if instants and number == instants[0]:
            instants.pop(0)
            shutil.rmtree(folder / "left", ignore_errors=True)
            disk.cut(folder / "left", chance)
            look(folder / "left", lines, copied)
            seen["cuts"] += 1
            seen["cuts in the middle of an operation"] += bool(lines and lines[-1].startswith("begin"))
    seen["system calls that change files"] = len(every)
    seen["acknowledged operations"] = sum(line.startswith("done") for line in lines)
    return seen


def look(left: Path, lines: list[str], copied: Model | None) -> None:
    """What is left is what was acknowledged, and what was running as a whole or not at all; the backup is whole."""
    model, pending = workload.told(Model(), [line for line in lines if line.startswith(("begin", "done"))])
    with workload.reopened(left / "database") as database:
        found = workload.found_in(database)
        assert workload.agrees(found, model, pending), (lines[-1:], pending)
        assert database["things"].verify() == []
        database["things"].upsert([10**6], workload.vector_of(1))
        database["things"].optimize()
        assert database["things"].verify() == []
    if copied is not None:
        with pqdb.open(left / "backup", read_only=True) as database:
            assert workload.found_in(database) == copied
            assert database["things"].verify() == []


@pytest.fixture
def traceable() -> None:
    """Skip where nobody may be traced."""
    if power.strace() is None:
        pytest.skip("there is no strace here, or it may not trace")


@pytest.mark.usefixtures("traceable")
def test_what_is_not_synchronised_is_lost_on_this_disk(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    disk, chance, seen = power.Disk(tmp_path / "there"), random.Random(1), Counter[str]()
    power.traced(tmp_path / "log", ROOT, "tests.stories.power", "write_files", tmp_path / "there")
    for call in power.calls(tmp_path / "log", tmp_path / "there"):
        disk.take(call)
    for number in range(60):
        left = tmp_path / str(number)
        disk.cut(left, chance)
        found = {file.name: file.read_bytes() for file in left.iterdir()}
        (safe,) = found.keys() & {"safe", "moved"}
        assert found[safe] == b"s" * 4_000
        assert found["nameless"] == b"n" * 4_000  # the next file synchronised the folder
        assert found["half"][:4_000] == b"h" * 4_000
        seen[safe] += 1
        seen["loose, torn"] += found["loose"] not in (b"", b"l" * 4_000)
        seen["half, torn"] += 0 < found["half"].count(b"H") < 4_000
    assert min(seen.values()) > 5, seen
    assert {file.read_bytes() for file in (tmp_path / "there").iterdir()} == {
        each * 4_000 for each in (b"l", b"n", b"s")
    } | {b"h" * 4_000 + b"H" * 4_000}


@pytest.mark.usefixtures("traceable")
def test_what_was_acknowledged_outlasts_a_power_cut(tmp_path: Path, figure: Figure) -> None:
    for what, value in cut_often(tmp_path, 40, 1, 40).items():
        figure(what, value)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.usefixtures("traceable")
def test_what_was_acknowledged_outlasts_a_thousand_power_cuts(tmp_path: Path, figure: Figure) -> None:
    total = Counter[str]()
    for seed in range(10):
        (tmp_path / str(seed)).mkdir()
        total += cut_often(tmp_path / str(seed), 100, seed, 200)
        shutil.rmtree(tmp_path / str(seed))
    for what, value in total.items():
        figure(what, value)
