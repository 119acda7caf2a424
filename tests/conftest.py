"""What every test may ask for: seeds, clustered vectors, a folder, a database."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pqdb
from tests.data import clustered

SEED = 20_251
os.environ.setdefault("PQDB_WARM_UP", "false")  # a hundred servers that load all kernels would take minutes


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to keep what the stories measure."""
    parser.addoption("--figures", type=Path, metavar="FILE", help="add the figures of the stories to this JSON file")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """figure(what, value): something a story measured, as JSON; printed at the end of the run, and kept if asked."""
    return lambda what, value: request.node.user_properties.append((what, value))  # a report carries them anywhere


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The figures of the stories, but for long lists of numbers."""
    told = {
        report.nodeid.rpartition("::")[2]: dict(report.user_properties)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and report.user_properties
    }
    if told:
        terminalreporter.section("figures")
        for test, figures in told.items():
            for what, value in figures.items():
                if not isinstance(value, list):
                    terminalreporter.write_line(f"{test}: {what}: {value}")
        if config.getoption("figures"):
            failed = {report.nodeid.rpartition("::")[2] for report in terminalreporter.getreports("failed")}
            passed = {test: figures for test, figures in told.items() if test not in failed}
            keep_figures(config.getoption("figures"), passed)


def keep_figures(path: Path, found: dict[str, dict[str, object]]) -> None:
    """Put the figures of tests that passed into a file, in place of older ones of the same tests."""
    from bench import machine

    kept = json.loads(path.read_text()) if path.exists() else {}
    card = machine.card()
    for test, figures in found.items():
        kept[test] = {"machine": card, "figures": figures}
    path.write_text(json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False) + "\n")


@pytest.fixture
def seed() -> int:
    """The one seed of the suite: a failure comes back when the test is run again."""
    return SEED


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def clusters(seed: int) -> Callable[..., np.ndarray]:
    """clusters(n, dim, …) -> (n, dim) float32; see tests/data.py."""

    def make(n: int, dim: int, *, seed: int = seed, **how: float) -> np.ndarray:
        return clustered(n, dim, seed=seed, **how)

    return make


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "database"


@pytest.fixture
def db(db_path: Path) -> Iterator[pqdb.Database]:
    """An empty database whose upkeep runs only when the test says so."""
    with pqdb.open(db_path, upkeep="manual") as database:
        yield database
